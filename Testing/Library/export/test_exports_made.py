"""What is made for theatre, viewer and archive of a result, by the command and by who reads it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from repairs import admesh_changes, needs_admesh
from test_dicom_objects import complete
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkIOPLY import vtkPLYReader

from dicom_files import PATIENT, write_series
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.export.stl import read_stl
from SkullImplantLib.implant.meshes import arrays_of, mesh_health

pytestmark = pytest.mark.slow
MADE = "stl,3mf,mould,try-in,ply,glb,dicom"
NAME = "left"
needs_slicer = pytest.mark.skipif(
    shutil.which("prusa-slicer") is None, reason="PrusaSlicer is not installed"
)


@pytest.fixture(scope="module")
def series(coarse_patient: SamplePatient, tmp_path_factory) -> Path:
    """The sample patient's CT as a scanner would send it."""
    ct = coarse_patient.ct
    return write_series(
        tmp_path_factory.mktemp("series") / "ct",
        sitk.GetArrayFromImage(ct),
        spacing_mm=ct.GetSpacing(),
        origin_mm=ct.GetOrigin(),
        edit=complete,
    )


@pytest.fixture(scope="module")
def result(series, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("result") / "design"
    assert main(["design", str(series), "-o", str(folder), "--progress", "none"]) == 0
    return folder


@pytest.fixture(scope="module")
def made(result, series, tmp_path_factory) -> Path:
    for library in ("manifold3d", "lib3mf", "highdicom", "trimesh"):
        pytest.importorskip(library)
    folder = tmp_path_factory.mktemp("made")
    command = ["export", str(result), "--as", MADE, "--input", str(series), "-o", str(folder)]
    assert main([*command, "--name", NAME, "--progress", "none"]) == 0
    return folder


def test_every_surface_is_closed(made):
    for name in ("implant", "mould-upper", "mould-lower", "try-in"):
        health = mesh_health(read_stl(made / f"{NAME}-{name}.stl"))
        assert health.watertight, name


@needs_admesh
def test_admesh_changes_nothing_in_any_of_them(made):
    for file in made.glob("*.stl"):
        assert not any(admesh_changes(file).values()), file.name


@needs_slicer
def test_a_slicer_takes_every_surface_without_a_word_of_repair(made):
    files = [*made.glob("*.stl"), *made.glob("*.3mf")]
    assert len(files) == 5
    for file in files:
        told = subprocess.run(
            ["prusa-slicer", "--info", str(file)], capture_output=True, text=True, check=True
        ).stdout
        assert re.search(r"manifold = yes", told), told
        assert not re.search(r"degenerate|removed|fixed|reversed|open_edges|backwards", told), told


@needs_slicer
def test_a_slicer_slices_them(made, tmp_path):
    for name in ("implant.stl", "implant.3mf", "mould-lower.stl", "try-in.stl"):
        out = tmp_path / f"{name}.gcode"
        command = ["prusa-slicer", "--export-gcode", "--support-material", "-o", str(out)]
        # A bed for a head; the implant lies as it does in the head in its STL.
        command += ["--bed-shape", "0x0,400x0,400x400,0x400", "--max-print-height", "400"]
        told = subprocess.run(
            [*command, str(made / f"{NAME}-{name}")], capture_output=True, text=True, check=False
        )
        assert told.returncode == 0, told.stderr
        assert out.stat().st_size > 10_000


def test_the_implant_lies_in_the_gap_of_the_try_in_model(made, result):
    """Printed, one goes into the other: at the rim the stated clearance, nowhere less."""
    from scipy.spatial import cKDTree

    bone = arrays_of(read_stl(made / f"{NAME}-try-in.stl"))[0]
    implant = arrays_of(read_stl(made / f"{NAME}-implant.stl"))[0]
    asked = json.loads((result / "design.json").read_text())["parameters"]["clearance_mm"]
    nearest = cKDTree(bone).query(implant)[0]
    assert nearest.min() > asked - 0.25
    assert np.count_nonzero(nearest < asked + 0.5) > 100


def test_a_ply_has_the_colors_of_the_thickness(made, result):
    reader = vtkPLYReader()
    reader.SetFileName(str(made / f"{NAME}-implant.ply"))
    reader.Update()
    mesh = reader.GetOutput()
    colors = vtk_to_numpy(mesh.GetPointData().GetScalars())
    assert colors.shape == (mesh.GetNumberOfPoints(), 3) and len(np.unique(colors, axis=0)) > 20
    stl = mesh_health(read_stl(result / "implant.stl"))
    assert mesh_health(mesh).volume_cm3 == pytest.approx(stl.volume_cm3, rel=1e-4)


def test_a_glb_stands_upright_in_metres(made, result):
    import trimesh

    scene = trimesh.load_scene(made / f"{NAME}-implant.glb")
    assert set(scene.geometry) == {"Skull", "Implant"}
    told = json.loads((result / "design.json").read_text())["implants"][0]
    x, y, z = (mm / 1000 for mm in told["centre_mm_xyz"])
    middle = scene.geometry["Implant"].bounds.mean(axis=0)
    assert np.allclose(middle, [x, z, -y], atol=0.03)
    assert scene.geometry["Implant"].visual.vertex_colors.shape[1] == 4


def test_dicom_holds_the_stl_that_is_exported(made):
    found = pydicom.dcmread(made / f"{NAME}-implant.dcm")
    stl = (made / f"{NAME}-implant.stl").read_bytes()
    assert found.EncapsulatedDocument[: found.EncapsulatedDocumentLength] == stl
    assert found.PatientName == PATIENT


def test_nothing_but_dicom_tells_who_the_patient_is(made, result):
    """Every file is searched for the name, ID, birth date, dates, doctor of the marked series."""
    # Short ones would be met by chance in a million numbers.
    marks = [b"Doe^Jane", b"19700101", b"20250102", b"Doctor^Who", b"101112.", b"101213"]
    files = [*made.iterdir(), *result.iterdir()]
    assert len(files) > 12
    for file in files:
        content = file.read_bytes()
        if file.suffix == ".dcm":
            assert b"Doe^Jane" in content
        else:
            assert not [mark for mark in marks if mark in content], file.name


def test_dicom_of_another_input_exits_2_and_says_why(result, tmp_path, capsys, coarse_patient):
    sitk.WriteImage(coarse_patient.ct, str(tmp_path / "ct.nrrd"))
    command = ["export", str(result), "--as", "dicom", "-o", str(tmp_path / "out"), "--progress",
               "none"]  # fmt: skip
    for more in ([], ["--input", str(tmp_path / "ct.nrrd")]):
        assert main([*command, *more]) == 2
        assert "needs the DICOM series that the design came from" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_label_is_engraved_in_all_that_is_made_of_the_implant(result, made, tmp_path):
    command = ["export", str(result), "--as", "stl,3mf", "-o", str(tmp_path), "--name", NAME]
    assert main([*command, "--engrave", "L 7", "--progress", "none"]) == 0
    plain = mesh_health(read_stl(made / f"{NAME}-implant.stl"))
    label = mesh_health(read_stl(tmp_path / f"{NAME}-implant.stl"))
    assert label.watertight and 0.001 < plain.volume_cm3 - label.volume_cm3 < 0.05
    assert (tmp_path / f"{NAME}-implant.3mf").stat().st_size > 10_000
