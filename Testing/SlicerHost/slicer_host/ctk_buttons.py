"""CTK's buttons on real Qt: collapsible, checkable, colour picker.

Names and behaviour follow CTK's public headers and sources (see `real_api.json`). A name that CTK
has and the host has not raises NotImplementedError.
"""

from typing import Any

from PySide6.QtCore import Property, QEvent, QPoint, QRect, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QStyle,
    QStyleOption,
    QStyleOptionButton,
    QStyleOptionFrame,
)

from .adapter_properties import stored
from .pythonqt import install_qt
from .pythonqt_objects import to_python
from .real_api import stands_for_real

qt = install_qt()

COLOR_SWATCH_PX = 16


def text_and_rest(arguments: tuple) -> tuple[str, list]:
    """Split a widget's constructor arguments: the text if given, and the rest."""
    if arguments and isinstance(arguments[0], str):
        return arguments[0], list(arguments[1:])
    return "", list(arguments)


@stands_for_real
class ctkCollapsibleButton(qt.QAbstractButton):
    """A header bar with an arrow; its contents are its children, laid out below the bar."""

    _collapsed = False
    _collapsed_height = 14
    _open_maximum_height = 0
    _hidden_children: list
    _flat = False
    _frame_shape = QFrame.NoFrame
    _frame_shadow = QFrame.Plain
    _line_width = 1
    _mid_line_width = 0
    _text_alignment = Qt.AlignLeft | Qt.AlignVCenter
    _indicator_alignment = Qt.AlignLeft | Qt.AlignVCenter

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        text, rest = text_and_rest(arguments)
        super().__init__(*rest)
        self._hidden_children = []
        self._open_maximum_height = self.maximumHeight
        self.text = text
        self.checkable = True
        self.checked = True
        self.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Preferred)
        self.setContentsMargins(0, self._bar_size().height(), 0, 0)
        self.setBackgroundRole(QPalette.Window)
        self.connect("toggled(bool)", self._on_toggled)

    def _on_toggled(self, checked: bool) -> None:
        if self.checkable and self._collapsed == checked:
            self._collapse(not checked)

    def _set_collapsed(self, collapsed: bool) -> None:
        if self.checkable:
            self.checked = not collapsed
        elif collapsed != self._collapsed:
            self._collapse(collapsed)

    def _collapse(self, collapsed: bool) -> None:
        self._collapsed = collapsed
        if collapsed:
            self._open_maximum_height = self.maximumHeight
            self.maximumHeight = self.sizeHint().height()
            for child in self._child_widgets():
                self._watch(child)
        else:
            self.maximumHeight = self._open_maximum_height
            for child in self._child_widgets():
                child.removeEventFilter(self)
            for child in self._hidden_children:
                child.visible = True
            self._hidden_children = []
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _child_widgets(self) -> list:
        return [child for child in self.children() if child.isWidgetType()]

    def _watch(self, child: Any) -> None:
        """Hide a child of the collapsed button, unless it is hidden, and notice if it is shown."""
        if not child.isHidden():
            self._hidden_children.append(child)
            child.visible = False
        child.installEventFilter(self)

    def eventFilter(self, child: Any, event: QEvent) -> bool:
        # A child that is shown while the button is collapsed waits until it is opened.
        if event.type() == QEvent.ShowToParent and self._collapsed:
            self._watch(to_python(child))
        return False

    def childEvent(self, event: Any) -> None:
        if event.type() == QEvent.ChildPolished and self._collapsed:
            child = to_python(event.child())
            if child.isWidgetType():
                self._watch(child)

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.StyleChange, QEvent.FontChange):
            self.setContentsMargins(0, self._bar_size().height(), 0, 0)
        return super().event(event)

    def _bar_size(self) -> QSize:
        option = QStyleOptionButton()
        option.initFrom(self)
        style = self.style()
        indicator = QSize(
            style.pixelMetric(QStyle.PM_IndicatorWidth, option, self),
            style.pixelMetric(QStyle.PM_IndicatorHeight, option, self),
        )
        words = self.fontMetrics().size(Qt.TextShowMnemonic, self.text)
        gap = style.pixelMetric(QStyle.PM_CheckBoxLabelSpacing, option, self)
        content = QSize(
            indicator.width() + gap + words.width(), max(indicator.height(), words.height())
        )
        return style.sizeFromContents(QStyle.CT_PushButton, option, content, self)

    def sizeHint(self) -> QSize:
        bar = self._bar_size()
        closed = QSize(bar.width(), bar.height() + self._collapsed_height)
        if self._collapsed or self.layout() is None:
            return closed
        return super().sizeHint().expandedTo(closed)

    def minimumSizeHint(self) -> QSize:
        bar = self._bar_size()
        if self._collapsed:
            return QSize(bar.width(), bar.height() + self._collapsed_height)
        return bar if self.layout() is None else super().minimumSizeHint().expandedTo(bar)

    def hitButton(self, position: QPoint) -> bool:
        return position.y() < self._bar_size().height()

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        style = self.style()
        option = QStyleOptionButton()
        option.initFrom(self)
        option.state |= QStyle.State_Sunken if self.down else QStyle.State_Raised
        if self._flat:
            option.features |= QStyleOptionButton.Flat
        bar = QRect(0, 0, self.width, self._bar_size().height())
        option.rect = bar
        style.drawControl(QStyle.CE_PushButtonBevel, option, painter, self)

        arrow = QStyleOption()
        arrow.initFrom(self)
        side = style.pixelMetric(QStyle.PM_IndicatorWidth, option, self)
        margin = (bar.height() - side) // 2
        arrow.rect = QRect(margin, margin, side, side)
        if self._indicator_alignment & Qt.AlignRight:
            arrow.rect.moveRight(bar.right() - margin)
        shape = QStyle.PE_IndicatorArrowRight if self._collapsed else QStyle.PE_IndicatorArrowDown
        style.drawPrimitive(shape, arrow, painter, self)

        gap = style.pixelMetric(QStyle.PM_CheckBoxLabelSpacing, option, self)
        words = bar.adjusted(2 * margin + side, 0, -gap, 0)
        style.drawItemText(
            painter,
            words,
            int(self._text_alignment) | int(Qt.TextShowMnemonic),
            option.palette,
            self.enabled,
            self.text,
            QPalette.ButtonText,
        )
        self._paint_contents_frame(painter, bar.height())

    def _paint_contents_frame(self, painter: QPainter, top: int) -> None:
        frame = QStyleOptionFrame()
        frame.initFrom(self)
        frame.rect.setTop(top)
        frame.frameShape = self._frame_shape
        if self._frame_shadow == QFrame.Sunken:
            frame.state |= QStyle.State_Sunken
        elif self._frame_shadow == QFrame.Raised:
            frame.state |= QStyle.State_Raised
        frame.lineWidth, frame.midLineWidth = self._line_width, self._mid_line_width
        self.style().drawControl(QStyle.CE_ShapedFrame, frame, painter, self)

    def _repaint(self) -> None:
        self.updateGeometry()
        self.update()

    collapsed = Property(
        bool, lambda self: self._collapsed, _set_collapsed, notify=contentsCollapsed
    )
    collapsedHeight = stored(int, "_collapsed_height", _repaint)
    flat = stored(bool, "_flat", _repaint)
    contentsFrameShape = stored(QFrame.Shape, "_frame_shape", _repaint)
    contentsFrameShadow = stored(QFrame.Shadow, "_frame_shadow", _repaint)
    contentsLineWidth = stored(int, "_line_width", _repaint)
    contentsMidLineWidth = stored(int, "_mid_line_width", _repaint)
    buttonTextAlignment = stored(Qt.AlignmentFlag, "_text_alignment", _repaint)
    indicatorAlignment = stored(Qt.AlignmentFlag, "_indicator_alignment", _repaint)


