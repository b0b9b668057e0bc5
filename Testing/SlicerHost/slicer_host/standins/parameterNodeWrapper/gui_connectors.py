"""Which widget can show a parameter of which type, and how it is read and written."""

from __future__ import annotations

import abc
import enum
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import ctk
import qt
import slicer

from .annotations import (
    Choice,
    Decimals,
    Maximum,
    Minimum,
    SingleStep,
    WithinRange,
    find_annotation,
    split_annotations,
    union_members,
)

INT_MINIMUM, INT_MAXIMUM = -(2**31), 2**31 - 1  # what a QSpinBox holds


class GuiConnector(abc.ABC):
    """A widget as the place of one value. `signal` names the widget's signal of a change."""

    signal: str | None = None

    def __init__(self, widget: Any, datatype: Any) -> None:
        self._widget = widget
        self._type, self._annotations = split_annotations(datatype)
        self._callback: Callable[[], None] | None = None

    def onChanged(self, callback: Callable[[], None] | None) -> None:
        """Call back when the user changes the value; None ends that."""
        if self.signal is not None:
            signal = getattr(self._widget, self.signal)
            if self._callback is not None:
                signal.disconnect(self._changed)
            if callback is not None:
                signal.connect(self._changed)
        self._callback = callback

    def _changed(self, *_arguments: Any) -> None:
        if self._callback is not None:
            self._callback()

    def widget(self) -> Any:
        """The widget."""
        return self._widget

    @abc.abstractmethod
    def read(self) -> Any:
        """The widget's value, in the parameter's type."""

    @abc.abstractmethod
    def write(self, value: Any) -> None:
        """Show the value."""


class _PropertyConnector(GuiConnector):
    """The value is a property of the widget."""

    property_name = ""

    def read(self) -> Any:
        return getattr(self._widget, self.property_name)

    def write(self, value: Any) -> None:
        setattr(self._widget, self.property_name, value)


class _CheckBoxConnector(_PropertyConnector):
    property_name = "checked"
    signal = "stateChanged"


class _PushButtonConnector(_PropertyConnector):
    property_name = "checked"
    signal = "toggled"

    def __init__(self, widget: Any, datatype: Any) -> None:
        super().__init__(widget, datatype)
        if not widget.checkable:
            logging.warning(f"Button {widget.name} is made checkable to hold a bool parameter")
            widget.checkable = True


class _CheckablePushButtonConnector(_PropertyConnector):
    """ctkCheckablePushButton: its check box may say whether the button is a toggle button."""

    property_name = "checked"
    signal = "toggled"

    def __init__(self, widget: Any, datatype: Any) -> None:
        super().__init__(widget, datatype)
        if not widget.checkBoxControlsButtonToggleState and not widget.checkable:
            logging.warning(f"Button {widget.name} is made checkable to hold a bool parameter")
            widget.checkable = True

    def write(self, value: bool) -> None:
        if not self._widget.checkBoxControlsButtonToggleState:
            super().write(value)
        elif value:
            self._widget.checkable = True
            self._widget.checked = True
        else:
            self._widget.checkable = False


class _NumberConnector(_PropertyConnector):
    """Spin boxes and sliders; the parameter's range becomes the widget's."""

    property_name = "value"
    signal = "valueChanged"
    # What an open end of the range becomes, and the widgets that cannot have one.
    open_minimum: float = float("-inf")
    open_maximum: float = float("inf")

    def __init__(self, widget: Any, datatype: Any) -> None:
        super().__init__(widget, datatype)
        self._set_decimals()
        single_step = find_annotation(self._annotations, SingleStep)
        if single_step is not None:
            widget.singleStep = single_step.value
        minimum, maximum = self._range()
        if type(widget) in _bounded_widgets() and (minimum is None or maximum is None):
            name = type(widget).__name__
            raise RuntimeError(f"{name} needs a parameter with a lower and an upper bound")
        widget.minimum = self.open_minimum if minimum is None else minimum
        widget.maximum = self.open_maximum if maximum is None else maximum

    def _set_decimals(self) -> None:
        if type(self._widget) is ctk.ctkDoubleSlider:
            return
        decimals = find_annotation(self._annotations, Decimals)
        if self._type is int:
            self._widget.decimals = 0
        elif decimals is not None:
            self._widget.decimals = decimals.value

    def _range(self) -> tuple[Any, Any]:
        within = find_annotation(self._annotations, WithinRange)
        if within is not None:
            return within.minimum, within.maximum
        minimum = find_annotation(self._annotations, Minimum)
        maximum = find_annotation(self._annotations, Maximum)
        return (minimum and minimum.minimum, maximum and maximum.maximum)

    def read(self) -> Any:
        return self._type(super().read())

    def write(self, value: Any) -> None:
        super().write(self._type(value))


class _IntegerConnector(_NumberConnector):
    open_minimum = INT_MINIMUM
    open_maximum = INT_MAXIMUM

    def _set_decimals(self) -> None:
        """QSpinBox and QSlider have none."""


