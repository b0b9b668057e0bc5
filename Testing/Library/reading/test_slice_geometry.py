"""Slices that lie askew or unevenly: what is undone, and what is refused."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_files import AXIAL, small_head, write_series, write_slices
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.dicom_series import read_series
from SkullImplantLib.reading.input import Input, read_input
from SkullImplantLib.reading.slice_between import Between
from SkullImplantLib.reading.slice_gaps import widest_gap_mm
from SkullImplantLib.reading.slice_geometry import MAX_GAP_MM, stacked
from SkullImplantLib.reading.slice_resampling import restacked

AXES = np.eye(3)
PIXEL_MM = (0.5, 0.5)


def positions(along_mm, across_mm=0.0) -> np.ndarray:
    """Return positions (LPS mm) of slices so high, of which the last is shifted so far back."""
    along_mm = np.asarray(along_mm, float)
    along_mm = along_mm - along_mm[0]
    y = across_mm * along_mm / along_mm[-1]
    return np.stack([np.zeros_like(y), y, along_mm], axis=1)


# --- how slices are stacked ---


def test_an_even_stack_is_left_as_it_is():
    stacking = stacked(positions(np.arange(50) * 1.25), AXES, PIXEL_MM)
    assert not stacking.resampled and stacking.notes == () and stacking.spacing_mm == 1.25


@pytest.mark.parametrize("lost", [[7], [7, 8], [1, 20, 40], [48]])
def test_missing_slices_are_made_and_the_others_stay(lost):
    places = np.delete(np.arange(50) * 1.25, lost)
    stacking = stacked(positions(places), AXES, PIXEL_MM)
    (note,) = stacking.notes
    assert f"{len(lost)} slice(s) of the CT series are missing" in note
    assert f"the first after slice {lost[0]} of {50 - len(lost)}" in note
    assert stacking.count == 50 and stacking.spacing_mm == pytest.approx(1.25)
    made = np.flatnonzero(stacking.at != np.rint(stacking.at))
    assert made.tolist() == lost


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.floats(0.3, MAX_GAP_MM), min_size=5, max_size=60),
    st.floats(-30.0, 30.0),
)
def test_every_uneven_stack_covers_the_same_head(steps, across_mm):
    """Wherever a slice of the even stack lies, that is where it is said to be."""
    along = np.concatenate([[0.0], np.cumsum(steps)])
    if abs(across_mm) > 0.5 * along[-1]:
        across_mm = 0.0
    stacking = stacked(positions(along, across_mm), AXES, PIXEL_MM)
    even = np.arange(stacking.count) * stacking.spacing_mm
    assert even[-1] == pytest.approx(along[-1])
    there = np.interp(stacking.at, np.arange(len(along)), along)
    # Within the rounding that an even stack is allowed.
    assert np.abs(there - even).max() <= 0.1 + 0.05 * np.median(steps) + 1e-9
    assert stacking.count <= 4 * len(along) + 1


def test_a_gap_is_refused_by_its_place():
    places = np.concatenate([np.arange(20) * 1.25, 40.0 + np.arange(20) * 1.25])
    with pytest.raises(SkullImplantError, match=r"slices 20 and 21 .* gap of 16\.2 mm"):
        stacked(positions(places), AXES, PIXEL_MM)


def test_an_even_stack_may_be_coarser_than_a_gap():
    assert not stacked(positions(np.arange(30) * 8.0), AXES, PIXEL_MM).resampled


def test_numbers_that_contradict_uneven_places():
    places = np.arange(30) * 2.0
    places[10] += 0.9
    numbers = list(range(1, 31))
    assert stacked(positions(places), AXES, PIXEL_MM, 0.0, tuple(numbers)).resampled
    numbers[10], numbers[11] = numbers[11], numbers[10]
    with pytest.raises(SkullImplantError, match="numbered 12 and 11 contradict"):
        stacked(positions(places), AXES, PIXEL_MM, 0.0, tuple(numbers))


def test_slices_that_wander_are_no_tilt():
    wandering = positions(np.arange(40) * 3.0)
    wandering[10:30, 0] += 6.0
    with pytest.raises(SkullImplantError, match=r"shifted against one another \(up to 6\.0 mm\)"):
        stacked(wandering, AXES, PIXEL_MM)


# --- how they are resampled ---


def test_a_shift_by_whole_pixels_keeps_every_value():
    head = small_head()
    places = positions(np.arange(len(head)) * 2.0, across_mm=float(len(head) - 1))
    stacking = stacked(places, AXES, (1.0, 1.0))
    stack, (x_mm, y_mm) = restacked(head, stacking, (1.0, 1.0))
    assert (x_mm, y_mm) == (0.0, 0.0)
    for z, plane in enumerate(head):
        assert np.array_equal(stack[z, z : z + plane.shape[0], : plane.shape[1]], plane)


def test_a_shift_to_the_front_moves_the_corner():
    head = small_head()
    places = positions(np.arange(len(head)) * 2.0, across_mm=-float(len(head) - 1))
    stack, (x_mm, y_mm) = restacked(head, stacked(places, AXES, (1.0, 1.0)), (1.0, 1.0))
    assert (x_mm, y_mm) == (0.0, -float(len(head) - 1))
    assert np.array_equal(stack[0, -head.shape[1] :, : head.shape[2]], head[0])


def leaning_wall(at_mm: float) -> np.ndarray:
    """Return a plane (y, x; HU) through a wall of bone, 6 mm thick, at that place of its rows."""
    y = np.arange(80.0)[:, None] - at_mm
    return np.repeat(np.where(np.abs(y) < 3.0, 1200.0, 40.0), 60, 1).astype(np.float32)


@pytest.mark.parametrize("lean_mm", [0.0, 4.0, 8.0, -8.0])
def test_a_leaning_wall_stays_whole_between_slices(lean_mm):
    """The mean of two slices shows it twice, and half as dense, where it leans by its thickness."""
    between = Between(leaning_wall(40.0), leaning_wall(40.0 + lean_mm), 5.0, (1.0, 1.0))
    for share in (0.25, 0.5, 0.75):
        found, right = between.at(share) > 500, leaning_wall(40.0 + share * lean_mm) > 500
        inner = np.s_[:, 8:-8]
        assert (found[inner] != right[inner]).mean() <= 0.03
        assert found[inner].any(axis=0).all()


# --- whole series ---


def oblique(degrees: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    tilt = np.radians(degrees)
    return (1.0, 0.0, 0.0), (0.0, float(np.cos(tilt)), float(np.sin(tilt)))


@pytest.mark.parametrize("degrees", [4.0, -15.0, 27.5])
@pytest.mark.parametrize("turned", [False, True])
def test_a_tilted_gantry_is_measured_and_undone(tmp_path, degrees, turned):
    """As scanners write it: the slices lean, the table moves along the body's axis."""
    tilt = np.radians(degrees)
    orientation = oblique(degrees) if turned else AXIAL
    step = 3.0 / np.cos(tilt) * np.array([0, 0, 1]) if turned else [0, 3.0 * np.tan(tilt), 3.0]
    shear = np.array(step) - 3.0 * np.cross(*orientation)
    folder = write_series(tmp_path / "study", orientation=orientation, shear_mm=tuple(shear))
    volume = read_series(folder)
    (note,) = volume.notes
    assert volume.resampled and f"tilted by {abs(degrees):.1f} degrees" in note
    # The landmark is where its slice's header says, to the half of a pixel that it is wide.
    row, column = (np.array(v) for v in orientation)
    place = np.array([-70.0, -75.5, -60.25]) + 30 * np.array(step) + 17 * 3.5 * row
    place += 12 * 3.25 * column
    found = np.unravel_index(array_of(volume.image).argmax(), volume.image.GetSize()[::-1])
    apart = volume.image.TransformIndexToPhysicalPoint([int(i) for i in found[::-1]]) - place
    assert np.abs(apart @ row) < 1e-3 and np.abs(apart @ column) <= 3.25 / 2 + 1e-3
    assert np.abs(apart @ np.cross(row, column)) < 0.01


