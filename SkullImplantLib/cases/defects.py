"""Artificial craniectomies: cut a piece of bone, as a surgeon would, out of a complete skull.

An outline is drawn on the outer surface of the vault (`outlines.py`) and cut towards the centre of
the head through the full thickness of the bone, a little narrower on the side of the brain as a
bevelled saw cut is. Arrays are (z, y, x); the standard frame is that of `geometry.frame.Pose`.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import array_of, bounding_box, image_like, index_to_lps_mm, same_grid
from ..core.interpolation import refined, values_at
from ..errors import NoPlaceForDefect, SkullImplantError
from ..geometry.radial import DIRECTIONS, share_of_bone, shell_of, to_map
from .outlines import KINDS, Floats, Mask, Outline, Vault, draw_outline, vault_from_maps

Singles = NDArray[np.float32]
Bones = NDArray[np.bool_ | np.integer]  # where not zero

__all__ = ["KINDS", "Cut", "Defect", "apply_to_ct", "cut_defect", "make_defect", "vault_of"]

USUAL_CM2 = (20.0, 120.0)  # in the clinic: median 83, 58 to 120 cm²
DRAWS = 40  # draws before giving up; the first one usually does
STEEPEST_BEVEL_DEG = 25.0
MAP_MM = 1.0  # grid on which outlines and walls, which are smooth, are looked at
CUT_MARGIN_MM = 1.5  # beyond both tables, so that no skin of bone is left
DEEPEST_BEVEL_MM = 15.0
ONE_PIECE = 0.85  # least share of the bone in the cut that hangs together

SOFT_TISSUE_HU = (-40.0, 100.0)  # muscle, brain, scalp, blood, fluid
USUAL_SOFT_TISSUE_HU, USUAL_NOISE_HU = 40.0, 10.0  # where the CT shows too little of it
LEAST_SAMPLE = 200  # voxels
AROUND_MM = 8.0
BLUR_MM = 0.5  # about the in-plane blur of a head CT


class HeadPose(Protocol):
    """What is asked of a head's pose: LPS points (..., 3) in mm taken to the standard frame."""

    def to_standard(self, points: Floats) -> Floats: ...


@dataclass(frozen=True)
class Cut:
    """A defect within a box of the skull's array."""

    box: tuple[slice, slice, slice]
    region: Mask  # (z, y, x) bool, the volume taken out
    implant: Mask  # (z, y, x) bool, the bone taken out: the skull within the region
    area_cm2: float


@dataclass(frozen=True)
class Defect:
    """A defect as `uint8` masks on the skull's grid; `implant` and `defective` add up to it."""

    region: sitk.Image  # the volume taken out; the skull within it is the implant
    implant: sitk.Image
    defective: sitk.Image
    area_cm2: float  # of the outer surface of the bone taken out
    kind: str


def make_defect(
    skull: sitk.Image,
    kind: str,
    rng: np.random.Generator,
    pose: HeadPose,
    area_cm2: float | tuple[float, float] = USUAL_CM2,
) -> Defect:
    """Cut a defect of one of `KINDS` out of a complete skull (`uint8` mask).

    `area_cm2` of outer surface, or an area drawn log-uniformly between the two given, is met within
    12 %. Raises `NoPlaceForDefect` where the skull offers no place for such a defect, and
    `SkullImplantError` for a kind or area that is none.
    """
    bone = array_of(skull) != 0
    cut = cut_defect(
        bone, index_to_standard(skull, pose), vault_of(skull, pose), kind, rng, area_cm2
    )
    implant = np.zeros(bone.shape, np.uint8)
    region = np.zeros(bone.shape, np.uint8)
    implant[cut.box], region[cut.box] = cut.implant, cut.region
    bone[cut.box] &= ~cut.implant
    return Defect(
        region=image_like(region, skull),
        implant=image_like(implant, skull),
        defective=image_like(bone, skull),
        area_cm2=cut.area_cm2,
        kind=kind,
    )


def vault_of(skull: sitk.Image, pose: HeadPose) -> Vault:
    """Look at a skull's mask from the centre of its vault.

    Raises `NoPlaceForDefect` where there is no vault to see.
    """
    axes = np.asarray(pose.to_standard(np.vstack([np.zeros(3), np.eye(3)])))
    rotation = axes[1:] - axes[0]  # to_standard(p) = (p - centre) @ rotation
    outer, inner, bone = shell_of(share_of_bone(skull, MAP_MM), rotation, -axes[0] @ rotation.T)
    return vault_from_maps(outer, inner, bone)


def index_to_standard(image: sitk.Image, pose: HeadPose) -> Floats:
    """Return the 4x4 matrix from a voxel index (x, y, z, 1) of `image` to standard mm."""
    lps = index_to_lps_mm(image)
    points = np.asarray(
        pose.to_standard(np.vstack([np.zeros(3), np.eye(3)]) @ lps[:3, :3].T + lps[:3, 3])
    )
    matrix = np.eye(4)
    matrix[:3, :3] = (points[1:] - points[0]).T
    matrix[:3, 3] = points[0]
    return matrix


