"""`slicer.parameterNodeWrapper`: the same tests for the stand-in and for Slicer's own files.

With SLICER_BASE_PYTHON set, Slicer's own are tested. What both store in the parameter node is
spelled out, so that scenes can be exchanged.
"""

import enum
import gc
import pathlib
from typing import Annotated, Any, Union

import numpy as np
import pytest
import slicer
import vtk
from slicer import vtkMRMLModelNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode


class Kind(enum.Enum):
    THIN = 1
    THICK = 2


@pytest.fixture
def wrapper(host):
    """The package under test."""
    import slicer.parameterNodeWrapper

    return slicer.parameterNodeWrapper


@pytest.fixture
def node():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def all_types(wrapper):
    @wrapper.parameterNodeWrapper
    class AllTypes:
        volume: vtkMRMLScalarVolumeNode
        either: vtkMRMLScalarVolumeNode | vtkMRMLSegmentationNode | None
        perhaps: Union[vtkMRMLModelNode, None]  # noqa: UP007 - both spellings have to work
        count: int
        length_mm: Annotated[float, wrapper.WithinRange(0, 5)] = 0.5
        flag: bool = True
        name: str = "implant"
        folder: pathlib.Path = pathlib.Path("out")
        kind: Kind = Kind.THICK
        choice: Annotated[str, wrapper.Choice(["a", "b"]), wrapper.Default("b")]
        size: int | None

    return AllTypes


def _stored(node):
    return {name: node.GetParameter(name) for name in node.GetParameterNames()}


def test_defaults_are_stored_as_slicer_stores_them(all_types, node):
    parameters = all_types(node)
    assert parameters.volume is None
    assert parameters.either is None
    assert parameters.perhaps is None
    assert (parameters.count, parameters.length_mm) == (0, 0.5)
    assert (parameters.flag, parameters.name) == (True, "implant")
    assert parameters.folder == pathlib.Path("out")
    assert (parameters.kind, parameters.choice, parameters.size) == (Kind.THICK, "b", None)
    assert _stored(node) == {
        "volume": "",
        "either.2": "True",
        "perhaps.1": "True",
        "count": "0",
        "length_mm": "0.5",
        "flag": "True",
        "name": "implant",
        "folder": "out",
        "kind": "THICK",
        "choice": "b",
        "size.1": "True",
    }


def test_values_are_stored_as_slicer_stores_them(all_types, node):
    parameters = all_types(node)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    parameters.volume = volume
    parameters.either = segmentation
    parameters.count = -3
    parameters.length_mm = 2
    parameters.flag = False
    parameters.folder = pathlib.Path("/a b/c")
    parameters.kind = Kind.THIN
    parameters.size = 7
    stored = _stored(node)
    assert stored["volume"] == ""
    assert node.GetNodeReferenceID("volume") == volume.GetID()
    assert "either.2" not in stored
    assert node.GetNodeReferenceID("either.1") == segmentation.GetID()
    assert (stored["count"], stored["length_mm"], stored["flag"]) == ("-3", "2", "False")
    assert (stored["folder"], stored["kind"]) == ("/a b/c", "THIN")
    assert stored["size.0"] == "7"
    assert "size.1" not in stored
    assert parameters.either is segmentation
    assert parameters.length_mm == 2.0
    assert isinstance(parameters.length_mm, float)


def test_values_in_a_node_are_found_by_a_new_wrapper(all_types, node):
    first = all_types(node)
    first.count = 5
    first.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    second = all_types(node)
    assert second.count == 5
    assert second.volume is first.volume
    node.SetParameter("count", "6")
    assert (first.count, second.count) == (6, 6)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("length_mm", 5.1, ValueError),
        ("length_mm", "2", TypeError),
        ("count", 1.5, TypeError),
        ("count", None, ValueError),
        ("flag", 1, TypeError),
        ("name", 3, TypeError),
        ("folder", "out", TypeError),
        ("kind", "THIN", TypeError),
        ("choice", "c", ValueError),
        ("size", "seven", TypeError),
    ],
)
def test_wrong_values_are_refused_and_change_nothing(all_types, node, name, value, error):
    parameters = all_types(node)
    before = _stored(node)
    with pytest.raises(error):
        setattr(parameters, name, value)
    assert _stored(node) == before


def test_node_of_another_class_is_refused(all_types, node):
    parameters = all_types(node)
    model = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    with pytest.raises(TypeError):
        parameters.volume = model
    with pytest.raises(TypeError):
        parameters.either = model
    assert parameters.volume is None


def test_removed_node_is_forgotten(all_types, node):
    parameters = all_types(node)
    parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.mrmlScene.RemoveNode(parameters.volume)
    assert parameters.volume is None


def test_access_by_name(all_types, node):
    parameters = all_types(node)
    parameters.setValue("count", 4)
    assert parameters.getValue("count") == 4
    assert parameters.isCached("count")
    assert all_types.dataType("count") is int
    assert parameters.default("name").value == "implant"
    assert parameters.parameterNode is node
    for call in (parameters.getValue, parameters.isCached, all_types.dataType, parameters.default):
        with pytest.raises(ValueError, match="length"):
            call("length")


