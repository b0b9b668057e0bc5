"""MRML widgets: what they do on the real scene, and what they refuse as Slicer would."""

import pytest
import shiboken6
import slicer
import slicer.util

from recorded_calls import Calls
from slicer_host.ctk_widgets import install_ctk
from slicer_host.pythonqt import install_qt

qt, ctk = install_qt(), install_ctk()


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


def test_a_scene_widget_hands_the_scene_on(host):
    widget, scenes = slicer.qMRMLWidget(), Calls()
    widget.connect("mrmlSceneChanged(vtkMRMLScene*)", scenes)
    widget.setMRMLScene(slicer.mrmlScene)
    widget.setMRMLScene(slicer.mrmlScene)
    assert scenes == [(slicer.mrmlScene,)]
