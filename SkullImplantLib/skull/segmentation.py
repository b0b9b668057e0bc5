"""From a head CT to the skull: which voxels are bone, and which bright things are not the skull.

The path is told once in `segment_skull`: thresholds from the CT's own histogram; a coarse model of
the head (`head.py`); then, in the head's box only, bone connected with the cranial cavity, without
streaks, spine and posts, with diploe and marrow filled. `clean_skull` walks the second half of the
path for a mask that somebody else made.

Every length is in millimetres, so that spacing and orientation do not matter; up is the patient's
superior direction (+S of LPS), from which a head may be tilted.
"""

import logging
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.bit_mask import BitMask
from ..core.images import array_of, bounding_box, crop, voxel_volume_mm3
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from .head import Head, above, find_head
from .marrow import with_marrow
from .not_skull import pieces_of_skull, remove_streaks, samples_at_cavity
from .posts import without_posts
from .spine import remove_spine
from .thresholds import bone_in, levels_of, without_noise
from .vault_metal import metal_on_vault

log = logging.getLogger(__name__)

MIN_METAL_MM3 = 100.0  # a small filling; less is enamel
THICK_SLICES_MM = 1.5  # above: thin temporal and orbital bone is lost to partial volume
VIEW_CUT_MM2 = 100.0  # so much vault on the image's border is a cut, not a touch


Box = tuple[slice, ...]  # of an image: z, y, x


@dataclass(frozen=True)
class SkullOptions:
    """How to find bone: a fixed threshold in the CT's units, or None for the automatic one."""

    bone_threshold_hu: float | None = None


@dataclass(frozen=True)
class Skull:
    """A skull mask (uint8 0/1, on the grid of the input), its threshold and notes for the user.

    `bone_threshold_hu` is None where the input was a mask. `grey`: the CT as it was looked at,
    smoothed where it was noisy; None for a mask. `metal`: that on the vault (uint8 0/1), which is
    bone in `mask`; None where there is none.
    """

    mask: sitk.Image
    bone_threshold_hu: float | None
    notes: tuple[str, ...]
    grey: sitk.Image | None = None
    metal: sitk.Image | None = None


def bright_in(image: sitk.Image, kind: str, bone_threshold_hu: float | None = None) -> sitk.Image:
    """Return whatever is as bright as bone, table and all, in an image of a `kind` (`ct`, `skull`)
    as uint8 0/1.

    Quick. Raises `SkullImplantError` where a CT is no volume of grey levels.
    """
    if kind != "ct":
        return image != 0
    return image > levels_of(image, bone_threshold_hu)[0].bone


def segment_skull(
    ct: sitk.Image, options: SkullOptions = SkullOptions(), progress: Progress = silent
) -> Skull:
    """Return the skull in a head CT, on the CT's grid.

    The mask holds cranium and face, with diploe and marrow filled, and with sinuses, orbits,
    foramina and any hole in the vault open. Table, headrest, wires, posts on the vault, the
    cervical spine, loose fragments and streaks around dental metal are not in it. The mandible
    stays where it touches the skull, at the joint or the teeth, because a cut there would be
    arbitrary and no implant of the vault depends on it; otherwise it goes with the loose pieces.

    Raises `SkullImplantError` where the image has no bone or does not look like a head.
    """
    progress(0.0, "Reading grey levels")
    ct, levels, notes = without_noise(ct, options.bone_threshold_hu)
    log.info(
        "levels: bone %.0f, thin bone %.0f, metal %.0f, soft tissue %.0f; noise %.0f",
        levels.bone,
        levels.thin,
        levels.metal,
        levels.soft,
        levels.noise,
    )
    progress(0.1, "Finding the head")
    bright = ct > levels.bone
    if not array_of(bright).any():
        raise SkullImplantError(
            f"No bone was found above {levels.bone:.0f} HU; check that the image is a CT in HU.",
            Remedy.OTHER_THRESHOLD,
        )
    head = find_head(bright)
    box = head.box_on(ct)
    del bright
    region = crop(ct, box)
    grey = array_of(region)
    progress(0.3, "Separating bone from soft tissue")
    bone = bone_in(region, levels)
    metal = grey >= levels.metal
    if metal.sum() * voxel_volume_mm3(ct) > MIN_METAL_MM3:
        notes += ("Metal was found in the image: check the bone near it for streaks.",)
        remove_streaks(bone, metal, region, head)
    on_vault = metal_on_vault(region, head)
    del metal
    progress(0.5, "Removing what is not skull")
    remove_spine(bone, region, head, grey)
    cleaned, loose = _cleaned(
        BitMask.of(bone),
        region,
        head,
        part(progress, 0.5, 0.95),
        BitMask.of(grey > levels.air),
        BitMask.of(grey > levels.thin),
    )
    bone = cleaned.voxels()
    progress(0.95, "Checking the view")
    notes += loose + _notes_on_view(bone, region, ct, box, head)
    _log_found(bone, region, head, notes)
    skull = _put_back(bone, ct, box)
    progress(1.0, "Skull found")
    plates = None if on_vault is None else _put_back(on_vault, ct, box)
    return Skull(skull, levels.bone, notes, ct, plates)


