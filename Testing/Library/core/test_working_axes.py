"""Whatever the axes of an image, work is done on the same ones, and handed back on its own."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from relabelling import RELABELLINGS, relabelled
from SkullImplantLib.core.working_axes import ORIGIN_STEP_MM, as_working, on_working_axes

NUMBERS = st.floats(-400.0, 400.0, allow_nan=False)


def image_at(rotation: Rotation, origin: tuple[float, ...], left_handed: bool) -> sitk.Image:
    """An image with no two voxels alike, its sides and spacings all different."""
    image = sitk.GetImageFromArray(np.arange(5 * 4 * 3, dtype=np.int16).reshape(5, 4, 3))
    image.SetSpacing((0.7, 1.3, 2.1))
    handed = np.diag([1.0, 1.0, -1.0 if left_handed else 1.0])
    image.SetDirection((rotation.as_matrix() @ handed).ravel().tolist())
    image.SetOrigin(origin)
    return image


def same(a: sitk.Image, b: sitk.Image, within_mm: float) -> bool:
    """Whether two images have the same voxels in the same order at the same places."""
    last = [n - 1 for n in a.GetSize()]
    return (
        a.GetSize() == b.GetSize()
        and np.array_equal(sitk.GetArrayFromImage(a), sitk.GetArrayFromImage(b))
        and all(
            np.abs(
                np.subtract(a.TransformIndexToPhysicalPoint(i), b.TransformIndexToPhysicalPoint(i))
            ).max()
            <= within_mm
            for i in ([0, 0, 0], last, [last[0], 0, 0], [0, last[1], 0])
        )
    )


@given(
    st.tuples(*[st.floats(-1.0, 1.0)] * 4).filter(lambda q: np.linalg.norm(q) > 0.1),
    st.tuples(NUMBERS, NUMBERS, NUMBERS),
    st.booleans(),
    st.sampled_from(RELABELLINGS),
)
def test_every_relabelling_works_on_the_same_image(quaternion, origin, left_handed, relabelling):
    image = image_at(Rotation.from_quat(quaternion), origin, left_handed)
    other = relabelled(image, *relabelling)
    working, own = on_working_axes(other)
    assert same(working, as_working(image), 2 * ORIGIN_STEP_MM)
    back = own.hand_back(working)
    assert same(back, other, 1e-6)
    assert back.GetOrigin() == other.GetOrigin() and back.GetDirection() == other.GetDirection()


@pytest.mark.parametrize("degrees", [0.0, 45.0, 90.0])
@pytest.mark.parametrize("left_handed", [False, True])
def test_all_48_even_between_the_axes(degrees: float, left_handed: bool) -> None:
    image = image_at(Rotation.from_euler("z", degrees, degrees=True), (1.0, 2.0, 3.0), left_handed)
    expected = as_working(image)
    for relabelling in RELABELLINGS:
        working = as_working(relabelled(image, *relabelling))
        assert same(working, expected, 0.0), relabelling
    if degrees == 0.0:
        assert expected.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def test_a_finer_grid_goes_back_to_the_same_axes() -> None:
    image = relabelled(
        image_at(Rotation.identity(), (0.1, 0.2, 0.3), False), (2, 0, 1), (1, -1, -1)
    )
    working, own = on_working_axes(image)
    finer = sitk.Expand(working, [2, 2, 2], sitk.sitkNearestNeighbor)
    back = own.hand_back(finer)
    assert back.GetSize() == tuple(2 * n for n in image.GetSize())
    assert back.GetDirection() == image.GetDirection()
    for index in ([0, 0, 0], [9, 5, 7], [3, 1, 6]):
        place = back.TransformIndexToPhysicalPoint(index)
        assert image[image.TransformPhysicalPointToIndex(place)] == back[index]


def test_an_image_on_the_working_axes_is_not_copied() -> None:
    image = image_at(Rotation.identity(), (-124.51171875, 3.0, -1.5), False)
    assert as_working(image) is image
