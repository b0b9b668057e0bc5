"""The measuring code itself, on shapes whose gap, step, overhang and interference are known.

A slab of bone, 6 mm thick, with a round hole; in it a round plate.
"""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from bone_facets import Grid, ct_surface, mask_surface, surface_at
from facets import Facets, inside_lattice, read_stl
from fit_cases import FitCase
from fit_limits import LIMITS, verdicts
from fit_runs import kept_rows
from fit_table import short_line, write_tables
from hard_cuts import thick_slices
from measuring import Bones, designed_implants, measure_design
from rim_steps import rim_sites, rim_steps
from side_walls import gap_numbers, opposite, walls_of
from soundness import mesh_numbers, spur_numbers, wall_numbers
from truth_scores import truth_numbers
from way_out import CoarseDistance, best_direction, way_out

THICK_MM, RADIUS_MM, WIDTH_MM = 6.0, 15.0, 60.0
BELOW = np.array([0.0, 0.0, -80.0])  # the middle of the head
UP = np.array([0.0, 0.0, 1.0])
STEP_MM = 0.4


def solid(distance, low=(-32.0, -32.0, -9.0), high=(32.0, 32.0, 12.0), step=STEP_MM) -> Facets:
    """The surface of a shape told by signed distances (negative within) at x, y, z in mm."""
    counts = [int(np.ceil((b - a) / step)) + 1 for a, b in zip(low, high)]
    z, y, x = np.indices(counts[::-1]) * step
    values = -distance(x + low[0], y + low[1], z + low[2]).astype(np.float32)
    grid = Grid(np.eye(3) * step, np.array(low))
    return surface_at(values, 0.0, grid, (slice(0, 1),) * 3)


def disc(x, y, z, radius=RADIUS_MM, low=-THICK_MM / 2, high=THICK_MM / 2, flare=0.0):
    """A round plate whose radius grows by `flare` mm for each mm downwards from the slab's top."""
    wide = np.hypot(x, y) - radius - flare * (THICK_MM / 2 - z)
    return np.maximum(wide / np.hypot(1, flare), np.maximum(z - high, low - z))


def slab(x, y, z, flare=0.0):
    """A square of bone with a round hole."""
    whole = np.maximum(np.maximum(np.abs(x), np.abs(y)) - WIDTH_MM / 2, np.abs(z) - THICK_MM / 2)
    return np.maximum(whole, -disc(x, y, z, low=-50.0, high=50.0, flare=flare))


@pytest.fixture(scope="module")
def bone() -> Facets:
    return solid(slab)


@pytest.fixture(scope="module")
def coarse(bone: Facets) -> CoarseDistance:
    return CoarseDistance(bone)


def plate(gap=0.5, **shape) -> Facets:
    return solid(lambda x, y, z: disc(x, y, z, RADIUS_MM - gap, **shape))


def gaps_of(implant: Facets, bone: Facets) -> dict:
    walls = walls_of(implant, BELOW, np.random.default_rng(0))
    return gap_numbers(opposite(walls, bone)[1])


def steps_of(implant: Facets, bone: Facets) -> np.ndarray:
    walls = walls_of(implant, BELOW, np.random.default_rng(0))
    sites = rim_sites(walls, opposite(walls, bone)[0], bone)
    return rim_steps(sites, implant, solid(lambda x, y, z: np.abs(z) - THICK_MM / 2), bone)


def test_distances_are_exact(bone):
    rng = np.random.default_rng(5)
    places = rng.uniform((-20, -20, -6), (20, 20, 6), (30, 3))
    found = np.abs(bone.signed_distances(places))
    finest = np.concatenate([bone.samples(25.0, rng)[0], bone.points])
    least = np.linalg.norm(places[:, None] - finest[None], axis=2).min(1)
    assert np.all(found <= least + 1e-6)  # exact ones are never longer than to a sample
    assert np.all(found >= least - 0.2)


def test_distances_tell_inside(bone):
    inside = bone.signed_distances(np.array([[20.0, 0, 0], [0, 0, 0], [20.0, 0, 4.0]]))
    np.testing.assert_allclose(inside, [-3.0, 15.0, 1.0], atol=0.05)


@pytest.mark.parametrize("gap", [0.0, 0.3, 0.5, 1.0, 2.0])
def test_gap(bone, gap):
    found = gaps_of(plate(gap), bone)
    assert found["gap_median"] == pytest.approx(gap, abs=0.03)
    assert found["gap_5"] > gap - 0.08 and found["gap_95"] < gap + 0.25


