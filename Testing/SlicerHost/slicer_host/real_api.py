"""The names that real CTK and Slicer widgets offer to Python, and the check of the host's names.

`real_api.json` was read off the public headers by `read_real_api.py`; it names its sources.
"""

import enum
import functools
import inspect
import json
from pathlib import Path

from PySide6 import QtCore

REAL_API_FILE = Path(__file__).with_name("real_api.json")


@functools.cache
def real_classes() -> dict[str, dict]:
    """Class name -> {bases, properties, signals, slots, invokables, enums}."""
    return json.loads(REAL_API_FILE.read_text(encoding="utf-8"))["classes"]


def with_bases(class_name: str) -> list[dict]:
    """The entries of the class and of its listed bases, nearest first."""
    entry = real_classes().get(class_name)
    if entry is None:
        return []
    return [entry, *(found for base in entry["bases"] for found in with_bases(base))]


@functools.cache
def real_signatures(class_name: str, kind: str) -> frozenset[str]:
    """All signatures of a kind (signals, slots, invokables), bases included."""
    return frozenset(name for entry in with_bases(class_name) for name in entry[kind])


@functools.cache
def real_names(class_name: str, *kinds: str) -> frozenset[str]:
    """All names of the kinds (default: every kind), bases included, without arguments."""
    kinds = kinds or ("properties", "signals", "slots", "invokables", "enums")
    found = set()
    for entry in with_bases(class_name):
        for kind in kinds:
            found.update(name.split("(")[0] for name in entry[kind])
            if kind == "enums":
                found.update(value for values in entry[kind].values() for value in values)
    return frozenset(found)


def unreal_names(cls: type) -> list[str]:
    """Public names in a class's body that neither the real class nor Qt has as that kind."""
    found = []
    for name, value in vars(cls).items():
        if name.startswith("_") or name in ("staticMetaObject",):
            continue
        if isinstance(value, QtCore.Property):
            real = real_names(cls.__name__, "properties")
        elif isinstance(value, QtCore.Signal):
            real = real_names(cls.__name__, "signals")
        elif isinstance(value, enum.Enum) or inspect.isclass(value):
            real = real_names(cls.__name__, "enums")
        else:
            qt_names = {
                n
                for base in cls.__mro__
                if base.__module__.startswith("PySide6")
                for n in dir(base)
            }
            real = real_names(cls.__name__, "slots", "invokables") | qt_names
        if name not in real:
            found.append(name)
    return found


def stands_for_real(cls: type) -> type:
    """Class decorator of adapters: refuses a name that is not the real class's.

    Makes enumerations flat, as C++ has them, and lets the adapter tell an unimplemented real name
    from an unreal one.
    """
    if cls.__name__ not in real_classes():
        raise TypeError(f"No real class {cls.__name__} is listed in {REAL_API_FILE.name}")
    for enumeration in [value for value in vars(cls).values() if inspect.isclass(value)]:
        for member in getattr(enumeration, "__members__", {}).values():
            setattr(cls, member.name, member)
    if wrong := unreal_names(cls):
        raise TypeError(f"The real {cls.__name__} has no {', '.join(wrong)}")
    cls._host_class = True
    cls._real_names = real_names(cls.__name__)
    return cls
