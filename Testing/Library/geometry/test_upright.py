"""Which way a head lies: told of real skulls, with holes and cut off, however they are turned."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from SkullImplantLib.cases.defects import make_defect
from SkullImplantLib.core.axes import axes_of, rename_axes
from SkullImplantLib.core.images import array_of, image_like
from SkullImplantLib.core.working_axes import on_working_axes
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.geometry.mean_skull import shipped_mean_skull
from SkullImplantLib.geometry.orientation import axis_rotations, find_lie, turn_deg
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.geometry.upright import require_upright
from SkullImplantLib.reading import read_input
from SkullImplantLib.skull.segmentation import bright_in

UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0])
HEADS = ["brainweb-49", "unc-cthead-ct", "visible-human-female-ct"]  # none in the mean skull


@cache
def bright_of(path: Path) -> sitk.Image:
    """What is bright in a file, on a grid of about 2 mm."""
    source = read_input(path)
    bright = bright_in(source.image, source.kind)
    step = [max(1, round(1.9 / s)) for s in bright.GetSpacing()]
    return bright[:: step[0], :: step[1], :: step[2]]


def turned(image: sitk.Image, rotation: np.ndarray) -> sitk.Image:
    """The image turned about its middle, by its header alone."""
    middle = [(n - 1) / 2 for n in image.GetSize()]
    place = np.array(image.TransformContinuousIndexToPhysicalPoint(middle))
    to = sitk.Image(image)
    to.SetDirection((rotation @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    to.SetOrigin((place - rotation @ (place - np.array(image.GetOrigin()))).tolist())
    return to


@pytest.mark.parametrize("name", HEADS)
def test_a_real_head_is_upright_and_no_other_way(shared_data: Path, name: str) -> None:
    bright = bright_of(shared_data / "test" / f"{name}.nii.gz")
    mean = shipped_mean_skull()
    assert require_upright(bright, mean) == ()
    rotations = np.random.default_rng(len(name)).permutation(axis_rotations())
    for rotation in [r for r in rotations if turn_deg(r) > 1.0][:3]:
        with pytest.raises(SkullImplantError, match="The head seems to"):
            require_upright(turned(bright, rotation), mean)


def test_a_large_low_frontal_hole_does_not_turn_a_head_round(shared_data: Path) -> None:
    skull = bright_of(shared_data / "test" / "brainweb-49.nii.gz")
    pose = estimate_pose(skull, shipped_population())
    rng = np.random.default_rng(1)
    hole = make_defect(skull, "frontoorbital", rng, pose=pose, area_cm2=110.0)
    require_upright(hole.defective, shipped_mean_skull())
    with pytest.raises(SkullImplantError, match="face backwards"):
        require_upright(turned(hole.defective, np.diag([-1.0, -1.0, 1.0])), shipped_mean_skull())


def cap_of(bright: sitk.Image, below_mm: float) -> sitk.Image:
    """The part of a head above a plane so far below its vault's centre."""
    centre = estimate_pose(bright, shipped_population()).centre_mm - [0.0, 0.0, below_mm]
    return bright[:, :, bright.TransformPhysicalPointToIndex(centre.tolist())[2] :]


@pytest.mark.parametrize("name", HEADS[:2])
def test_a_cap_of_vault_alone_is_told_of_or_refused(shared_data: Path, name: str) -> None:
    mean, bright = shipped_mean_skull(), bright_of(shared_data / "test" / f"{name}.nii.gz")
    for below_mm in (0.0, 20.0):
        cap = cap_of(bright, below_mm)
        (note,) = require_upright(cap, mean)
        assert "too little of base and face" in note
        for rotation in (np.diag([-1.0, -1.0, 1.0]), np.diag([1.0, -1.0, -1.0])):
            with pytest.raises(SkullImplantError, match="too little of base and face") as caught:
                require_upright(turned(cap, rotation), mean)
            assert caught.value.remedy is Remedy.SAY_ORIENTATION


@pytest.mark.parametrize("scale", [0.8, 1.25])
def test_a_wrong_voxel_size_hides_nothing(shared_data: Path, scale: float) -> None:
    bright = sitk.Image(bright_of(shared_data / "test" / "unc-cthead-ct.nii.gz"))
    bright.SetSpacing([scale * s for s in bright.GetSpacing()])
    mean = shipped_mean_skull()
    assert require_upright(bright, mean) == ()
    for rotation, seen in ((np.diag([-1.0, -1.0, 1.0]), "backwards"), (UPSIDE_DOWN, "upside down")):
        with pytest.raises(SkullImplantError, match=seen):
            require_upright(turned(bright, rotation), mean)


def test_axes_are_named_of_the_image_that_was_given(shared_data: Path) -> None:
    """Work is done on other axes than the file's; what is advised means the file's."""
    bright = bright_of(shared_data / "test" / "brainweb-49.nii.gz")
    given = turned(sitk.PermuteAxes(bright, [2, 0, 1]), np.diag([-1.0, -1.0, 1.0]))
    working, own = on_working_axes(given)
    with pytest.raises(SkullImplantError, match="look like SLP or SRP and not like SRA"):
        require_upright(working, shipped_mean_skull(), own.direction)


def test_the_axes_that_are_named_put_it_right(shared_data: Path, tmp_path: Path) -> None:
    bright = bright_of(shared_data / "test" / "brainweb-49.nii.gz")
    wrong = sitk.GetImageFromArray(np.ascontiguousarray(array_of(bright)[:, ::-1, ::-1]))
    wrong.SetSpacing(bright.GetSpacing())
    with pytest.raises(SkullImplantError) as caught:
        require_upright(wrong, shipped_mean_skull())
    assert "look like RAS or LAS and not like LPS" in str(caught.value)
    assert "left and right cannot be told" in str(caught.value)
    assert caught.value.remedy is Remedy.SAY_ORIENTATION
    rename_axes(wrong, "RAS")
    require_upright(wrong, shipped_mean_skull())
    assert axes_of(wrong) == "RAS"


def test_a_head_between_the_axes_is_told_to_be_turned(shared_data: Path) -> None:
    bright = bright_of(shared_data / "test" / "brainweb-49.nii.gz")
    mean = shipped_mean_skull()
    nodded = Rotation.from_euler("x", 30, degrees=True).as_matrix()
    require_upright(turned(bright, nodded), mean)
    further = Rotation.from_euler("x", 43, degrees=True).as_matrix()
    (note,) = require_upright(turned(bright, further), mean)
    assert "turned by about" in note and "less exact" in note
    askew = Rotation.from_rotvec(np.radians(60) * np.ones(3) / np.sqrt(3)).as_matrix()
    lie = find_lie(turned(bright, askew), mean)
    assert lie.tilt_deg == pytest.approx(60.0, abs=8.0)
    with pytest.raises(SkullImplantError, match="turned by about"):
        require_upright(turned(bright, askew), mean)


def test_what_is_no_head_is_left_to_others() -> None:
    z, y, x = np.ogrid[-1:1:40j, -1:1:50j, -1:1:60j]
    block = image_like((np.abs(z + y + x) < 0.5).astype(np.uint8), sitk.Image([60, 50, 40], 1))
    block.SetSpacing((4.0, 4.0, 4.0))
    require_upright(block, shipped_mean_skull())
