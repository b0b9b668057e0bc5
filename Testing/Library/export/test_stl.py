"""STL files, read back by VTK and judged by admesh, an independent program."""

import shutil

import numpy as np
import pytest
import SimpleITK as sitk
import vtk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.stl import write_stl
from SkullImplantLib.implant.meshes import arrays_of, mesh_health, mesh_of
from SkullImplantLib.implant.surface import surface_of
from SkullImplantLib.implant.walls import one_solid
from stl_files import admesh, assert_admesh_finds_no_fault, read

needs_admesh = pytest.mark.skipif(
    shutil.which("admesh") is None, reason="admesh is not installed (apt install admesh)"
)

SPACING_MM = 0.5


def bowl(spacing_mm: float, handed: int = 1) -> sitk.Image:
    """The field of a 4 mm bowl, edges rounded, on slanting axes, some 180 mm from the origin."""
    count = round(50 / spacing_mm)
    p = (np.stack(np.meshgrid(*[np.arange(count)] * 3, indexing="ij"), -1) + 0.5) * spacing_mm - 25
    below = np.abs(np.linalg.norm(p - np.array([0, 0, -60.0]), axis=-1) - 62) - 1.0
    beyond = np.hypot(p[..., 0], p[..., 1]) - 19
    outside = np.hypot(np.maximum(below, 0), np.maximum(beyond, 0))
    depth = 1.0 - outside - np.minimum(np.maximum(below, beyond), 0)
    return on_slanting_axes(depth, spacing_mm, [10, 25, -40], handed)


def on_slanting_axes(
    field: np.ndarray, spacing_mm: float, angles_deg: list[float], handed: int
) -> sitk.Image:
    image = sitk.GetImageFromArray(field.astype(np.float32))
    image.SetSpacing([spacing_mm] * 3)
    image.SetOrigin((-180.0, 90.0, 40.0))
    direction = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    direction[:, 0] *= handed
    image.SetDirection(direction.ravel().tolist())
    return image


def test_the_file_says_its_frame_and_holds_the_mesh(tmp_path):
    mesh = surface_of(bowl(1.0))
    write_stl(mesh, tmp_path / "implant.stl")
    content = (tmp_path / "implant.stl").read_bytes()
    header = content[:80].decode("ascii")
    assert not header.startswith("solid")
    assert "SPACE=LPS" in header and "UNITS=mm" in header and "review" in header
    assert len(content) == 84 + 50 * mesh.GetNumberOfPolys()
    again = read(tmp_path / "implant.stl")
    found, written = mesh_health(again), mesh_health(mesh)
    assert (found.points, found.triangles) == (written.points, written.triangles)
    assert found.watertight and found.volume_cm3 == pytest.approx(written.volume_cm3)
    assert again.GetBounds() == pytest.approx(mesh.GetBounds())


def test_normals_in_the_file_are_the_facets(tmp_path):
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], float)
    write_stl(mesh_of(points, tetrahedron), tmp_path / "a.stl")
    facet = np.dtype([("n", "<f4", 3), ("p", "<f4", (3, 3)), ("a", "<u2")])
    facets = np.frombuffer((tmp_path / "a.stl").read_bytes()[84:], facet)
    third = 1 / np.sqrt(3)
    expected = [[0, 0, -1], [0, -1, 0], [third, third, third], [-1, 0, 0]]
    np.testing.assert_allclose(facets["n"], expected, atol=1e-6)
    np.testing.assert_array_equal(facets["p"], points[tetrahedron])


@needs_admesh
@pytest.mark.parametrize("spacing_mm", [0.5, 1.0])
@pytest.mark.parametrize("handed", [1, -1])
def test_an_implant_like_solid_is_sound_for_admesh(tmp_path, spacing_mm, handed):
    field = bowl(spacing_mm, handed)
    voxels = (sitk.GetArrayViewFromImage(field) > 0).sum() * spacing_mm**3 / 1000.0
    mesh = surface_of(field)
    write_stl(mesh, tmp_path / "a.stl")
    assert_admesh_finds_no_fault(tmp_path / "a.stl", mesh_health(mesh).volume_cm3)
    assert admesh(tmp_path / "a.stl")["Volume"] / 1000.0 == pytest.approx(voxels, rel=0.02)


@needs_admesh
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    seed=st.integers(0, 2**32 - 1),
    blur=st.floats(2.0, 3.5),
    fraction=st.floats(0.1, 0.8),
    angles=st.lists(st.floats(-180, 180), min_size=3, max_size=3),
    handed=st.sampled_from([1, -1]),
)
def test_random_solids_are_sound_for_admesh(tmp_path, seed, blur, fraction, angles, handed):
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(30, 32, 28)), blur)
    noise -= np.quantile(noise, 1 - fraction)
    noise /= np.linalg.norm(np.gradient(noise, SPACING_MM), axis=0).mean()
    field, room = noise.astype(np.float32), np.ones(noise.shape, np.float32)
    solid = one_solid(field, room, SPACING_MM, 1.0, field > 0.0)  # as a fit leaves it
    mesh = surface_of(on_slanting_axes(solid, SPACING_MM, angles, handed))
    write_stl(mesh, tmp_path / "a.stl")
    assert_admesh_finds_no_fault(tmp_path / "a.stl", mesh_health(mesh).volume_cm3)


def test_a_mesh_that_cannot_be_written_leaves_nothing(tmp_path):
    mesh = surface_of(bowl(2.0))
    with pytest.raises(SkullImplantError, match="Cannot write"):
        write_stl(mesh, tmp_path / "missing" / "a.stl")
    with pytest.raises(ValueError, match="empty"):
        write_stl(vtk.vtkPolyData(), tmp_path / "a.stl")
    quads = vtk.vtkCubeSource()
    quads.Update()
    with pytest.raises(ValueError, match="no triangle"):
        write_stl(quads.GetOutput(), tmp_path / "a.stl")
    assert list(tmp_path.iterdir()) == []


def test_a_mesh_read_and_written_again_is_the_same_file(tmp_path):
    write_stl(surface_of(bowl(1.5)), tmp_path / "a.stl")
    again = read(tmp_path / "a.stl")
    write_stl(mesh_of(*arrays_of(again)), tmp_path / "b.stl")
    assert (tmp_path / "a.stl").read_bytes() == (tmp_path / "b.stl").read_bytes()


@needs_admesh
def test_admesh_sees_a_missing_and_a_turned_facet(tmp_path):
    points, triangles = arrays_of(surface_of(bowl(2.0)))
    write_stl(mesh_of(points, triangles[1:]), tmp_path / "open.stl")
    assert admesh(tmp_path / "open.stl")["Total disconnected facets"] == 3
    triangles[5] = triangles[5, ::-1]  # admesh takes the first facet for right
    write_stl(mesh_of(points, triangles), tmp_path / "turned.stl")
    assert admesh(tmp_path / "turned.stl")["Facets reversed"] == 1
