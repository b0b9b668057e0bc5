"""A design whose skull is refined first: its masks lie on the finer grid, the rest knows both."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SkullImplantLib import export, models
from SkullImplantLib.cases.sample import SampleOptions, SamplePatient, make_sample_patient
from SkullImplantLib.cli.main import build_parser, main
from SkullImplantLib.core import resources
from SkullImplantLib.core.finer_grid import finer_grid
from SkullImplantLib.core.images import array_of, image_like, same_grid, write_image
from SkullImplantLib.design import design_implant
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.evaluation.metrics import evaluate_implant
from SkullImplantLib.networks import weights
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.superres import FEATURES, TASK
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.input import Input

TO_MM, SLICES_MM = 2.5, 5.0
QUIET = ["--progress", "none"]
MASKS = ("skull", "completed", "implant")


def interpolating(name: str = "superres") -> weights.Weights:
    """Weights of a small network that corrects nothing and keeps everything."""
    configuration = Configuration((2, 3, 4), in_channels=FEATURES, skip="add")
    network = SparseAutoEncoder(**asdict(configuration), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for decode, said in zip(network.decoder, (4.0, 0.0), strict=True):
            decode["classify"].kernel.zero_()  # type: ignore[index]
            decode["classify"].bias.fill_(said)  # type: ignore[index]
    return weights.Weights(configuration, network.state_dict(), {"task": TASK}, "0" * 64)


@pytest.fixture(scope="module")
def patient_in_thick_slices() -> SamplePatient:
    return make_sample_patient(0, SampleOptions(spacing_mm=(TO_MM, TO_MM, SLICES_MM)))


def cube_far_from(implant: sitk.Image, skull: sitk.Image) -> sitk.Image:
    """A mask of 8 voxels each way and 4 slices around the bone that lies farthest from the hole."""
    bone, missing = (np.argwhere(array_of(mask)) for mask in (skull, implant))
    z, y, x = bone[np.linalg.norm((bone - missing.mean(axis=0)) * (2, 1, 1), axis=1).argmax()]
    cube = np.zeros(array_of(skull).shape, bool)
    cube[max(z - 2, 0) : z + 2, max(y - 4, 0) : y + 4, max(x - 4, 0) : x + 4] = True
    return image_like(cube, skull)


@pytest.fixture(scope="module")
def designed(
    patient_in_thick_slices: SamplePatient, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with a CT, what is left out of it, and the refined design as it is on disk."""
    folder, patient = tmp_path_factory.mktemp("refined"), patient_in_thick_slices
    write_image(patient.ct, folder / "ct.nrrd")
    write_image(cube_far_from(patient.implant, patient.defective), folder / "out.nrrd")
    command = ["design", str(folder / "ct.nrrd"), "-o", str(folder / "result"), "--no-report"]
    command += ["--leave-out", str(folder / "out.nrrd"), "--refine-mm", f"{TO_MM:g}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "shipped_beside", interpolating)
        assert main([*command, "--model", "prior", *QUIET]) == 0
    return folder


@pytest.fixture
def result(designed: Path, tmp_path: Path) -> Path:
    """A copy of the design, to be changed."""
    return Path(shutil.copytree(designed / "result", tmp_path / "result"))


def masks_of(result: Path) -> list[sitk.Image]:
    return [sitk.ReadImage(str(result / f"{name}.nrrd")) for name in MASKS]


def test_all_masks_lie_on_the_finer_grid_and_it_is_told(
    designed: Path, patient_in_thick_slices: SamplePatient
) -> None:
    ct = patient_in_thick_slices.ct
    grid = finer_grid(ct, TO_MM)
    assert grid.GetSpacing() == (TO_MM,) * 3
    assert all(same_grid(mask, grid) for mask in masks_of(designed / "result"))
    told = json.loads((designed / "result" / "design.json").read_text())
    schema = json.loads((Path(export.__file__).parent / "design.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(told)
    assert told["parameters"]["refine_mm"] == TO_MM
    assert told["parameters"]["bone_threshold_hu"] > 0.0
    assert told["input"]["size_xyz"] == list(ct.GetSize())
    assert told["input"]["spacing_mm_xyz"] == [TO_MM, TO_MM, SLICES_MM]
    assert [stage["name"] for stage in told["stages"]][:3] == ["skull", "super-resolution", "pose"]
    (note,) = (note for note in told["notes"] if "Super-resolution" in note)
    assert "on a grid of 2.5 x 2.5 x 2.5 mm, and not on the input's" in note
    assert "(weights " in note


def test_the_implant_is_the_missing_piece_and_its_rim_keeps_clear(
    designed: Path, patient_in_thick_slices: SamplePatient
) -> None:
    skull, _, implant = masks_of(designed / "result")
    at = [sitk.sitkNearestNeighbor, 0, sitk.sitkUInt8]
    truth, defective = (
        sitk.Resample(mask, skull, sitk.Transform(), *at)
        for mask in (patient_in_thick_slices.implant, patient_in_thick_slices.defective)
    )
    assert evaluate_implant(implant, truth, defective).dice > 0.75
    told = json.loads((designed / "result" / "design.json").read_text())
    checks = {check["name"]: check for check in told["checks"]}
    # Partial volume at the bone's border is no loose bone, though it is no part of the finer mask.
    assert checks["loose bone"]["passed"] and checks["rim gap median"]["passed"]


def test_bone_is_left_out_before_the_skull_is_refined(designed: Path) -> None:
    skull = masks_of(designed / "result")[0]
    cube = sitk.ReadImage(str(designed / "out.nrrd"))
    within = sitk.BinaryErode(cube, [1, 1, 1])
    inside = sitk.Resample(within, skull, sitk.Transform(), sitk.sitkNearestNeighbor)
    assert array_of(inside).any() and not (array_of(inside) & array_of(skull)).any()
    told = json.loads((designed / "result" / "design.json").read_text())
    assert told["parameters"]["leave_out"]["volume_cm3"] > 0.0


def test_it_is_updated_and_reported_with_its_ct(designed: Path, result: Path) -> None:
    before = json.loads((result / "design.json").read_text())
    grid = masks_of(result)[0]
    ct = ["--input", str(designed / "ct.nrrd")]
    assert main(["update", str(result), "-o", str(result), "--no-report", *ct, *QUIET]) == 0
    after = json.loads((result / "design.json").read_text())
    assert all(same_grid(mask, grid) for mask in masks_of(result))
    assert after["edited"] and after["input"] == before["input"]
    assert after["parameters"] == before["parameters"]
    volume_cm3 = before["implant"]["volume_cm3"]
    assert after["implant"]["volume_cm3"] == pytest.approx(volume_cm3, rel=0.15)
    assert main(["report", str(result), *ct, *QUIET]) == 0
    assert "Skull refined to voxels of" in (result / "report.html").read_text()


def test_another_ct_does_not_belong_to_it(
    designed: Path, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ct = sitk.ReadImage(str(designed / "ct.nrrd"))
    for name, other in (("cut", ct[:, :, 1:]), ("fine", sitk.Resample(ct, masks_of(result)[0]))):
        write_image(other, tmp_path / f"{name}.nrrd")
    # One that lies on the masks' own grid is taken, whatever they were made of.
    for name, code in (("cut", 2), ("fine", 0)):
        command = ["report", str(result), "--input", str(tmp_path / f"{name}.nrrd")]
        assert main([*command, "-o", str(tmp_path / name), *QUIET]) == code
    assert "The CT does not lie on the grid" in capsys.readouterr().err


def refused(mask: sitk.Image, refine_mm: float) -> SkullImplantError:
    """What is said of a design that cannot be refined, before any stage of it."""
    stages: list[str] = []
    options = DesignOptions(refine_mm=refine_mm, model=models.PRIOR)
    with pytest.raises(SkullImplantError) as raised:
        design_implant(
            Input(mask, "skull", "", "a mask"), options, lambda stage, *_: stages.append(stage)
        )
    assert stages == [] and "\n" not in str(raised.value)
    return raised.value


def test_what_cannot_be_refined_is_said_before_long_work(
    patient_in_thick_slices: SamplePatient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = patient_in_thick_slices.defective
    fine = sitk.Image(8, 8, 8, sitk.sitkUInt8)
    error = refused(fine, 1.0)
    assert "no coarser than 1 mm" in str(error) and error.remedy is Remedy.LEAVE_COARSE
    monkeypatch.setattr(resources, "RESOURCES", tmp_path)
    error = refused(mask, 1.0)
    assert "no weight file superres.npz" in str(error) and error.remedy is Remedy.LEAVE_COARSE
    monkeypatch.setattr(models, "torch_version", lambda: None)
    error = refused(mask, 1.0)
    assert "Super-resolution needs PyTorch" in str(error) and error.remedy is Remedy.LEAVE_COARSE


def test_nothing_is_refined_unless_it_is_asked_for() -> None:
    parser = build_parser()
    assert parser.parse_args(["design", "ct", "-o", "out"]).refine_mm is None
    assert parser.parse_args(["design", "ct", "-o", "out", "--refine-mm", "0.5"]).refine_mm == 0.5
    assert DesignOptions().refine_mm is None
