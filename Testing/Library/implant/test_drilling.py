"""Holes through an implant: where they lie, and that they are cut as asked."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.implant.drilling import drilled, footprint_of, holes_for
from SkullImplantLib.implant.meshes import arrays_of, mesh_health
from SkullImplantLib.implant.surface import surface_of
from SkullImplantLib.options import DrillOptions

RADIUS_MM, THICKNESS_MM, SPACING_MM = 40.0, 5.0, 0.5
OUT = np.array([0.0, 0.0, 1.0])


@pytest.fixture(scope="module")
def disc() -> sitk.Image:
    """Return the field of a disc, `RADIUS_MM` wide and `THICKNESS_MM` high, its middle at 0."""
    size = round(2 * (RADIUS_MM + 4) / SPACING_MM) + 1
    height = round((THICKNESS_MM + 8) / SPACING_MM) + 1
    y, x = (np.indices((size, size)) - size // 2) * SPACING_MM
    z = (np.arange(height) - height // 2) * SPACING_MM
    across = RADIUS_MM - np.hypot(x, y)
    along = THICKNESS_MM / 2 - np.abs(z)
    field = sitk.GetImageFromArray(
        np.minimum(across[None], along[:, None, None]).astype(np.float32)
    )
    field.SetSpacing([SPACING_MM] * 3)
    field.SetOrigin([-(size // 2) * SPACING_MM] * 2 + [-(height // 2) * SPACING_MM])
    return field


def test_the_footprint_of_a_disc_knows_its_rim(disc):
    shadow = footprint_of(disc, OUT)
    assert shadow.inside_mm.max() == pytest.approx(RADIUS_MM, abs=1.0)
    middle = np.argwhere(shadow.inside_mm == shadow.inside_mm.max())[0].astype(float)
    place = shadow.place(middle[:1], middle[1:])[0]
    assert np.abs(place).max() < 1.5


def test_suture_holes_lie_evenly_at_the_asked_distance(disc):
    options = DrillOptions(suture_holes=12, suture_hole_mm=2.0, suture_from_rim_mm=5.0)
    places = np.array([hole.place_mm for hole in holes_for(disc, OUT, options)])
    assert len(places) == 12
    from_axis = np.hypot(places[:, 0], places[:, 1])
    assert from_axis == pytest.approx(RADIUS_MM - 5.0 - 1.0, abs=1.0)
    apart = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert apart.max() / apart.min() < 1.1


def test_perforations_keep_their_pitch_and_their_distance(disc):
    options = DrillOptions(perforation_mm=3.0, perforation_pitch_mm=12.0)
    places = np.array([hole.place_mm for hole in holes_for(disc, OUT, options)])
    assert len(places) > 12
    most = RADIUS_MM - options.perforation_from_rim_mm - 1.5
    assert np.hypot(places[:, 0], places[:, 1]).max() <= most + 0.5
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert np.sort(apart, axis=1)[:, 1] == pytest.approx(12.0, abs=0.5)


def test_holes_are_cut_as_asked(disc):
    pytest.importorskip("manifold3d", reason="manifold3d, which cuts the holes, is not installed")
    options = DrillOptions(perforation_mm=3.0, suture_holes=8)
    holes = holes_for(disc, OUT, options)
    mesh = surface_of(disc)
    before, after = mesh_health(mesh), mesh_health(drilled(mesh, holes, OUT))
    assert after.watertight and after.pieces == 1 and after.genus == len(holes)
    taken = sum(np.pi * (hole.diameter_mm / 2) ** 2 for hole in holes) * THICKNESS_MM / 1000.0
    assert before.volume_cm3 - after.volume_cm3 == pytest.approx(taken, rel=0.03)


def test_no_holes_leave_the_mesh_as_it_is(disc):
    mesh = surface_of(disc)
    assert holes_for(disc, OUT, DrillOptions()) == ()
    assert drilled(mesh, (), OUT) is mesh


def test_without_the_library_one_sentence_says_so(disc, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "manifold3d", None)
    holes = holes_for(disc, OUT, DrillOptions(suture_holes=4))
    with pytest.raises(SkullImplantError, match="manifold3d"):
        drilled(surface_of(disc), holes, OUT)


def test_an_implant_too_narrow_for_suture_holes_is_an_error(disc):
    with pytest.raises(SkullImplantError, match="too narrow"):
        holes_for(disc, OUT, DrillOptions(suture_holes=6, suture_from_rim_mm=45.0))


def test_arrays_stay_triangles(disc):
    pytest.importorskip("manifold3d", reason="manifold3d, which cuts the holes, is not installed")
    holes = holes_for(disc, OUT, DrillOptions(suture_holes=3))
    assert arrays_of(drilled(surface_of(disc), holes, OUT))[1].shape[1] == 3
