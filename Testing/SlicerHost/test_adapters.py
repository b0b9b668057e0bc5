"""CTK and MRML widgets and Designer forms: what they do, and what they refuse as Slicer would."""

from pathlib import Path

import numpy as np
import pytest
import shiboken6
import slicer
import slicer.util

from recorded_calls import Calls
from slicer_host.ctk_widgets import install_ctk
from slicer_host.pythonqt import install_qt

qt, ctk = install_qt(), install_ctk()
FORM = (Path(__file__).parent / "fixtures" / "panel.ui").read_text(encoding="utf-8")


# --- CTK ------------------------------------------------------------------------------------------


def test_real_names_that_are_missing_and_names_that_are_not_real():
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


def test_collapsible_button(host):
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


def test_slider_widget_keeps_the_value_and_its_range():
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


def test_slider_widget_without_tracking():
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


def test_double_spin_box():
    box, numbers, texts = ctk.ctkDoubleSpinBox(), Calls(), Calls()
    box.minimum, box.maximum, box.decimals = float("-inf"), float("inf"), 3
    box.connect("valueChanged(double)", numbers)
    box.connect("valueChanged(QString)", texts)
    box.value = 1234.5
    box.findChild(qt.QDoubleSpinBox).value = 7.25
    assert box.value == 7.25
    assert (numbers, texts) == ([(1234.5,), (7.25,)], [("1234.500",), ("7.250",)])


@pytest.mark.parametrize("name", ["ctkRangeWidget", "ctkDoubleRangeSlider"])
def test_ranges(name):
    widget, values = getattr(ctk, name)(), Calls()
    widget.connect("valuesChanged(double,double)", values)
    widget.setRange(-10, 10)
    assert (widget.minimumValue, widget.maximumValue) == (0.0, 10.0)
    widget.setValues(8, -3)
    assert (widget.minimumValue, widget.maximumValue) == (-3.0, 8.0)
    widget.minimumValue = 9
    assert (widget.minimumValue, widget.maximumValue) == (9.0, 9.0)
    assert values == [(0.0, 10.0), (-3.0, 8.0), (9.0, 9.0)]


def test_path_line_edit(tmp_path):
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


def test_directory_button(tmp_path):
    button, changed, selected = ctk.ctkDirectoryButton(), Calls(), Calls()
    button.connect("directoryChanged(QString)", changed)
    button.connect("directorySelected(QString)", selected)
    button.directory = str(tmp_path)
    button.directory = str(tmp_path)
    assert button.directory == str(tmp_path)
    assert (len(changed), len(selected)) == (1, 2)


def test_checkable_push_button():
    button, toggled = ctk.ctkCheckablePushButton("Auto"), Calls()
    button.connect("checkBoxToggled(bool)", toggled)
    assert (button.text, button.checkable, button.checkState) == ("Auto", False, qt.Qt.Unchecked)
    button.checkState = qt.Qt.Checked
    assert (button.checkable, button.checked, toggled) == (True, False, [(True,)])
    button.checkBoxControlsButtonToggleState = True
    assert button.checked
    button.checked = False
    assert button.checkState == qt.Qt.Unchecked


def test_smaller_ctk_widgets(host):
    combo_box = ctk.ctkComboBox()
    combo_box.addItem("Best", "prior")
    combo_box.addItem("Network", "fine")
    combo_box.currentUserDataAsString = "fine"
    assert (combo_box.currentIndex, combo_box.currentUserDataAsString) == (1, "fine")

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


def test_selector_follows_names_and_hiding(selector):
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


def test_selector_creates_renames_and_deletes(host):
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


def test_checkable_selector(host):
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


def test_form(load_form):
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
