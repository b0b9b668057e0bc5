"""The boxes that an implant needs on a printer's bed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SkullImplantLib.export.print_size import print_size
from SkullImplantLib.implant.meshes import mesh_of

SIDES_MM = np.array([80.0, 60.0, 20.0])
CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) - 0.5
TRIANGLES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_least_box_of_a_turned_block_is_the_block(seed: int) -> None:
    turn = Rotation.random(random_state=seed).as_matrix()
    points = (CORNERS * SIDES_MM) @ turn.T + [10.0, -200.0, 1000.0]
    size = print_size(mesh_of(points, TRIANGLES))
    assert size.least_mm == pytest.approx(SIDES_MM, abs=0.01)
    assert size.size_mm == pytest.approx(np.ptp(points, axis=0), abs=0.01)
    assert size.volume_cm3 == pytest.approx(96.0, rel=1e-4)
    assert np.prod(size.size_mm) >= np.prod(size.least_mm) * 0.999


def test_no_mesh_and_a_flat_one_have_no_size() -> None:
    with pytest.raises(ValueError, match="empty"):
        print_size(mesh_of(np.zeros((0, 3)), np.zeros((0, 3), int)))
    with pytest.raises(ValueError, match="flat"):
        print_size(mesh_of(CORNERS * [1.0, 1.0, 0.0], TRIANGLES))