@stands_for_real
class ctkCheckablePushButton(qt.QPushButton):
    """A push button with a check box before its text."""

    _check_state = Qt.Unchecked
    _controls_button = True
    _controls_toggle_state = False
    _user_checkable = True

    checkBoxToggled = Signal(bool)
    checkStateChanged = Signal(Qt.CheckState)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._show_check_box()

    def _set_check_state(self, state: Qt.CheckState) -> None:
        if state == self._check_state:
            return
        self._check_state = Qt.CheckState(int(state))
        checked = self._check_state == Qt.Checked
        if self._controls_button:
            was_checked = self.checked
            self.checkable = checked
            if was_checked != self.checked:
                self.toggled.emit(self.checked)
            if self._controls_toggle_state:
                self.checked = checked
        self.checkStateChanged.emit(self._check_state)
        self.checkBoxToggled.emit(checked)
        self._show_check_box()

    def _set_controls_button(self, controls: bool) -> None:
        self._controls_button = controls
        if controls:
            self._set_check_state(Qt.Checked if self.checkable else Qt.Unchecked)

    def _set_controls_toggle_state(self, controls: bool) -> None:
        self._controls_toggle_state = controls
        if controls and self._check_state != Qt.Unchecked and not self.checked:
            self.checked = True

    def checkStateSet(self) -> None:
        super().checkStateSet()
        if self._controls_toggle_state and not self.checked:
            self._set_check_state(Qt.Unchecked)

    def nextCheckState(self) -> None:
        super().nextCheckState()
        if self._controls_toggle_state and not self.checked:
            self._set_check_state(Qt.Unchecked)

    def _check_box_size(self) -> int:
        return self.style().pixelMetric(QStyle.PM_IndicatorWidth)

    def _show_check_box(self) -> None:
        side = self._check_box_size()
        picture = QPixmap(side, side)
        picture.fill(Qt.transparent)
        option = QStyleOptionButton()
        option.rect = QRect(0, 0, side, side)
        on = self._check_state == Qt.Checked
        option.state = QStyle.State_Enabled | (QStyle.State_On if on else QStyle.State_Off)
        painter = QPainter(picture)
        self.style().drawPrimitive(QStyle.PE_IndicatorCheckBox, option, painter)
        painter.end()
        self.setIcon(QIcon(picture))
        self.iconSize = QSize(side, side)

    def mousePressEvent(self, event: Any) -> None:
        side = self._check_box_size()
        words = self.fontMetrics().horizontalAdvance(self.text)
        left = (self.width - words - side) // 2 - side
        if self._user_checkable and left <= event.position().x() < left + 2 * side:
            checked = self._check_state == Qt.Checked
            self._set_check_state(Qt.Unchecked if checked else Qt.Checked)
        else:
            super().mousePressEvent(event)

    checkState = Property(Qt.CheckState, lambda self: self._check_state, _set_check_state)
    checkBoxControlsButton = Property(
        bool, lambda self: self._controls_button, _set_controls_button
    )
    checkBoxControlsButtonToggleState = Property(
        bool, lambda self: self._controls_toggle_state, _set_controls_toggle_state
    )
    checkBoxUserCheckable = stored(bool, "_user_checkable")


