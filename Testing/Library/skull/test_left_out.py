"""Bone that is marked to be left out counts as removed: from the skull, and from the design."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.checksums import sha256_of
from SkullImplantLib.core.images import array_of, image_like, resample, write_image
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.skull.left_out import LeftOut, leave_out

QUIET = ["--progress", "none", "--json", "--no-report"]


@pytest.fixture(scope="module")
def remnant(patient: SamplePatient) -> sitk.Image:
    """The upper part of the bone flap, which still hangs on the rim and is to be resected."""
    flap = array_of(patient.implant) > 0
    upper = np.arange(len(flap)) > np.argwhere(flap)[:, 0].mean() + 10
    return image_like(flap & upper[:, None, None], patient.implant)


def region_around(mask: sitk.Image, spared: sitk.Image) -> sitk.Image:
    """A region as one draws it: generous but for the bone that is spared, on a grid of its own."""
    region = sitk.And(sitk.BinaryDilate(mask, [4, 4, 4]), spared == 0)
    grid = sitk.Image([220, 220, 160], sitk.sitkUInt8)
    grid.SetSpacing([0.5, 0.5, 0.7])
    rotation = np.reshape(sitk.VersorTransform([0.1, 0.4, 0.2], 0.5).GetMatrix(), (3, 3))
    grid.SetDirection(rotation.ravel().tolist())
    z, y, x = np.argwhere(array_of(mask)).mean(axis=0)
    middle = mask.TransformContinuousIndexToPhysicalPoint([float(x), float(y), float(z)])
    half = rotation @ (np.array(grid.GetSpacing()) * grid.GetSize() / 2.0)
    grid.SetOrigin((np.array(middle) - half).tolist())
    return resample(region, grid, sitk.sitkNearestNeighbor)


@pytest.mark.slow
def test_bone_left_out_is_as_if_it_were_not_there(
    patient: SamplePatient,
    remnant: sitk.Image,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = {
        "skull": sitk.Or(patient.defective, remnant),
        "clear": patient.defective,
        "out": region_around(remnant, patient.defective),
    }
    for name, image in images.items():
        write_image(image, tmp_path / f"{name}.nrrd")
    made = {}
    for name, more in (("skull", ["--leave-out", str(tmp_path / "out.nrrd")]), ("clear", [])):
        arguments = ["design", str(tmp_path / f"{name}.nrrd"), "-o", str(tmp_path / name)]
        assert main([*arguments, *more, *QUIET]) == 0
        made[name] = json.loads(capsys.readouterr().out)
    left = made["skull"]["parameters"]["leave_out"]
    assert left["sha256"] == sha256_of(tmp_path / "out.nrrd")
    remnant_cm3 = array_of(remnant).sum() * np.prod(remnant.GetSpacing()) / 1000.0
    # The two grids differ, so that a voxel's part at the rim goes or stays.
    assert left["volume_cm3"] == pytest.approx(remnant_cm3, rel=0.1)
    note = f"{left['volume_cm3']:.1f} cm³ of bone were left out of the skull as you marked it."
    assert note in made["skull"]["notes"]
    assert made["clear"]["parameters"]["leave_out"] is None
    one, other = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / name / "implant.nrrd"))) > 0
        for name in made
    )
    dice = 2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other))
    assert dice > 0.95


def test_what_cannot_be_left_out_is_one_sentence(patient: SamplePatient) -> None:
    skull = patient.defective
    nothing = image_like(np.zeros(skull.GetSize()[::-1], np.uint8), skull)
    everything = image_like(np.ones(skull.GetSize()[::-1], np.uint8), skull)
    elsewhere = sitk.Image(everything)
    elsewhere.SetOrigin([5000.0, 0.0, 0.0])
    for region, said in (
        (nothing, "is empty"),
        (elsewhere, "does not lie in the image"),
        (everything, "holds the whole skull"),
    ):
        with pytest.raises(SkullImplantError, match=said):
            leave_out(skull, LeftOut(region))


def test_a_region_without_bone_changes_nothing(patient: SamplePatient) -> None:
    skull = patient.defective
    corner = np.zeros(skull.GetSize()[::-1], np.uint8)
    corner[:3, :3, :3] = 1
    rest, volume_cm3 = leave_out(skull, LeftOut(image_like(corner, skull)))
    assert volume_cm3 == 0.0
    np.testing.assert_array_equal(array_of(rest), array_of(skull))


def test_a_missing_region_is_named(
    patient: SamplePatient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(patient.defective, tmp_path / "skull.nrrd")
    arguments = ["design", str(tmp_path / "skull.nrrd"), "-o", str(tmp_path / "output")]
    assert main([*arguments, "--leave-out", str(tmp_path / "none.nrrd"), *QUIET]) == 2
    assert "none.nrrd does not exist" in json.loads(capsys.readouterr().out)["error"]
    assert not (tmp_path / "output").exists()
