"""The adapters' names against the real classes' names."""

import inspect
import re
import sys
from pathlib import Path

import pytest
import slicer
from PySide6 import QtCore, QtWidgets

from read_real_api import read_class
from slicer_host.real_api import (
    REAL_API_FILE,
    real_classes,
    real_names,
    real_signatures,
    stands_for_real,
)

ADAPTERS = sorted(
    name
    for path in (Path(__file__).parent / "slicer_host").glob("*.py")
    for name in re.findall(r"@stands_for_real\nclass (\w+)\(", path.read_text(encoding="utf-8"))
)


def adapter(name):
    return getattr(sys.modules["ctk"] if name.startswith("ctk") else slicer, name)


def native_base(cls):
    return next(base for base in cls.__mro__ if base.__module__.startswith("PySide6."))


def as_meta(signature):
    """A C++ signature as PySide6 spells it: a pointer to a VTK object is a Python object."""
    return re.sub(r"\bvtk(?:\w+\*|IdType)", "PyObject", signature)


def own_methods(cls, kind):
    """Signatures of that kind which the adapter adds to its PySide6 class."""
    meta, offset = cls.staticMetaObject, native_base(cls).staticMetaObject.methodCount()
    methods = [meta.method(index) for index in range(offset, meta.methodCount())]
    return {m.methodSignature().data().decode() for m in methods if m.methodType() == kind}


@pytest.mark.parametrize("name", ADAPTERS)
def test_properties_are_real(name):
    cls = adapter(name)
    meta, offset = cls.staticMetaObject, native_base(cls).staticMetaObject.propertyCount()
    own = {meta.property(index).name() for index in range(offset, meta.propertyCount())}
    assert own <= real_names(name, "properties")


@pytest.mark.parametrize("name", ADAPTERS)
def test_signals_and_slots_are_real(name):
    cls = adapter(name)
    real_signals = set(map(as_meta, real_signatures(name, "signals")))
    assert own_methods(cls, QtCore.QMetaMethod.Signal) <= real_signals
    real_slots = real_signatures(name, "slots") | real_signatures(name, "invokables")
    assert own_methods(cls, QtCore.QMetaMethod.Slot) <= set(map(as_meta, real_slots))


@pytest.mark.parametrize("name", ADAPTERS)
def test_public_python_methods_are_real_or_override_qt(name):
    cls = adapter(name)
    public = {
        method
        for owner in cls.__mro__
        if owner.__module__.startswith("slicer_host.")
        and not owner.__module__.startswith("slicer_host.pythonqt")
        for method, value in vars(owner).items()
        if inspect.isfunction(value) and not method.startswith("_")
    }
    of_qt = {method for method in public if hasattr(native_base(cls), method)}
    assert public - of_qt <= real_names(name, "slots", "invokables")


def test_a_class_with_an_unreal_name_is_refused():
    qt = sys.modules["qt"]
    body = {"indicatorIcn": QtCore.Property(str, lambda self: "")}
    cls = type(qt.QCheckBox)("ctkCheckBox", (qt.QCheckBox,), body)
    with pytest.raises(TypeError, match="The real ctkCheckBox has no indicatorIcn"):
        stands_for_real(cls)


def test_every_adapter_is_of_the_real_kind():
    """Where the real class derives from a Qt class, so does the adapter."""
    for name in ADAPTERS:
        entry = real_classes()[name]
        while entry["bases"][0] in real_classes():
            entry = real_classes()[entry["bases"][0]]
        qt_class = getattr(QtWidgets, entry["bases"][0])
        assert issubclass(adapter(name), qt_class), name


def test_the_list_names_its_sources():
    text = REAL_API_FILE.read_text(encoding="utf-8")
    for project in ("Slicer/Slicer", "commontk/CTK"):
        assert re.search(rf'"https://github.com/{project}",\s+"commit": "[0-9a-f]{{40}}"', text)


HEADER = """
class A_EXPORT Widget : public Base
{
  Q_OBJECT
  Q_PROPERTY(QString nodeID READ nodeID WRITE setNodeID NOTIFY nodeIDChanged) // a comment
  Q_PROPERTY(Some::Type* pointer READ pointer)
  Q_FLAGS(Option Options)
public:
  enum Option { One = 1, Two };
  Q_DECLARE_FLAGS(Options, Option)
  enum Hidden { Three };
  Widget(QObject* parent = nullptr);
  Q_INVOKABLE vtkNode* node(const QString& id, int index = 0) const;
  void plainMethod();
public slots:
  virtual void setNodeID(const QString& id);
  inline void setFlag(bool on) { this->Flag = on; }
protected slots:
  void hidden();
Q_SIGNALS:
  void nodeIDChanged(const QString&);
  void changed(unsigned int count, QList<int> values);
private:
  Q_DISABLE_COPY(Widget);
};
"""


def test_reading_a_header(tmp_path):
    header = tmp_path / "Widget.h"
    header.write_text(HEADER)
    assert read_class("Widget", header) == {
        "bases": ["Base"],
        "properties": ["nodeID", "pointer"],
        "signals": ["changed(unsigned int,QList<int>)", "nodeIDChanged(QString)"],
        "slots": ["setFlag(bool)", "setNodeID(QString)"],
        "invokables": ["node(QString)", "node(QString,int)"],
        "enums": {"Option": ["One", "Two"]},
    }
