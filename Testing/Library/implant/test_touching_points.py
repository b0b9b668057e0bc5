"""A solid that touches itself in a point is still a solid once an STL has been read."""

import numpy as np
import pytest

from SkullImplantLib.export.stl import read_stl, write_stl
from SkullImplantLib.implant.meshes import arrays_of, mesh_health, mesh_of
from SkullImplantLib.implant.touching_points import APART_MM, with_points_apart

TIP = np.array([61.7, -83.2, 104.9])
BASE = np.array([[5.0, 0.0, 8.0], [-3.0, 4.0, 8.0], [-3.0, -4.0, 8.0]])
CONE = np.array([[0, 2, 1], [0, 3, 2], [0, 1, 3], [1, 2, 3]])


def two_cones() -> tuple[np.ndarray, np.ndarray]:
    """Tip on tip, one the other turned over."""
    one = np.vstack([TIP, TIP + BASE])
    other = np.vstack([TIP, TIP - BASE])
    return np.vstack([one, other]), np.vstack([CONE, 4 + CONE[:, ::-1]])


@pytest.mark.parametrize("hollow", [False, True])
def test_solids_and_hollows_that_touch_in_a_point_are_parted(hollow, tmp_path):
    points, triangles = two_cones()
    if hollow:  # both cones are cut out of a large one
        around = np.vstack([TIP + [0, 0, -90.0], TIP + 9 * BASE])
        points, triangles = np.vstack([points, around]), np.vstack([triangles[:, ::-1], 8 + CONE])
    mesh = mesh_of(points, triangles)
    write_stl(mesh, tmp_path / "before.stl")
    assert not mesh_health(read_stl(tmp_path / "before.stl")).watertight
    found = with_points_apart(mesh)
    write_stl(found, tmp_path / "after.stl")
    health = mesh_health(read_stl(tmp_path / "after.stl"))
    assert health.watertight and health.pieces == (3 if hollow else 2)
    moved = np.linalg.norm(arrays_of(found)[0] - arrays_of(mesh)[0], axis=1)
    assert moved.max() <= 1.05 * APART_MM and np.count_nonzero(moved > 1e-6) == 2
    # Each tip drew back into its own cone: they do not pass one another.
    assert arrays_of(found)[0][0, 2] > TIP[2] > arrays_of(found)[0][4, 2]


def test_a_mesh_whose_points_are_apart_is_left_as_it_is():
    mesh = mesh_of(np.vstack([TIP, TIP + BASE]), CONE)
    assert with_points_apart(mesh) is mesh