def test_modified_events(all_types, node):
    parameters = all_types(node)
    seen = []
    tag = parameters.AddObserver(
        vtk.vtkCommand.ModifiedEvent, lambda _c, _e: seen.append(parameters.count)
    )
    parameters.count = 1
    assert seen == [1]
    with slicer.util.NodeModify(parameters):
        parameters.count = 2
        parameters.name = "other"
        assert parameters.count == 2
    assert seen == [1, 2]
    parameters.RemoveObserver(tag)
    parameters.count = 3
    assert seen == [1, 2]


def test_wrapper_can_be_observed_with_the_mixin(all_types, node):
    parameters = all_types(node)
    observer = slicer.util.VTKObservationMixin()
    seen = []

    def on_modified(_caller, _event):
        seen.append(parameters.count)

    observer.addObserver(parameters, vtk.vtkCommand.ModifiedEvent, on_modified)
    parameters.count = 1
    observer.removeObserver(parameters, vtk.vtkCommand.ModifiedEvent, on_modified)
    parameters.count = 2
    assert seen == [1]


def test_wrapper_leaves_no_observers_behind(wrapper):
    @wrapper.parameterNodeWrapper
    class Size:
        width: int

    node = slicer.vtkMRMLScriptedModuleNode()
    parameters = Size(node)
    assert node.HasObserver(vtk.vtkCommand.ModifiedEvent)
    del parameters
    gc.collect()
    assert not node.HasObserver(vtk.vtkCommand.ModifiedEvent)


def test_union_of_nodes_needs_none(wrapper, node):
    @wrapper.parameterNodeWrapper
    class Either:
        either: vtkMRMLScalarVolumeNode | vtkMRMLSegmentationNode

    with pytest.raises(TypeError, match="None"):
        Either(node)


def test_prefix_keeps_two_sets_apart(wrapper, node):
    @wrapper.parameterNodeWrapper
    class Size:
        width: int = 3

    upper, lower = Size(node, prefix="upper"), Size(node, prefix="lower")
    upper.width = 5
    assert (upper.width, lower.width) == (5, 3)
    assert _stored(node) == {"upperwidth": "5", "lowerwidth": "3"}


def test_own_validator(wrapper, node):
    class Even(wrapper.Validator):
        def validate(self, value):
            if value % 2:
                raise ValueError("odd")

    @wrapper.parameterNodeWrapper
    class Numbers:
        even: Annotated[int, Even()]
        at_least: Annotated[int, wrapper.Minimum(2), wrapper.Default(generator=lambda: 4)]
        not_five: Annotated[int, wrapper.Exclude([5]), wrapper.Maximum(9)] = 1

    numbers = Numbers(node)
    assert numbers.at_least == 4
    for name, value in (("even", 3), ("at_least", 1), ("not_five", 5), ("not_five", 10)):
        with pytest.raises(ValueError):
            setattr(numbers, name, value)


def test_reserved_names_are_refused(wrapper):
    with pytest.raises(ValueError, match="reserved name"):

        @wrapper.parameterNodeWrapper
        class Reserved:
            default: int


def test_wrapper_survives_a_bundle(all_types, node, tmp_path):
    parameters = all_types(node)
    node.SetName("parameters")
    parameters.volume = slicer.util.addVolumeFromArray(np.zeros((2, 3, 4), np.int16), name="ct")
    parameters.length_mm = 1.25
    parameters.kind = Kind.THIN
    parameters.folder = pathlib.Path("/a b/ü")
    slicer.util.saveScene(str(tmp_path / "scene.mrb"), {})
    del parameters
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"), {})
    loaded = all_types(slicer.util.getNode("parameters"))
    assert loaded.volume.GetName() == "ct"
    assert (loaded.length_mm, loaded.kind) == (1.25, Kind.THIN)
    assert loaded.folder == pathlib.Path("/a b/ü")
    assert loaded.either is None


# Stand-in only


@pytest.mark.parametrize(
    "type_", [list[int], tuple[int, str], dict[str, int], Any, complex, object]
)
def test_unsupported_types_are_refused_by_the_stand_in(host, wrapper, type_):
    if host.base_python is not None:
        pytest.skip("Slicer's own wrapper knows more types")
    namespace = {"__annotations__": {"value": type_}}
    with pytest.raises(TypeError, match="not supported"):
        wrapper.parameterNodeWrapper(type("Unsupported", (), namespace))


def test_annotation_without_effect_is_refused_by_the_stand_in(host, wrapper):
    if host.base_python is not None:
        pytest.skip("Slicer's own wrapper logs a warning")
    namespace = {"__annotations__": {"value": Annotated[int, "a note"]}}
    with pytest.raises(TypeError, match="Annotation 'a note' is not supported"):
        wrapper.parameterNodeWrapper(type("Noted", (), namespace))


# Connected to widgets
