"""A mould of two halves: closed, true to implant and shrinkage, and both come off straight."""

import numpy as np
import pytest
from bent_plate import bent_plate, crossings, mesh_from
from vtkmodules.vtkFiltersCore import vtkImplicitPolyDataDistance

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.mould import MouldOptions, two_piece_mould
from SkullImplantLib.export.parting import PIXEL_MM, highest_places, parting_of
from SkullImplantLib.implant.meshes import arrays_of, mesh_health

manifold3d = pytest.importorskip("manifold3d")

UP = np.array([0.36, -0.48, 0.8])
PLACE = np.array([12.0, -30.0, 45.0])


@pytest.fixture(scope="module")
def plate():
    return bent_plate(UP, PLACE)


@pytest.fixture(scope="module")
def mould(plate):
    return two_piece_mould(plate, UP, MouldOptions(shrinkage_percent=1.0))


def test_both_halves_are_closed_and_of_one_piece(mould):
    for half in (mould.upper, mould.lower):
        health = mesh_health(half)
        assert health.watertight and health.pieces == 1
    # Each channel is a handle of the upper half; the lower one has none.
    assert mesh_health(mould.upper).genus == mould.channels
    assert mesh_health(mould.lower).genus == 0


def slotted_plate():
    """A plate with a slot that goes into its side, 12 by 10 by 2 mm: undercut straight up."""
    plate = manifold3d.Manifold.cube([60, 40, 6], True)
    return mesh_from(plate - manifold3d.Manifold.cube([24, 10, 2], True).translate([30, 0, 0]))


def test_what_lies_under_an_overhang_is_filled_and_told():
    """Else the mould would hold on to the casting by what of it stands in the slot."""
    made = two_piece_mould(slotted_plate(), np.array([0.0, 0.0, 1.0]))
    assert made.filled_mm3 == pytest.approx(12.0 * 10.0 * 2.0, rel=0.05)
    x, y = np.meshgrid(np.linspace(19.0, 29.0, 9), np.linspace(-4.0, 4.0, 9))
    across = np.column_stack([x.ravel(), y.ravel()])
    starts, ends = (np.column_stack([across, np.full(len(across), z)]) for z in (-80.0, 80.0))
    for half in (made.lower, made.upper):
        met = [len(found) for found in crossings(half, starts, ends)]
        assert np.mean(np.array(met) == 2) > 0.95
        assert mesh_health(half).watertight and mesh_health(half).pieces == 1


def test_a_mould_without_overhangs_has_nothing_filled(mould):
    assert mould.filled_mm3 == 0.0


def sloping_plate():
    """A strip 24 mm wide that climbs by 35 degrees, with its way out straight up."""
    strip = manifold3d.Manifold.cube([70, 24, 5], True)
    return mesh_from(strip.rotate([0.0, 35.0, 0.0]))


@pytest.mark.parametrize("slope", [False, True])
def test_channels_are_open_in_their_whole_section(slope):
    """Nothing of the upper half stands in a channel, on a slope neither; one is to pour into, and
    air leaves through another."""
    options = MouldOptions()
    implant = sloping_plate() if slope else bent_plate()
    made = two_piece_mould(implant, np.array([0.0, 0.0, 1.0]), options)
    points, corners = arrays_of(made.upper)
    upper = solid_from(points, corners)
    # What is open from above, as seen along the way, is channels.
    low, high = points.min(axis=0), points.max(axis=0)
    block = manifold3d.CrossSection.square((high - low)[:2].tolist()).translate(low[:2].tolist())
    seen = (block - upper.project()).decompose()
    areas = sorted(each.area() for each in seen if each.area() > 0.5)
    assert len(areas) == made.channels >= 2
    whole = [np.pi / 4 * mm**2 for mm in (options.vent_mm, options.pour_mm)]
    assert areas[-1] == pytest.approx(whole[1], rel=0.02)
    assert np.allclose(areas[:-1], whole[0], rtol=0.05)


def frame_of(mould) -> tuple[np.ndarray, np.ndarray]:
    """Return axes (3, 3), the third along the direction, and the middle of the block."""
    direction = mould.direction
    first = np.linalg.svd(direction[None])[2][1]
    axes = np.column_stack([first, np.cross(direction, first), direction])
    points = np.concatenate([arrays_of(half)[0] for half in (mould.upper, mould.lower)])
    return axes, (points.min(axis=0) + points.max(axis=0)) / 2


