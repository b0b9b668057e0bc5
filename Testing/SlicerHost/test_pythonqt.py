"""The module `qt`: it does and refuses what PythonQt does and refuses."""

import sys

import numpy as np
import pytest
import slicer.util
from PySide6 import QtCore, QtWidgets

from recorded_calls import Calls
from slicer_host.pythonqt import install_qt

qt = install_qt()

# --- attributes -----------------------------------------------------------------------------------


def test_properties_are_attributes():
    label = qt.QLabel("skull")
    label.text = "implant"
    label.enabled = False
    label.name = "result"
    assert (label.text, label.enabled, label.isEnabled()) == ("implant", False, False)
    assert (label.objectName, label.name) == ("result", "result")
    label.setText("bone")
    assert label.text == "bone"


def test_reading_what_is_not_there_fails():
    label = qt.QLabel("skull")
    with pytest.raises(TypeError, match="not callable"):
        label.text()
    with pytest.raises(AttributeError, match="QLabel has no attribute named 'implant'"):
        _ = label.implant
    for name in ("Signal", "Slot", "Property", "QRegExp"):
        assert not hasattr(qt, name)


def test_writing_what_is_not_there_fails():
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="creating new attributes"):
        button.implant = 1
    with pytest.raises(AttributeError):
        button.click = print
    with pytest.raises(AttributeError):
        button.clicked = print
    with pytest.raises(AttributeError, match="not writable"):
        button.width = 100


def test_values_are_converted_as_by_pythonqt():
    spin_box, label = qt.QSpinBox(), qt.QLabel()
    spin_box.value = 7.9
    label.text = 7
    label.visible = None
    assert (spin_box.value, label.text, label.visible) == (7, "7", False)
    spin_box.value = np.int64(3)
    assert spin_box.value == 3
    with pytest.raises(AttributeError, match="does not accept an object of type str"):
        spin_box.value = "seven"
    with pytest.raises(AttributeError, match="does not accept an object of type str"):
        label.pixmap = "skull.png"


def test_own_attributes_of_a_python_class():
    class Panel(qt.QWidget):
        def __init__(self):
            super().__init__()
            self.volume = None
            self.volume = "ct"

        def sizeHint(self):
            return qt.QSize(30, 40)

    panel, parent = Panel(), qt.QWidget()
    qt.QVBoxLayout(parent).addWidget(panel)
    parent.layout().setContentsMargins(0, 0, 0, 0)
    assert panel.volume == "ct"
    assert parent.sizeHint == qt.QSize(30, 40)
    with pytest.raises(AttributeError, match="overwritten"):
        panel.show = None
    assert isinstance(panel, qt.QWidget) and not isinstance(parent, Panel)


def test_dynamic_properties_and_named_children():
    widget = qt.QWidget()
    child = qt.QLabel(widget)
    child.name = "hint"
    widget.setProperty("SlicerParameterName", "ct")
    assert widget.property("SlicerParameterName") == widget.SlicerParameterName == "ct"
    assert widget.hint is child
    assert child.property("SlicerParameterName") is None


def test_string_lists_are_tuples():
    model = qt.QStringListModel(["left", "right"])
    assert model.stringList() == ("left", "right")


def test_enumerations_are_integers():
    assert qt.Qt.Checked == 2 and int(qt.Qt.AlignRight) == 2
    assert qt.Qt.Checked != qt.Qt.Unchecked
    assert {2: "checked"}[qt.Qt.Checked] == "checked"
    label = qt.QLabel()
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignTop
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignTop
    label.alignment = 1
    assert label.alignment == qt.Qt.AlignLeft
    assert qt.QProcess.Running == qt.QProcess.ProcessState.Running


def test_objects_made_by_qt_have_the_same_manners():
    combo_box = qt.QComboBox()
    combo_box.editable = True
    line_edit = combo_box.lineEdit()
    texts = Calls()
    line_edit.connect("textChanged(QString)", texts)
    line_edit.text = "skull"
    assert (line_edit.text, combo_box.currentText, texts) == ("skull", "skull", [("skull",)])
    assert isinstance(line_edit, qt.QLineEdit) and isinstance(line_edit, qt.QWidget)
    assert not isinstance(line_edit, qt.QLabel)
    assert line_edit == combo_box.lineEdit()
    with pytest.raises(AttributeError, match="creating new attributes"):
        line_edit.implant = 1
    form = qt.QFormLayout()
    form.addRow("Name:", line_edit)
    assert form.rowCount() == 1


def test_a_destroyed_object_says_so():
    label = qt.QLabel("skull")
    label.delete()
    with pytest.raises(ValueError, match="destroyed"):
        _ = label.text
    with pytest.raises(AttributeError, match="destroyed"):
        label.text = "implant"


