"""Meshes made of fields: closed, outward, even, where the field is zero, in whatever frame."""

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from SkullImplantLib.core import images
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.implant.even_mesh import TOLERANCE_MM
from SkullImplantLib.implant.meshes import MeshHealth, arrays_of, mesh_health, mesh_of
from SkullImplantLib.implant.surface import surface_of, surface_of_mask, together

MIDDLE_MM = np.array([30.0, -200.0, 150.0])


def grid(size_mm: float, spacing_mm, direction=None) -> sitk.Image:
    """An empty cube of about `size_mm` with its centre at `MIDDLE_MM`."""
    direction = np.eye(3) if direction is None else direction
    image = sitk.Image([round(size_mm / s) for s in spacing_mm], sitk.sitkUInt8)
    image.SetSpacing([float(s) for s in spacing_mm])
    image.SetDirection(direction.ravel().tolist())
    middle = image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    image.SetOrigin((MIDDLE_MM - np.array(middle)).tolist())
    return image


def points_of(image: sitk.Image) -> np.ndarray:
    """The voxels' centres from the image's middle, (z, y, x, 3), mm."""
    index = np.stack(np.meshgrid(*map(np.arange, image.GetSize()[::-1]), indexing="ij")[::-1], -1)
    frame = images.index_to_lps_mm(image)
    return index @ frame[:3, :3].T + frame[:3, 3] - MIDDLE_MM


def rounded(one: np.ndarray, other: np.ndarray, edge_mm: float = 1.0) -> np.ndarray:
    """Where two distances meet, their edge is rounded, as those of implants are."""
    outside = np.hypot(np.maximum(one + edge_mm, 0), np.maximum(other + edge_mm, 0))
    return outside + np.minimum(np.maximum(one, other) + edge_mm, 0) - edge_mm


def ball(p: np.ndarray) -> np.ndarray:
    return np.linalg.norm(p, axis=-1) - 15.0


def torus(p: np.ndarray) -> np.ndarray:
    return np.hypot(np.hypot(p[..., 0], p[..., 1]) - 13.0, p[..., 2]) - 5.0


def cap(p: np.ndarray) -> np.ndarray:
    """A bowl 4 mm thick, like a piece of the vault."""
    shell = np.abs(np.linalg.norm(p - np.array([0, 0, -60.0]), axis=-1) - 62.0) - 2.0
    return rounded(shell, np.hypot(p[..., 0], p[..., 1]) - 18.0)


def plate(p: np.ndarray) -> np.ndarray:
    """A disc 2 mm thick, the least wall, at a slant to the axes."""
    q = p @ Rotation.from_euler("xy", [17, 9], degrees=True).as_matrix()
    return rounded(np.abs(q[..., 2]) - 1.0, np.hypot(q[..., 0], q[..., 1]) - 17.0)


SOLIDS = {"ball": (ball, 0), "torus": (torus, 1), "cap": (cap, 0), "plate": (plate, 0)}


def field_of(solid, empty: sitk.Image) -> sitk.Image:
    return images.image_like((-solid(points_of(empty))).astype(np.float32), empty)


def assert_printable(health: MeshHealth, genus: int) -> None:
    assert health.watertight and health.outward, health
    assert health.degenerate == 0
    assert (health.pieces, health.genus) == (1, genus)


@pytest.mark.parametrize("name", SOLIDS)
@pytest.mark.parametrize("handed", [1, -1])
def test_solids_are_printable_and_lie_where_the_field_is_zero(name, handed):
    solid, genus = SOLIDS[name]
    direction = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix()
    direction[:, 1] *= handed
    field = field_of(solid, grid(42.0, (0.5,) * 3, direction))
    mesh = surface_of(field)
    health = mesh_health(mesh)
    assert_printable(health, genus)
    inside_cm3 = np.count_nonzero(images.array_of(field) > 0) * 0.5**3 / 1000.0
    assert health.volume_cm3 == pytest.approx(inside_cm3, rel=0.01)
    away = np.abs(solid(arrays_of(mesh)[0] - MIDDLE_MM))
    # The field is linear between its voxels, which the solid is not.
    assert away.max() <= TOLERANCE_MM + 0.06
    assert np.sqrt((away**2).mean()) <= 0.03


