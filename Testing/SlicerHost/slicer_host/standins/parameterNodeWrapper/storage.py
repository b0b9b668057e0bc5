"""How values of each type are kept in a parameter node, as the application keeps them."""

from __future__ import annotations

import enum
import pathlib
from collections.abc import Callable
from typing import Any

import slicer

from .annotations import (
    IsInstance,
    IsNone,
    NotNone,
    refuse_unknown,
    split_annotations,
    union_members,
    validators_of,
)

_PATH_TYPES = (
    *(pathlib.Path, pathlib.PosixPath, pathlib.WindowsPath),
    *(pathlib.PurePath, pathlib.PurePosixPath, pathlib.PureWindowsPath),
)


class TextStorage:
    """A value kept as one parameter: `to_text(value)`, and back by `from_text`."""

    def __init__(
        self,
        type_: Any,
        validators: list[Any],
        default: Any,
        to_text: Callable[[Any], str],
        from_text: Callable[[str], Any],
    ) -> None:
        self.type = type_
        self.validators = validators
        self.default = default
        self._to_text = to_text
        self._from_text = from_text

    def validate(self, value: Any) -> None:
        """Raise ValueError or TypeError for a value that must not be stored."""
        for validator in self.validators:
            # A validator may be given as a class whose `validate` is static.
            validator.validate(value)

    def fits(self, value: Any) -> bool:
        """Whether the value's type is the one stored here, as a union decides between members."""
        return type(value) is self.type

    def is_in(self, node: Any, name: str) -> bool:
        """Whether the node holds a value of that name."""
        return bool(node.HasParameter(name))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Store the value, valid or not at all."""
        self.validate(value)
        node.SetParameter(name, self._to_text(value))

    def read(self, node: Any, name: str) -> Any:
        """The stored value."""
        return self._from_text(node.GetParameter(name))

    def remove(self, node: Any, name: str) -> None:
        """Forget the value."""
        node.UnsetParameter(name)


class NumberStorage(TextStorage):
    """An int or float; validation tells them apart, for an int is a valid float."""

    def fits(self, value: Any) -> bool:
        return type(value) in (int, float)


class PathStorage(TextStorage):
    """A path; its concrete class differs from the one that is asked for."""

    def fits(self, value: Any) -> bool:
        return isinstance(value, pathlib.PurePath)


class NodeStorage(TextStorage):
    """A MRML node, kept as a reference; an empty parameter says that it was set, if to None."""

    def __init__(self, type_: Any, validators: list[Any]) -> None:
        super().__init__(type_, validators, None, lambda _node: "", lambda _text: None)

    def fits(self, value: Any) -> bool:
        return isinstance(value, self.type)

    def write(self, node: Any, name: str, value: Any) -> None:
        super().write(node, name, value)
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node: Any, name: str) -> Any:
        return node.GetNodeReference(name)

    def remove(self, node: Any, name: str) -> None:
        super().remove(node, name)
        node.RemoveNodeReferenceIDs(name)


class UnionStorage:
    """A value of one of several types, kept under "<name>.<index of the type>"."""

    def __init__(self, members: list[Any], validators: list[Any]) -> None:
        self._members = members
        self.validators = validators
        optional = len(members) == 2 and members[1].type is type(None)
        self.default = None if optional else members[0].default

    def validate(self, value: Any) -> None:
        """Raise for a value that neither the union nor its member takes."""
        for validator in self.validators:
            validator.validate(value)
        self._index_for(value)

    def is_in(self, node: Any, name: str) -> bool:
        """Whether the node holds a value of that name, of any of the types."""
        return any(m.is_in(node, f"{name}.{i}") for i, m in enumerate(self._members))

    def write(self, node: Any, name: str, value: Any) -> None:
        """Store the value with the first member that takes it."""
        self.validate(value)
        index = self._index_for(value)
        with slicer.util.NodeModify(node):
            self.remove(node, name)
            self._members[index].write(node, f"{name}.{index}", value)

    def read(self, node: Any, name: str) -> Any:
        """The stored value."""
        for index, member in enumerate(self._members):
            if member.is_in(node, f"{name}.{index}"):
                return member.read(node, f"{name}.{index}")
        raise KeyError(f"No value of {name}")

    def remove(self, node: Any, name: str) -> None:
        """Forget the value."""
        with slicer.util.NodeModify(node):
            for index, member in enumerate(self._members):
                member.remove(node, f"{name}.{index}")

    def _index_for(self, value: Any) -> int:
        refusal: Exception | None = None
        for index, member in enumerate(self._members):
            if not member.fits(value):
                continue
            try:
                member.validate(value)
            except (TypeError, ValueError) as error:
                refusal = error
            else:
                return index
        raise refusal or TypeError(f"Value {value!r} is of none of the union's types")


def storage_for(annotated: Any) -> TextStorage | UnionStorage:
    """The storage of a type that may be `Annotated`; TypeError if it is not supported."""
    type_, annotations = split_annotations(annotated)
    refuse_unknown(annotations)
    validators = validators_of(annotations)
    members = union_members(type_)
    if members:
        return UnionStorage([storage_for(member) for member in members], validators)
    storage = _plain_storage(type_)
    storage.validators += validators
    return storage


def _plain_storage(type_: Any) -> TextStorage:
    strict = [NotNone(), IsInstance(type_)]
    if type_ is int:
        return NumberStorage(int, strict, 0, str, int)
    if type_ is float:
        return NumberStorage(float, [NotNone(), IsInstance((int, float))], 0, str, float)
    if type_ is bool:
        return TextStorage(bool, strict, False, str, lambda text: text == "True")
    if type_ is str:
        return TextStorage(str, strict, "", str, str)
    if type_ is type(None):
        return TextStorage(type_, [IsNone()], None, lambda _none: "True", lambda _text: None)
    if type_ in _PATH_TYPES:
        return PathStorage(type_, strict, type_(), str, type_)
    if isinstance(type_, type) and issubclass(type_, enum.Enum):
        return _enum_storage(type_)
    if isinstance(type_, type) and issubclass(type_, slicer.vtkMRMLNode):
        return NodeStorage(type_, [IsInstance(type_)])
    raise TypeError(f"Parameters of type {type_} are not supported")


def _enum_storage(type_: type[enum.Enum]) -> TextStorage:
    members = list(type_)
    if not members:
        raise ValueError(f"Enum {type_} has no members")

    def from_text(text: str) -> enum.Enum:
        if text not in type_.__members__:
            raise ValueError(f"{text!r} is not a name in {type_}")
        return type_[text]

    validators = [IsInstance(type_)]
    return TextStorage(type_, validators, members[0], lambda value: value.name, from_text)
