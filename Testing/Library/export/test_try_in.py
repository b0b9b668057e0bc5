"""The try-in model: the bone's own surface, closed, flat where it is cut, without crumbs."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.export.try_in import AROUND_MM, reaches, try_in_model
from SkullImplantLib.implant.bone_surface import BoneSurface, bone_surface
from SkullImplantLib.implant.meshes import arrays_of, mesh_health, mesh_of

pytest.importorskip("manifold3d")
RADIUS_MM, THICK_MM, HOLE_MM = 80.0, 6.0, 25.0
TURN = np.array([[0.8, 0.0, -0.6], [0.0, 1.0, 0.0], [0.6, 0.0, 0.8]])


def vault(spacing_mm: float = 1.0, turn: np.ndarray = np.eye(3)) -> BoneSurface:
    """A cap of a ball's shell with a round hole at the top, and a crumb of bone within."""
    size = (110, 110, 46)
    image = sitk.Image([int(n / spacing_mm) for n in size], sitk.sitkFloat32)
    image.SetSpacing([spacing_mm] * 3)
    image.SetDirection(turn.ravel().tolist())
    z, y, x = np.meshgrid(
        *[spacing_mm * np.arange(n) for n in image.GetSize()[::-1]], indexing="ij"
    )
    x, y, z = x - 55.0, y - 55.0, z + 42.0
    radius = np.sqrt(x**2 + y**2 + z**2)
    shell = THICK_MM / 2 - np.abs(radius - RADIUS_MM + THICK_MM / 2)
    bone = np.minimum(shell, np.hypot(x, y) - HOLE_MM)
    crumb = 3.0 - np.sqrt(x**2 + y**2 + (z - 50.0) ** 2)
    field = sitk.GetImageFromArray(np.maximum(bone, crumb).astype(np.float32))
    field.CopyInformation(image)
    mask = sitk.Cast(field > 0, sitk.sitkUInt8)
    surface = bone_surface(mask)
    return BoneSurface(field, surface.points_mm, surface.triangles)


@pytest.mark.parametrize("turn", [np.eye(3), TURN, np.diag([1.0, 1.0, -1.0])])
def test_it_is_closed_in_one_piece_with_its_hole(turn):
    health = mesh_health(try_in_model(vault(turn=turn)))
    assert health.watertight and health.pieces == 1 and health.genus == 1
    assert health.volume_cm3 > 10.0


def test_its_surface_is_the_bones():
    """In the hole the wall is where it was, and the faces are at their radius, to 0.05 mm."""
    points = arrays_of(try_in_model(vault()))[0] - [55.0, 55.0, -42.0]
    beside = np.hypot(points[:, 0], points[:, 1])
    radius = np.linalg.norm(points, axis=1)
    # Not beside a cut, where an edge is rounded by half a voxel.
    inside = (np.abs(points[:, :2]) < 52.0).all(axis=1) & (points[:, 2] > 44.0)
    off = np.minimum.reduce(
        [
            np.abs(beside - HOLE_MM),
            np.abs(radius - RADIUS_MM),
            np.abs(radius - RADIUS_MM + THICK_MM),
        ]
    )
    assert np.percentile(off[inside], 99) < 0.05


def test_it_is_flat_where_it_is_cut():
    points = arrays_of(try_in_model(vault()))[0]
    for axis, end in ((0, 109.5), (0, -0.5), (1, 109.5), (1, -0.5)):
        assert np.count_nonzero(np.abs(points[:, axis] - end) < 0.02) > 50
        assert np.all(points[:, axis] <= end + 0.02 if end > 0 else points[:, axis] >= end - 0.02)


def test_the_box_reaches_as_far_as_stated():
    grid = sitk.Image(200, 200, 200, sitk.sitkUInt8)
    grid.SetSpacing((0.5, 0.75, 1.0))
    points = np.array([[40.0, 60.0, 90.0], [50.0, 70.0, 90.0], [45.0, 65.0, 110.0]])
    z, y, x = reaches(mesh_of(points, np.array([[0, 1, 2]])), grid)
    for axis, part in enumerate((x, y, z)):
        low, high = points[:, axis].min() - AROUND_MM, points[:, axis].max() + AROUND_MM
        spacing = grid.GetSpacing()[axis]
        assert part.start * spacing <= low < (part.start + 1) * spacing
        assert (part.stop - 2) * spacing < high <= (part.stop - 1) * spacing