def test_gap_of_a_shifted_plate(bone):
    shifted = Facets(plate(1.0).points + [0.6, 0, 0], plate(1.0).triangles)
    found = gaps_of(shifted, bone)
    assert found["gap_least"] == pytest.approx(0.4, abs=0.1)
    assert found["gap_95"] == pytest.approx(1.6, abs=0.15)


def test_a_free_edge_has_no_bone_opposite(bone):
    half = solid(lambda x, y, z: np.maximum(disc(x, y, z, RADIUS_MM - 0.5), x))
    walls = walls_of(half, BELOW, np.random.default_rng(0))
    facing = opposite(walls, bone)[0]
    wall = walls.sides & (walls.places[:, 0] > -0.01) & (np.abs(walls.places[:, 1]) < 8)
    assert wall.sum() > 100 and not facing[wall].any()


def test_free_way_out(bone, coarse):
    way = way_out(plate(0.5), coarse, UP)
    assert way.interference_mm3 == 0 and way.blocked_mm3 == 0 and way.contact_mm3 == 0
    assert way.least_mm == pytest.approx(0.5, abs=0.05)


def test_interference(bone, coarse):
    way = way_out(plate(-0.4), coarse, UP)
    ring = np.pi * ((RADIUS_MM + 0.4) ** 2 - (RADIUS_MM + 0.05) ** 2) * (THICK_MM - 0.1)
    assert way.interference_mm3 == pytest.approx(ring, rel=0.06)
    assert way.interference_depth_mm == pytest.approx(0.4, abs=0.05)
    assert way.least_mm == pytest.approx(-0.4, abs=0.05)


@pytest.mark.slow
def test_overhang_blocks_the_way_out():
    flare = np.tan(np.radians(30))
    bone = solid(lambda x, y, z: slab(x, y, z, flare), step=0.25)
    implant = solid(lambda x, y, z: disc(x, y, z, RADIUS_MM - 0.5, flare=flare))
    coarse = CoarseDistance(bone)
    way = way_out(implant, coarse, UP)
    assert way.interference_mm3 == 0
    # Under bone: what lies further out than the hole's narrowest place, the top; its sharp edge is
    # less than TOUCH_MM deep for a tenth of a millimetre.
    top, most = RADIUS_MM + 0.1, RADIUS_MM - 0.5 + flare * THICK_MM
    radius = np.linspace(top, most, 400)
    height = (most - radius) / flare
    expected = np.trapezoid(2 * np.pi * radius * height, radius)
    assert way.blocked_mm3 == pytest.approx(expected, rel=0.1)
    down = way_out(implant, coarse, -UP)
    assert down.blocked_mm3 == 0


@pytest.mark.slow
def test_direction_is_found():
    tilt = np.array([0.0, np.sin(np.radians(25)), np.cos(np.radians(25))])
    shear = tilt[1] / tilt[2]
    bone = solid(lambda x, y, z: slab(x, y - shear * z, z))
    implant = solid(lambda x, y, z: disc(x, y - shear * z, z, RADIUS_MM - 0.5))
    coarse = CoarseDistance(bone)
    found = best_direction(implant, coarse, UP)
    assert np.degrees(np.arccos(found @ tilt)) < 8.0
    assert way_out(implant, coarse, tilt).blocked_mm3 == 0
    assert way_out(implant, coarse, UP).blocked_mm3 > 20


@pytest.mark.parametrize("proud", [0.0, 1.5, -1.0])
def test_step(bone, proud):
    implant = plate(0.5, low=-THICK_MM / 2, high=THICK_MM / 2 + proud)
    steps, true_steps = steps_of(implant, bone)
    assert np.isfinite(steps).sum() > 60
    np.testing.assert_allclose(np.nanmedian(steps, axis=0), [proud, 0.0], atol=0.05)
    np.testing.assert_allclose(np.nanpercentile(np.abs(true_steps), 95), 0.0, atol=0.05)


def test_step_of_a_bevelled_hole():
    flare = -np.tan(np.radians(25))
    bone = solid(lambda x, y, z: slab(x, y, z, flare))
    implant = solid(lambda x, y, z: disc(x, y, z, RADIUS_MM - 0.5, flare=flare))
    steps, _ = steps_of(implant, bone)
    assert np.nanpercentile(np.abs(steps), 95) < 0.1


def test_wall():
    thin = plate(low=0.0, high=0.8)
    numbers = wall_numbers(thin, walls_of(thin, BELOW, np.random.default_rng(0)))
    assert numbers["thickness_median"] == pytest.approx(0.8, abs=0.02)
    assert numbers["wall_under_1mm_mm2"] == pytest.approx(2 * np.pi * 14.5**2, rel=0.03)
    thick = plate()
    numbers = wall_numbers(thick, walls_of(thick, BELOW, np.random.default_rng(0)))
    assert numbers["thickness_5"] == pytest.approx(THICK_MM, abs=0.05)


