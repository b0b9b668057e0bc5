"""Coarse labels on the CT's own grid, by interpolation alone, and how they are measured."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.cases.thorax_phantom import ORGANS, ThoraxOptions, make_thorax
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.organ_scores import score_organs
from SkullImplantLib.organs.coarse_grid import coarse_grid, labels_on, mean_on
from SkullImplantLib.organs.upsampling import METHODS, upsampled


def image_of(array: np.ndarray, spacing: tuple[float, ...] = (1.0, 1.0, 1.0)) -> sitk.Image:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    image.SetOrigin((10.0, -20.0, 30.0))
    image.SetDirection((-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))
    return image


def two_balls(size: int = 48) -> np.ndarray:
    """Two balls that touch, 3 and 7."""
    z, y, x = np.meshgrid(*[np.arange(size)] * 3, indexing="ij")
    away = [np.sqrt((x - c) ** 2 + (y - 24) ** 2 + (z - 24) ** 2) for c in (14, 33)]
    labels = np.zeros((size,) * 3, np.uint8)
    labels[away[0] < 10] = 3
    labels[away[1] < 9.5] = 7
    return labels


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(*[st.integers(3, 40)] * 3),
    cells=st.tuples(*[st.integers(1, 40)] * 3),
)
def test_means_hold_what_the_image_does_and_lie_where_it_does(
    size: tuple[int, int, int], cells: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(0)
    image = image_of(rng.normal(size=size[::-1]).astype(np.float32), (0.7, 1.3, 2.0))
    grid = coarse_grid(image, cells)
    coarse = mean_on(image, grid)
    np.testing.assert_allclose(array_of(coarse).mean(), array_of(image).mean(), atol=1e-5)
    for image_end, grid_end in ((-0.5, -0.5), (None, None)):
        ends = [
            of.TransformContinuousIndexToPhysicalPoint(
                [n - 0.5 if end is None else end for n in of.GetSize()]
            )
            for of, end in ((image, image_end), (grid, grid_end))
        ]
        np.testing.assert_allclose(*ends, atol=1e-9)


def test_a_coarse_label_is_what_fills_most_of_a_voxel() -> None:
    labels = np.zeros((2, 2, 4), np.uint8)
    labels[:, :, 0] = 5  # half of the first block, background the other
    labels[:, :, 2:] = 2
    labels[0, 0, 2] = 5
    coarse = labels_on(image_of(labels), coarse_grid(image_of(labels), (2, 1, 1)))
    assert array_of(coarse).ravel().tolist() == [0, 2]
    with pytest.raises(SkullImplantError, match="whole numbers"):
        labels_on(image_of(labels - 0.5), coarse_grid(image_of(labels)))


@pytest.mark.parametrize("method", METHODS)
def test_on_its_own_grid_a_label_map_stays_as_it_is(method: str) -> None:
    labels = image_of(two_balls(), (0.8, 0.8, 2.0))
    assert array_of(upsampled(labels, labels, method)).tobytes() == array_of(labels).tobytes()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cells", [(16, 16, 16), (20, 13, 16)])
def test_interpolation_brings_balls_back(method: str, cells: tuple[int, int, int]) -> None:
    fine = image_of(two_balls())
    coarse = labels_on(fine, coarse_grid(fine, cells))
    made = upsampled(coarse, fine, method)
    assert set(np.unique(array_of(made))) == {0, 3, 7}
    scores = score_organs(made, fine, {"one": 3, "other": 7})
    assert all(score.dice > 0.9 and score.hd95_mm < 3.0 for score in scores.values())
    assert made.GetOrigin() == fine.GetOrigin() and made.GetDirection() == fine.GetDirection()


def test_scores_are_what_they_say() -> None:
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[5:15, 5:15, 5:15] = 1
    moved = np.roll(truth, 2, axis=0)
    moved[0, 0, 0] = 2
    scores = score_organs(
        image_of(moved, (1, 1, 3.0)), image_of(truth, (1, 1, 3.0)), {"a": 1, "b": 2, "c": 3}
    )
    assert scores["a"].dice == pytest.approx(0.8)
    assert scores["a"].hd95_mm == pytest.approx(6.0)  # two slices of 3 mm
    assert scores["a"].occupancy == pytest.approx(1000 / 8000)
    assert scores["b"].dice == 0.0 and scores["b"].as_json()["hd95_mm"] is None
    assert scores["c"].dice == 1.0
    with pytest.raises(SkullImplantError, match="same grid"):
        score_organs(image_of(moved), image_of(truth, (1, 1, 3.0)), ORGANS)


@pytest.mark.slow
def test_baselines_on_the_thorax() -> None:
    """At a quarter of the resolution in the plane, organs are found again, thin ones worse."""
    truth = make_thorax(1, ThoraxOptions(size=(256, 256, 64))).labels
    coarse = labels_on(truth, coarse_grid(truth, (64, 64, 64)))
    for method in METHODS:
        scores = score_organs(upsampled(coarse, truth, method), truth, ORGANS)
        assert scores["heart"].dice > 0.96 > scores["oesophagus"].dice > 0.6
        assert all(score.hd95_mm < 8.0 for score in scores.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["aorta", "thorax-slab"])
def test_baselines_on_real_organs(shared_data: Path, name: str) -> None:
    file = "aorta-label" if name == "aorta" else "thorax-slab-labels"
    labels = sitk.ReadImage(str(shared_data / "organs" / f"{file}.nii.gz"))
    truth = labels if name == "aorta" else sitk.Cast(labels == 52, sitk.sitkUInt8)
    truth = sitk.Cast(truth != 0, sitk.sitkUInt8)
    coarse = labels_on(truth, coarse_grid(truth, [n // 3 for n in truth.GetSize()]))
    for method in METHODS:
        score = score_organs(upsampled(coarse, truth, method), truth, {"aorta": 1})["aorta"]
        assert 0.75 < score.dice < 0.995
