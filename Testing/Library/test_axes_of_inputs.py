"""Whatever axes the images of a patient have, whatever is made of them lies at the same place.

Surfaces are read and compared by plain numpy and VTK, masks voxel by voxel.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from relabelling import relabelled
from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.export.stl import write_stl
from stl_files import read

SAME_MM = 0.01
# Left-handed with all axes in another order; and turned, as a patient who faces the other way.
LEFT_HANDED, TURNED = ((2, 0, 1), (-1, 1, 1)), ((0, 1, 2), (-1, -1, 1))
QUIET = ["--progress", "none"]
MASKS = ("skull", "completed", "implant")


def apart_mm(a: vtk.vtkPolyData, b: vtk.vtkPolyData) -> float:
    """The largest distance of a corner or middle of a facet of either surface from the other."""
    most = 0.0
    for one, other in ((a, b), (b, a)):
        locator = vtk.vtkStaticCellLocator()
        locator.SetDataSet(other)
        locator.BuildLocator()
        points = vtk_to_numpy(one.GetPoints().GetData())
        facets = vtk_to_numpy(one.GetPolys().GetConnectivityArray())
        middles = points[facets.reshape(-1, 3)].mean(axis=1)
        near, cell = [0.0] * 3, vtk.vtkGenericCell()
        number, part, square = vtk.reference(0), vtk.reference(0), vtk.reference(0.0)
        for point in np.vstack([points, middles]).astype(float):
            locator.FindClosestPoint(point, near, cell, number, part, square)
            most = max(most, float(square))
    return most**0.5


def volume_of(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path))


def same_on(mask: Path, other: Path, relabelling: tuple) -> bool:
    """Whether a mask is the other one under a relabelling, at the same place."""
    expected, found = relabelled(volume_of(mask), *relabelling), volume_of(other)
    return (
        np.array_equal(sitk.GetArrayFromImage(expected), sitk.GetArrayFromImage(found))
        and np.allclose(expected.GetOrigin(), found.GetOrigin(), atol=1e-3)
        and np.allclose(expected.GetDirection(), found.GetDirection(), atol=1e-6)
    )


def run(*arguments: object) -> None:
    assert main([*map(str, arguments), *QUIET]) == 0


@pytest.fixture(scope="module")
def heads(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images of a patient on plain axes, and under others in NIfTI, whose places are
    rounded to 32 bits.
    """
    folder = tmp_path_factory.mktemp("heads")
    ct = sitk.Image(coarse_patient.ct)
    ct.SetOrigin((-101.7, 33.3, 12.345678))
    for name, image in (
        ("ct", ct),
        ("mask", coarse_patient.defective),
        ("complete", coarse_patient.complete),
        ("truth", coarse_patient.implant),
    ):
        image = sitk.Image(image)
        image.SetOrigin(ct.GetOrigin())
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
        sitk.WriteImage(relabelled(image, *LEFT_HANDED), str(folder / f"{name}-left.nii.gz"))
        sitk.WriteImage(relabelled(image, *TURNED), str(folder / f"{name}-turned.nii.gz"))
    # A rim to be cut back to.
    wide = sitk.BinaryDilate(coarse_patient.implant, [3, 3, 3], sitk.sitkBall)
    left_out = sitk.And(wide, coarse_patient.defective)
    left_out.SetOrigin(ct.GetOrigin())
    sitk.WriteImage(left_out, str(folder / "out.nii.gz"))
    sitk.WriteImage(relabelled(left_out, *TURNED), str(folder / "out-turned.nii.gz"))
    sitk.WriteImage(relabelled(left_out, *LEFT_HANDED), str(folder / "out-left.nii.gz"))
    return folder


@pytest.fixture(scope="module")
def designs(heads: Path) -> Path:
    """The designs for the CT, a region left out, on plain axes and under others."""
    for name, out in (("ct", "out"), ("ct-left", "out-turned")):
        arguments = ["--leave-out", heads / f"{out}.nii.gz", "--model", "prior", "--no-report"]
        run("design", heads / f"{name}.nii.gz", "-o", heads / f"design-{name}", *arguments)
    return heads


@pytest.mark.slow
def test_a_ct_with_bone_left_out(designs: Path) -> None:
    one, other = designs / "design-ct", designs / "design-ct-left"
    assert apart_mm(read(one / "implant.stl"), read(other / "implant.stl")) < SAME_MM
    for name in MASKS:
        assert same_on(one / f"{name}.nrrd", other / f"{name}.nrrd", LEFT_HANDED)
    told = [json.loads((folder / "design.json").read_text()) for folder in (one, other)]
    for key in ("implant", "confidence", "notes", "passed"):
        assert told[0][key] == told[1][key]
    assert told[1]["input"]["size_xyz"] == list(volume_of(designs / "ct-left.nii.gz").GetSize())


@pytest.mark.slow
def test_an_edited_implant(designs: Path) -> None:
    found = []
    for name in ("ct", "ct-left"):
        folder = Path(shutil.copytree(designs / f"design-{name}", designs / f"edited-{name}"))
        run("update", folder, "--input", designs / f"{name}.nii.gz", "-o", folder, "--no-report")
        found.append(folder)
    assert apart_mm(*(read(folder / "implant.stl") for folder in found)) < SAME_MM
    for name in MASKS:
        assert same_on(*(folder / f"{name}.nrrd" for folder in found), LEFT_HANDED)


