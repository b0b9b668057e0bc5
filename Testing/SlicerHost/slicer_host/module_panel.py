"""The module panel of the main window: the scroll area in which a module's widgets are shown.

Built as qSlicerModulePanel.cxx and its .ui file build it, since its rules decide what of a panel is
cut off: it scrolls up and down only, the module is as wide as the column and at least as wide as it
asks to be, and the column is no narrower than that.
"""

from typing import Any

from PySide6.QtCore import Property, QEvent, QSize, Signal, Slot

from .ctk_buttons import ctkCollapsibleButton
from .ctk_fields import ctkFittedTextBrowser
from .pythonqt import install_qt
from .real_api import stands_for_real

qt = install_qt()

MODULE_POSITION = 1  # between the help and the space that is left over


@stands_for_real
class qSlicerModulePanel(qt.QWidget):
    """Shows one module at a time, below its help; entering and leaving it is part of that."""

    _manager: Any = None
    _current: Any = None
    _help_visible = True
    _scroll_area: qt.QScrollArea
    _contents: qt.QWidget
    _help: ctkCollapsibleButton
    _help_text: ctkFittedTextBrowser
    _acknowledgement_text: ctkFittedTextBrowser

    moduleAdded = Signal(str)
    moduleRemoved = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        policy, constraint = qt.QSizePolicy, qt.QLayout
        self.setSizePolicy(policy.Minimum, policy.Preferred)
        outer = qt.QGridLayout(self)
        outer.setSizeConstraint(constraint.SetMinimumSize)
        outer.setContentsMargins(0, 0, 0, 0)
        self._scroll_area = qt.QScrollArea()
        self._scroll_area.objectName = "ScrollArea"
        self._scroll_area.setSizePolicy(policy.Minimum, policy.Expanding)
        self._scroll_area.setFrameShape(qt.QFrame.NoFrame)
        self._scroll_area.setHorizontalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOff)
        self._scroll_area.setWidgetResizable(True)
        outer.addWidget(self._scroll_area)

        self._contents = qt.QWidget()
        self._contents.objectName = "scrollAreaWidgetContents"
        self._contents.setSizePolicy(policy.Minimum, policy.Preferred)
        column = qt.QVBoxLayout(self._contents)
        column.setSizeConstraint(constraint.SetMinAndMaxSize)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self._make_help())
        column.addItem(qt.QSpacerItem(0, 0, policy.Minimum, policy.MinimumExpanding))
        self._scroll_area.setWidget(self._contents)

    def _make_help(self) -> ctkCollapsibleButton:
        self._help = ctkCollapsibleButton("Help && Acknowledgement")
        self._help.objectName = "HelpCollapsibleButton"
        self._help.setSizePolicy(qt.QSizePolicy.Ignored, qt.QSizePolicy.Fixed)
        self._help.contentsFrameShape = qt.QFrame.StyledPanel
        self._help_text, self._acknowledgement_text = ctkFittedTextBrowser(), ctkFittedTextBrowser()
        tabs = qt.QTabWidget()
        for text, title in (
            (self._help_text, "Help"),
            (self._acknowledgement_text, "Acknowledgement"),
        ):
            text.setFrameShape(qt.QFrame.NoFrame)
            text.openExternalLinks = True
            tabs.addTab(text, title)
        qt.QVBoxLayout(self._help).addWidget(tabs)
        self._help.collapsed = True
        return self._help

    def setModuleManager(self, manager: Any) -> None:
        self._manager = manager

    def moduleManager(self) -> Any:
        return self._manager

    @Slot(str)
    def setModule(self, name: str) -> None:
        """Show this module instead of the one that is shown; "" shows none."""
        if self._manager is None:
            return
        module = self._manager.module(name) if name else None
        if module is self._current:
            return
        if self._current is not None:
            self._remove()
        if module is not None:
            self._add(module)

    def _add(self, module: Any) -> None:
        widget = module.widgetRepresentation()
        self._current = module
        if widget.layout() is not None:
            widget.layout().setContentsMargins(0, 0, 0, 0)
        self._contents.layout().insertWidget(MODULE_POSITION, widget, 1)
        widget.setSizePolicy(qt.QSizePolicy.Minimum, widget.sizePolicy.verticalPolicy())
        widget.setVisible(True)
        text = module.helpText.replace("\\n", "<br>")
        self._help.setVisible(self._help_visible and bool(text))
        self._help_text.setHtml(text)
        self._acknowledgement_text.setHtml(module.acknowledgementText)
        if module.contributors:
            names = ", ".join(module.contributors)
            self._acknowledgement_text.append(f"<br/><u>Contributors:</u> <i>{names}</i><br/>")
        widget.installEventFilter(self)
        self.updateGeometry()
        widget.enter()
        self.moduleAdded.emit(module.name)

    def _remove(self) -> None:
        module, self._current = self._current, None
        widget = module.widgetRepresentation()
        if widget.isEntered:
            widget.exit()
        widget.removeEventFilter(self)
        self._contents.layout().removeWidget(widget)
        widget.setVisible(False)
        widget.setParent(None)
        self.moduleRemoved.emit(module.name)

    def eventFilter(self, _watched: Any, event: QEvent) -> bool:
        if event.type() == QEvent.Resize:
            # The module has another size: so, probably, should the panel.
            self.updateGeometry()
        return False

    def minimumSizeHint(self) -> QSize:
        """As wide as the module asks for, with room for a scroll bar."""
        # Slicer takes the width of the bar that it does not show: so does this.
        bar = self._scroll_area.horizontalScrollBar().sizeHint
        least = self._contents.minimumSizeHint
        return QSize(least.width() + bar.width(), super().minimumSizeHint().height())

    def _set_help_visible(self, visible: bool) -> None:
        self._help_visible = visible
        self._help.setVisible(visible and bool(self._help_text.toPlainText()))

    helpAndAcknowledgmentVisible = Property(
        bool, lambda self: self._help_visible, _set_help_visible
    )
