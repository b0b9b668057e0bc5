"""Images keep their place in space whatever is done; files are written whole or not at all."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.core import images
from SkullImplantLib.core.image_files import read_mask
from SkullImplantLib.errors import DiskError, SkullImplantError


@st.composite
def grids(draw: st.DrawFn) -> sitk.Image:
    """Small images of any spacing, oblique or left-handed direction and origin."""
    size = [draw(st.integers(4, 9)) for _ in range(3)]
    image = sitk.Image(size, sitk.sitkUInt8)
    image.SetSpacing([draw(st.floats(0.3, 3.0)) for _ in range(3)])
    image.SetOrigin([draw(st.floats(-200, 200)) for _ in range(3)])
    turn = sitk.VersorTransform(
        [1.0, draw(st.floats(-1, 1)), draw(st.floats(-1, 1))], draw(st.floats(-3, 3))
    )
    rotation = np.reshape(turn.GetMatrix(), (3, 3))
    if draw(st.booleans()):
        rotation[:, 0] *= -1  # left-handed
    image.SetDirection(rotation.ravel().tolist())
    images.straighten_axes(image)
    return image


# Angles down to numbers that are denormal, between which and 1 ITK loses an inverse.
ANGLES = st.one_of(st.floats(-3.2, 3.2), st.floats(-1e-300, 1e-300), st.floats(-1e-9, 1e-9))


@st.composite
def directions(draw: st.DrawFn) -> np.ndarray:
    """Direction matrices (3, 3) of any angles and handedness, and more or less rounded."""
    direction = np.eye(3)[:, draw(st.permutations(range(3)))]
    for axis in range(3):
        angle = draw(ANGLES)
        turn = np.eye(3)
        a, b = (k for k in range(3) if k != axis)
        turn[a, a] = turn[b, b] = np.cos(angle)
        turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
        direction = turn @ direction
    direction[:, 0] *= draw(st.sampled_from((-1.0, 1.0)))
    off = draw(st.sampled_from((0.0, 1e-310, 1e-7, 1e-4)))
    noise = [draw(st.floats(-1.0, 1.0)) for _ in range(9)]
    return direction + off * np.reshape(noise, (3, 3))


@settings(max_examples=200, deadline=None)
@given(directions(), st.tuples(*[st.floats(0.3, 3.0)] * 3))
def test_straightened_axes_are_at_right_angles_and_can_be_inverted(
    direction: np.ndarray, spacing_mm: tuple[float, float, float]
) -> None:
    image = sitk.Image([5, 6, 7], sitk.sitkUInt8)
    image.SetDirection(direction.ravel().tolist())
    image.SetSpacing(spacing_mm)
    images.straighten_axes(image)
    straight = np.reshape(image.GetDirection(), (3, 3))
    assert np.abs(straight.T @ straight - np.eye(3)).max() <= images.ORTHONORMAL
    assert np.abs(straight - direction).max() < 5e-4
    assert np.sign(np.linalg.det(straight)) == np.sign(np.linalg.det(direction))
    assert not ((straight != 0.0) & (np.abs(straight) < images.LEAST_COSINE)).any()
    point = images.index_to_lps_mm(image) @ [1.0, 2.0, 3.0, 1.0]
    index = image.TransformPhysicalPointToContinuousIndex(point[:3].tolist())
    np.testing.assert_allclose(index, [1.0, 2.0, 3.0], atol=1e-6)
    images.straighten_axes(image)
    assert np.array_equal(np.reshape(image.GetDirection(), (3, 3)), straight)


def test_axes_that_are_straight_stay_as_they_are() -> None:
    for direction in ([0, 1, 0, -1, 0, 0, 0, 0, -1], [0.6, -0.8, 0, 0.8, 0.6, 0, 0, 0, 1]):
        image = sitk.Image([5, 6, 7], sitk.sitkUInt8)
        image.SetDirection(direction)
        images.straighten_axes(image)
        assert image.GetDirection() == tuple(map(float, direction))


@pytest.mark.parametrize(
    ("direction", "says"),
    [
        ([1, 0.01, 0, 0, 1, 0, 0, 0, 1], "not at right angles"),
        ([1, 0, 0, 0, 1e-20, 0, 0, 0, 1], "not at right angles"),
        ([2, 0, 0, 0, 1, 0, 0, 0, 1], "not at right angles"),
        ([1, 0, 0, 0, float("nan"), 0, 0, 0, 1], "not a finite number"),
    ],
)
def test_axes_that_span_no_rectangular_grid_are_refused(direction: list[float], says: str) -> None:
    image = sitk.Image([5, 6, 7], sitk.sitkUInt8)
    image.SetDirection(direction)
    with pytest.raises(SkullImplantError, match=says):
        images.straighten_axes(image)


def test_a_mask_is_read_with_straight_axes(tmp_path: Path) -> None:
    mask = sitk.Image([5, 6, 7], sitk.sitkUInt8)
    mask.SetSpacing([0.75, 1.0, 1.0])
    mask.SetDirection([1, -2.2e-311, 0, 2.2e-311, 1, 0, 0, 0, 1])
    sitk.WriteImage(mask, str(tmp_path / "mask.nrrd"))
    read = read_mask(tmp_path / "mask.nrrd")
    assert read.GetDirection() == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@settings(max_examples=30, deadline=None)
@given(grids(), st.data())
def test_crops_stay_in_place(grid: sitk.Image, data: st.DataObject) -> None:
    start = tuple(data.draw(st.integers(0, n - 3)) for n in grid.GetSize()[::-1])
    stop = tuple(data.draw(st.integers(a + 2, n)) for a, n in zip(start, grid.GetSize()[::-1]))
    box = tuple(slice(a, b) for a, b in zip(start, stop))
    part = images.crop(grid, box)
    assert part.GetSize()[::-1] == tuple(b - a for a, b in zip(start, stop))
    index = np.array([1.0, 1.0, 1.0, 1.0])
    there = images.index_to_lps_mm(part) @ index
    index[:3] += start[::-1]
    np.testing.assert_allclose(there, images.index_to_lps_mm(grid) @ index, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(grids(), st.integers(0, 1000))
def test_bounding_box_is_the_smallest_that_holds_all(grid: sitk.Image, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros(grid.GetSize()[::-1], bool)
    points = rng.integers(0, mask.shape, size=(3, 3))
    mask[tuple(points.T)] = True
    box = images.bounding_box(mask)
    assert mask[box].sum() == mask.sum()
    for axis in range(3):
        assert np.take(mask[box], 0, axis).any() and np.take(mask[box], -1, axis).any()


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(ValueError, match="empty"):
        images.bounding_box(np.zeros((3, 3, 3), bool))


def test_arrays_outlive_their_images() -> None:
    array = images.array_of(sitk.Image([50, 50, 50], sitk.sitkUInt8) + 3)
    others = [sitk.Image([50, 50, 50], sitk.sitkUInt8) + 9 for _ in range(5)]
    assert array.min() == array.max() == 3 and len(others) == 5
    with pytest.raises(ValueError, match="read-only"):
        array[0, 0, 0] = 1


def test_same_grid_sees_a_hundredth_of_a_millimetre() -> None:
    one = sitk.Image([8, 8, 8], sitk.sitkUInt8)
    two = sitk.Image(one)
    assert images.same_grid(one, two)
    two.SetOrigin([0.01, 0.0, 0.0])
    assert not images.same_grid(one, two)


def test_fraction_keeps_volume_and_thin_bone() -> None:
    fine = np.zeros((40, 40, 40), np.uint8)
    fine[10:30, 10:30, 19:21] = 1  # a plate 1 mm thick
    mask = sitk.GetImageFromArray(fine)
    mask.SetSpacing([0.5, 0.5, 0.5])
    coarse = sitk.Image([10, 10, 10], sitk.sitkUInt8)
    coarse.SetSpacing([2.0, 2.0, 2.0])
    coarse.SetOrigin([0.75, 0.75, 0.75])
    fraction = images.array_of(images.fraction_on(mask, coarse))
    assert fraction.min() >= 0.0 and fraction.max() <= 1.0
    assert fraction[5, 5].max() > 0.2  # thinner than a voxel, and still seen
    assert fraction.sum() * 8.0 == pytest.approx(fine.sum() * 0.125, rel=0.1)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "mask.nrrd"
    path.write_text("old")
    with pytest.raises(RuntimeError), images.atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_writing_where_there_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="Cannot write into"):
        images.write_image(sitk.Image([2, 2, 2], sitk.sitkUInt8), tmp_path / "no" / "mask.nrrd")
