"""Designs side by side: the table from what they tell, the distance from their surfaces."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vtkmodules.vtkCommonDataModel import vtkPolyData

from SkullImplantLib.cli.main import main
from SkullImplantLib.designing.proposal import plain
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.design_distance import designs_apart
from SkullImplantLib.evaluation.design_table import design_table
from SkullImplantLib.export.stl import write_stl
from SkullImplantLib.implant.level_set import closed_surface_at_zero
from SkullImplantLib.implant.meshes import mesh_of
from SkullImplantLib.options import DesignOptions

OUTER_MM, THICKNESS_MM, ANGLE, LATTICE_MM = 70.0, 6.0, 0.35, 0.8
LOW_MM, HIGH_MM = np.array([-34.0, -34.0, 44.0]), np.array([34.0, 34.0, 84.0])
HEAD_MM = np.zeros(3)


def plate(outer_mm: float = OUTER_MM, inner_mm: float = OUTER_MM - THICKNESS_MM) -> vtkPolyData:
    """A piece of a sphere's shell about the origin, around the z axis, LPS mm."""
    axes = [np.arange(a, b, LATTICE_MM) for a, b in zip(LOW_MM, HIGH_MM)]
    z, y, x = np.meshgrid(*axes[::-1], indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2)
    within = (ANGLE - np.arctan2(np.hypot(x, y), z)) * OUTER_MM
    field = np.minimum.reduce([outer_mm - radius, radius - inner_mm, within]).astype(np.float32)
    points, triangles = closed_surface_at_zero(field + np.float32(1e-4))
    return mesh_of(points * LATTICE_MM + LOW_MM, triangles)


def apart(one: vtkPolyData, other: vtkPolyData):
    return designs_apart(([one], [HEAD_MM]), ([other], [HEAD_MM]))


def test_one_design_lies_on_itself():
    found = apart(plate(), plate())
    assert found.dice == 1.0
    assert found.outer_most_mm < 1e-6 and found.surface95_mm < 1e-6


@settings(max_examples=6, deadline=None)
@given(shift_mm=st.floats(-3.0, 3.0))
def test_outer_faces_lie_apart_by_what_was_shifted(shift_mm):
    other = plate(OUTER_MM + shift_mm, OUTER_MM - THICKNESS_MM + shift_mm)
    found = apart(plate(), other)
    assert found.outer_mean_mm == pytest.approx(abs(shift_mm), abs=0.15)
    assert found.outer95_mm == pytest.approx(abs(shift_mm), abs=0.2)
    both = 2.0 * max(THICKNESS_MM - abs(shift_mm), 0.0) / (2.0 * THICKNESS_MM)
    assert found.dice == pytest.approx(both, abs=0.06)


def test_thickness_alone_leaves_the_outer_faces_together():
    found = apart(plate(), plate(inner_mm=OUTER_MM - THICKNESS_MM + 2.0))
    assert found.outer95_mm < 0.1
    assert found.surface95_mm == pytest.approx(2.0, abs=0.25)


def test_it_is_the_same_the_other_way_round():
    one, other = plate(), plate(OUTER_MM + 1.0)
    there, back = apart(one, other), apart(other, one)
    assert there.as_json() == pytest.approx(back.as_json(), abs=1e-9)


def test_implants_of_different_heads_are_refused():
    far = mesh_of(*(part + shift for part, shift in zip(arrays(plate()), (500.0, 0))))
    with pytest.raises(SkullImplantError, match="farther apart than a head"):
        apart(plate(), far)


def arrays(mesh: vtkPolyData) -> tuple[np.ndarray, np.ndarray]:
    from SkullImplantLib.implant.meshes import arrays_of

    return arrays_of(mesh)


def told(**parameters: Any) -> dict[str, Any]:
    """What a design tells of itself."""
    check = {"name": "rim gap", "value": 0.52, "unit": "mm", "passed": True}
    return {
        "schema_version": 2,
        "input": {"sha256": 64 * "a"},
        "model": {"name": "prior", "sha256": None, "source": "prior"},
        "parameters": {
            **plain(DesignOptions()), "bone_threshold_hu": 300.0, "leave_out": None, **parameters,
        },
        "confidence": {"expected_hd95_mm": 1.1, "flagged": False, "source": "prior"},
        "implant": {"area_cm2": 30.0, "volume_cm3": 15.0, "thickness_mm": 5.0},
        "implants": [
            {
                "insertion_direction_lps": [0.0, 0.0, 1.0],
                "insertion_off_normal_deg": 2.0,
                "insertion_lost_percent": 0.1,
            }
        ],
        "checks": [check, {"name": "tunnels", "value": 0, "unit": "", "passed": True}],
    }  # fmt: skip


