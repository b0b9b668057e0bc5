"""What can stand in `Annotated[type, ...]`: validators, the default, and hints for the widget."""

from __future__ import annotations

import abc
import types
import typing
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any


class Validator(abc.ABC):
    """Refuses values: derive from it to make one's own."""

    @abc.abstractmethod
    def validate(self, value: Any) -> None:
        """Raise ValueError (or TypeError) if the value is not valid."""


@dataclass(frozen=True, eq=False)
class NotNone(Validator):
    """Refuses None."""

    def validate(self, value: Any) -> None:
        if value is None:
            raise ValueError("Value must not be None")


@dataclass(frozen=True, eq=False)
class IsNone(Validator):
    """Takes only None."""

    def validate(self, value: Any) -> None:
        if value is not None:
            raise ValueError("Value must be None")


@dataclass(frozen=True, eq=False)
class IsInstance(Validator):
    """Takes instances of the type (or types), and None."""

    classtype: Any

    def validate(self, value: Any) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type {self.classtype}, is {value!r}")


@dataclass(frozen=True, eq=False)
class WithinRange(Validator):
    """Takes values from minimum to maximum, both included."""

    minimum: Any
    maximum: Any

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within {self.minimum} and {self.maximum}, is {value}")


@dataclass(frozen=True, eq=False)
class Minimum(Validator):
    """Takes values not below the minimum."""

    minimum: Any

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


@dataclass(frozen=True, eq=False)
class Maximum(Validator):
    """Takes values not above the maximum."""

    maximum: Any

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


@dataclass(frozen=True, eq=False)
class Choice(Validator):
    """Takes the listed values."""

    choices: Collection[Any]

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value!r}")


@dataclass(frozen=True, eq=False)
class Exclude(Validator):
    """Takes all but the listed values."""

    excludedValues: Collection[Any]

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"Value must not be one of {self.excludedValues}, is {value!r}")


class Default:
    """The value a parameter has at first: given, or made by `generator` each time."""

    def __init__(self, value: Any = None, *, generator: Callable[[], Any] | None = None) -> None:
        self._value = value
        self._generator = generator

    @property
    def value(self) -> Any:
        """The default value."""
        return self._generator() if self._generator else self._value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Default):
            return False
        return (self._value, self._generator) == (other._value, other._generator)

    __hash__ = None

    def __repr__(self) -> str:
        return f"Default(value={self._value!r}, generator={self._generator})"


@dataclass(frozen=True)
class Decimals:
    """Decimals that the parameter's spin box or slider shows."""

    value: int


@dataclass(frozen=True)
class SingleStep:
    """Step of the parameter's spin box or slider."""

    value: float


def split_annotations(annotated: Any) -> tuple[Any, tuple[Any, ...]]:
    """(type, annotations) of a type that may be `Annotated`."""
    if typing.get_origin(annotated) is typing.Annotated:
        base, *annotations = typing.get_args(annotated)
        return base, tuple(annotations)
    return annotated, ()


def find_annotation(annotations: tuple[Any, ...], kind: type) -> Any:
    """The first annotation of that kind, or None."""
    return next((annotation for annotation in annotations if isinstance(annotation, kind)), None)


def validators_of(annotations: tuple[Any, ...]) -> list[Any]:
    """The validators among the annotations; a validator may be given as a class."""
    return [a for a in annotations if isinstance(a, Validator) or _is_validator_class(a)]


def refuse_unknown(annotations: tuple[Any, ...]) -> None:
    """TypeError for an annotation that would have no effect here."""
    for annotation in annotations:
        known = isinstance(annotation, Validator | Default | Decimals | SingleStep)
        if not known and not _is_validator_class(annotation):
            raise TypeError(f"Annotation {annotation!r} is not supported")


def _is_validator_class(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Validator)


def union_members(type_: Any) -> tuple[Any, ...]:
    """The members of `A | B` and `Union[A, B]`; () for any other type."""
    is_union = typing.get_origin(type_) is typing.Union or isinstance(type_, types.UnionType)
    return typing.get_args(type_) if is_union else ()