@pytest.mark.slow
def test_what_is_measured_of_an_implant(designs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stl = designs / "design-ct" / "implant.stl"
    told = []
    for name in ("ct", "ct-left"):
        capsys.readouterr()
        run("fit", stl, designs / f"{name}.nii.gz", "--json")
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["checks"] == told[1]["checks"]
    assert told[0]["insertion_direction_lps"] == told[1]["insertion_direction_lps"]


def test_an_evaluation(heads: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = []
    for axes in ("", "-left", "-turned"):
        capsys.readouterr()
        implant, truth, skull = (
            heads / f"{name}{axes}.nii.gz" for name in ("out", "truth", "mask")
        )
        run(*("evaluate", "--implant", implant, "--truth", truth, "--defective", skull), "--json")
        told.append(json.loads(capsys.readouterr().out))
    assert told[0] == told[1] == told[2] and told[0]["outer_error_mm"] is not None


@pytest.mark.parametrize(("name", "kind"), [("complete", "bilateral"), ("ct", "random")])
def test_a_defect(heads: Path, tmp_path: Path, name: str, kind: str) -> None:
    for axes in ("", "-left"):
        arguments = ["--kind", kind, "--seed", "4", "--area-cm2", "40"]
        run("defect", heads / f"{name}{axes}.nii.gz", "-o", tmp_path / f"cut{axes}", *arguments)
    for mask in ("defective", "implant", "complete"):
        assert same_on(
            tmp_path / "cut" / f"{mask}.nrrd", tmp_path / "cut-left" / f"{mask}.nrrd", LEFT_HANDED
        )


@pytest.mark.slow
def test_a_mask_completed_by_a_reference(heads: Path, tmp_path: Path) -> None:
    for axes, reference in (("", "complete"), ("-turned", "complete-left")):
        arguments = ["--reference", heads / f"{reference}.nii.gz", "--no-report"]
        run("design", heads / f"mask{axes}.nii.gz", "-o", tmp_path / f"to{axes}", *arguments)
    one, other = tmp_path / "to", tmp_path / "to-turned"
    assert apart_mm(read(one / "implant.stl"), read(other / "implant.stl")) < SAME_MM
    for name in MASKS:
        assert same_on(one / f"{name}.nrrd", other / f"{name}.nrrd", TURNED)


@pytest.mark.slow
def test_pictures(designs: Path, tmp_path: Path) -> None:
    for name in ("ct", "ct-left"):
        run("report", designs / f"design-{name}", "-o", tmp_path / name)
    one, other = ((tmp_path / name / "preview.png").read_bytes() for name in ("ct", "ct-left"))
    assert one == other


@pytest.mark.slow
def test_a_real_head_s_hole(shared_data: Path, tmp_path: Path) -> None:
    source = volume_of(shared_data / "test" / "unc-cthead-ct.nii.gz")
    sitk.WriteImage(source, str(tmp_path / "head.nrrd"))
    run("defect", tmp_path / "head.nrrd", "-o", tmp_path / "cut", "--seed", "2")
    hole = volume_of(tmp_path / "cut" / "defective.nrrd")
    sitk.WriteImage(relabelled(hole, *LEFT_HANDED), str(tmp_path / "left.nrrd"))
    for name, path in (
        ("one", tmp_path / "cut" / "defective.nrrd"),
        ("two", tmp_path / "left.nrrd"),
    ):
        run("design", path, "-o", tmp_path / name, "--model", "prior", "--no-report")
    one, other = tmp_path / "one", tmp_path / "two"
    assert apart_mm(read(one / "implant.stl"), read(other / "implant.stl")) < SAME_MM
    for name in MASKS:
        assert same_on(one / f"{name}.nrrd", other / f"{name}.nrrd", LEFT_HANDED)


@pytest.mark.parametrize("verb", ["defect", "fit", "design"])
def test_a_head_that_faces_backwards_is_refused(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    """Voxels run the other way along two axes, which the header does not know; and the header's
    axes are not the plain ones, of which the advice must speak.
    """
    head = volume_of(shared_data / "test" / "brainweb-49.nii.gz")[::4, ::4, ::4]
    given = relabelled(head, (2, 0, 1), (1, -1, 1))
    wrong = sitk.GetImageFromArray(sitk.GetArrayFromImage(given)[::-1, ::-1].copy())
    wrong.CopyInformation(given)
    sitk.WriteImage(wrong, str(tmp_path / "wrong.nrrd"))
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(20.0)
    sphere.Update()
    write_stl(sphere.GetOutput(), tmp_path / "ball.stl")
    output = ["-o", str(tmp_path / "out")]
    arguments = {"fit": [str(tmp_path / "ball.stl"), str(tmp_path / "wrong.nrrd")]}
    capsys.readouterr()
    usual = [str(tmp_path / "wrong.nrrd"), *output]
    assert main([verb, *arguments.get(verb, usual), *QUIET]) == 2
    said = capsys.readouterr().err
    assert "seems to face backwards" in said and "--orientation" in said
    assert "look like SLA or SRA and not like SRP" in said
    assert not (tmp_path / "out").exists()
