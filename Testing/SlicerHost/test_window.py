"""The main window: what it says it is, which module it shows, its picture."""

import pytest
import slicer
import slicer.util
from PySide6 import QtCore, QtGui

from phantom_views import (
    BALL_RAS,
    WINDOW_SIZE,
    green,
    jump,
    rgb_of,
)


def test_window_is_slicers_main_window_and_says_what_it_is(window):
    from slicer_host.window import DISCLOSURE

    assert slicer.util.mainWindow() is window
    assert window.disclosure.text == DISCLOSURE
    assert window.disclosure.isVisible()


PANEL_SOURCE = """
from slicer.ScriptedLoadableModule import *
class {name}(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title, parent.hidden = "Panel {name}", "{name}" == "Hidden"
class {name}Widget(ScriptedLoadableModuleWidget):
    log = []
    def enter(self): self.log.append("enter")
    def exit(self): self.log.append("exit")
"""


def test_user_and_code_switch_modules_by_the_selector(host, window, tmp_path):
    selector = window.moduleSelector()
    assert slicer.util.moduleSelector() is selector
    box = selector.findChild("QComboBox")
    widgets = {}
    for name in ("Second", "First", "Hidden"):
        (tmp_path / f"{name}.py").write_text(PANEL_SOURCE.format(name=name))
        widgets[name] = host.make_widget(host.load_module(tmp_path / f"{name}.py"))
    titles = [box.itemText(index) for index in range(box.count)]
    assert titles == sorted(titles)
    assert {"Panel First", "Panel Second", "Segment Editor"} <= set(titles)
    # Hidden, without a panel, without a panel here.
    assert not {"Panel Hidden", "PyTorch Util", "Volumes"} & set(titles)

    slicer.util.selectModule("First")
    assert slicer.util.selectedModule() == "First" and box.currentText == "Panel First"
    assert widgets["First"].parent.isVisible()
    box.currentIndex = box.findText("Panel Second")
    box.activated.emit(box.currentIndex)  # as a click does
    assert slicer.util.selectedModule() == "Second"
    assert widgets["First"].log == ["enter", "exit"] and widgets["Second"].log == ["enter"]
    assert not widgets["First"].parent.isVisible() and widgets["Second"].parent.isVisible()
    slicer.util.selectModule(slicer.modules.second)
    assert widgets["Second"].log == ["enter"]
    with pytest.raises(ValueError, match="Hidden"):
        slicer.util.selectModule("Hidden")

    for name in widgets:
        host.unload(name)
    assert widgets["Second"].log == ["enter", "exit"]
    assert slicer.util.selectedModule() == "" and box.findText("Panel Second") < 0


def test_closed_window_gives_its_panel_back(host, window):
    from slicer_host.window import HostWindow

    other = HostWindow(host)
    panel = host.make_widget("SegmentEditor").parent
    other.moduleSelector().selectModule("SegmentEditor")
    assert panel.isEntered
    other.close()
    assert not panel.isEntered and panel.parent() is None
    assert slicer.util.mainWindow() is window
    slicer.app.setLayoutManager(window.layout_manager)


def test_screenshot_shows_panel_and_views(window, phantom, tmp_path):
    jump(BALL_RAS)
    path = tmp_path / "Ansicht für den Chirurgen.png"
    window.screenshot(path, (1000, 700))
    image = QtGui.QImage(str(path))
    assert (image.width(), image.height()) == (1000, 700)
    rgb = rgb_of(image)
    for manager_widget in window.layout_manager.viewWidgets():
        view = manager_widget.viewWidget()
        corner = view.mapTo(window, QtCore.QPoint(0, 0))
        part = rgb[corner.y() : corner.y() + view.height, corner.x() : corner.x() + view.width]
        assert green(part).sum() > 50
    window.resize(*WINDOW_SIZE)