def test_mesh_of_a_plate_and_of_one_with_two_tunnels():
    numbers = mesh_numbers(plate())
    assert (numbers["genus"], numbers["pieces"], numbers["edge_faults"]) == (0, 1, 0)
    assert numbers["volume_cm3"] == pytest.approx(np.pi * 14.5**2 * THICK_MM / 1000, rel=0.01)

    def drilled(x, y, z):
        holes = np.minimum(np.hypot(x - 6, y), np.hypot(x + 6, y)) - 2.5
        return np.maximum(disc(x, y, z), -holes)

    assert mesh_numbers(solid(drilled))["genus"] == 2
    apart = solid(lambda x, y, z: np.minimum(disc(x, y, z, 5.0), disc(x - 15, y, z, 5.0)))
    assert (mesh_numbers(apart)["pieces"], mesh_numbers(apart)["genus"]) == (2, 0)


def test_open_and_turned_meshes_are_told():
    whole = plate()
    assert mesh_numbers(Facets(whole.points, whole.triangles[1:]))["edge_faults"] == 3
    turned = whole.triangles.copy()
    turned[0] = turned[0, ::-1]
    assert mesh_numbers(Facets(whole.points, turned))["edge_faults"] > 0


def test_spurs():
    assert spur_numbers(plate())["spurs"] == 0

    def spiked(x, y, z):
        spike = np.maximum(np.hypot(y, z) - 0.6, np.abs(x - 14.5) - 3.0)
        return np.minimum(disc(x, y, z, 14.5), spike)

    numbers = spur_numbers(solid(spiked))
    assert numbers["spurs"] == 1
    assert numbers["spur_longest"] == pytest.approx(3.0, abs=0.5)


def test_lattice_counts_the_volume():
    surface = plate()
    inside = inside_lattice(surface, np.array([-20.1, -20.1, -4.9]), np.array([160, 160, 40]), 0.25)
    assert inside.sum() * 0.25**3 == pytest.approx(surface.volume_mm3, rel=0.01)


def masks(spacing: float) -> tuple[sitk.Image, sitk.Image]:
    """Slab and disc on a grid."""
    counts = (np.array([20.0, 64, 64]) / spacing).astype(int)
    z, y, x = np.indices(counts) * spacing - np.array([9.75, 31.75, 31.75])[:, None, None, None]
    images = []
    for values in (slab(x, y, z) < 0, disc(x, y, z) < 0):
        image = sitk.GetImageFromArray(values.astype(np.uint8))
        image.SetSpacing((spacing,) * 3)
        image.SetOrigin((-31.75, -31.75, -9.75))
        images.append(image)
    return images[0], images[1]


def test_truth_with_its_clearance(coarse):
    _, truth = masks(0.5)
    exact = truth_numbers([plate(0.5)], truth, coarse, 0.5)
    assert exact["dice"] > 0.99 and exact["hd95"] <= 0.5
    sunk = Facets(plate(0.5).points - [0, 0, 2.0], plate(0.5).triangles)
    assert truth_numbers([sunk], truth, coarse, 0.5)["dice"] < 0.75


def test_surface_of_a_mask_turned_and_mirrored():
    skull, _ = masks(0.5)
    skull.SetDirection((0, 1, 0, 1, 0, 0, 0, 0, 1))  # x and y change places: left-handed
    low, high = np.array([-70.0, -70, -20]), np.array([70.0, 70, 20])
    surface = mask_surface(skull, low, high)
    assert surface.volume_mm3 == pytest.approx(
        (WIDTH_MM**2 - np.pi * RADIUS_MM**2) * THICK_MM, rel=0.03
    )
    assert surface.signed_distances(np.array([[20.0, 0, 0]]))[0] < 0


def test_surface_of_a_ct_is_where_it_crosses_the_threshold():
    counts = (20, 64, 64)
    z, y, x = np.indices(counts) - np.array([10.0, 32, 32])[:, None, None, None]
    distance = slab(x, y, z + 0.3)
    hu = np.clip(300.0 - 400.0 * distance, -100, 1200)
    hu[(np.abs(x - 25) < 2) & (np.abs(y) < 2) & (distance < -2.5)] = -50  # marrow
    ct, skull = (sitk.GetImageFromArray(a) for a in (hu.astype(np.int16), (distance < 0) * 1))
    for image in (ct, skull):
        image.SetOrigin((-32.0, -32.0, -10.0))
    low, high = np.array([-31.0, -31, -9]), np.array([30.0, 30, 8])
    surface = ct_surface(ct, 300.0, skull, low, high)
    top = surface.signed_distances(np.array([[22.0, 5.0, 2.7], [25.0, 0.0, -0.3]]))
    assert top[0] == pytest.approx(0.0, abs=0.02)
    assert top[1] < -2.0  # marrow is bone