class _ComboBoxConnector(GuiConnector):
    """A combo box filled with the choices; subclasses say what they are and how they are shown."""

    signal = "currentIndexChanged"

    def __init__(self, widget: Any, datatype: Any) -> None:
        super().__init__(widget, datatype)
        self._choices = self._list_choices()
        widget.clear()
        for choice in self._choices:
            widget.addItem(self._label(choice))

    def _list_choices(self) -> list[Any]:
        choice = find_annotation(self._annotations, Choice)
        if choice is None:
            raise RuntimeError("A combo box needs a parameter with the annotation Choice")
        return list(choice.choices)

    def _label(self, choice: Any) -> str:
        return str(choice)

    def read(self) -> Any:
        return self._choices[self._widget.currentIndex]

    def write(self, value: Any) -> None:
        if value not in self._choices:
            raise ValueError(f"Unable to find value {value} in choices {self._choices}")
        self._widget.currentIndex = self._choices.index(value)


class _EnumComboBoxConnector(_ComboBoxConnector):
    """The members of an enum, shown by their `label()` if they have one, else by name."""

    def _list_choices(self) -> list[Any]:
        return list(self._type)

    def _label(self, choice: Any) -> str:
        label = getattr(self._type, "label", None)
        return label(choice) if label is not None else choice.name


class _LineEditConnector(_PropertyConnector):
    property_name = "text"
    signal = "textChanged"

    def write(self, value: str) -> None:
        # Writing moves the cursor to the end, which must not happen while the user types.
        if value != self.read():
            super().write(value)


class _LabelConnector(_PropertyConnector):
    property_name = "text"


class _TextEditConnector(GuiConnector):
    signal = "textChanged"

    def read(self) -> str:
        return self._widget.toPlainText()

    def write(self, value: str) -> None:
        # As for a line edit: the cursor stays while the user types.
        if value != self.read():
            self._widget.setPlainText(value)


class _PathConnector(_PropertyConnector):
    def read(self) -> pathlib.PurePath:
        return self._type(super().read())

    def write(self, value: pathlib.PurePath) -> None:
        super().write(str(value))


class _PathLineEditConnector(_PathConnector):
    property_name = "currentPath"
    signal = "currentPathChanged"


class _DirectoryButtonConnector(_PathConnector):
    property_name = "directory"
    signal = "directoryChanged"


class _NodeComboBoxConnector(GuiConnector):
    """qMRMLNodeComboBox; the parameter's node types become the selector's."""

    signal = "currentNodeChanged"

    def __init__(self, widget: Any, datatype: Any) -> None:
        super().__init__(widget, datatype)
        node_types = [t for t in _members(self._type) if t is not type(None)]
        widget.nodeTypes = [t().GetClassName() for t in node_types]

    def read(self) -> Any:
        return self._widget.currentNode()

    def write(self, value: Any) -> None:
        self._widget.setCurrentNode(value)


def createGuiConnector(widget: Any, datatype: Any) -> GuiConnector:
    """The connector for this widget and parameter type; RuntimeError if there is none."""
    type_ = split_annotations(datatype)[0]
    for widget_types, takes, connector in _connectors():
        # Exactly these classes, as in the application: a subclass may mean another thing.
        if type(widget) in widget_types and takes(type_):
            return connector(widget, datatype)
    raise RuntimeError(f"A {type(widget).__name__} cannot show a parameter of type {datatype}")


def _connectors() -> list[tuple[tuple[Any, ...], Callable[[Any], bool], type[GuiConnector]]]:
    combo_boxes = (qt.QComboBox, ctk.ctkComboBox)
    double_widgets = (
        *(qt.QDoubleSpinBox, ctk.ctkSliderWidget, slicer.qMRMLSliderWidget),
        *(ctk.ctkDoubleSlider, ctk.ctkDoubleSpinBox, slicer.qMRMLSpinBox),
    )
    return [
        ((qt.QCheckBox, ctk.ctkCheckBox), _is(bool), _CheckBoxConnector),
        ((qt.QPushButton,), _is(bool), _PushButtonConnector),
        ((ctk.ctkCheckablePushButton,), _is(bool), _CheckablePushButtonConnector),
        ((qt.QSlider, qt.QSpinBox), _is(int), _IntegerConnector),
        (double_widgets, _is(float, int), _NumberConnector),
        (combo_boxes, _is(int, float, str, bool), _ComboBoxConnector),
        (combo_boxes, _is_enum, _EnumComboBoxConnector),
        ((qt.QLineEdit,), _is(str), _LineEditConnector),
        ((qt.QLabel,), _is(str), _LabelConnector),
        ((qt.QTextEdit,), _is(str), _TextEditConnector),
        ((ctk.ctkPathLineEdit,), _is_path, _PathLineEditConnector),
        ((ctk.ctkDirectoryButton,), _is_path, _DirectoryButtonConnector),
        ((slicer.qMRMLNodeComboBox,), _is_node, _NodeComboBoxConnector),
    ]


def _bounded_widgets() -> tuple[Any, ...]:
    return (qt.QSlider, ctk.ctkSliderWidget, slicer.qMRMLSliderWidget)


def _is(*types: type) -> Callable[[Any], bool]:
    return lambda type_: type_ in types


def _is_enum(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, enum.Enum)


def _is_path(type_: Any) -> bool:
    return isinstance(type_, type) and issubclass(type_, pathlib.PurePath)


def _members(type_: Any) -> list[Any]:
    """The union's member types without annotations, or the type itself."""
    return [split_annotations(member)[0] for member in union_members(type_) or (type_,)]


def _is_node(type_: Any) -> bool:
    return all(
        isinstance(member, type) and issubclass(member, (slicer.vtkMRMLNode, type(None)))
        for member in _members(type_)
    )