def test_a_solid_that_fills_the_lattice_is_closed_at_its_border():
    field = sitk.GetImageFromArray(np.full((17, 19, 21), 2.0, np.float32))
    field.SetSpacing([0.5] * 3)
    health = mesh_health(surface_of(field))
    assert_printable(health, 0)
    # To the border's last voxels and up to one step beyond.
    assert 8.0 * 9.0 * 10.0 <= 1000.0 * health.volume_cm3 <= 9.0 * 10.0 * 11.0


def test_a_field_with_nothing_inside_is_a_named_error():
    with pytest.raises(SkullImplantError, match="nothing to make a surface of"):
        surface_of(sitk.Image(6, 6, 6, sitk.sitkFloat32))


def test_the_same_field_gives_the_same_bytes():
    field = field_of(torus, grid(42.0, (0.5,) * 3))
    one, other = arrays_of(surface_of(field)), arrays_of(surface_of(field))
    assert one[0].tobytes() == other[0].tobytes() and one[1].tobytes() == other[1].tobytes()


@pytest.mark.parametrize("handed", [1, -1])
def test_a_mask_has_the_surface_of_its_voxels(handed):
    empty = grid(40.0, (0.7, 1.3, 0.9), np.diag([1.0, 1.0, handed]))
    mask = images.image_like(ball(points_of(empty)) < 0, empty)
    health = mesh_health(surface_of_mask(mask))
    assert health.watertight and health.outward and health.genus == 0
    voxels_cm3 = np.count_nonzero(images.array_of(mask)) * images.voxel_volume_mm3(mask) / 1000.0
    assert health.volume_cm3 == pytest.approx(voxels_cm3, rel=0.01)
    full = sitk.GetImageFromArray(np.ones((4, 4, 4), np.uint8))
    assert mesh_health(surface_of_mask(full)).watertight


def test_several_meshes_are_one():
    one = mesh_of(CORNERS, TETRAHEDRON)
    assert together((one,)) is one
    both = mesh_health(together((one, mesh_of(CORNERS + 50.0, TETRAHEDRON))))
    assert (both.points, both.triangles, both.pieces) == (8, 8, 2) and both.watertight


TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
CORNERS = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10]], float)


def test_health_of_a_tetrahedron():
    health = mesh_health(mesh_of(CORNERS, TETRAHEDRON))
    assert health.watertight and health.genus == 0 and health.points == 4
    assert health.volume_cm3 == pytest.approx(1.0 / 6.0)
    assert health.area_cm2 == pytest.approx(1.5 + np.sqrt(3) / 2)


def test_health_names_each_fault():
    opened = mesh_health(mesh_of(CORNERS, TETRAHEDRON[:3]))
    assert opened.open_edges == 3 and not opened.watertight
    inward = mesh_health(mesh_of(CORNERS, TETRAHEDRON[:, ::-1]))
    assert inward.inconsistent_edges == 0 and not inward.outward
    turned = TETRAHEDRON.copy()
    turned[0] = turned[0, ::-1]
    assert mesh_health(mesh_of(CORNERS, turned)).inconsistent_edges == 3
    # Two tetrahedra that share one point, and two that share an edge.
    beside = np.vstack([CORNERS, CORNERS[1:] * -1])
    at_point = np.vstack([TETRAHEDRON, np.array([0, 4, 5, 6])[TETRAHEDRON][:, ::-1]])
    health = mesh_health(mesh_of(beside, at_point))
    assert (health.non_manifold_points, health.pieces, health.open_edges) == (1, 2, 0)
    at_edge = np.vstack([TETRAHEDRON, np.array([0, 1, 5, 6])[TETRAHEDRON]])
    assert mesh_health(mesh_of(beside, at_edge)).non_manifold_edges == 1
    flat = np.vstack([CORNERS, [5, 0, 0]])
    split = np.vstack([TETRAHEDRON, [[0, 1, 4]]])
    assert mesh_health(mesh_of(flat, split)).degenerate == 1
