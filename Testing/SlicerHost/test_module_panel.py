"""The module panel: what of a module's panel is shown in it, and how wide the column becomes.

The numbers follow from Base/QTGUI/qSlicerModulePanel.cxx and its .ui file in Slicer.
"""

import pytest
import slicer

MODULE = """
import qt
from slicer.ScriptedLoadableModule import *

calls = []

class {name}(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title, parent.helpText = "{name}", "{help}"
        parent.acknowledgementText = "Thanks."
        parent.contributors = ["A. Author", "B. Author"]

class {name}Widget(ScriptedLoadableModuleWidget):
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.content = qt.QLabel("content")
        self.content.wordWrap = True
        self.layout.addWidget(self.content)

    def enter(self):
        calls.append(("enter", self.content.isVisible()))

    def exit(self):
        calls.append(("exit", self.content.isVisible()))
"""
COLUMN_PIXELS, HEIGHT_PIXELS = 350, 500
WIDE_PIXELS, TALL_PIXELS = 700, 2000


@pytest.fixture
def load(host, tmp_path):
    """`load(name, help)` returns the widget of a module that shows a label."""
    loaded = []

    def load(name, help_text=""):
        file = tmp_path / f"{name}.py"
        file.write_text(MODULE.format(name=name, help=help_text), encoding="utf-8")
        widget = host.make_widget(host.load_module(file))
        loaded.append(name)
        return widget

    yield load
    for name in loaded:
        host.unload(name)


@pytest.fixture
def column(host):
    column = slicer.qSlicerModulePanel()
    column.setModuleManager(slicer.app.moduleManager())
    column.resize(COLUMN_PIXELS, HEIGHT_PIXELS)
    column.show()
    yield column
    column.setModule("")
    column.close()


def settle(host):
    for _turn in range(5):
        host.process_events()


def scroll_area(column):
    import qt

    return column.findChild(qt.QScrollArea, "ScrollArea")


def test_the_module_is_as_wide_as_the_column_and_scrolls_up_and_down(host, load, column):
    import qt

    widget, area = load("Narrow"), scroll_area(column)
    widget.content.minimumHeight = TALL_PIXELS
    column.setModule("Narrow")
    settle(host)
    assert area.widgetResizable and area.frameShape == qt.QFrame.NoFrame
    assert area.horizontalScrollBarPolicy == qt.Qt.ScrollBarAlwaysOff
    assert widget.parent.width == area.viewport().width < COLUMN_PIXELS
    bar = area.verticalScrollBar()
    assert bar.visible and bar.maximum >= TALL_PIXELS - HEIGHT_PIXELS
    assert not area.horizontalScrollBar().visible


def test_a_module_that_is_too_wide_widens_the_column(host, load, column):
    widget, area = load("Wide"), scroll_area(column)
    column.setModule("Wide")
    settle(host)
    assert column.minimumSizeHint().width() < COLUMN_PIXELS
    widget.content.minimumWidth = WIDE_PIXELS
    settle(host)
    # Slicer adds the width of the bar that it does not show.
    asked = column.minimumSizeHint().width() - area.horizontalScrollBar().sizeHint.width()
    assert asked == widget.parent.minimumSizeHint.width() >= WIDE_PIXELS
    # Where the column is not widened, the module is cut off, never shrunk.
    assert widget.parent.width >= WIDE_PIXELS > area.viewport().width


def test_a_module_is_never_narrower_than_it_would_like_to_be(host, load, column):
    """The panel gives modules the size policy Minimum: their size hint is their least width."""
    widget = load("Wordy")
    widget.content.text = "Several words that could be wrapped. " * 10
    column.setModule("Wordy")
    settle(host)
    liked, least = widget.parent.sizeHint.width(), widget.parent.minimumSizeHint.width()
    assert least < liked < column.minimumSizeHint().width()


def test_the_main_window_makes_room(host, load, window):
    widget = load("Roomy")
    widget.content.minimumWidth = WIDE_PIXELS
    window.show_module(widget)
    settle(host)
    assert window.module_panel.width >= window.module_panel.minimumSizeHint().width() > WIDE_PIXELS
    window.moduleSelector().selectModule("")


def test_modules_are_entered_when_shown_and_given_back(host, load, column):
    first, second = load("First"), load("Second")
    column.setModule("First")
    column.setModule("First")
    settle(host)
    assert first.parent.isEntered
    assert (first.content.x, first.content.y) == (0, 0)  # without margins of the module's own
    column.setModule("Second")
    assert [first.parent.isEntered, second.parent.isEntered] == [False, True]
    assert first.parent.parentWidget() is None and not first.parent.visible
    column.setModule("")
    import First

    assert First.calls == [("enter", True), ("exit", True)]


def test_help_is_shown_where_there_is_some(load, column):
    load("Helpful", "What it is for."), load("Curt")
    help_button = column.findChild("ctkCollapsibleButton", "HelpCollapsibleButton")
    column.setModule("Helpful")
    assert help_button.visible and help_button.collapsed
    shown = help_button.findChildren("ctkFittedTextBrowser")
    acknowledged, told = sorted(text.toPlainText().split() for text in shown)
    assert told == ["What", "it", "is", "for."]
    assert acknowledged == ["Thanks.", "Contributors:", "A.", "Author,", "B.", "Author"]
    column.setModule("Curt")
    assert not help_button.visible
    column.helpAndAcknowledgmentVisible = False
    column.setModule("Helpful")
    assert not help_button.visible
