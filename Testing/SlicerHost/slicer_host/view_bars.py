"""The coloured bars over the views: what is seen, slice offset and orientation, fit, directions.

Class and public method names are those of Slicer's qMRMLSliceControllerWidget and
qMRMLThreeDViewControllerWidget, of whose many controls these are the ones in daily use.
"""

from __future__ import annotations

import qt
import slicer
import slicer.util
from PySide6 import QtCore, QtGui
from vtkmodules.vtkCommonCore import reference as vtk_reference
from vtkmodules.vtkCommonCore import vtkCommand, vtkStringArray

from .views import qMRMLThreeDView

BAR_HEIGHT = 24
ICON_SIZE = 16
OFFSET_DECIMALS = 2

# The directions that the 3D bar offers, as ctkAxesWidget::Axis.
LOOK_FROM_BUTTONS = (
    ("A", "front", 5),
    ("P", "back", 6),
    ("R", "the patient's right", 1),
    ("L", "the patient's left", 2),
    ("S", "above", 3),
    ("I", "below", 4),
)


class _ViewBar(qt.QWidget):
    """A strip in the view's colour that starts with the view's label."""

    _host_class = True
    _color: QtGui.QColor
    _row: qt.QHBoxLayout
    _label: qt.QLabel

    def __init__(self, view_node, parent=None):
        super().__init__(parent)
        self.setFixedHeight(BAR_HEIGHT)
        self.setAutoFillBackground(True)
        self._color = QtGui.QColor.fromRgbF(*view_node.GetLayoutColor())
        self._row = qt.QHBoxLayout(self)
        self._row.setContentsMargins(6, 0, 6, 0)
        self._row.setSpacing(4)
        self._label = qt.QLabel(view_node.GetLayoutLabel() or view_node.GetLayoutName())
        font = self._label.font
        font.setBold(True)
        self._label.setFont(font)
        self._label.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self._label.setMinimumWidth(self._label.fontMetrics().horizontalAdvance("XX"))
        self._row.addWidget(self._label)
        # The bar's colour does not follow the palette, so neither does what stands on it.
        self.setStyleSheet(
            "QLabel, QToolButton, QComboBox { color: black; }"
            "QToolButton { border: none; padding: 1px 3px; border-radius: 2px; }"
            "QToolButton:hover { background: rgba(255, 255, 255, 110); }"
            "QComboBox { background: transparent; border: none; }"
            "QComboBox QAbstractItemView { background: white; color: black; }"
            "QSlider::groove:horizontal { height: 3px; background: rgba(0, 0, 0, 90); }"
            "QSlider::handle:horizontal { width: 9px; margin: -6px 0; border-radius: 2px;"
            " background: #f4f4f4; border: 1px solid rgba(0, 0, 0, 120); }"
        )

    def viewLabel(self) -> qt.QLabel:
        return self._label

    def barWidget(self) -> qt.QWidget:
        return self

    def paintEvent(self, _event) -> None:
        gradient = QtGui.QLinearGradient(0, 0, 0, self.height)
        gradient.setColorAt(0, self._color.lighter(115))
        gradient.setColorAt(1, self._color.darker(108))
        QtGui.QPainter(self).fillRect(self.rect, gradient)


def _tool_button(parent, tool_tip: str, clicked, text: str = "") -> qt.QToolButton:
    button = qt.QToolButton(parent)
    button.setToolTip(tool_tip)
    button.setText(text)
    button.clicked.connect(lambda _checked=False: clicked())
    return button


def _icon(draw) -> QtGui.QIcon:
    """An icon drawn by `draw(painter)` in a square of ICON_SIZE."""
    scale = 2  # crisp on high-resolution screens
    pixmap = QtGui.QPixmap(ICON_SIZE * scale, ICON_SIZE * scale)
    pixmap.setDevicePixelRatio(scale)
    pixmap.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(pixmap)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtGui.QPen(QtCore.Qt.GlobalColor.black, 1.4))
    draw(painter)
    painter.end()
    return QtGui.QIcon(pixmap)


def _draw_fit(painter: QtGui.QPainter) -> None:
    painter.drawRect(5, 5, 6, 6)
    for x, step_x in ((1.5, 3.5), (14.5, -3.5)):
        for y, step_y in ((1.5, 3.5), (14.5, -3.5)):
            painter.drawLine(QtCore.QPointF(x, y), QtCore.QPointF(x + step_x, y))
            painter.drawLine(QtCore.QPointF(x, y), QtCore.QPointF(x, y + step_y))


def _draw_centre(painter: QtGui.QPainter) -> None:
    centre = QtCore.QPointF(ICON_SIZE / 2, ICON_SIZE / 2)
    painter.drawEllipse(centre, 4, 4)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        direction = QtCore.QPointF(x, y)
        painter.drawLine(centre + direction * 3, centre + direction * 7)


