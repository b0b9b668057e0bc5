"""Qt, CTK and MRML widgets of the host: what they do, and what they refuse as Slicer would."""

import sys
from pathlib import Path

import numpy as np
import pytest
import shiboken6
import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

FORM = (Path(__file__).parent / "fixtures" / "panel.ui").read_text(encoding="utf-8")


@pytest.fixture
def qt(host):
    return sys.modules["qt"]


@pytest.fixture
def ctk(host):
    return sys.modules["ctk"]


class Calls(list):
    """A slot that keeps the arguments of each call."""

    def __call__(self, *arguments):
        self.append(arguments)


# --- Qt: attributes -------------------------------------------------------------------------------


def test_properties_are_attributes(qt):
    label = qt.QLabel("skull")
    label.text = "implant"
    label.enabled = False
    label.name = "result"
    assert (label.text, label.enabled, label.isEnabled()) == ("implant", False, False)
    assert (label.objectName, label.name) == ("result", "result")
    label.setText("bone")
    assert label.text == "bone"


def test_reading_what_is_not_there_fails(qt):
    label = qt.QLabel("skull")
    with pytest.raises(TypeError, match="not callable"):
        label.text()
    with pytest.raises(AttributeError, match="QLabel has no attribute named 'implant'"):
        _ = label.implant
    for name in ("Signal", "Slot", "Property", "QRegExp"):
        assert not hasattr(qt, name)


def test_writing_what_is_not_there_fails(qt):
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="creating new attributes"):
        button.implant = 1
    with pytest.raises(AttributeError):
        button.click = print
    with pytest.raises(AttributeError):
        button.clicked = print
    with pytest.raises(AttributeError, match="not writable"):
        button.width = 100


def test_values_are_converted_as_by_pythonqt(qt):
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


def test_own_attributes_of_a_python_class(qt):
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


def test_dynamic_properties_and_named_children(qt):
    widget = qt.QWidget()
    child = qt.QLabel(widget)
    child.name = "hint"
    widget.setProperty("SlicerParameterName", "ct")
    assert widget.property("SlicerParameterName") == widget.SlicerParameterName == "ct"
    assert widget.hint is child
    assert child.property("SlicerParameterName") is None


def test_string_lists_are_tuples(qt):
    model = qt.QStringListModel(["left", "right"])
    assert model.stringList() == ("left", "right")


def test_enumerations_are_integers(qt):
    assert qt.Qt.Checked == 2 and int(qt.Qt.AlignRight) == 2
    assert qt.Qt.Checked != qt.Qt.Unchecked
    assert {2: "checked"}[qt.Qt.Checked] == "checked"
    label = qt.QLabel()
    label.alignment = qt.Qt.AlignRight | qt.Qt.AlignTop
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignTop
    label.alignment = 1
    assert label.alignment == qt.Qt.AlignLeft
    assert qt.QProcess.Running == qt.QProcess.ProcessState.Running


def test_objects_made_by_qt_have_the_same_manners(qt):
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


def test_a_destroyed_object_says_so(qt):
    label = qt.QLabel("skull")
    label.delete()
    with pytest.raises(ValueError, match="destroyed"):
        _ = label.text
    with pytest.raises(AttributeError, match="destroyed"):
        label.text = "implant"


def test_finding_children(qt):
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


def test_static_dialogs_return_the_value_alone(qt):
    def answer():
        dialog = QtWidgets.QApplication.activeModalWidget()
        dialog.setTextValue("C-17")
        dialog.accept()

    QtCore.QTimer.singleShot(50, answer)
    assert qt.QInputDialog.getText(None, "Implant", "Name:") == "C-17"


def test_names_that_qt5_lacks_are_refused(qt):
    check_box = qt.QCheckBox()
    with pytest.raises(AttributeError):
        check_box.checkStateChanged.connect(print)
    with pytest.raises(AttributeError):
        check_box.connect("checkStateChanged(Qt::CheckState)", print)


