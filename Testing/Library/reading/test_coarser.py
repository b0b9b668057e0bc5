"""`coarser`: an image averaged in blocks lies where it lay, and says what was done to it."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.core.images import array_of, image_like
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.reading.coarser import averaged, blocks_of

AXES = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("spacing_mm", "halvings", "blocks"),
    [
        ((0.5, 0.5, 0.5), 1, (2, 2, 2)),
        ((0.25, 0.25, 0.4), 1, (2, 2, 1)),
        ((0.25, 0.25, 0.4), 2, (4, 4, 2)),
        ((0.4, 0.4, 2.0), 1, (2, 2, 1)),
        ((0.4, 0.4, 2.0), 0, (1, 1, 1)),
    ],
)
def test_the_finest_side_doubles_and_coarser_ones_come_near(
    spacing_mm: tuple[float, ...], halvings: int, blocks: tuple[int, ...]
) -> None:
    assert blocks_of(spacing_mm, halvings) == blocks


@settings(max_examples=25)
@given(st.tuples(*[st.integers(4, 17)] * 3), st.integers(0, 2**32 - 1))
def test_values_are_means_in_their_places(size: tuple[int, int, int], seed: int) -> None:
    """A ramp stays that ramp: every coarse voxel has the value of the place where it lies."""
    image = sitk.Image(size, sitk.sitkInt16)
    image.SetSpacing((0.5, 0.4, 0.6))
    image.SetOrigin((-3.0, 20.0, 7.0))
    image.SetDirection(AXES)
    z, y, x = np.indices(size[::-1])
    slopes = np.random.default_rng(seed).integers(-40, 40, 3) * 2
    ramp = (slopes @ [x.ravel(), y.ravel(), z.ravel()]).reshape(z.shape)
    image = image_like(ramp.astype(np.int16), image)
    coarse, note = averaged(image, False, 1)
    assert coarse.GetPixelID() == image.GetPixelID() and "averaged to voxels" in note
    blocks = blocks_of(image.GetSpacing(), 1)
    assert coarse.GetSize() == tuple(max(n // b, 1) for n, b in zip(size, blocks))
    for index in ((0, 0, 0), tuple(n - 1 for n in coarse.GetSize())):
        place = coarse.TransformIndexToPhysicalPoint(index)
        at = image.TransformPhysicalPointToContinuousIndex(place)
        assert coarse[index] == pytest.approx(float(slopes @ at), abs=0.51)


def test_a_mask_stays_a_mask_and_nearly_keeps_its_volume() -> None:
    image = sitk.Image((40, 40, 40), sitk.sitkUInt8)
    image.SetSpacing((0.5, 0.5, 0.5))
    distance = np.linalg.norm(np.indices((40, 40, 40)) - 19.3, axis=0)
    mask = image_like(distance < 15.0, image)
    coarse, _ = averaged(mask, True, 1)
    assert set(np.unique(array_of(coarse))) == {0, 1} and coarse.GetSpacing() == (1.0, 1.0, 1.0)
    assert int(array_of(coarse).sum()) * 8 == pytest.approx(int(array_of(mask).sum()), rel=0.05)


def test_what_would_be_too_coarse_is_refused() -> None:
    image = sitk.Image((100, 100, 60), sitk.sitkInt16)
    image.SetSpacing((0.9, 0.9, 1.5))
    averaged(image, False, 1)
    with pytest.raises(SkullImplantError, match="too coarse for an implant") as raised:
        averaged(image, False, 2)
    assert raised.value.remedy is Remedy.LESS_COARSE
