"""`skull-implant fit`: any implant measured on a head, and what is no implant refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.images import array_of, image_like, write_image
from SkullImplantLib.evaluation.foreign_implant import read_foreign_stl
from SkullImplantLib.export.stl import write_stl
from SkullImplantLib.implant.bone_surface import bone_surface
from SkullImplantLib.implant.meshes import arrays_of, mesh_of

QUIET = ["--progress", "none"]


@pytest.fixture(scope="module")
def head(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample patient's CT, skull and an implant: the piece, a voxel smaller."""
    folder = tmp_path_factory.mktemp("head")
    write_image(coarse_patient.ct, folder / "ct.nrrd")
    write_image(coarse_patient.defective, folder / "skull.nrrd")
    near = sitk.BinaryDilate(coarse_patient.defective, [1, 1, 1], sitk.sitkBall)
    smaller = (array_of(coarse_patient.implant) > 0) & (array_of(near) == 0)
    labels = sitk.RelabelComponent(
        sitk.ConnectedComponent(image_like(smaller, coarse_patient.implant)), sortByObjectSize=True
    )
    surface = bone_surface(labels == 1)
    write_stl(mesh_of(surface.points_mm, surface.triangles), folder / "implant.stl")
    return folder


def corners_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return arrays_of(read_foreign_stl(path))


def as_text(head: Path, file: Path, change: Callable[[np.ndarray], np.ndarray]) -> Path:
    """Write the implant as a text STL, its points changed."""
    points, triangles = corners_of(head / "implant.stl")
    lines = ["solid of another program"]
    for corners in change(points)[triangles]:
        lines += ["facet normal 0 0 0", " outer loop"]
        lines += [f"  vertex {x:.6e} {y:.6e} {z:.6e}" for x, y, z in corners]
        lines += [" endloop", "endfacet"]
    file.write_text("\n".join([*lines, "endsolid"]) + "\n")
    return file


def test_an_implant_is_measured(head, capsys):
    command = ["fit", str(head / "implant.stl"), str(head / "ct.nrrd"), "--json", *QUIET]
    assert main(command) == 0
    data = json.loads(capsys.readouterr().out)
    checks = {check["name"]: check for check in data["checks"]}
    assert {"rim gap", "overlap with bone", "way in", "outer step", "tunnels"} <= set(checks)
    assert {"value", "limit", "passed", "source", "place_mm", "sentence"} <= set(checks["rim gap"])
    assert data["passed"] == all(check["passed"] for check in data["checks"])
    assert np.linalg.norm(data["insertion_direction_lps"]) == pytest.approx(1.0, abs=1e-3)
    assert checks["mesh faults"]["value"] == 0 and checks["pieces"]["value"] == 1


def test_people_are_told_a_line_a_check(head, capsys):
    command = ["fit", str(head / "implant.stl"), str(head / "skull.nrrd"), *QUIET]
    assert main([*command, "--insertion-direction", "-1,0,0.3"]) == 0
    told = capsys.readouterr().out
    assert "  overlap with bone: " in told and "  tunnels: " in told
    assert "It comes out along -0.958, 0.000, 0.287 (LPS)." in told
    assert told.rstrip().endswith("checks passed.")


def test_text_stl_is_the_same(head, tmp_path, capsys):
    text = as_text(head, tmp_path / "text.stl", lambda points: points)
    points, triangles = corners_of(text)
    own_points, own_triangles = corners_of(head / "implant.stl")
    assert len(points) == len(own_points) and len(triangles) == len(own_triangles)
    np.testing.assert_allclose(points.mean(axis=0), own_points.mean(axis=0), atol=1e-4)


def test_a_header_may_say_ras(head, tmp_path):
    content = bytearray((head / "implant.stl").read_bytes())
    content[:80] = b"of Slicer; SPACE=RAS".ljust(80)
    (tmp_path / "ras.stl").write_bytes(content)
    ras, _ = corners_of(tmp_path / "ras.stl")
    lps, _ = corners_of(head / "implant.stl")
    np.testing.assert_allclose(ras.min(axis=0)[:2], -lps.max(axis=0)[:2], atol=1e-5)
    np.testing.assert_allclose(ras.min(axis=0)[2], lps.min(axis=0)[2], atol=1e-5)


def refused(head: Path, file: Path, capsys, skull: Path | None = None) -> str:
    assert main(["fit", str(file), str(skull or head / "skull.nrrd"), *QUIET]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if line.strip()]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda points: points / 1000.0, "export it in millimetres"),
        (lambda points: points * 25.4, "export it in millimetres"),
        (lambda points: points + [0.0, 0.0, 150.0], "is it in the CT's frame?"),
    ],
)
def test_wrong_units_and_places_are_refused(head, tmp_path, capsys, change, says):
    sheet = as_text(head, tmp_path / "other.stl", change)
    told = refused(head, sheet, capsys)
    assert says in told and "RAS" not in told


def test_an_implant_in_ras_is_told_so(head, tmp_path, capsys):
    # A scanner's origin is seldom in the middle of the head.
    aside = np.array([150.0, 220.0, 0.0])
    skull = sitk.ReadImage(str(head / "skull.nrrd"))
    skull.SetOrigin((np.array(skull.GetOrigin()) + aside).tolist())
    write_image(skull, tmp_path / "aside.nrrd")
    turned = as_text(
        head, tmp_path / "ras.stl", lambda points: (points + aside) * [-1.0, -1.0, 1.0]
    )
    told = refused(head, turned, capsys, tmp_path / "aside.nrrd")
    assert "is it in the CT's frame? Turned from RAS to LPS it would fit." in told


def test_an_open_surface_is_refused(head, tmp_path, capsys):
    points, triangles = corners_of(head / "implant.stl")
    write_stl(mesh_of(points, triangles[5:]), tmp_path / "open.stl")
    assert "not closed" in refused(head, tmp_path / "open.stl", capsys)


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "is not an STL file"),
        (b"\x00" * 84, "is empty"),
        (b"solid nothing\nendsolid\n", "is empty"),
        (b"ply\nformat ascii 1.0\n", "is not an STL file"),
        (b"solid x\nvertex 1 2\nvertex 1 2 a\n", "is not an STL file"),
    ],
)
def test_what_is_no_stl_is_refused(head, tmp_path, capsys, content, says):
    (tmp_path / "bad.stl").write_bytes(content)
    assert says in refused(head, tmp_path / "bad.stl", capsys)


def test_a_missing_file_and_no_direction_are_refused(head, tmp_path, capsys):
    assert "does not exist" in refused(head, tmp_path / "none.stl", capsys)
    command = ["fit", str(head / "implant.stl"), str(head / "skull.nrrd"), *QUIET]
    assert main([*command, "--insertion-direction", "0,0,0"]) == 2
    assert "direction" in capsys.readouterr().err