@stands_for_real
class ctkColorPickerButton(qt.QPushButton):
    """A push button that shows a colour and lets the user pick another."""

    _color: QColor
    _color_name = ""
    _display_color_name = True

    colorChanged = Signal(QColor)
    colorNameChanged = Signal(str)

    def __init__(self, *arguments: Any) -> None:
        color = [a for a in arguments if isinstance(a, QColor)]
        super().__init__(*[a for a in arguments if not isinstance(a, QColor)])
        self._color = color[0] if color else QColor("black")
        self.connect("clicked()", self.changeColor)
        self._show()

    def _show(self) -> None:
        swatch = QPixmap(COLOR_SWATCH_PX, COLOR_SWATCH_PX)
        swatch.fill(self._color)
        self.setIcon(QIcon(swatch))
        if self._display_color_name:
            self.text = self._color.name()

    @Slot(QColor)
    def setColor(self, color: QColor) -> None:
        if color != self._color:
            self._color = QColor(color)
            self._show()
            self.colorChanged.emit(self._color)

    @Slot()
    def changeColor(self) -> None:
        color = qt.QColorDialog.getColor(self._color, self)
        if color.isValid():
            self.setColor(color)

    @Slot(bool)
    def setDisplayColorName(self, display: bool) -> None:
        self._display_color_name = display
        self._show()

    color = Property(QColor, lambda self: self._color, setColor)
    displayColorName = Property(bool, lambda self: self._display_color_name, setDisplayColorName)