@pytest.fixture(scope="module")
def smooth_head() -> sitk.Image:
    """The small head without edges that no grid could show, on voxels of 2.5 mm."""
    image = sitk.GetImageFromArray(small_head((64, 76, 70)).astype(np.float32))
    image.SetSpacing((2.5, 2.5, 2.5))
    image.SetOrigin((-80.0, -90.0, -70.0))
    return sitk.Cast(sitk.SmoothingRecursiveGaussian(image, 2.5), sitk.sitkInt16)


def agreement(image: sitk.Image, expected: sitk.Image) -> tuple[float, float]:
    """Return the mean absolute difference in HU within the head, and the Dice of bone."""
    exact = sitk.Resample(expected, image, sitk.Transform(), sitk.sitkBSpline, -1000.0)
    got, right = array_of(image).astype(float), array_of(exact).astype(float)
    bone = got > 300, right > 300
    dice = 2 * (bone[0] & bone[1]).sum() / (bone[0].sum() + bone[1].sum())
    return float(np.abs(got - right)[right > -500].mean()), float(dice)


@settings(max_examples=4, deadline=None)
@given(degrees=st.floats(-30.0, 30.0).filter(lambda d: abs(d) > 1.0), step=st.floats(1.5, 3.5))
def test_any_tilt_shows_the_head_as_it_is(tmp_path_factory, smooth_head, degrees, step):
    extent = 160.0 + 192.0 * abs(np.tan(np.radians(degrees)))
    first = -192.0 * max(np.tan(np.radians(degrees)), 0.0)
    places = np.arange(first, first + extent, step)
    folder = write_slices(tmp_path_factory.mktemp("tilted"), smooth_head, places, degrees)
    volume = read_series(folder)
    assert volume.resampled
    off_hu, dice = agreement(volume.image, smooth_head)
    assert off_hu < 3.0 and dice > 0.99