def clean_skull(mask: sitk.Image, progress: Progress = silent) -> Skull:
    """Return a given skull mask with diploe filled, without spine, posts and loose pieces.

    Every non-zero voxel of `mask` counts as bone. The grid is kept. Each step looks only some
    millimetres around a voxel, and none can close or round a hole in the vault, so that a complete
    skull and the same skull with a defect come out equal away from the defect.

    Raises `SkullImplantError` where the mask is empty, full or does not look like a skull.
    """
    progress(0.0, "Checking the skull mask")
    if mask.GetDimension() != 3 or mask.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError("The skull mask is not a 3-D image; give a whole volume.")
    values = array_of(mask)
    if not values.any():
        raise SkullImplantError("The skull mask is empty; check that it is the right file.")
    box = bounding_box(values, 1)
    region = crop(mask, box)
    bone = array_of(region) != 0
    if bone.shape == values.shape and bone.all():
        raise SkullImplantError("Every voxel of the skull mask is set; give a mask of bone only.")
    is_binary = values.dtype == np.uint8 and values.max() == 1
    head = find_head(mask if is_binary else mask != 0)
    progress(0.3, "Removing what is not skull")
    remove_spine(bone, region, head, None)
    cleaned, notes = _cleaned(BitMask.of(bone), region, head, part(progress, 0.3, 0.95))
    bone = cleaned.voxels()
    progress(0.95, "Checking the view")
    notes += _notes_on_view(bone, region, mask, box, head)
    _log_found(bone, region, head, notes)
    skull = _put_back(bone, mask, box)
    progress(1.0, "Skull mask ready")
    return Skull(skull, None, notes)


def _cleaned(
    bone: BitMask,
    region: sitk.Image,
    head: Head,
    progress: Progress,
    not_air: BitMask | None = None,
    trabecular: BitMask | None = None,
) -> tuple[BitMask, tuple[str, ...]]:
    """Return bone, on the grid of `region`, without loose pieces and posts, filled, and notes.

    `not_air`, `trabecular`: as `with_marrow` takes them.
    """
    at_cavity = samples_at_cavity(region, head)
    bone, notes = pieces_of_skull(bone, region, at_cavity)
    bone = without_posts(bone, region, head)
    progress(0.5, "Filling diploe")
    bone = with_marrow(bone, region, head, not_air, trabecular)
    # Again, as what a post or a pore held together may have come apart.
    return pieces_of_skull(bone, region, at_cavity)[0], notes


def _log_found(
    bone: NDArray[np.bool_], region: sitk.Image, head: Head, notes: tuple[str, ...]
) -> None:
    """Tell the log of the skull, bone (z, y, x) on the grid of `region`, and its head."""
    x, y, z = head.centre_mm
    log.info("centre of the cranial cavity (LPS): %.0f %.0f %.0f mm", x, y, z)
    log.info("foramen magnum: %s", "not in view" if head.foramen_mm is None else "found")
    log.info("skull: %.0f cm³", np.count_nonzero(bone) * voxel_volume_mm3(region) / 1000.0)
    for note in notes:
        log.info("note: %s", note)


def _notes_on_view(
    bone: NDArray[np.bool_], region: sitk.Image, image: sitk.Image, box: Box, head: Head
) -> tuple[str, ...]:
    """Return notes on thick slices, and on a vault that the field of view cuts off.

    `bone` (z, y, x) lies on the grid of `region`, which is the `box` of `image`.
    """
    notes: tuple[str, ...] = ()
    thickest = max(image.GetSpacing())
    if thickest > THICK_SLICES_MM:
        notes += (
            f"Slices are {thickest:.1f} mm apart: thin bone may be missing and the implant's "
            "edge rough; 1 mm or less is better.",
        )
    spacing = image.GetSpacing()[::-1]
    cut_mm2 = 0.0
    for axis, (limits, size) in enumerate(zip(box, image.GetSize()[::-1])):
        pixel_mm2 = float(np.prod(np.delete(spacing, axis)))
        for side, at_border in ((0, limits.start == 0), (-1, limits.stop == size)):
            if not at_border:
                continue
            index = range(bone.shape[axis])[side]
            slab = tuple(
                slice(index, index + 1) if k == axis else slice(0, n)
                for k, n in enumerate(bone.shape)
            )
            high = above(region, head.up, head.centre_mm, slab)
            cut_mm2 += float((bone[slab] & high).sum()) * pixel_mm2
    if cut_mm2 > VIEW_CUT_MM2:
        notes += ("The field of view cuts off part of the vault: only the part in view is known.",)
    return notes


def _put_back(bone: NDArray[np.bool_], grid: sitk.Image, box: Box) -> sitk.Image:
    """Return `bone` (z, y, x), which fills `box` of `grid`, as a uint8 image on `grid`."""
    z, y, x = box
    whole = sitk.Image(grid.GetSize(), sitk.sitkUInt8)
    whole[x, y, z] = sitk.GetImageFromArray(bone.view(np.uint8))
    whole.CopyInformation(grid)
    return whole