def test_finding_children():
    widget = qt.QGroupBox()
    layout = qt.QVBoxLayout(widget)
    first, second = qt.QPushButton("a"), qt.QCheckBox("b")
    first.name = "first"
    layout.addWidget(first)
    layout.addWidget(second)
    assert widget.findChildren(qt.QAbstractButton) == (first, second)
    assert widget.findChildren("QCheckBox") == (second,)
    assert widget.findChild(qt.QPushButton, "first") is first
    assert widget.findChild(qt.QPushButton, "second") is None
    assert (first.className(), first.inherits("QAbstractButton")) == ("QPushButton", True)
    assert slicer.util.findChildren(widget, text="b") == [second]
    assert first.parent() is widget and widget.layout() is layout


def test_static_dialogs_return_the_value_alone():
    def answer():
        dialog = QtWidgets.QApplication.activeModalWidget()
        dialog.setTextValue("C-17")
        dialog.accept()

    QtCore.QTimer.singleShot(50, answer)
    assert qt.QInputDialog.getText(None, "Implant", "Name:") == "C-17"


def test_names_that_qt5_lacks_are_refused():
    check_box = qt.QCheckBox()
    with pytest.raises(AttributeError):
        check_box.checkStateChanged.connect(print)
    with pytest.raises(AttributeError):
        check_box.connect("checkStateChanged(Qt::CheckState)", print)


# --- signals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", ["clicked", "clicked(int)", "pushed()", "clicked(bool,bool)"])
def test_connecting_to_an_unknown_signal_fails(signal):
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="does not exist on QPushButton"):
        button.connect(signal, print)
    with pytest.raises(AttributeError, match="does not exist on QPushButton"):
        button.disconnect(signal, print)


def test_slots_get_the_arguments_they_take():
    button, calls = qt.QPushButton(), []

    class Receiver:
        def none(self):
            calls.append("none")

        def one(self, checked):
            calls.append(("one", checked))

        def optional(self, checked=None, more=3):
            calls.append(("optional", checked, more))

    receiver, every = Receiver(), Calls()
    for slot in (receiver.none, receiver.one, receiver.optional, every):
        button.connect("clicked(bool)", slot)
    button.clicked.connect(receiver.none)
    button.connect("clicked()", every)
    button.click()
    assert calls == ["none", ("one", False), ("optional", False, 3), "none"]
    assert every == [(False,), ()]


def test_disconnecting():
    button, calls = qt.QPushButton(), Calls()
    button.connect("clicked(bool)", calls)
    button.connect("clicked(bool)", calls)
    assert button.disconnect("clicked(bool)", calls) is True
    button.click()
    assert len(calls) == 1
    assert button.clicked.disconnect(calls) is True
    assert button.disconnect("clicked(bool)", calls) is False
    button.click()
    assert len(calls) == 1


def test_signals_are_emitted_and_chained():
    slider, spin_box = qt.QSlider(), qt.QSpinBox()
    slider.connect("valueChanged(int)", spin_box.setValue)
    slider.valueChanged.emit(5)
    assert spin_box.value == 5
    slider.valueChanged(6)
    assert spin_box.value == 6
    bar = qt.QProgressBar()
    slider.connect("rangeChanged(int,int)", bar, "setRange(int,int)")
    slider.setRange(2, 4)
    assert (bar.minimum, bar.maximum) == (2, 4)
    with pytest.raises(AttributeError, match="slot 'setRange"):
        slider.connect("rangeChanged(int,int)", spin_box, "setRange(int,int)")


def test_an_exception_in_a_slot_is_recorded_and_ends_there(host, capsys):
    button, calls = qt.QPushButton(), Calls()
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", calls)
    button.click()
    assert calls == [()]
    assert [type(error) for error in host.take_slot_errors()] == [ZeroDivisionError]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_single_shot(host):
    calls = Calls()
    qt.QTimer.singleShot(0, calls)
    qt.QTimer.singleShot(0, lambda: 1 / 0)
    host.process_events()
    assert calls == [()]
    assert [type(error) for error in host.take_slot_errors()] == [ZeroDivisionError]


def test_process():
    process, finished = qt.QProcess(), Calls()
    process.connect("finished(int,QProcess::ExitStatus)", finished)
    process.start(sys.executable, ["-c", "print('bone')"])
    assert process.waitForFinished(20000)
    assert process.readAllStandardOutput().data().strip() == b"bone"
    assert process.state() == qt.QProcess.NotRunning
    assert finished == [(0, qt.QProcess.NormalExit)]
