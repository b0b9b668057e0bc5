"""CTK's widgets for one number, on real Qt.

Behaviour follows CTK's public headers and sources: values are doubles kept unrounded and clamped to
the range, a signal is sent only when the value changes.
"""

import enum
import math
from typing import Any

from PySide6.QtCore import Property, Qt, Signal, Slot
from PySide6.QtWidgets import QSlider

from .adapter_properties import forwarded, stored
from .pythonqt import install_qt
from .pythonqt_objects import emit_overload
from .real_api import stands_for_real

qt = install_qt()

# Changes below this part of a step are not reported, as in CTK.
SMALLEST_CHANGE_IN_STEPS = 1e-9
# A QSlider counts in int; a QDoubleSpinBox reserves room for what it can display.
LARGEST_TICK = 2**31 - 1
LARGEST_DISPLAYED = 1e12


def clamped(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def fill_with_row(widget: Any, *parts: Any) -> None:
    """Lay the parts out in one row that fills the widget."""
    layout = qt.QHBoxLayout(widget)
    layout.setContentsMargins(0, 0, 0, 0)
    for part in parts:
        layout.addWidget(part)


@stands_for_real
class ctkDoubleSlider(qt.QWidget):
    _slider: qt.QSlider
    _value = 0.0
    _minimum = 0.0
    _maximum = 99.0
    _single_step = 1.0
    _page_step = 10.0
    _tick_interval = 0.0
    _handle_tool_tip = ""
    _updating = False

    valueChanged = Signal(float)
    sliderMoved = Signal(float)
    sliderPressed = Signal()
    sliderReleased = Signal()
    rangeChanged = Signal(float, float)

    def __init__(self, *arguments: Any) -> None:
        orientation = [a for a in arguments if isinstance(a, Qt.Orientation)]
        super().__init__(*[a for a in arguments if a not in orientation])
        self._slider = qt.QSlider(orientation[0] if orientation else Qt.Horizontal)
        fill_with_row(self, self._slider)
        self._slider.connect("valueChanged(int)", self._on_tick)
        self._slider.connect("sliderMoved(int)", self._on_moved)
        self._slider.connect("sliderPressed()", self.sliderPressed)
        self._slider.connect("sliderReleased()", self.sliderReleased)
        self._update_ticks()

    def _update_ticks(self) -> None:
        """Show value and range on the integer slider, without a signal."""
        self._updating = True
        span = (self._maximum - self._minimum) / self._single_step
        self._slider.setRange(0, int(clamped(span, 0, LARGEST_TICK)) if math.isfinite(span) else 0)
        if self._slider.maximum:
            self._slider.value = round((self._value - self._minimum) / self._single_step)
            self._slider.pageStep = max(1, round(self._page_step / self._single_step))
        self._updating = False

    def _from_tick(self, tick: int) -> float:
        return clamped(self._minimum + tick * self._single_step, self._minimum, self._maximum)

    def _on_tick(self, tick: int) -> None:
        if not self._updating:
            self.setValue(self._from_tick(tick))

    def _on_moved(self, tick: int) -> None:
        self.sliderMoved.emit(self._from_tick(tick))

    @Slot(float)
    def setValue(self, value: float) -> None:
        value = clamped(value, self._minimum, self._maximum)
        if abs(value - self._value) > self._single_step * SMALLEST_CHANGE_IN_STEPS:
            self._value = value
            self._update_ticks()
            self.valueChanged.emit(value)

    @Slot(Qt.Orientation)
    def setOrientation(self, orientation: Qt.Orientation) -> None:
        self._slider.orientation = orientation

    def _set_range(self, minimum: float, maximum: float) -> None:
        if (minimum, maximum) != (self._minimum, self._maximum):
            self._minimum, self._maximum = minimum, maximum
            self.rangeChanged.emit(minimum, maximum)
            self.setValue(self._value)
            self._update_ticks()

    def _set_minimum(self, minimum: float) -> None:
        self._set_range(minimum, max(minimum, self._maximum))

    def _set_maximum(self, maximum: float) -> None:
        self._set_range(min(maximum, self._minimum), maximum)

    def _set_single_step(self, step: float) -> None:
        # CTK ignores a step that is not positive or is larger than the range.
        if step > 0 and (step <= self._maximum - self._minimum or self._maximum == self._minimum):
            self._single_step = step
            self._update_ticks()

    value = Property(float, lambda self: self._value, setValue)
    sliderPosition = Property(
        float,
        lambda self: self._from_tick(self._slider.sliderPosition),
        lambda self, value: self.setValue(value),
    )
    minimum = Property(float, lambda self: self._minimum, _set_minimum)
    maximum = Property(float, lambda self: self._maximum, _set_maximum)
    singleStep = Property(float, lambda self: self._single_step, _set_single_step)
    pageStep = stored(float, "_page_step", _update_ticks)
    tickInterval = stored(float, "_tick_interval")
    tickPosition = forwarded(QSlider.TickPosition, "_slider", "tickPosition")
    tracking = forwarded(bool, "_slider", "tracking")
    orientation = forwarded(Qt.Orientation, "_slider", "orientation")
    handleToolTip = stored(str, "_handle_tool_tip")
    invertedAppearance = forwarded(bool, "_slider", "invertedAppearance")
    invertedControls = forwarded(bool, "_slider", "invertedControls")


@stands_for_real
class ctkDoubleSpinBox(qt.QWidget):
    class SetMode(enum.IntEnum):
        SetAlways = 0
        SetIfDifferent = 1

    _spin_box: qt.QDoubleSpinBox
    _value = 0.0
    _minimum = 0.0
    _maximum = 99.99
    _showing = False

    valueChanged = Signal((float,), (str,))
    editingFinished = Signal()
    decimalsChanged = Signal(int)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._spin_box = qt.QDoubleSpinBox()
        fill_with_row(self, self._spin_box)
        self._spin_box.connect("valueChanged(double)", self._on_typed)
        self._spin_box.connect("editingFinished()", self.editingFinished)
        self.setSizePolicy(qt.QSizePolicy.Minimum, qt.QSizePolicy.Fixed)

    def _on_typed(self, value: float) -> None:
        if not self._showing:
            self.setValue(value)

    def _show(self) -> None:
        """Show value and range, rounded to the decimals, without a signal."""
        self._showing = True
        limits = [clamped(x, -LARGEST_DISPLAYED, LARGEST_DISPLAYED) for x in self._limits()]
        self._spin_box.setRange(*limits)
        self._spin_box.value = self._value
        self._showing = False

    def _limits(self) -> tuple[float, float]:
        return self._minimum, self._maximum

    @Slot(float)
    def setValue(self, value: float) -> None:
        self.setValueIfDifferent(value)

    @Slot(float)
    def setValueIfDifferent(self, value: float) -> None:
        if value != self._value:
            self.setValueAlways(value)

    @Slot(float)
    def setValueAlways(self, value: float) -> None:
        value = clamped(value, self._minimum, self._maximum)
        changed = value != self._value
        self._value = value
        self._show()
        if changed:
            emit_overload(self, "valueChanged", float, value)
            emit_overload(self, "valueChanged", str, f"{value:.{self.decimals}f}")

    @Slot()
    def stepUp(self) -> None:
        self._spin_box.stepUp()

    @Slot()
    def stepDown(self) -> None:
        self._spin_box.stepDown()

    @Slot(int)
    def setDecimals(self, decimals: int) -> None:
        if decimals != self._spin_box.decimals:
            self._showing = True
            self._spin_box.decimals = decimals
            self._showing = False
            self._show()
            self.decimalsChanged.emit(decimals)

    @Slot(bool)
    def setReadOnly(self, read_only: bool) -> None:
        self._spin_box.readOnly = read_only

    def _set_range(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = minimum, maximum
        self.setValueAlways(self._value)

    def _set_minimum(self, minimum: float) -> None:
        self._set_range(minimum, max(minimum, self._maximum))

    def _set_maximum(self, maximum: float) -> None:
        self._set_range(min(maximum, self._minimum), maximum)

    value = Property(float, lambda self: self._value, setValue)
    minimum = Property(float, lambda self: self._minimum, _set_minimum)
    maximum = Property(float, lambda self: self._maximum, _set_maximum)
    decimals = Property(int, lambda self: self._spin_box.decimals, setDecimals)
    singleStep = forwarded(float, "_spin_box", "singleStep")
    prefix = forwarded(str, "_spin_box", "prefix")
    suffix = forwarded(str, "_spin_box", "suffix")
    cleanText = Property(str, lambda self: self._spin_box.cleanText)
    alignment = forwarded(Qt.AlignmentFlag, "_spin_box", "alignment")
    frame = forwarded(bool, "_spin_box", "frame")
    readOnly = forwarded(bool, "_spin_box", "readOnly")


@stands_for_real
class ctkSliderWidget(qt.QWidget):
    _slider: ctkDoubleSlider
    _spin_box: ctkDoubleSpinBox
    _tracking = True
    _dragging = False
    _value_before_drag = 0.0

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._slider = ctkDoubleSlider()
        self._spin_box = ctkDoubleSpinBox()
        fill_with_row(self, self._slider, self._spin_box)
        self._spin_box.maximum = self._slider.maximum = 99.99
        self.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._spin_box.connect("valueChanged(double)", self._slider.setValue)
        self._spin_box.connect("decimalsChanged(int)", self.decimalsChanged)
        self._slider.connect("sliderPressed()", self._start_dragging)
        self._slider.connect("sliderReleased()", self._stop_dragging)
        self._slider.connect("valueChanged(double)", self._on_slider)

    def _start_dragging(self) -> None:
        if not self._tracking:
            self._value_before_drag = self._slider.value
            self._dragging = True

    def _stop_dragging(self) -> None:
        if self._dragging:
            self._dragging = False
            if self._slider.value != self._value_before_drag:
                self.valueChanged.emit(self._slider.value)

    def _on_slider(self, value: float) -> None:
        self._spin_box.setValue(value)
        if not self._tracking:
            self.valueIsChanging.emit(value)
        if not self._dragging:
            self.valueChanged.emit(value)

    @Slot(float)
    def setValue(self, value: float) -> None:
        dragging, self._dragging = self._dragging, False
        self._spin_box.setValue(value)
        self._dragging = dragging

    @Slot()
    def reset(self) -> None:
        self.setValue(0.0)

    @Slot(int)
    def setDecimals(self, decimals: int) -> None:
        self._spin_box.setDecimals(decimals)

    @Slot(bool)
    def setSpinBoxVisible(self, visible: bool) -> None:
        self._spin_box.visible = visible

    def _set_range(self, minimum: float, maximum: float) -> None:
        self._spin_box._set_range(minimum, maximum)
        self._slider._set_range(minimum, maximum)

    def _set_minimum(self, minimum: float) -> None:
        self._set_range(minimum, max(minimum, self._slider.maximum))

    def _set_maximum(self, maximum: float) -> None:
        self._set_range(min(maximum, self._slider.minimum), maximum)

    def _set_single_step(self, step: float) -> None:
        self._slider.singleStep = step
        self._spin_box.singleStep = self._slider.singleStep

    value = Property(float, lambda self: self._slider.value, setValue)
    minimum = Property(float, lambda self: self._slider.minimum, _set_minimum)
    maximum = Property(float, lambda self: self._slider.maximum, _set_maximum)
    singleStep = Property(float, lambda self: self._slider.singleStep, _set_single_step)
    pageStep = forwarded(float, "_slider", "pageStep")
    decimals = Property(int, lambda self: self._spin_box.decimals, setDecimals)
    prefix = forwarded(str, "_spin_box", "prefix")
    suffix = forwarded(str, "_spin_box", "suffix")
    spinBoxAlignment = forwarded(Qt.AlignmentFlag, "_spin_box", "alignment")
    spinBoxVisible = Property(
        bool,
        lambda self: not self._spin_box.isHidden(),
        lambda self, on: self.setSpinBoxVisible(on),
    )
    tickInterval = forwarded(float, "_slider", "tickInterval")
    tickPosition = forwarded(QSlider.TickPosition, "_slider", "tickPosition")
    tracking = stored(bool, "_tracking")
    invertedAppearance = forwarded(bool, "_slider", "invertedAppearance")
    invertedControls = forwarded(bool, "_slider", "invertedControls")
