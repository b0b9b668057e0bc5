"""The skull's surface at full resolution: closed whatever the mask, and where the bone is."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.skull_surface import MOST_MOVED, skull_surface
from SkullImplantLib.implant.meshes import arrays_of, mesh_health

SPACING_MM = (0.5, 0.7, 3.0)


# Where the voxels' axes go: along LPS, two of them changed and turned over, and one turned over, so
# that the frame is left-handed.
DIRECTIONS = (
    (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    (-1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0),
    (1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0),
)


def mask_of(voxels: np.ndarray, direction: tuple[float, ...] = DIRECTIONS[0]) -> sitk.Image:
    mask = sitk.GetImageFromArray(voxels.astype(np.uint8))
    mask.SetSpacing(SPACING_MM)
    mask.SetOrigin((100.0, -20.0, 7.0))
    mask.SetDirection(direction)
    return mask


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.02, 0.98), st.sampled_from(DIRECTIONS))
def test_any_mask_gives_a_closed_surface(seed: int, share: float, way) -> None:
    """Voxels that meet at an edge or a corner only, and those at the image's border, included."""
    voxels = np.random.default_rng(seed).random((6, 9, 8)) < share
    voxels[3, 4, 4] = True
    health = mesh_health(skull_surface(mask_of(voxels, way)))
    assert health.watertight, health


def test_every_voxel_of_thin_bone_is_there_and_in_its_place() -> None:
    voxels = np.zeros((12, 30, 30), bool)
    voxels[5, 4:26, 4:26] = True  # a plate of one voxel
    voxels[9, 20, 20] = True  # a crumb
    mask = mask_of(voxels)
    points, _ = arrays_of(skull_surface(mask))
    index = (points - mask.GetOrigin()) / SPACING_MM
    for z, y, x in np.argwhere(voxels):
        away = np.abs(index - [x, y, z]).max(axis=1)
        assert away.min() <= 0.5 + MOST_MOVED
    used = np.argwhere(voxels)[:, ::-1]
    low, high = used.min(axis=0) - 0.51, used.max(axis=0) + 0.51
    assert (index >= low).all() and (index <= high).all(), "nothing grows"


def test_steps_of_a_ball_are_smoothed_away() -> None:
    z, y, x = np.indices((40, 40, 40)) - 19.5
    ball = sitk.GetImageFromArray((x**2 + y**2 + z**2 < 15.0**2).astype(np.uint8))
    points, _ = arrays_of(skull_surface(ball))
    radius = np.linalg.norm(points - 19.5, axis=1)
    assert np.abs(radius - 15.0).max() < 0.6 and radius.std() < 0.15


def test_no_bone_is_one_sentence() -> None:
    with pytest.raises(SkullImplantError, match="no bone"):
        skull_surface(mask_of(np.zeros((3, 3, 3))))