def rows_of(*designs: dict[str, Any]) -> dict[str, tuple[bool, tuple[str, ...]]]:
    return {row.name: (row.differs, row.values) for row in design_table(designs)}


def test_what_differs_is_marked_and_what_does_not_is_not():
    other = told(clearance_mm=0.8, thickness_mm=4.0)
    other["checks"][0] |= {"value": 0.524}  # within what is shown
    other["checks"][1] |= {"value": 2, "passed": False}
    other["model"]["source"] = other["confidence"]["source"] = "mirror"
    rows = rows_of(told(), other)
    assert rows["clearance"] == (True, ("0.5 mm", "0.8 mm"))
    assert rows["thickness asked for"] == (True, ("as the missing bone", "4 mm"))
    assert rows["rim gap"] == (False, ("0.52 mm", "0.52 mm"))
    assert rows["tunnels"] == (True, ("0", "2, look at it"))
    assert rows["checks passed"] == (True, ("2 of 2", "1 of 2"))
    assert rows["follows"][1][1] == "the other side, turned over"
    assert rows["expected error"] == (True, ("1.1 mm", "not known")), "of a mirror nobody knows"
    assert rows["least wall"][0] is False


def test_edited_flagged_and_older_designs_are_told_as_such():
    edited = told()
    del edited["confidence"]
    edited["edited"] = True
    flagged = told()
    flagged["confidence"]["flagged"] = True
    older = {name: copy.deepcopy(told()[name]) for name in ("checks", "implant", "model")}
    older["parameters"] = {"clearance_mm": 0.5}
    rows = rows_of(edited, flagged, older)
    assert rows["expected error"][1] == ("not known", "1.1 mm, look twice", "not known")
    assert rows["edited by hand"][1][0] == "yes, or fitted again"
    assert rows["bevel"][1] == ("none", "none", "none")
    assert rows["implants"][1][2] == "not known"


def test_several_implants_have_their_checks_apart():
    two = told()
    two["implants"] *= 2
    two["checks"] = [
        {**check, "implant": label} for label in (1, 2) for check in two["checks"]
    ]  # fmt: skip
    rows = rows_of(two, two)
    assert {"1: rim gap", "2: rim gap"} <= set(rows)
    assert rows["implants"][1] == ("2", "2")


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    """Two result folders, as far as `compare` reads them."""
    made = []
    for name, mesh, design in (
        ("one", plate(), told()),
        ("other", plate(OUTER_MM + 1.0), told(clearance_mm=0.8)),
    ):
        (tmp_path / name).mkdir()
        write_stl(mesh, tmp_path / name / "implant.stl")
        (tmp_path / name / "design.json").write_text(json.dumps(design))
        made.append(str(tmp_path / name))
    return made


def test_the_verb_tells_table_and_distance(folders, capsys):
    assert main(["compare", *folders, "--json", "--progress", "none"]) == 0
    data = json.loads(capsys.readouterr().out)
    differing = {row["name"] for row in data["rows"] if row["differs"]}
    assert differing == {"clearance"}
    assert data["apart"][0]["outer_mean_mm"] == pytest.approx(1.0, abs=0.15)
    assert data["designs"] == folders and data["notes"] == []
    assert main(["compare", *folders, folders[0], "--progress", "none"]) == 0
    told = capsys.readouterr().out
    assert "* clearance" in told and "  least wall" in told
    assert told.count("Dice") == 2 and "* differs" in told


def test_other_inputs_and_folders_without_a_design_are_told(folders, tmp_path, capsys):
    path = Path(folders[1]) / "design.json"
    path.write_text(json.dumps({**told(), "input": {"sha256": 64 * "b"}}))
    assert main(["compare", *folders, "--progress", "none"]) == 0
    assert "They were made from different inputs." in capsys.readouterr().out
    path.unlink()
    assert main(["compare", *folders, "--progress", "none"]) == 2
    assert "holds no whole design.json" in capsys.readouterr().err
