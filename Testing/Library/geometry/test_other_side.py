"""Bone is denied where the prior is unsure and the other side has none near, and only there."""

import numpy as np
import pytest

from SkullImplantLib.geometry.other_side import NEAR_MM, UNSURE_MM, where_not_denied
from SkullImplantLib.geometry.view import View

SHAPE, SPACING_MM = (24, 24, 24), 1.5
PLATE = 12  # the prior's plate of bone lies around this z


def view(deviation_mm: float, mirrored_at: int | None, opposite: bool = False) -> View:
    """A plate that the prior expects, and, `mirrored_at` another z, that of the mirrored skull."""
    z = np.indices(SHAPE)[0]
    depth = (3.0 - SPACING_MM * np.abs(z - PLATE)).astype(np.float32)
    mirror = np.zeros(SHAPE, np.float32)
    if mirrored_at is not None:
        mirror[mirrored_at] = 1.0
    return View(
        skull=np.zeros(SHAPE, np.float32),
        mirror=mirror,
        depth_mm=depth,
        hole=np.ones(SHAPE, bool),
        opposite_hole=np.full(SHAPE, opposite),
        deviation_mm=np.full((2, *SHAPE), deviation_mm, np.float32),
        spacing_mm=SPACING_MM,
        low_mm=(0.0, 0.0, 0.0),
    )


def bone(seen: View) -> np.ndarray:
    return where_not_denied(seen.depth_mm, seen) > 0.0


def test_an_unsure_plate_keeps_only_what_has_mirrored_bone_near() -> None:
    below = view(2 * UNSURE_MM, mirrored_at=PLATE - 2)
    kept = np.flatnonzero(bone(below).any(axis=(1, 2)))
    surface = PLATE - 2 + 0.5  # the mirrored plate's upper face, in voxels
    assert kept.min() == PLATE - 1 and kept.max() <= surface + NEAR_MM / SPACING_MM
    assert not bone(view(2 * UNSURE_MM, mirrored_at=2)).any()


@pytest.mark.parametrize(
    "seen",
    [
        view(0.3 * UNSURE_MM, mirrored_at=PLATE - 4),  # the prior is sure
        view(2 * UNSURE_MM, mirrored_at=PLATE),  # the other side agrees
        view(2 * UNSURE_MM, mirrored_at=2, opposite=True),  # its own hole is there
        view(2 * UNSURE_MM, mirrored_at=None),  # it is not in the picture
    ],
)
def test_elsewhere_the_completion_stays(seen: View) -> None:
    np.testing.assert_array_equal(bone(seen), seen.depth_mm > 0.0)


def test_bone_is_only_ever_taken_away() -> None:
    rng = np.random.default_rng(0)
    seen = view(UNSURE_MM, mirrored_at=PLATE - 3)
    seen.deviation_mm[:] = rng.uniform(0.0, 3.0, seen.deviation_mm.shape)
    seen.mirror[:] = rng.random(SHAPE) > 0.98
    assert (where_not_denied(seen.depth_mm, seen) <= seen.depth_mm).all()
