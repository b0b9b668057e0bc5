"""A result on a finer grid than its CT: it lies in the scene, and is updated, on its own grid."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from kept_folders import made_once
from SkullImplantLib.core.finer_grid import finer_grid
from SkullImplantLib.core.images import same_grid, write_image

TO_MM = 2.0
MASKS = {"skull.nrrd": ["Skull"], "completed.nrrd": ["CompletedSkull"], "implant.nrrd": ["Implant"]}


@pytest.fixture(scope="session")
def refined_result(small_ct_file: Path, small_result: Path, tmp_path_factory) -> Path:
    """The result of the small CT as if its skull had been refined, without a network."""

    def make(folder: Path) -> None:
        grid = finer_grid(sitk.ReadImage(str(small_ct_file)), TO_MM)
        for name in MASKS:
            mask = sitk.ReadImage(str(small_result / name))
            nearest = (sitk.Transform(), sitk.sitkNearestNeighbor)
            write_image(sitk.Resample(mask, grid, *nearest), folder / name)
        shutil.copy(small_result / "implant.stl", folder)
        told = json.loads((small_result / "design.json").read_text())
        told["parameters"]["refine_mm"] = TO_MM
        (folder / "design.json").write_text(json.dumps(told))

    return made_once(tmp_path_factory, "refined", make)


def in_scene(segmentation, ids: list[str]) -> sitk.Image:
    """Segments as they leave the scene, on the grid that the segmentation has."""
    from SkullImplantPanel import inputs

    return inputs.inLps(inputs.snapshotOfSegments(segmentation, ids).image())


def test_its_masks_leave_the_scene_as_they_came(module, small_ct, refined_result):
    from SkullImplantPanel import results

    nodes = results.addResults(results.readResults(refined_result), small_ct)
    for name, ids in MASKS.items():
        file, found = sitk.ReadImage(str(refined_result / name)), in_scene(nodes.segmentation, ids)
        assert same_grid(found, file) and max(file.GetSpacing()) == TO_MM
        assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(file)), name
    assert results.inputOfResult(nodes.segmentation) is small_ct


def test_an_update_stays_on_its_grid(module, scene, small_ct, refined_result):
    from SkullImplantPanel import results

    logic = module.SkullImplantLogic()
    parameters = logic.getParameterNode()
    parameters.inputVolume = small_ct
    nodes = results.addResults(results.readResults(refined_result), small_ct)
    parameters.resultSegmentation = nodes.segmentation
    outcomes = []
    logic.startUpdate(parameters, outcomes.append)
    logic.wait()
    (outcome,) = outcomes
    assert outcome.state == "done", outcome.message
    nodes = logic.resultNodes(parameters)
    design = results.designOf(nodes)
    assert design["edited"] and design["parameters"]["refine_mm"] == TO_MM
    assert design["input"]["size_xyz"] == list(small_ct.GetImageData().GetDimensions())
    file = sitk.ReadImage(str(refined_result / "implant.nrrd"))
    assert same_grid(in_scene(nodes.segmentation, ["Implant"]), file)