# --- Qt: signals ----------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", ["clicked", "clicked(int)", "pushed()", "clicked(bool,bool)"])
def test_connecting_to_an_unknown_signal_fails(qt, signal):
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="does not exist on QPushButton"):
        button.connect(signal, print)
    with pytest.raises(AttributeError, match="does not exist on QPushButton"):
        button.disconnect(signal, print)


def test_slots_get_the_arguments_they_take(qt):
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


def test_disconnecting(qt):
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


def test_signals_are_emitted_and_chained(qt):
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


def test_an_exception_in_a_slot_is_recorded_and_ends_there(qt, host, capsys):
    button, calls = qt.QPushButton(), Calls()
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", calls)
    button.click()
    assert calls == [()]
    assert [type(error) for error in host.take_slot_errors()] == [ZeroDivisionError]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_single_shot(qt, host):
    calls = Calls()
    qt.QTimer.singleShot(0, calls)
    qt.QTimer.singleShot(0, lambda: 1 / 0)
    host.process_events()
    assert calls == [()]
    assert [type(error) for error in host.take_slot_errors()] == [ZeroDivisionError]


def test_process(qt):
    process, finished = qt.QProcess(), Calls()
    process.connect("finished(int,QProcess::ExitStatus)", finished)
    process.start(sys.executable, ["-c", "print('bone')"])
    assert process.waitForFinished(20000)
    assert process.readAllStandardOutput().data().strip() == b"bone"
    assert process.state() == qt.QProcess.NotRunning
    assert finished == [(0, qt.QProcess.NormalExit)]


# --- CTK ------------------------------------------------------------------------------------------


def test_real_names_that_are_missing_and_names_that_are_not_real(ctk):
    slider = ctk.ctkSliderWidget()
    with pytest.raises(NotImplementedError, match=r"ctkSliderWidget\.popupSlider"):
        _ = slider.popupSlider
    # A setter of CTK that is no slot cannot be called from Python.
    with pytest.raises(AttributeError, match="no attribute named 'setMinimum'"):
        slider.setMinimum(3)
    with pytest.raises(AttributeError, match="creating new attributes"):
        slider._anything = 3
    with pytest.raises(AttributeError):
        slider.connect("valueChanged(int)", print)


def shown(widget, host):
    widget.show()
    host.process_events()
    return widget


def test_collapsible_button(qt, ctk, host):
    button, collapsed = ctk.ctkCollapsibleButton("Skull"), Calls()
    layout = qt.QVBoxLayout(button)
    label, hidden, late = qt.QLabel("open"), qt.QLabel("hidden"), qt.QLabel("late")
    for child in (label, hidden, late):
        layout.addWidget(child)
    hidden.visible = False
    late.visible = False
    button.connect("contentsCollapsed(bool)", collapsed)
    shown(button, host)
    open_height = button.sizeHint().height()
    button.collapsed = True
    late.visible = True
    assert (button.checked, label.visible, late.visible) == (False, False, False)
    assert button.sizeHint().height() < open_height
    button.click()
    assert (button.collapsed, button.checked) == (False, True)
    assert (label.visible, hidden.visible, late.visible) == (True, False, True)
    assert collapsed == [(True,), (False,)]
    assert button.text == "Skull" and isinstance(button, qt.QAbstractButton)


def test_slider_widget_keeps_the_value_and_its_range(ctk):
    slider, values = ctk.ctkSliderWidget(), Calls()
    assert (slider.minimum, slider.maximum, slider.value) == (0.0, 99.99, 0.0)
    slider.minimum, slider.maximum, slider.singleStep = -100, 500, 0.1
    slider.connect("valueChanged(double)", values)
    slider.value = 12.3456
    slider.value = 12.3456
    assert (slider.value, values) == (12.3456, [(12.3456,)])
    slider.value = 1000
    assert slider.value == 500.0
    slider.maximum = 50
    assert slider.value == 50.0
    slider.decimals, slider.suffix = 1, " mm"
    assert (slider.decimals, slider.suffix, slider.value) == (1, " mm", 50.0)
    assert values == [(12.3456,), (500.0,), (50.0,)]


