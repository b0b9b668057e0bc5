"""CTK's widgets for a range of numbers, on real Qt.

Behaviour follows CTK's public headers and sources, as in `ctk_numbers`; the two handles are drawn
as two sliders.
"""

from typing import Any

from PySide6.QtCore import Property, Qt, Signal, Slot

from .ctk_numbers import SMALLEST_CHANGE_IN_STEPS, clamped, ctkDoubleSlider, ctkDoubleSpinBox
from .pythonqt import install_qt
from .real_api import stands_for_real

qt = install_qt()


class _TwoHandles(qt.QWidget):
    """Two values within a range: what the range widgets have in common; drawn as two sliders."""

    _host_class = True
    _lower: ctkDoubleSlider
    _upper: ctkDoubleSlider
    _minimum = 0.0
    _maximum = 99.0
    _minimum_value = 0.0
    _maximum_value = 99.0
    _single_step = 1.0
    _updating = False

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*[a for a in arguments if not isinstance(a, Qt.Orientation)])
        self._lower, self._upper = ctkDoubleSlider(), ctkDoubleSlider()
        self._upper.value = self._maximum_value
        self._lower.connect("valueChanged(double)", self._on_handle)
        self._upper.connect("valueChanged(double)", self._on_handle)

    def _on_handle(self) -> None:
        if not self._updating:
            self._set_values(self._lower.value, self._upper.value)

    def _show_values(self) -> None:
        self._updating = True
        for slider, value in (
            (self._lower, self._minimum_value),
            (self._upper, self._maximum_value),
        ):
            slider._set_range(self._minimum, self._maximum)
            slider.singleStep = self._single_step
            slider.value = value
        self._updating = False

    def _set_values(self, first: float, second: float) -> None:
        low, high = (
            clamped(value, self._minimum, self._maximum) for value in sorted((first, second))
        )
        old = self._minimum_value, self._maximum_value
        self._minimum_value, self._maximum_value = low, high
        self._show_values()
        smallest = self._single_step * SMALLEST_CHANGE_IN_STEPS
        low_changed, high_changed = abs(low - old[0]) > smallest, abs(high - old[1]) > smallest
        if low_changed or high_changed:
            self.valuesChanged.emit(low, high)
        if low_changed:
            self.minimumValueChanged.emit(low)
        if high_changed:
            self.maximumValueChanged.emit(high)

    def _set_range(self, minimum: float, maximum: float) -> None:
        minimum, maximum = sorted((minimum, maximum))
        if (minimum, maximum) != (self._minimum, self._maximum):
            self._minimum, self._maximum = minimum, maximum
            self.rangeChanged.emit(minimum, maximum)
            self._set_values(self._minimum_value, self._maximum_value)

    def _set_minimum(self, minimum: float) -> None:
        self._set_range(minimum, max(minimum, self._maximum))

    def _set_maximum(self, maximum: float) -> None:
        self._set_range(min(maximum, self._minimum), maximum)

    def _set_minimum_value(self, value: float) -> None:
        self._set_values(value, max(value, self._maximum_value))

    def _set_maximum_value(self, value: float) -> None:
        self._set_values(min(value, self._minimum_value), value)

    def _set_single_step(self, step: float) -> None:
        if 0 < step <= self._maximum - self._minimum:
            self._single_step = step
            self._show_values()


@stands_for_real
class ctkDoubleRangeSlider(_TwoHandles):
    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)
    valuesChanged = Signal(float, float)
    rangeChanged = Signal(float, float)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        layout = qt.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._lower)
        layout.addWidget(self._upper)

    @Slot(float, float)
    def setRange(self, minimum: float, maximum: float) -> None:
        self._set_range(minimum, maximum)

    @Slot(float, float)
    def setValues(self, minimum: float, maximum: float) -> None:
        self._set_values(minimum, maximum)

    @Slot(float)
    def setMinimumValue(self, value: float) -> None:
        self._set_minimum_value(value)

    @Slot(float)
    def setMaximumValue(self, value: float) -> None:
        self._set_maximum_value(value)

    minimum = Property(float, lambda self: self._minimum, _TwoHandles._set_minimum)
    maximum = Property(float, lambda self: self._maximum, _TwoHandles._set_maximum)
    minimumValue = Property(float, lambda self: self._minimum_value, setMinimumValue)
    maximumValue = Property(float, lambda self: self._maximum_value, setMaximumValue)
    singleStep = Property(float, lambda self: self._single_step, _TwoHandles._set_single_step)


@stands_for_real
class ctkRangeWidget(_TwoHandles):
    _lower_box: ctkDoubleSpinBox
    _upper_box: ctkDoubleSpinBox

    minimumValueChanged = Signal(float)
    maximumValueChanged = Signal(float)
    valuesChanged = Signal(float, float)
    rangeChanged = Signal(float, float)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._lower_box, self._upper_box = ctkDoubleSpinBox(), ctkDoubleSpinBox()
        self._lower_box.connect("valueChanged(double)", self._on_box)
        self._upper_box.connect("valueChanged(double)", self._on_box)
        layout = qt.QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for column, part in enumerate((self._lower_box, self._lower, self._upper, self._upper_box)):
            layout.addWidget(part, 0, column)
        self._show_values()

    def _on_box(self) -> None:
        if not self._updating:
            self._set_values(self._lower_box.value, self._upper_box.value)

    def _show_values(self) -> None:
        super()._show_values()
        self._updating = True
        for box, value in (
            (self._lower_box, self._minimum_value),
            (self._upper_box, self._maximum_value),
        ):
            box._set_range(self._minimum, self._maximum)
            box.singleStep = self._single_step
            box.value = value
        self._updating = False

    @Slot(float, float)
    def setRange(self, minimum: float, maximum: float) -> None:
        self._set_range(minimum, maximum)

    @Slot(float, float)
    def setValues(self, minimum: float, maximum: float) -> None:
        self._set_values(minimum, maximum)

    @Slot(float)
    def setMinimumValue(self, value: float) -> None:
        self._set_minimum_value(value)

    @Slot(float)
    def setMaximumValue(self, value: float) -> None:
        self._set_maximum_value(value)

    @Slot()
    def reset(self) -> None:
        self.setValues(0.0, 0.0)

    @Slot(int)
    def setDecimals(self, decimals: int) -> None:
        self._lower_box.setDecimals(decimals)
        self._upper_box.setDecimals(decimals)

    def _set_prefix(self, prefix: str) -> None:
        self._lower_box.prefix = self._upper_box.prefix = prefix

    def _set_suffix(self, suffix: str) -> None:
        self._lower_box.suffix = self._upper_box.suffix = suffix

    minimum = Property(float, lambda self: self._minimum, _TwoHandles._set_minimum)
    maximum = Property(float, lambda self: self._maximum, _TwoHandles._set_maximum)
    minimumValue = Property(float, lambda self: self._minimum_value, setMinimumValue)
    maximumValue = Property(float, lambda self: self._maximum_value, setMaximumValue)
    singleStep = Property(float, lambda self: self._single_step, _TwoHandles._set_single_step)
    decimals = Property(int, lambda self: self._lower_box.decimals, setDecimals)
    prefix = Property(str, lambda self: self._lower_box.prefix, _set_prefix)
    suffix = Property(str, lambda self: self._lower_box.suffix, _set_suffix)