def cut_defect(
    skull: Bones,
    to_standard: Floats,
    vault: Vault,
    kind: str,
    rng: np.random.Generator,
    area_cm2: float | tuple[float, float] = USUAL_CM2,
) -> Cut:
    """Cut a defect out of a skull's mask (z, y, x) whose `vault` is known: the fast core.

    `to_standard` is the 4x4 matrix from a voxel index (x, y, z, 1) to standard mm. Draws again
    where the outline misses bone or does not come out in one piece, and raises `NoPlaceForDefect`
    where no draw is good, `SkullImplantError` for a kind or area that is none.
    """
    if kind not in KINDS:
        raise SkullImplantError(f"There is no kind of defect '{kind}'; use {', '.join(KINDS)}.")
    least_cm2, most_cm2 = checked_areas(area_cm2)
    for _ in range(DRAWS):
        drawn_cm2 = float(np.exp(rng.uniform(np.log(least_cm2), np.log(most_cm2))))
        bevel_deg = float(rng.uniform(0, STEEPEST_BEVEL_DEG))
        outline = draw_outline(vault, kind, drawn_cm2, rng)
        cut = outline and cut_along(skull, to_standard, vault, outline, bevel_deg)
        if cut:
            return cut
    raise NoPlaceForDefect(
        f"No {kind} defect of {_told(least_cm2, most_cm2)} cm² fits on this skull; try another "
        "seed, kind or area, and check that the skull is complete."
    )


def checked_areas(area_cm2: float | tuple[float, float]) -> tuple[float, float]:
    """Return the least and the greatest area, which are the same where one is given.

    Raises `SkullImplantError` where they are none, or the wrong way round.
    """
    least, most = area_cm2 if isinstance(area_cm2, tuple) else (area_cm2, area_cm2)
    if not least > 0:
        raise SkullImplantError(
            "The area of a defect must be above 0 cm²; {:g} to {:g} are usual.".format(*USUAL_CM2)
        )
    if least > most:
        raise SkullImplantError(
            f"Areas from {least:g} to {most:g} cm² are none; give the smaller one first."
        )
    return least, most


def _told(least: float, most: float) -> str:
    return f"{least:g}" if least == most else f"{least:g} to {most:g}"


def cut_along(
    skull: Bones, to_standard: Floats, vault: Vault, outline: Outline, bevel_deg: float
) -> Cut | None:
    """Cut the bone inside `outline` out of the skull's mask; None where it is not one good piece.

    What the cut leaves behind without a hold on the skull is taken out with the piece.
    """
    box = _box_around(skull.shape, to_standard, vault, outline)
    bone = skull[box] != 0
    region = _inside_cut(box, to_standard, vault, outline, bevel_deg)
    pieces, count = ndimage.label(bone & region)
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.max() < ONE_PIECE * sizes.sum():
        return None
    implant = pieces == sizes.argmax() + 1
    implant |= _loose(bone & ~implant, implant, box, skull.shape)
    return Cut(box, (region & ~bone) | implant, implant, outline.area_cm2)


def _box_around(
    shape: tuple[int, ...], to_standard: Floats, vault: Vault, outline: Outline
) -> tuple[slice, slice, slice]:
    """Return the box of voxels, slices (z, y, x), that holds the cut with a margin."""
    taken = ndimage.binary_dilation(outline.inside_mm > 0, iterations=3)
    corners = np.concatenate([DIRECTIONS[taken] * end[taken, None] for end in vault.wall_mm])
    to_index = np.linalg.inv(to_standard)
    index = corners @ to_index[:3, :3].T + to_index[:3, 3]
    margin = 2 + 3 * CUT_MARGIN_MM * np.linalg.norm(to_index[:3, :3], axis=1)
    size = np.array(shape[::-1])
    low = np.clip(np.floor(index.min(axis=0) - margin).astype(int), 0, size - 1)
    high = np.clip(np.ceil(index.max(axis=0) + margin).astype(int) + 1, low + 1, size)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high))
    return z, y, x


def _inside_cut(
    box: tuple[slice, slice, slice],
    to_standard: Floats,
    vault: Vault,
    outline: Outline,
    bevel_deg: float,
) -> Mask:
    """Return which voxels (z, y, x) of `box` lie within the outline and between the tables.

    The distance to the surface of the cut is smooth, so that it is worked out on a grid of about
    a millimetre and read linearly between: a large fine image costs little more than a coarse one.
    """
    steps_xyz = np.maximum(np.rint(MAP_MM / np.linalg.norm(to_standard[:3, :3], axis=0)), 1)
    lattice = [
        np.arange(math.ceil((s.stop - s.start - 1) / step) + 1, dtype=np.float32) * step + s.start
        for s, step in zip(box, steps_xyz[::-1])
    ]
    z, y, x = np.meshgrid(*lattice, indexing="ij")
    points = np.stack([x, y, z], axis=-1) @ to_standard[:3, :3].T.astype(np.float32)
    rows, columns, radius = to_map(points + to_standard[:3, 3].astype(np.float32))

    maps = (outline.inside_mm, vault.outer_mm, *vault.wall_mm)
    inside, outer, low, high = (values_at(values, (rows, columns)) for values in maps)
    bevel = math.tan(math.radians(bevel_deg)) * np.clip(outer - radius, 0, DEEPEST_BEVEL_MM)
    margin = max(CUT_MARGIN_MM, float(np.linalg.norm(to_standard[:3, :3], axis=0).max()))
    depth = np.minimum(inside - bevel, margin + np.minimum(high - radius, radius - low))

    fine = refined(depth, [int(step) for step in steps_xyz[::-1]])
    return fine[tuple(slice(0, s.stop - s.start) for s in box)] > 0