def test_slider_widget_without_tracking(qt, ctk):
    slider, changed, changing = ctk.ctkSliderWidget(), Calls(), Calls()
    slider.tracking = False
    slider.valueChanged.connect(changed)
    slider.valueIsChanging.connect(changing)
    handle = slider.findChild(qt.QSlider)
    handle.sliderDown = True
    handle.value = 10
    handle.value = 20
    assert (changing, changed) == ([(10.0,), (20.0,)], [])
    handle.sliderDown = False
    assert changed == [(20.0,)]


def test_double_spin_box(qt, ctk):
    box, numbers, texts = ctk.ctkDoubleSpinBox(), Calls(), Calls()
    box.minimum, box.maximum, box.decimals = float("-inf"), float("inf"), 3
    box.connect("valueChanged(double)", numbers)
    box.connect("valueChanged(QString)", texts)
    box.value = 1234.5
    box.findChild(qt.QDoubleSpinBox).value = 7.25
    assert box.value == 7.25
    assert (numbers, texts) == ([(1234.5,), (7.25,)], [("1234.500",), ("7.250",)])


@pytest.mark.parametrize("name", ["ctkRangeWidget", "ctkDoubleRangeSlider"])
def test_ranges(ctk, name):
    widget, values = getattr(ctk, name)(), Calls()
    widget.connect("valuesChanged(double,double)", values)
    widget.setRange(-10, 10)
    assert (widget.minimumValue, widget.maximumValue) == (0.0, 10.0)
    widget.setValues(8, -3)
    assert (widget.minimumValue, widget.maximumValue) == (-3.0, 8.0)
    widget.minimumValue = 9
    assert (widget.minimumValue, widget.maximumValue) == (9.0, 9.0)
    assert values == [(0.0, 10.0), (-3.0, 8.0), (9.0, 9.0)]


def test_path_line_edit(ctk, tmp_path):
    edit, paths, valid = ctk.ctkPathLineEdit(), Calls(), Calls()
    edit.connect("currentPathChanged(QString)", paths)
    edit.connect("validInputChanged(bool)", valid)
    edit.currentPath = str(tmp_path)
    assert (edit.currentPath, paths) == (str(tmp_path), [(str(tmp_path),)])
    edit.nameFilters = ["Surfaces (*.stl *.3mf)"]
    assert edit.nameFilters == ("Surfaces (*.stl *.3mf)",)
    edit.currentPath = "implant.png"
    edit.currentPath = "implant.stl"
    assert paths[1:] == [("implant.stl",)]
    assert valid[-2:] == [(False,), (True,)]
    edit.settingKey = "test"
    edit.addCurrentPathToHistory()
    assert ctk.ctkPathLineEdit().comboBox().count == 0
    other = ctk.ctkPathLineEdit()
    other.settingKey = "test"
    assert other.comboBox().itemText(0) == "implant.stl"
    edit.filters = ctk.ctkPathLineEdit.Dirs | ctk.ctkPathLineEdit.Writable
    assert edit.filters == 0x21


def test_directory_button(ctk, tmp_path):
    button, changed, selected = ctk.ctkDirectoryButton(), Calls(), Calls()
    button.connect("directoryChanged(QString)", changed)
    button.connect("directorySelected(QString)", selected)
    button.directory = str(tmp_path)
    button.directory = str(tmp_path)
    assert button.directory == str(tmp_path)
    assert (len(changed), len(selected)) == (1, 2)


def test_checkable_push_button(qt, ctk):
    button, toggled = ctk.ctkCheckablePushButton("Auto"), Calls()
    button.connect("checkBoxToggled(bool)", toggled)
    assert (button.text, button.checkable, button.checkState) == ("Auto", False, qt.Qt.Unchecked)
    button.checkState = qt.Qt.Checked
    assert (button.checkable, button.checked, toggled) == (True, False, [(True,)])
    button.checkBoxControlsButtonToggleState = True
    assert button.checked
    button.checked = False
    assert button.checkState == qt.Qt.Unchecked


