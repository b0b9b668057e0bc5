"""`slicer.parameterNodeWrapper` and widgets: each shows and changes its parameter.

With SLICER_BASE_PYTHON set, Slicer's own files are tested, else the stand-in.
"""

import enum
import logging
import pathlib
from typing import Annotated

import pytest
import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode


class Kind(enum.Enum):
    THIN = 1
    THICK = 2


class LabelledKind(enum.Enum):
    THIN = 1
    THICK = 2

    def label(self):
        return f"{self.name.lower()} one"


@pytest.fixture
def wrapper(host):
    """The package under test."""
    import slicer.parameterNodeWrapper

    return slicer.parameterNodeWrapper


@pytest.fixture
def node():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


def _marked(widget, name):
    widget.setProperty("SlicerParameterName", name)
    return widget


@pytest.fixture
def panel(host):
    """A widget with one child for each kind of parameter, and the children by name."""
    import ctk
    import qt

    root = slicer.qMRMLWidget()
    root.setLayout(qt.QVBoxLayout())
    children = {
        "flag": qt.QCheckBox(),
        "toggle": qt.QPushButton(),
        "checkable": ctk.ctkCheckablePushButton(),
        "count": qt.QSpinBox(),
        "steps": qt.QSlider(),
        "length_mm": ctk.ctkSliderWidget(),
        "weight": qt.QDoubleSpinBox(),
        "gap_mm": ctk.ctkDoubleSpinBox(),
        "choice": qt.QComboBox(),
        "kind": qt.QComboBox(),
        "labelled": qt.QComboBox(),
        "name": qt.QLineEdit(),
        "note": qt.QTextEdit(),
        "title": qt.QLabel(),
        "file": ctk.ctkPathLineEdit(),
        "folder": ctk.ctkDirectoryButton(),
        "volume": slicer.qMRMLNodeComboBox(),
        "either": slicer.qMRMLNodeComboBox(),
    }
    children["toggle"].checkable = True
    children["checkable"].checkable = True
    for name, child in children.items():
        root.layout().addWidget(_marked(child, name))
        if name in ("volume", "either"):
            child.noneEnabled = True
            child.setMRMLScene(slicer.mrmlScene)
    return root, children


@pytest.fixture
def shown(wrapper):
    @wrapper.parameterNodeWrapper
    class Shown:
        flag: bool
        toggle: bool
        checkable: bool
        count: Annotated[int, wrapper.WithinRange(-5, 20)] = 3
        steps: Annotated[int, wrapper.WithinRange(0, 8)] = 2
        length_mm: Annotated[
            float, wrapper.WithinRange(0, 5), wrapper.Decimals(3), wrapper.SingleStep(0.125)
        ] = 0.5
        weight: Annotated[float, wrapper.Minimum(1), wrapper.Maximum(9)] = 2
        gap_mm: Annotated[float, wrapper.WithinRange(-1, 1)]
        choice: Annotated[str, wrapper.Choice(["prior", "network"])] = "network"
        kind: Kind = Kind.THICK
        labelled: LabelledKind = LabelledKind.THICK
        name: str = "skull"
        note: str = "line"
        title: str = "head"
        file: pathlib.Path = pathlib.Path("/data/head.nrrd")
        folder: pathlib.Path = pathlib.Path("/")
        volume: vtkMRMLScalarVolumeNode
        either: vtkMRMLScalarVolumeNode | vtkMRMLSegmentationNode | None

    return Shown


def test_panel_shows_the_values_and_takes_the_ranges(panel, shown, node):
    root, children = panel
    parameters = shown(node)
    parameters.connectGui(root)
    assert (children["count"].value, children["steps"].value) == (3, 2)
    assert (children["count"].minimum, children["count"].maximum) == (-5, 20)
    length = children["length_mm"]
    assert (length.value, length.minimum, length.maximum) == (0.5, 0, 5)
    assert (length.decimals, length.singleStep) == (3, 0.125)
    assert (children["weight"].minimum, children["weight"].maximum) == (1, 9)
    assert [children["choice"].itemText(i) for i in range(2)] == ["prior", "network"]
    assert children["choice"].currentText == "network"
    assert children["kind"].currentText == "THICK"
    assert children["labelled"].currentText == "thick one"
    assert (children["name"].text, children["title"].text) == ("skull", "head")
    assert children["note"].toPlainText() == "line"
    assert children["file"].currentPath == "/data/head.nrrd"
    assert children["folder"].directory == "/"
    assert tuple(children["volume"].nodeTypes) == ("vtkMRMLScalarVolumeNode",)
    assert children["volume"].currentNode() is None
    parameters.disconnectGui(0)


