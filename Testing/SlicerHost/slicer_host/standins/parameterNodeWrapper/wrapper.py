"""The decorator `@parameterNodeWrapper`: the annotated class becomes a view of a parameter node."""

from __future__ import annotations

import typing
import weakref
from dataclasses import dataclass
from typing import Any

import qt
import slicer
import vtk

from .annotations import Default, find_annotation, split_annotations
from .gui_connectors import GuiConnector, createGuiConnector
from .storage import storage_for

SlicerParameterNamePropertyName = "SlicerParameterName"


@dataclass(frozen=True)
class ParameterInfo:
    """One parameter of a wrapper class."""

    basename: str
    storage: Any
    default: Default
    unalteredType: Any


class _CachedValue:
    """One parameter in one node; its value is read again only when the node was modified."""

    def __init__(self, info: ParameterInfo, name: str, node: Any) -> None:
        self._storage = info.storage
        self._name = name
        self._node = node
        self._default = info.default
        if not self._storage.is_in(node, name):
            self._storage.write(node, name, info.default.value)
        self._value = self._storage.read(node, name)
        # The observer must not keep this object alive, or its node would be observed for ever.
        reference = weakref.ref(self)

        def on_modified(_node: Any, _event: str) -> None:
            value = reference()
            if value is not None:
                value._refresh()

        self._tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, on_modified)
        self._writing = False
        weakref.finalize(self, node.RemoveObserver, self._tag).atexit = False

    def _refresh(self) -> None:
        if self._writing:
            return
        if not self._storage.is_in(self._node, self._name):
            self._storage.write(self._node, self._name, self._default.value)
        self._value = self._storage.read(self._node, self._name)

    def read(self) -> Any:
        return self._value

    def write(self, value: Any) -> None:
        self._writing = True
        try:
            # Observers of the node must find the new value: read it back before they are told.
            with slicer.util.NodeModify(self._node):
                self._storage.write(self._node, self._name, value)
                self._value = self._storage.read(self._node, self._name)
        finally:
            self._writing = False


class _ParameterNodeMethods:
    """What every wrapper object can do; the decorator adds these to the class."""

    def __init__(self, parameterNode, prefix=None):
        self.parameterNode = parameterNode
        self._connectors: dict[int, dict[str, GuiConnector]] = {}
        self._gui_observers: dict[int, int] = {}
        self._next_gui_tag = 0
        self._updating_gui = False
        self._values = {
            name: _CachedValue(info, f"{prefix or ''}{name}", parameterNode)
            for name, info in self.allParameters.items()
        }

    def getValue(self, paramName):
        """Value of the parameter of that name."""
        self._check_name(paramName)
        return self._values[paramName].read()

    def setValue(self, paramName, value):
        """Set the parameter of that name."""
        self._check_name(paramName)
        self._values[paramName].write(value)

    def default(self, paramName):
        """The parameter's `Default`."""
        self._check_name(paramName)
        return self.allParameters[paramName].default

    def isCached(self, paramName):
        """True: all types that are supported here are cached."""
        self._check_name(paramName)
        return True

    @classmethod
    def dataType(cls, paramName):
        """The parameter's type as it was annotated."""
        cls._check_name(paramName)
        return cls.allParameters[paramName].unalteredType

    @classmethod
    def _check_name(cls, name):
        if name not in cls.allParameters:
            raise ValueError(f"No parameter {name!r}: there are {', '.join(cls.allParameters)}")

    # The node's own interface, so that the wrapper can be observed and NodeModify'd

    def StartModify(self):
        """Collect events until EndModify; returns what EndModify needs."""
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified):
        """Send the collected event."""
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event, callback, priority=0.0):
        """Observe the node; returns the tag."""
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        """Stop observing."""
        self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        """Send the node's modified event."""
        self.parameterNode.Modified()

    # Panel

    def connectGui(self, gui):
        """Connect all widgets with the property SlicerParameterName; returns the connection's tag.

        `gui` is a widget, or the object `slicer.util.childWidgetVariables` makes.
        """
        is_widget = getattr(gui, "isWidgetType", lambda: False)()
        widgets = gui.findChildren(qt.QWidget) if is_widget else gui.__dict__.values()
        names = [(w.property(SlicerParameterNamePropertyName), w) for w in widgets]
        return self.connectParametersToGui({name: widget for name, widget in names if name})

    def connectParametersToGui(self, mapping):
        """Connect parameters, by name, each to a widget or GuiConnector; returns the tag."""
        for name in mapping:
            self._check_name(name)
        connectors = {
            name: widget
            if isinstance(widget, GuiConnector)
            else createGuiConnector(widget, self.dataType(name))
            for name, widget in mapping.items()
        }
        tag = self._next_gui_tag
        self._next_gui_tag += 1
        self._connectors[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._gui_changed(name, connector))
        self._gui_observers[tag] = self.AddObserver(
            vtk.vtkCommand.ModifiedEvent, lambda _node, _event: self._update_gui()
        )
        return tag

    def disconnectGui(self, guiTag):
        """Undo connectGui or connectParametersToGui."""
        for connector in self._connectors.pop(guiTag, {}).values():
            connector.onChanged(None)
        if guiTag in self._gui_observers:
            self.RemoveObserver(self._gui_observers.pop(guiTag))

    def _gui_changed(self, name, connector):
        def on_changed():
            with slicer.util.NodeModify(self):
                if not self._updating_gui:
                    self.setValue(name, connector.read())

        return on_changed

    def _update_gui(self):
        if self._updating_gui:
            return
        self._updating_gui = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in list(self._connectors.values()):
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating_gui = False


def parameterNodeWrapper(classtype=None):
    """Class decorator, with or without parentheses."""
    return _wrap if classtype is None else _wrap(classtype)


def _wrap(classtype):
    parameters = {}
    for name, annotated in typing.get_type_hints(classtype, include_extras=True).items():
        try:
            storage = storage_for(annotated)
        except TypeError as error:
            raise TypeError(f"{classtype.__name__}.{name}: {error}") from error
        annotation = find_annotation(split_annotations(annotated)[1], Default)
        if hasattr(classtype, name):
            default = Default(getattr(classtype, name))
        else:
            default = annotation or Default(storage.default)
        parameters[name] = ParameterInfo(name, storage, default, annotated)
        setattr(classtype, name, _parameter_property(name))

    members = {"allParameters": parameters, "_is_parameter_node_wrapper": True}
    members.update({k: v for k, v in vars(_ParameterNodeMethods).items() if not k.startswith("__")})
    for name, member in members.items():
        if hasattr(classtype, name):
            raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
        setattr(classtype, name, member)
    classtype.__init__ = _ParameterNodeMethods.__init__
    return classtype


def _parameter_property(name):
    return property(
        lambda self: self._values[name].read(),
        lambda self, value: self._values[name].write(value),
    )


def isParameterNodeWrapper(classOrObj):
    """Whether it is a class (or an object of one) made by the decorator."""
    return getattr(classOrObj, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget, parameter):
    """The child widget that is marked with the parameter's name, or None."""
    for child in widget.findChildren(qt.QWidget):
        if child.property(SlicerParameterNamePropertyName) == parameter:
            return child
    return None