@pytest.mark.parametrize(
    "places",
    [
        np.concatenate([np.arange(0.0, 70.0, 2.0), np.arange(70.0, 158.0, 5.0)]),
        np.delete(np.arange(0.0, 158.0, 2.0), [30, 31, 50]),
        np.cumsum(np.tile([1.0, 3.0], 39)),
    ],
    ids=["2-below-5-above", "missing", "in pairs"],
)
def test_uneven_slices_show_the_head_as_it_is(tmp_path, smooth_head, places):
    volume = read_series(write_slices(tmp_path / "study", smooth_head, places))
    assert volume.resampled and len(volume.notes) == 1
    off_hu, dice = agreement(volume.image, smooth_head)
    assert off_hu < 40.0 and dice > 0.95


def test_the_gap_is_that_of_the_slices_at_a_place(tmp_path, smooth_head):
    places = np.concatenate([np.arange(0.0, 70.0, 2.0), np.arange(70.0, 158.0, 5.0)])
    source = read_input(write_slices(tmp_path / "study", smooth_head, places), kind="ct")
    image = source.image
    assert len(source.gaps_mm) == image.GetDepth()
    # Masks on another grid than the CT's, from so far above its lowest slice to so far.
    for low_mm, high_mm, gap_mm in ((10, 60, 2.0), (60, 90, 5.0), (100, 140, 5.0)):
        mask = sitk.Image(30, 30, int((high_mm - low_mm) / 1.5), sitk.sitkUInt8) + 1
        mask.SetSpacing((2.0, 2.0, 1.5))
        mask.SetOrigin(np.add(image.GetOrigin(), (40.0, 40.0, low_mm)).tolist())
        assert widest_gap_mm(source, mask) == pytest.approx(max(gap_mm, image.GetSpacing()[0]))


def test_without_slices_the_gap_is_a_voxel(smooth_head):
    thick = sitk.Image(smooth_head)
    thick.SetSpacing((1.0, 1.0, 5.0))
    source = Input(thick, "ct", "", "a CT in one file")
    assert widest_gap_mm(source, smooth_head > 0) == 5.0