def test_thick_slices_keep_what_is_there():
    values = np.arange(11 * 4, dtype=np.int16).reshape(11, 2, 2)
    image = sitk.GetImageFromArray(values)
    thick = thick_slices(image, 2.0)
    assert thick.GetSize() == (2, 2, 5) and thick.GetOrigin()[2] == pytest.approx(0.5)
    np.testing.assert_array_equal(
        sitk.GetArrayFromImage(thick)[:, 0, 0], np.rint(values[:10, 0, 0].reshape(5, 2).mean(1))
    )


def test_implants_of_a_design(tmp_path):
    assert designed_implants(tmp_path, {}) == [(tmp_path / "implant.stl", None)]
    told = [{"file": "implant-1.stl", "insertion_direction_lps": [0, 0, 1]}, {"file": "b.stl"}]
    found = designed_implants(tmp_path, {"implants": told})
    assert [path.name for path, _ in found] == ["implant-1.stl", "b.stl"]
    assert found[0][1].tolist() == [0, 0, 1] and found[1][1] is None


def write_stl(surface: Facets, path) -> None:
    words = [
        f"facet normal {normal[0]:.5f} {normal[1]:.5f} {normal[2]:.5f}\nouter loop\n"
        + "".join(f"vertex {x:.5f} {y:.5f} {z:.5f}\n" for x, y, z in corners)
        + "endloop\nendfacet\n"
        for corners, normal in zip(surface.corners, surface.normals)
    ]
    path.write_text("solid a\n" + "".join(words) + "endsolid a\n", encoding="utf-8")


@pytest.mark.slow
def test_rows_of_a_whole_design_and_their_tables(tmp_path):
    skull, truth = masks(0.5)
    slab_and_disc = sitk.Or(skull, truth)
    bones = Bones(skull, slab_and_disc, None, skull, slab_and_disc)
    write_stl(plate(0.5), tmp_path / "implant-1.stl")
    told = [{"file": "implant-1.stl", "insertion_direction_lps": [0, 0, 2.0]}]
    (tmp_path / "design.json").write_text(json.dumps({"implants": told, "stages": []}))
    row = measure_design(tmp_path, bones, truth, 0.5)[0]
    row |= {"case": "disc", "clearance": 0.5, "at_orbit": False}
    assert row["direction_told"] and row["direction_off_normal_deg"] < 1.0
    assert row["gap_median"] == pytest.approx(0.5, abs=0.05)  # the mask's blur
    assert row["step_outer_95"] < 0.1 and row["dice"] > 0.97
    missed = [words for words, met in verdicts(row).items() if met is False]
    sharp = "0 mm² of wall under 1 mm", "edges of 0.3 to 1.5 mm (1 % and 99 %)"
    slivers = "aspect ratio under 10", "admesh changes nothing"
    assert set(missed) <= {*sharp, *slivers}
    failed = {"case": "other", "clearance": 0.5, "failed": "exit 2"}
    write_tables([row, failed], tmp_path / "tables", {"rows": [row]})
    text = (tmp_path / "tables" / "fit.md").read_text(encoding="utf-8")
    assert "| genus 0 | 1 of 2 |" in text and "| other | 0.5 | failed: exit 2 |" in text
    assert json.loads((tmp_path / "tables" / "fit.json").read_text())["rows"][0]["genus"] == 0
    assert "disc @ 0.5" in short_line(row) and "failed" in short_line(failed)


def test_text_stl_is_read(tmp_path):
    corners = ((0, 0, 0), (1, 0, 0), (0, 1, 0))
    words = "".join(f"vertex {x} {y} {z}\n" for x, y, z in corners)
    text = f"solid a\nfacet normal 0 0 1\nouter loop\n{words}endloop\nendfacet\nendsolid a\n"
    (tmp_path / "one.stl").write_text(text)
    assert len(read_stl(tmp_path / "one.stl").triangles) == 1


def test_a_design_that_failed_meets_no_limit(tmp_path):
    case = FitCase("a", "brainweb-49", "bilateral", tmp_path)
    (tmp_path / "failed.txt").write_text("exit 2: no hole\n")
    row = kept_rows(case, 0.5, tmp_path)[0]
    assert row["failed"] == "exit 2: no hole"
    assert not any(verdicts(row).values()) and len(verdicts(row)) == len(LIMITS)
    json.dumps(row)