def test_panel_follows_the_parameters_and_the_other_way_round(panel, shown, node):
    root, children = panel
    parameters = shown(node)
    tag = parameters.connectGui(root)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")

    parameters.flag = True
    parameters.length_mm = 2.5
    parameters.kind = Kind.THIN
    parameters.name = "other"
    parameters.volume = volume
    assert children["flag"].checked
    assert children["length_mm"].value == 2.5
    assert children["kind"].currentText == "THIN"
    assert children["name"].text == "other"
    assert children["volume"].currentNode() is volume

    children["flag"].click()
    children["toggle"].click()
    children["checkable"].click()
    children["count"].value = 7
    children["steps"].value = 8
    children["length_mm"].value = 4.25
    children["weight"].value = 8.5
    children["gap_mm"].value = -0.25
    children["choice"].currentIndex = 0
    children["labelled"].currentIndex = 0
    children["name"].text = "typed"
    children["note"].setPlainText("two\nlines")
    children["file"].currentPath = "/data/other.nrrd"
    children["folder"].directory = "/usr"
    children["volume"].setCurrentNode(None)
    children["either"].setCurrentNode(segmentation)
    assert (parameters.flag, parameters.toggle, parameters.checkable) == (False, True, True)
    assert (parameters.count, parameters.steps) == (7, 8)
    assert (parameters.length_mm, parameters.weight, parameters.gap_mm) == (4.25, 8.5, -0.25)
    assert (parameters.choice, parameters.labelled) == ("prior", LabelledKind.THIN)
    assert (parameters.name, parameters.note) == ("typed", "two\nlines")
    assert parameters.file == pathlib.Path("/data/other.nrrd")
    assert parameters.folder == pathlib.Path("/usr")
    assert parameters.volume is None
    assert parameters.either is segmentation

    parameters.disconnectGui(tag)
    children["count"].value = 1
    parameters.length_mm = 1
    assert parameters.count == 7
    assert children["length_mm"].value == 4.25


def test_connect_to_child_widget_variables(panel, shown, node):
    root, children = panel
    for name, child in children.items():
        child.name = name
    ui = slicer.util.childWidgetVariables(root)
    parameters = shown(node)
    tag = parameters.connectGui(ui)
    ui.count.value = 9
    assert parameters.count == 9
    parameters.disconnectGui(tag)


def test_connect_named_widgets(shown, node):
    import qt

    box = qt.QSpinBox()
    parameters = shown(node)
    tag = parameters.connectParametersToGui({"count": box})
    box.value = 11
    assert parameters.count == 11
    parameters.disconnectGui(tag)
    with pytest.raises(ValueError, match="nothing"):
        parameters.connectParametersToGui({"nothing": box})


def test_push_button_is_made_checkable_with_a_warning(shown, node, caplog):
    import qt

    button = qt.QPushButton()
    parameters = shown(node)
    with caplog.at_level(logging.WARNING):
        tag = parameters.connectParametersToGui({"toggle": button})
    assert button.checkable
    assert "checkable" in caplog.text
    parameters.disconnectGui(tag)


def test_widgets_that_cannot_show_a_parameter_are_refused(wrapper, node):
    import ctk
    import qt

    @wrapper.parameterNodeWrapper
    class Unbounded:
        length_mm: float
        count: int
        name: str

    parameters = Unbounded(node)
    for name, widget in (
        ("length_mm", ctk.ctkSliderWidget()),  # no bounds
        ("count", qt.QSlider()),
        ("name", qt.QComboBox()),  # no Choice
        ("name", qt.QCheckBox()),
        ("name", qt.QPlainTextEdit()),
    ):
        with pytest.raises(RuntimeError):
            parameters.connectParametersToGui({name: widget})


def test_unbounded_numbers_take_any_value(wrapper, node):
    import qt

    @wrapper.parameterNodeWrapper
    class Unbounded:
        length_mm: float
        count: int

    parameters = Unbounded(node)
    length, count = qt.QDoubleSpinBox(), qt.QSpinBox()
    tag = parameters.connectParametersToGui({"length_mm": length, "count": count})
    length.value, count.value = -1234.5, -(2**31)
    assert (parameters.length_mm, parameters.count) == (-1234.5, -(2**31))
    parameters.disconnectGui(tag)


def test_widget_of_a_parameter_is_found(wrapper, panel):
    root, children = panel
    assert wrapper.findChildWidgetForParameter(root, "count") is children["count"]
    assert wrapper.findChildWidgetForParameter(root, "length_mm") is children["length_mm"]