def rays(mould, spread_mm: float, count: int = 900) -> tuple[np.ndarray, np.ndarray]:
    axes, middle = frame_of(mould)
    rng = np.random.default_rng(3)
    across = rng.uniform(-spread_mm, spread_mm, (count, 2)) @ axes[:, :2].T + middle
    return across - 150.0 * mould.direction, across + 150.0 * mould.direction


def test_each_half_comes_off_straight(mould):
    """Along every line in the way's direction a half is one stretch of material: nothing of the
    casting is ever behind it."""
    starts, ends = rays(mould, 40.0)
    for half in (mould.lower, mould.upper):
        counts = np.array([len(found) for found in crossings(half, starts, ends)])
        within = counts > 0
        assert within.mean() > 0.9
        # A line that grazes an edge is met once more; there are few.
        assert np.mean(counts[within] == 2) > 0.99


def test_the_cavity_is_the_implant_and_the_shrinkage(plate, mould):
    """The implant, made larger by what it will shrink, lies on the halves' walls to 0.05 mm."""
    points, _ = arrays_of(plate)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    larger = middle + (points - middle) / (1 - 0.01)
    distances = []
    for half in (mould.upper, mould.lower):
        distance = vtkImplicitPolyDataDistance()
        distance.SetInput(half)
        distances.append([distance.EvaluateFunction(point) for point in larger])
    nearest = np.abs(distances).min(axis=0)
    # Less where channels come in.
    assert np.mean(nearest < 0.05) > 0.97
    assert np.percentile(nearest, 95) < 0.02
    assert mould.scale == pytest.approx(1 / 0.99)


def solid_from(points: np.ndarray, corners: np.ndarray):
    return manifold3d.Manifold(
        manifold3d.Mesh(points.astype(np.float32), corners.astype(np.uint32))
    )


def test_there_is_no_material_where_the_casting_will_be(plate, mould):
    points, corners = arrays_of(plate)
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    casting = solid_from(middle + mould.scale * (points - middle), corners)
    upper, lower = (solid_from(*arrays_of(half)) for half in (mould.upper, mould.lower))
    for half in (upper, lower):
        assert (casting ^ half).volume() < 1e-3 * casting.volume()
    # Halves do not lie in one another, but for slivers that were merged along 90 cm² of parting.
    assert (upper ^ lower).volume() < 0.01 * 9000.0


def test_halves_fit_in_one_way_only(mould):
    """Three pins: turned by half a turn, one of them has no hole."""
    points, corners = arrays_of(mould.lower)
    axes, middle = frame_of(mould)
    local = (points - middle) @ axes
    turned = local * np.array([-1.0, -1.0, 1.0])
    lower = solid_from(turned @ axes.T + middle, corners)
    upper = solid_from(*arrays_of(mould.upper))
    assert (upper ^ lower).volume() > 100.0


def test_what_is_undercut_is_refused():
    """A shell of more than half a ball holds on to what is cast into it."""
    ball = manifold3d.Manifold.sphere(40, 100) - manifold3d.Manifold.sphere(35, 100)
    most = mesh_from(ball ^ manifold3d.Manifold.cube([100, 100, 100], True).translate([0, 0, 30]))
    with pytest.raises(SkullImplantError, match="undercut along its way in"):
        two_piece_mould(most, np.array([0.0, 0.0, 1.0]))


def test_the_highest_places_are_the_highest_points():
    """Two domes on a plate: each has its vent, the higher one first."""
    plate = manifold3d.Manifold.cube([80, 40, 4], True)
    for x, radius in ((-22.0, 8.0), (22.0, 11.0)):
        dome = manifold3d.Manifold.sphere(radius, 64)
        upper = manifold3d.Manifold.cube([40, 40, 40], True).translate([0, 0, 20])
        plate += (dome ^ upper).translate([x, 0.0, 0.0])
    parting = parting_of(mesh_from(plate), 5.0)
    first, second = highest_places(parting, 15.0, 2)
    for (row, column), x in ((first, 22.0), (second, -22.0)):
        at = parting.start_mm + np.array([column, row]) * PIXEL_MM
        assert np.hypot(at[0] - x, at[1]) < 1.5
    assert parting.undercut_mm3 < 1.0


def test_the_parting_goes_through_the_rim():
    """Within the plate its middle; beside it what lies next, and no step between."""
    parting = parting_of(bent_plate(), 15.0)
    inside = parting.inside
    low, high = parting.bottom_mm[inside], parting.top_mm[inside]
    assert np.all((parting.height_mm[inside] >= low) & (parting.height_mm[inside] <= high))
    for axis in (0, 1):
        assert np.abs(np.diff(parting.height_mm, axis=axis)).max() < 1.0