class qMRMLSliceControllerWidget(_ViewBar):
    """Label, fit button, orientation, offset slider and offset in millimetres of one slice view."""

    _host_class = True
    _logic: slicer.vtkMRMLSliceLogic
    _node: slicer.vtkMRMLSliceNode
    _updating: bool
    _first_offset_mm: float
    _step_mm: float
    _fit_button: qt.QToolButton
    _orientation: qt.QComboBox
    _slider: qt.QSlider
    _offset: qt.QDoubleSpinBox
    _observations: slicer.util.VTKObservationMixin

    def __init__(self, slice_logic, slice_node, parent=None):
        super().__init__(slice_node, parent)
        self._logic = slice_logic
        self._node = slice_node
        self._updating = False
        self._first_offset_mm = 0.0
        self._step_mm = 1.0

        self._fit_button = _tool_button(
            self, "Fit the slice to its background volume", self.fitSliceToBackground
        )
        self._fit_button.setIcon(_icon(_draw_fit))
        self._orientation = qt.QComboBox()
        self._orientation.setToolTip("Orientation of the slice")
        self._orientation.textActivated.connect(self.setSliceOrientation)
        self._slider = qt.QSlider(QtCore.Qt.Orientation.Horizontal)
        self._slider.setMinimumWidth(60)
        self._slider.valueChanged.connect(self._on_slider_moved)
        self._offset = qt.QDoubleSpinBox()
        self._offset.setDecimals(OFFSET_DECIMALS)
        self._offset.setSuffix("mm")
        self._offset.setKeyboardTracking(False)
        self._offset.setFrame(False)
        self._offset.setButtonSymbols(qt.QAbstractSpinBox.ButtonSymbols.NoButtons)
        self._offset.setAlignment(QtCore.Qt.AlignmentFlag.AlignRight)
        # By palette: a styled spin box without buttons leaves its text no room.
        palette = self._offset.palette
        palette.setColor(QtGui.QPalette.ColorRole.Base, QtCore.Qt.GlobalColor.transparent)
        palette.setColor(QtGui.QPalette.ColorRole.Text, QtCore.Qt.GlobalColor.black)
        self._offset.setPalette(palette)
        self._offset.setToolTip("Distance of the slice from the origin")
        self._offset.valueChanged.connect(self._on_offset_entered)
        self._row.addWidget(self._fit_button)
        self._row.addWidget(self._orientation)
        self._row.addWidget(self._slider, 1)
        self._row.addWidget(self._offset)

        self._observations = slicer.util.VTKObservationMixin()
        self._observations.addObserver(slice_logic, vtkCommand.ModifiedEvent, self._on_modified)
        self._observations.addObserver(slice_node, vtkCommand.ModifiedEvent, self._on_modified)
        self._on_modified()

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._node

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def fitToWindowToolButton(self) -> qt.QToolButton:
        return self._fit_button

    def fitSliceToBackground(self) -> None:
        self._logic.StartSliceNodeInteraction(self._node.ResetFieldOfViewFlag)
        self._logic.FitSliceToBackground()
        self._node.UpdateMatrices()
        self._logic.EndSliceNodeInteraction()

    def setSliceOrientation(self, orientation: str) -> None:
        self._node.SetOrientation(orientation)

    def setSliceOffsetValue(self, offset_mm: float) -> None:
        self._logic.StartSliceOffsetInteraction()
        self._logic.SetSliceOffset(offset_mm)
        self._logic.EndSliceOffsetInteraction()

    def _on_slider_moved(self, step: int) -> None:
        if not self._updating:
            self.setSliceOffsetValue(self._first_offset_mm + step * self._step_mm)

    def _on_offset_entered(self, offset_mm: float) -> None:
        if not self._updating:
            self.setSliceOffsetValue(offset_mm)

    def _on_modified(self, _caller=None, _event=None) -> None:
        self._updating = True
        try:
            self._show_orientation()
            self._show_offset()
        finally:
            self._updating = False

    def _show_orientation(self) -> None:
        presets = vtkStringArray()
        self._node.GetSliceOrientationPresetNames(presets)
        names = [presets.GetValue(index) for index in range(presets.GetNumberOfValues())]
        current = self._node.GetOrientation()
        if current not in names:
            names.append(current)
        if names != [self._orientation.itemText(i) for i in range(self._orientation.count)]:
            self._orientation.clear()
            self._orientation.addItems(names)
        self._orientation.setCurrentText(current)

    def _show_offset(self) -> None:
        range_mm, step_mm = [-1.0, 1.0], vtk_reference(1.0)
        if not self._logic.GetSliceOffsetRangeResolution(range_mm, step_mm):
            return
        self._first_offset_mm, last_offset_mm = range_mm
        self._step_mm = float(step_mm)
        offset_mm = self._logic.GetSliceOffset()
        steps = round((last_offset_mm - self._first_offset_mm) / self._step_mm)
        self._slider.setRange(0, steps)
        self._slider.setValue(round((offset_mm - self._first_offset_mm) / self._step_mm))
        self._offset.setRange(*range_mm)
        self._offset.setSingleStep(self._step_mm)
        self._offset.setValue(offset_mm)
        normal = [self._node.GetSliceToRAS().GetElement(row, 2) for row in range(3)]
        self._offset.setPrefix(f"{self._node.GetDirectionLabel(normal)}: ")
        self._slider.setToolTip(
            f"{self._node.GetDirectionLabel(normal, False)} <-----> "
            f"{self._node.GetDirectionLabel(normal, True)}"
        )

    def _finalize(self) -> None:
        self._observations.removeObservers()


class qMRMLThreeDViewControllerWidget(_ViewBar):
    """Label, centring and the six anatomical directions of a 3D view."""

    _host_class = True
    _view: qMRMLThreeDView

    def __init__(self, view, parent=None):
        super().__init__(view.mrmlViewNode(), parent)
        self._view = view
        centre = _tool_button(self, "Centre the 3D view on the scene", self.resetFocalPoint)
        centre.setIcon(_icon(_draw_centre))
        self._row.addWidget(centre)
        self._row.addStretch(1)
        for letter, side, axis in LOOK_FROM_BUTTONS:
            look = _tool_button(
                self, f"Look from {side}", lambda axis=axis: self.lookFromAxis(axis), letter
            )
            self._row.addWidget(look)

    def mrmlThreeDViewNode(self):
        return self._view.mrmlViewNode()

    def resetFocalPoint(self) -> None:
        self._view.resetFocalPoint()

    def lookFromAxis(self, axis: int) -> None:
        self._view.lookFromAxis(axis)
