"""The other side is brought to the bone around each hole, and says how far it is to be heard."""

import numpy as np
import pytest
import SimpleITK as sitk

from forehead import places_mm
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import array_of, image_like, resample
from SkullImplantLib.geometry import radial
from SkullImplantLib.geometry.brought_bone import (
    AROUND_MM,
    GRID_MM,
    BroughtBone,
    surroundings_of,
)
from SkullImplantLib.geometry.frame import standard_grid
from SkullImplantLib.geometry.mirrored_bone import mirrored_bone
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import shipped_population


def prior_of(skull: sitk.Image) -> Prior:
    shapes = shipped_population()
    return complete_by_prior(skull, estimate_pose(skull, shapes), shapes)


def brought_to(skull: sitk.Image, prior: Prior) -> BroughtBone:
    around = surroundings_of(skull, prior)
    assert around is not None
    bone = mirrored_bone(around, prior)
    assert bone is not None
    return bone


@pytest.fixture(scope="module")
def prior(patient: SamplePatient) -> Prior:
    return prior_of(patient.defective)


@pytest.fixture(scope="module")
def found(patient: SamplePatient, prior: Prior) -> BroughtBone:
    return brought_to(patient.defective, prior)


def on_box(skull: sitk.Image, prior: Prior, bone: BroughtBone) -> np.ndarray:
    """A skull's mask on the box of what was brought, bool (z, y, x)."""
    z, y, x = bone.box
    grid = standard_grid(prior.pose, GRID_MM)[x, y, z]
    return array_of(resample(skull, grid, sitk.sitkNearestNeighbor)) > 0


def test_it_shows_the_bone_that_is_missing(patient, prior, found):
    missing = on_box(patient.complete, prior, found) & ~on_box(patient.defective, prior, found)
    missing &= found.from_shell_mm < AROUND_MM
    shown = found.depth_mm > 0.0
    assert (shown & missing).sum() > 0.8 * missing.sum()


def test_on_intact_bone_it_lies_on_the_bone(patient, prior, found):
    """It was brought there: within a millimetre and a half of the surface beside the hole."""
    bone = on_box(patient.defective, prior, found)
    beside = (found.from_shell_mm > 6.0) & (found.from_shell_mm < AROUND_MM)
    deep = np.abs(found.depth_mm) > 1.5
    agree = (found.depth_mm > 0.0) == bone
    assert agree[beside & deep].mean() > 0.93


def test_its_own_hole_says_nothing(patient: SamplePatient, prior: Prior):
    """With a second hole opposite the first, neither is heard in the other."""
    grid = patient.defective
    at = places_mm(grid, prior.pose)
    rows, columns, _ = radial.to_map((at * [-1.0, 1.0, 1.0]).astype(np.float32))
    opposite = radial.look_up(prior.hole.astype(np.float32), rows, columns) > 0.5
    skull = image_like(array_of(grid) * ~opposite, grid)
    both = prior_of(skull)
    around = surroundings_of(skull, both)
    assert around is not None and len(around.rims) >= 2
    bone = mirrored_bone(around, both)
    assert bone is not None
    core = bone.from_shell_mm <= 0.0
    assert np.median(bone.heard[core]) < 0.05


def test_a_head_whose_sides_differ_is_told(patient: SamplePatient, prior: Prior, found):
    """Bone opposite pushed in by a fracture: what is brought counts as unlike this head's."""
    grid = patient.defective
    at = places_mm(grid, prior.pose)
    rows, columns, _ = radial.to_map((at * [-1.0, 1.0, 1.0]).astype(np.float32))
    near = radial.look_up(radial.distance_mm(prior.hole), rows, columns)
    pushed = (near > 6.0) & (near < 40.0)
    shifted = np.roll(array_of(grid), 8, axis=2)
    injured = image_like(np.where(pushed, shifted, array_of(grid)).astype(np.uint8), grid)
    bone = brought_to(injured, prior)
    core = bone.from_shell_mm <= 0.0
    assert bone.apart_mm2[core].mean() > found.apart_mm2[core].mean() + 0.4


def test_the_same_skull_gives_the_same_bytes(patient, prior, found):
    again = brought_to(patient.defective, prior)
    np.testing.assert_array_equal(again.depth_mm, found.depth_mm)
