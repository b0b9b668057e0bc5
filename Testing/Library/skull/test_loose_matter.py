"""What is hard near a hole and no skull: in masks and CTs, and what is known to be taken out."""

import numpy as np
import SimpleITK as sitk

from SkullImplantLib.skull import LeftOut, Skull, loose_matter

BOX = (slice(2, 18), slice(0, 20), slice(4, 20))


def image_of(values: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.5, 1.0, 2.0))
    image.SetOrigin((-3.0, 7.0, 20.0))
    return image


def head() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks of the skull, of a fragment in the box, and of one beside it."""
    skull, fragment, beside = np.zeros((3, 20, 20, 20), np.uint8)
    skull[:, 2:5], fragment[8:11, 9:12, 9:12], beside[8:11, 9:12, :3] = 1, 1, 1
    return skull, fragment, beside


def test_of_a_mask_and_of_a_ct() -> None:
    skull, fragment, beside = head()
    whole = np.maximum.reduce([skull, fragment, beside])
    ct = image_of((whole * 900.0).astype(np.float32))
    for image, found in (
        (image_of(whole * 7), Skull(image_of(skull), None, ())),
        (ct, Skull(image_of(skull), 300.0, (), ct)),
    ):
        loose = loose_matter(image, found, BOX)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(loose), fragment[BOX])
        start = loose.TransformIndexToPhysicalPoint((0, 0, 0))
        assert start == image.TransformIndexToPhysicalPoint((4, 0, 2))


def test_what_is_left_out_is_known() -> None:
    skull, fragment, _ = head()
    region = LeftOut(image_of(fragment))
    found = Skull(image_of(skull), None, ())
    loose = loose_matter(image_of(np.maximum(skull, fragment)), found, BOX, region)
    assert not sitk.GetArrayFromImage(loose).any()
