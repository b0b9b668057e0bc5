"""An expert's mesh as truth: on the skull's grid, in the frame in which it lies in the hole."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.core.images import array_of, image_like, write_image
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.expert_implant import open_share, read_expert_implant
from SkullImplantLib.evaluation.suite_cases import CohortCase
from SkullImplantLib.implant.mesh_mask import mask_of_mesh
from SkullImplantLib.implant.meshes import arrays_of, mesh_of
from SkullImplantLib.implant.surface import surface_of_mask

FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
RAS = np.array([-1.0, -1.0, 1.0])


@pytest.fixture(scope="module")
def mesh(coarse_patient: SamplePatient) -> vtkPolyData:
    """The surface of the sample patient's missing piece, LPS mm."""
    return surface_of_mask(coarse_patient.implant)


def write_stl(mesh: vtkPolyData, path: Path, times: np.ndarray, shift_mm: float = 0.0) -> Path:
    """Write the mesh, its axes turned and shifted, with a header that says nothing."""
    points, triangles = arrays_of(mesh)
    facets = np.zeros(len(triangles), FACET)
    facets["corners"] = (points * times + shift_mm)[triangles]
    count = len(facets).to_bytes(4, "little")
    path.write_bytes(b"binary".ljust(80) + count + facets.tobytes())
    return path


def dice(one: sitk.Image, other: sitk.Image) -> float:
    a, b = array_of(one) != 0, array_of(other) != 0
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.mark.parametrize("times", [np.ones(3), RAS])
def test_the_frame_is_the_one_in_which_it_fits(
    coarse_patient: SamplePatient, mesh: vtkPolyData, tmp_path: Path, times: np.ndarray
) -> None:
    write_image(coarse_patient.defective, tmp_path / "B0001.nrrd")
    implant = write_stl(mesh, tmp_path / "B0001_implant.stl", times)
    truth = read_expert_implant(implant, coarse_patient.defective)
    assert dice(truth, coarse_patient.implant) > 0.9
    case = CohortCase(tmp_path / "B0001.nrrd", implant, "mug500-B0001", "craniotomy")
    made = case.load()
    assert made.truth is not None and dice(made.truth, truth) == 1.0


def test_what_lies_in_no_hole_is_refused(
    coarse_patient: SamplePatient, mesh: vtkPolyData, tmp_path: Path
) -> None:
    for shift_mm in (1000.0, 60.0):  # beside the image; within the head
        path = write_stl(mesh, tmp_path / "B0002_implant.stl", np.ones(3), shift_mm)
        with pytest.raises(SkullImplantError, match=r"lies in no hole.*; check"):
            read_expert_implant(path, coarse_patient.defective)
    whole = write_stl(mesh, tmp_path / "B0003_implant.stl", np.ones(3))
    with pytest.raises(SkullImplantError, match="lies in no hole"):
        read_expert_implant(whole, coarse_patient.complete)


def test_an_open_surface_is_refused(
    coarse_patient: SamplePatient, mesh: vtkPolyData, tmp_path: Path
) -> None:
    points, triangles = arrays_of(mesh)
    middle = points[triangles].mean(axis=1)
    opened = mesh_of(points, triangles[middle[:, 2] < np.quantile(middle[:, 2], 0.6)])
    path = write_stl(opened, tmp_path / "B0005_implant.stl", np.ones(3))
    with pytest.raises(SkullImplantError, match="close it, or crop the image less"):
        read_expert_implant(path, coarse_patient.defective)


def test_what_lies_in_two_holes_is_refused(
    coarse_patient: SamplePatient, mesh: vtkPolyData, tmp_path: Path
) -> None:
    turned = mask_of_mesh(mesh_of(arrays_of(mesh)[0] * RAS, arrays_of(mesh)[1]), coarse_patient.ct)
    wide = sitk.BinaryDilate(turned, [4, 4, 4])
    both = image_like(array_of(coarse_patient.defective) & ~array_of(wide) & 1, turned)
    path = write_stl(mesh, tmp_path / "B0004_implant.stl", np.ones(3))
    with pytest.raises(SkullImplantError, match="both as LPS and as RAS; write"):
        read_expert_implant(path, both)


def test_an_empty_implant_is_nowhere(coarse_patient: SamplePatient) -> None:
    nothing = coarse_patient.implant * 0
    assert open_share(nothing, coarse_patient.defective) == 0.0
    assert open_share(coarse_patient.implant, coarse_patient.defective) > 0.8


@pytest.mark.parametrize("axes", ["LPS", "RAS", "ASL", "SPL"])
def test_a_mesh_becomes_its_mask_on_any_axes(
    coarse_patient: SamplePatient, mesh: vtkPolyData, axes: str
) -> None:
    grid = sitk.DICOMOrient(coarse_patient.implant, axes)
    grid.SetOrigin([p + 0.3 for p in grid.GetOrigin()])
    assert dice(mask_of_mesh(mesh, grid), grid) > 0.85
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.2, 0.3, 0.1)
    oblique = sitk.Image(coarse_patient.implant)
    oblique.SetDirection(turn.GetMatrix())
    made = mask_of_mesh(surface_of_mask(oblique), oblique)
    assert dice(made, oblique) > 0.9
