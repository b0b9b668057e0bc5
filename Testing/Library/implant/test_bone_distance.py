"""The distance to bone is exact between the voxels: on a ball, a cone and a slab of known place."""

import numpy as np
import pytest
from analytic_shells import AS_IT_IS, THRESHOLD_HU, Depth, grid_over, partial_volume, places_of_grid
from numpy.typing import NDArray

from SkullImplantLib.core.images import image_like
from SkullImplantLib.implant.bone_distance import bone_distance, rough_distance
from SkullImplantLib.implant.bone_surface import BoneSurface, bone_surface
from SkullImplantLib.implant.lattice import lattice_over

CORNERS_MM = ((-18.0, -18.0, -18.0), (18.0, 18.0, 18.0))
BAND_MM = 2.0
TILTED = np.array([0.37, -0.55, 0.75]) / np.linalg.norm([0.37, -0.55, 0.75])
HALF_ANGLE = np.radians(25.0)


def ball(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return 12.3 - np.linalg.norm(p, axis=-1)


def slab(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return 3.2 - np.abs(p @ TILTED - 0.4)


def cone(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """A cone about a tilted axis, its tip far below: a hole's wall has such a shape."""
    along = p @ TILTED + 30.0
    across = np.linalg.norm(p - (p @ TILTED)[..., None] * TILTED, axis=-1)
    return np.cos(HALF_ANGLE) * (along * np.tan(HALF_ANGLE) - across)


SOLIDS = {"ball": ball, "slab": slab, "cone": cone}
# Spacing, and the errors (mm) that 95 % and all of the band stay below.
GRIDS = {
    (0.5, 0.5, 0.5): (0.05, 0.15),
    (1.0, 1.0, 1.0): (0.1, 0.3),
    (1.0, 1.0, 2.0): (0.2, 0.5),
}


def surface_of_ct(solid: Depth, spacing_mm: tuple[float, float, float]) -> BoneSurface:
    grid = grid_over(CORNERS_MM, spacing_mm, AS_IT_IS, np.eye(3))
    ct = partial_volume(solid, grid, AS_IT_IS)
    return bone_surface(ct > THRESHOLD_HU, ct, THRESHOLD_HU)


def errors_in_the_band(solid: Depth, surface: BoneSurface) -> NDArray[np.float64]:
    """The distance's errors near the surface, away from the image's border."""
    fine = lattice_over(surface.field, 0.5)
    places = places_of_grid(fine)
    true = -solid(places)
    where = np.abs(places).max(axis=-1) < 18.0 - 2.0 * BAND_MM
    found = bone_distance(
        surface, surface.distance(), fine, (-BAND_MM, BAND_MM), np.ones(true.shape, bool)
    )
    near = where & (np.abs(true) < BAND_MM)
    return np.abs(found.values_mm - true)[near]


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("name", SOLIDS)
def test_of_a_ct_with_partial_volume(name: str, spacing: tuple[float, float, float]) -> None:
    errors = errors_in_the_band(SOLIDS[name], surface_of_ct(SOLIDS[name], spacing))
    most_of_95_percent, most = GRIDS[spacing]
    assert np.percentile(errors, 95) <= most_of_95_percent
    assert errors.max() <= most


@pytest.mark.parametrize("name", SOLIDS)
def test_of_a_mask_alone(name: str) -> None:
    """A mask knows bone to a voxel; blurred it is right to a quarter of one."""
    grid = grid_over(CORNERS_MM, (1.0, 1.0, 1.0), AS_IT_IS, np.eye(3))
    mask = image_like(SOLIDS[name](places_of_grid(grid)) > 0.0, grid)
    errors = errors_in_the_band(SOLIDS[name], bone_surface(mask))
    assert np.percentile(errors, 95) <= 0.25


def test_far_away_it_is_right_to_a_step_and_of_the_right_sign() -> None:
    surface = surface_of_ct(ball, (1.0, 1.0, 1.0))
    fine = lattice_over(surface.field, 1.0)
    true = -ball(places_of_grid(fine))
    found = rough_distance(surface, fine).values_mm
    error = np.abs(found - true)
    assert error[true > 0.0].max() < 1.0
    assert error.max() < 2.5  # within bone, where nobody asks
    clear = np.abs(true) > 0.2
    assert (np.sign(found) == np.sign(true))[clear].all()
    points = np.array([[15.0, 0.0, 0.0], [0.0, 0.0, 0.0], [90.0, 0.0, 0.0]])
    at = rough_distance(surface, fine).at(points)
    np.testing.assert_allclose(at[:2], [2.7, -12.3], atol=2.5)
    assert np.isinf(at[2])


def test_without_bone_it_is_an_error_and_nowhere_it_is_far() -> None:
    grid = grid_over(CORNERS_MM, (2.0, 2.0, 2.0), AS_IT_IS, np.eye(3))
    with pytest.raises(ValueError, match="no bone"):
        bone_surface(grid)