def _loose(
    rest: Mask, implant: Mask, box: tuple[slice, slice, slice], shape: tuple[int, ...]
) -> Mask:
    """Return the parts of `rest` that touch the implant and have no hold on the skull any more.

    A part has a hold where it leaves the box, or where it is the largest part in it.
    """
    labels, count = ndimage.label(rest)
    if count < 2:
        return np.zeros(rest.shape, bool)
    loose = np.zeros(count + 1, bool)
    loose[np.unique(labels[ndimage.binary_dilation(implant)])] = True
    loose[0] = False
    loose[np.bincount(labels.ravel())[1:].argmax() + 1] = False
    for axis in range(3):
        for end, goes_on in ((0, box[axis].start > 0), (-1, box[axis].stop < shape[axis])):
            if goes_on:
                loose[np.unique(np.take(labels, end, axis=axis))] = False
    result: Mask = loose[labels]
    return result


def apply_to_ct(ct: sitk.Image, defect: Defect, rng: np.random.Generator) -> sitk.Image:
    """Return the CT (HU) of a head with `defect`: soft tissue where its bone was.

    The tissue has the level and the noise, correlation between neighbours included, of the soft
    tissue around the defect, and the edges of the cut the blur of a CT. The pixel type is kept.
    Raises `SkullImplantError` where CT and defect are not on the same grid.
    """
    if not same_grid(ct, defect.region):
        raise SkullImplantError(
            "The CT and the defect are not on the same grid; cut the defect into this CT's skull."
        )
    spacing_mm = np.array(ct.GetSpacing()[::-1])
    z, y, x = np.ceil(AROUND_MM / spacing_mm).astype(int)
    box = bounding_box(array_of(defect.implant), (int(z), int(y), int(x)))
    implant, region, skull = (
        array_of(mask)[box] != 0 for mask in (defect.implant, defect.region, defect.defective)
    )
    hu = sitk.GetArrayFromImage(ct)
    old = hu[box].astype(np.float32)
    # Around the bone lie voxels that it fills in part.
    bony = implant | (region & (ndimage.binary_dilation(implant) | (old > SOFT_TISSUE_HU[1])))
    share = ndimage.gaussian_filter(bony.astype(np.float32), BLUR_MM / spacing_mm)
    new = old + share * (_soft_tissue(old, skull | implant, rng) - old)
    hu[box] = np.rint(new) if np.issubdtype(hu.dtype, np.integer) else new
    return image_like(hu, ct)


def _soft_tissue(hu: Singles, bone: Mask, rng: np.random.Generator) -> Singles:
    """Return soft tissue, an array like `hu`, with the level and noise of that beside `bone`."""
    low, high = SOFT_TISSUE_HU
    sample = ndimage.binary_erosion((hu > low) & (hu < high) & ~ndimage.binary_dilation(bone))
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    if sample.sum() < LEAST_SAMPLE:
        return USUAL_SOFT_TISSUE_HU + USUAL_NOISE_HU * noise
    # Half the mean square of differences grows with the lag from variance x (1 - correlation) to
    # the variance, which noise reaches in a few voxels (a variogram).
    strengths, blur = [], []
    for axis in range(3):
        near, far = _half_mean_square(hu, sample, axis, 1), _half_mean_square(hu, sample, axis, 3)
        correlation = 1 - near / max(far, 1e-6)
        # White noise blurred with this Gaussian has this correlation between neighbours.
        blur.append(math.sqrt(-0.25 / math.log(correlation)) if 0.05 < correlation < 0.95 else 0.0)
        strengths.append(math.sqrt(far))
    strength = float(np.median(strengths))
    noise = ndimage.gaussian_filter(noise, blur)
    tissue: Singles = float(np.median(hu[sample])) + noise * (strength / float(noise.std()))
    return tissue


def _half_mean_square(values: Singles, sample: Mask, axis: int, lag: int) -> float:
    """Return half the mean square of the differences `lag` voxels apart within `sample`."""
    here = tuple(slice(None, -lag) if k == axis else slice(None) for k in range(3))
    there = tuple(slice(lag, None) if k == axis else slice(None) for k in range(3))
    both = sample[here] & sample[there]
    return float(((values[here] - values[there])[both] ** 2).mean()) / 2 if both.any() else 0.0