def test_smaller_ctk_widgets(qt, ctk, host):
    combo_box = ctk.ctkComboBox()
    combo_box.addItem("Best", "prior")
    combo_box.addItem("Network", "ch1-prior")
    combo_box.currentUserDataAsString = "ch1-prior"
    assert (combo_box.currentIndex, combo_box.currentUserDataAsString) == (1, "ch1-prior")

    picker, colors = ctk.ctkColorPickerButton(), Calls()
    picker.connect("colorChanged(QColor)", colors)
    picker.color = qt.QColor("red")
    assert (picker.color, colors) == (qt.QColor("red"), [(qt.QColor("red"),)])

    browser = ctk.ctkFittedTextBrowser()
    browser.plainText = "one line"
    low = browser.heightForWidth(300)
    browser.plainText = "many lines\n" * 10
    assert browser.heightForWidth(300) > 4 * low

    box = ctk.ctkMessageBox()
    box.standardButtons = qt.QMessageBox.Yes | qt.QMessageBox.No
    qt.QTimer.singleShot(0, box.button(qt.QMessageBox.No).click)
    assert box.exec_() == qt.QMessageBox.No


# --- MRML widgets ---------------------------------------------------------------------------------


def volume(name="CT"):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


@pytest.fixture
def selector(host):
    """A selector of volumes without actions, before it has a scene."""
    box = slicer.qMRMLNodeComboBox()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.addEnabled = box.removeEnabled = False
    return box


def test_selector_without_a_scene_is_disabled_and_empty(selector):
    volume()
    assert (selector.currentNode(), selector.nodeCount(), selector.enabled) == (None, 0, False)
    selector.setMRMLScene(slicer.mrmlScene)
    assert (selector.nodeCount(), selector.enabled) == (1, True)
    selector.setMRMLScene(None)
    assert (selector.currentNode(), selector.nodeCount(), selector.enabled) == (None, 0, False)


def test_selector_starts_at_none_or_at_the_first_node(selector):
    first = volume()
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNode() is None
    without_none = slicer.qMRMLNodeComboBox()
    without_none.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    without_none.setMRMLScene(slicer.mrmlScene)
    assert without_none.currentNode() is first


def test_selector_follows_the_scene(selector):
    nodes, ids, valid, added = Calls(), Calls(), Calls(), Calls()
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", nodes)
    selector.connect("currentNodeIDChanged(QString)", ids)
    selector.connect("currentNodeChanged(bool)", valid)
    selector.connect("nodeAdded(vtkMRMLNode*)", added)
    first, second = volume("A"), volume("B")
    assert (selector.nodeCount(), selector.currentNode(), nodes) == (2, None, [])
    assert added == [(first,), (second,)]
    selector.setCurrentNode(second)
    selector.setCurrentNode(second)
    assert (nodes, ids, valid) == ([(second,)], [(second.GetID(),)], [(True,)])
    slicer.mrmlScene.RemoveNode(second)
    assert selector.currentNode() is first  # the row before it, as in Qt's combo box
    slicer.mrmlScene.Clear(False)
    assert (selector.currentNode(), selector.currentNodeID) == (None, "")
    assert (nodes[-1], valid[-1]) == ((None,), (False,))


def test_selector_shows_the_types_asked_for(selector):
    label_map = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    plain = volume()
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.nodeCount() == 2
    selector.showChildNodeTypes = False
    assert [selector.nodeFromIndex(0), selector.nodeCount()] == [plain, 1]
    selector.showChildNodeTypes = True
    selector.hideChildNodeTypes = ["vtkMRMLLabelMapVolumeNode"]
    assert selector.nodeCount() == 1
    selector.nodeTypes = ["vtkMRMLLabelMapVolumeNode", "vtkMRMLModelNode"]
    assert selector.nodeTypes == ("vtkMRMLLabelMapVolumeNode", "vtkMRMLModelNode")
    selector.hideChildNodeTypes = []
    assert selector.nodeFromIndex(0) is label_map


def test_selector_with_attribute(selector):
    matching, other = volume("A"), volume("B")
    matching.SetAttribute("role", "skull")
    selector.addAttribute("vtkMRMLScalarVolumeNode", "role", "skull")
    selector.setMRMLScene(slicer.mrmlScene)
    assert (selector.nodeCount(), selector.nodeFromIndex(0)) == (1, matching)
    other.SetAttribute("role", "skull")
    assert selector.nodeCount() == 2
    selector.removeAttribute("vtkMRMLScalarVolumeNode", "role")
    other.SetAttribute("role", "ct")
    assert selector.nodeCount() == 2


