"""The mould of an implant with drilled holes is that of the implant before it was drilled."""

import json

import numpy as np
import pytest
from bent_plate import bent_plate, crossings
from hypothesis import given, settings
from hypothesis import strategies as st
from repairs import admesh_changes, needs_admesh

from SkullImplantLib.export.exporting import export_result
from SkullImplantLib.export.mould import two_piece_mould
from SkullImplantLib.export.stl import read_stl, write_stl
from SkullImplantLib.export.undrilled import undrilled
from SkullImplantLib.implant.drilling import Hole, drilled
from SkullImplantLib.implant.mesh_distance import MeshDistance
from SkullImplantLib.implant.meshes import arrays_of, mesh_health
from SkullImplantLib.implant.solids import axes_along

manifold3d = pytest.importorskip("manifold3d")

UP = np.array([0.36, -0.48, 0.8])
PLACE = np.array([12.0, -30.0, 45.0])
AXES = axes_along(UP)
# Of the plate's middle along its frame, mm, and diameters.
HOLES = (
    (0.0, 0.0, 3.0),
    (12.0, 3.0, 2.0),
    (-12.0, 5.0, 3.0),
    (0.0, -14.0, 1.0),
    (-10.0, -12.0, 0.5),
)


def drilled_plate(plate, holes=HOLES):
    middle = arrays_of(plate)[0].mean(axis=0)
    cut = tuple(
        Hole(tuple(middle + x * AXES[:, 0] + y * AXES[:, 1]), diameter) for x, y, diameter in holes
    )
    return drilled(plate, cut, UP)


@pytest.fixture(scope="module")
def plate():
    return bent_plate(UP, PLACE)


@pytest.fixture(scope="module")
def mould(plate):
    whole, count = undrilled(drilled_plate(plate), UP)
    assert count == len(HOLES)
    return two_piece_mould(whole, UP)


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(-1, 1), st.integers(-1, 1), st.floats(0.5, 6.0)),
        unique_by=lambda hole: hole[:2],
        min_size=1,
    )
)
def test_holes_are_closed_as_the_faces_bend(plate, holes):
    holes = [(12.0 * x, 12.0 * y, diameter) for x, y, diameter in holes]
    found, count = undrilled(drilled_plate(plate, holes), UP)
    before, after = mesh_health(plate), mesh_health(found)
    assert count == len(holes) and after.watertight and after.genus == 0 and after.pieces == 1
    assert after.volume_cm3 == pytest.approx(before.volume_cm3, rel=1e-3)
    # The ball's radii tell how far the faces are from where they were.
    away = np.linalg.norm(arrays_of(found)[0] - PLACE, axis=1)
    was = np.linalg.norm(arrays_of(plate)[0] - PLACE, axis=1)
    assert was.min() - 0.05 < away.min() and away.max() < was.max() + 0.05


def test_what_has_no_holes_is_left_alone(plate):
    assert undrilled(plate, UP) == (plate, 0)
    # Seen from aside no hole is one along the way in.
    holed = drilled_plate(plate)
    assert undrilled(holed, AXES[:, 0]) == (holed, 0)


def test_both_halves_come_off_and_have_no_posts(mould):
    """Along every line in the way's direction each half is one stretch of material."""
    assert mesh_health(mould.upper).genus == mould.channels
    assert mesh_health(mould.lower).genus == 0
    rng = np.random.default_rng(3)
    middle = arrays_of(mould.upper)[0].mean(axis=0)
    across = rng.uniform(-40.0, 40.0, (900, 2)) @ AXES[:, :2].T + middle
    starts, ends = across - 150.0 * UP, across + 150.0 * UP
    for half in (mould.lower, mould.upper):
        counts = np.array([len(found) for found in crossings(half, starts, ends)])
        within = counts > 0
        assert within.mean() > 0.9 and np.mean(counts[within] == 2) > 0.99


def test_the_cavity_is_the_undrilled_implant_and_the_shrinkage(plate, mould):
    points = arrays_of(plate)[0]
    drilled_points = arrays_of(drilled_plate(plate))[0]
    middle = (drilled_points.min(axis=0) + drilled_points.max(axis=0)) / 2.0
    larger = middle + mould.scale * (points - middle)
    apart = [
        MeshDistance(*arrays_of(half)).unsigned_mm(larger) for half in (mould.upper, mould.lower)
    ]
    nearest = np.min(apart, axis=0)
    # Less where channels come in.
    assert np.mean(nearest < 0.05) > 0.97
    assert np.percentile(nearest, 95) < 0.02


def test_the_export_says_that_holes_are_drilled_later(plate, tmp_path):
    result = tmp_path / "result"
    result.mkdir()
    write_stl(drilled_plate(plate), result / "implant.stl")
    told = {"input": {}, "implants": [{"insertion_direction_lps": UP.tolist()}]}
    (result / "design.json").write_text(json.dumps(told))
    found = export_result(result, ["mould"], tmp_path / "out", name="left")
    assert found.as_json()["notes"] == [
        "The mould casts the implant without its 5 holes; drill after casting."
    ]
    for half in ("upper", "lower"):
        assert mesh_health(read_stl(tmp_path / "out" / f"left-mould-{half}.stl")).watertight


@needs_admesh
def test_admesh_changes_nothing(mould, plate, tmp_path):
    for name, mesh in (
        ("upper", mould.upper),
        ("lower", mould.lower),
        ("drilled", drilled_plate(plate)),
    ):
        write_stl(mesh, tmp_path / f"{name}.stl")
        assert not any(admesh_changes(tmp_path / f"{name}.stl").values()), name