def test_selector_follows_names_and_hiding(qt, selector):
    node = volume("A")
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    selector.setCurrentNodeID(node.GetID())
    node.SetName("B")
    assert selector.findChild(qt.QComboBox).currentText == "B"
    node.SetHideFromEditors(True)
    assert (selector.currentNode(), selector.nodeCount()) == (None, 0)
    selector.showHidden = True
    assert selector.nodeCount() == 1


def test_selector_remembers_a_node_asked_for_before_the_scene(selector):
    volume("A")
    second = volume("B")
    selector.noneEnabled = True
    selector.setCurrentNode(second)
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNode() is second
    selector.setCurrentNodeID("vtkMRMLScalarVolumeNode99")
    assert selector.currentNode() is None


def test_selector_creates_renames_and_deletes(qt, host):
    box, added, by_user = slicer.qMRMLNodeComboBox(), Calls(), Calls()
    box.nodeTypes = ["vtkMRMLModelNode"]
    box.baseName = "Implant"
    box.noneEnabled = True
    box.setMRMLScene(slicer.mrmlScene)
    box.connect("nodeAddedByUser(vtkMRMLNode*)", added)
    box.connect("nodeAddedByUserAction(vtkMRMLNode*)", by_user)
    rows = box.findChild(qt.QComboBox)
    assert [rows.itemText(row) for row in range(rows.count)] == [
        "None",
        "",
        "Create new Model",
        "Delete current Model",
    ]
    node = box.addNode()
    assert (node.GetName(), box.currentNode()) == ("Implant", node)
    assert box.addNode("vtkMRMLScalarVolumeNode") is None
    rows.currentIndex = rows.findText("Create new Model")
    rows.activated.emit(rows.currentIndex)
    assert (box.currentNode().GetName(), len(added), len(by_user)) == ("Implant_1", 2, 1)
    rows.activated.emit(rows.findText("Delete current Model"))
    assert box.currentNode() is node and box.nodeCount() == 1


def test_a_deleted_selector_lets_the_scene_go_on(selector):
    selector.setMRMLScene(slicer.mrmlScene)
    shiboken6.delete(selector)
    assert volume() is not None


def test_checkable_selector(qt, host):
    box, changed = slicer.qMRMLCheckableNodeComboBox(), Calls()
    box.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    box.setMRMLScene(slicer.mrmlScene)
    box.connect("checkedNodesChanged()", changed)
    first, second = volume("A"), volume("B")
    box.check(first)
    assert (box.checkedNodes(), box.uncheckedNodes()) == ((first,), (second,))
    box.setCheckState(second, qt.Qt.Checked)
    assert box.allChecked() and not box.noneChecked() and len(changed) == 2


def segmentation_of_a_cube():
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    node.CreateDefaultDisplayNodes()
    ct = slicer.util.addVolumeFromArray(np.zeros((8, 8, 8), np.int16))
    node.SetReferenceImageGeometryParameterFromVolumeNode(ct)
    mask = np.zeros((8, 8, 8), np.uint8)
    mask[2:6, 2:6, 2:6] = 1
    segment_id = node.GetSegmentation().AddEmptySegment("implant", "Implant")
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, ct)
    return node, segment_id


def test_segment_selector(host):
    widget, segments = slicer.qMRMLSegmentSelectorWidget(), Calls()
    widget.connect("currentSegmentChanged(QString)", segments)
    widget.setMRMLScene(slicer.mrmlScene)
    node, segment_id = segmentation_of_a_cube()
    widget.setCurrentNode(node)
    assert (widget.currentNode(), widget.currentSegmentID()) == (node, segment_id)
    node.GetSegmentation().AddEmptySegment("skull", "Skull")
    assert widget.segmentIDs() == ("implant", "skull")
    widget.setCurrentSegmentID("skull")
    node.GetSegmentation().RemoveSegment("skull")
    assert widget.currentSegmentID() == "implant"
    assert segments == [("implant",), ("skull",), ("implant",)]


def test_show_3d_button(host):
    button = slicer.qMRMLSegmentationShow3DButton()
    assert not button.enabled
    node, _ = segmentation_of_a_cube()
    button.setSegmentationNode(node)
    assert (button.enabled, button.checked) == (True, False)
    button.checked = True
    surface = "Closed surface"
    assert node.GetSegmentation().ContainsRepresentation(surface)
    button.checked = False
    assert not node.GetSegmentation().ContainsRepresentation(surface)


def test_scene_widgets_hand_the_scene_on(host):
    for cls in (slicer.qMRMLWidget, slicer.qMRMLCollapsibleButton):
        widget, scenes = cls(), Calls()
        widget.connect("mrmlSceneChanged(vtkMRMLScene*)", scenes)
        widget.setMRMLScene(slicer.mrmlScene)
        widget.setMRMLScene(slicer.mrmlScene)
        assert scenes == [(slicer.mrmlScene,)]


# --- forms ----------------------------------------------------------------------------------------


@pytest.fixture
def load_form(host, tmp_path):
    def load(*replacements):
        text = FORM
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new, 1)
        path = tmp_path / "panel.ui"
        path.write_text(text, encoding="utf-8")
        return slicer.util.loadUI(str(path))

    return load


def test_form(qt, ctk, load_form):
    panel = load_form()
    ui = slicer.util.childWidgetVariables(panel)
    assert type(panel) is slicer.qMRMLWidget
    assert type(ui.clearanceSlider) is ctk.ctkSliderWidget
    assert type(ui.buttonsLayout) is qt.QHBoxLayout
    assert (ui.clearanceSlider.minimum, ui.clearanceSlider.value) == (-1.0, 0.5)
    assert ui.clearanceSlider.suffix == " mm"
    assert ui.ctSelector.nodeTypes == ("vtkMRMLScalarVolumeNode",)
    assert ui.ctSelector.toolTip == "The head CT"
    assert ui.ctSelector.property("SlicerParameterName") == "ct"
    assert ui.patientCollapsibleButton.contentsFrameShape == qt.QFrame.StyledPanel
    assert isinstance(ui.line, qt.QFrame)
    # PythonQt finds a direct child by its name, not one further down.
    assert panel.patientCollapsibleButton is ui.patientCollapsibleButton
    with pytest.raises(AttributeError):
        _ = panel.ctSelector


def test_only_declared_connections_are_made(load_form):
    volume()
    panel = load_form()
    ui = slicer.util.childWidgetVariables(panel)
    panel.setMRMLScene(slicer.mrmlScene)
    assert ui.ctSelector.nodeCount() == 1
    assert (ui.forgottenSelector.nodeCount(), ui.forgottenSelector.mrmlScene()) == (0, None)
    ui.advancedCheckBox.checked = True
    ui.advancedCheckBox.checked = False
    assert not ui.clearanceSlider.enabled


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('class="ctkSliderWidget" name', 'class="ctkSlideWidget" name', "ctkSlideWidget"),
        ('class="ctkSliderWidget" name', 'class="ctkPushButton" name', "has not got"),
        ('name="suffix"', 'name="sufix"', "sets sufix of clearanceSlider"),
        ('name="suffix"', 'name="popupSlider"', "popupSlider"),
        ("QFrame::StyledPanel", "QFrame::Styled", "QFrame::Styled"),
        ("mrmlSceneChanged(vtkMRMLScene*)", "mrmlSceneChange(vtkMRMLScene*)", "mrmlSceneChange"),
        ("setMRMLScene(vtkMRMLScene*)", "setScene(vtkMRMLScene*)", "setScene"),
        ("setEnabled(bool)", "setEnabled(int)", "setEnabled"),
        ("<receiver>ctSelector", "<receiver>petSelector", "petSelector"),
    ],
)
def test_a_wrong_name_in_a_form_is_an_error(load_form, old, new, message):
    with pytest.raises((RuntimeError, AttributeError), match=message):
        load_form((old, new))
