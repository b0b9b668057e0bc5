"""What patients and scanners do to a skull's mask, done at random to one that is too clean.

Training skulls are whole, filled and sharply cut. The skull of a craniectomy has healed edges,
plates and splinters, and its mask suffers from thick slices, an ill-chosen threshold and thin bone
that a CT does not show. A network that is to complete the second must have seen it.

Arrays are (z, y, x). The surface of a mask is moved by less than a voxel through a blurred copy: a
flat surface blurred with a Gaussian of width s reads Phi(d / s) at the depth d.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

from ..core.images import bounding_box
from ..core.interpolation import refined
from .wound import Mask, Wound, add_fragments, add_metal

Lengths = Sequence[float] | NDArray[np.float64]  # along (z, y, x)
Singles = NDArray[np.float32]  # (z, y, x)

BLUR_MM = 0.8  # about the blur of a head CT; never narrower than a voxel
PORE_MM = 4.0  # distance between neighbouring marrow spaces of the diploe
DIPLOE_MM = 1.2  # blur with which a voxel under a table of about a millimetre reads DIPLOE_SHARE
DIPLOE_SHARE = 0.85
# How unusual a place is, in standard deviations, that is a pore within the diploe and in a table,
# and a part of the head that has pores.
PORE_IN_DIPLOE, PORE_IN_TABLE, PORE_PATCH = 0.7, 1.4, 0.5
THIN_BLUR_MM = 1.5
PATCH_MM = 35.0  # flaws come in patches of this size
RIM_PATCH_MM = 12.0
MARGIN_MM = 6.0  # of air around the bone that is worked on


@dataclass(frozen=True)
class DegradationOptions:
    """How often each flaw is met, 0 to 1, and how far it goes; amounts are drawn up to these."""

    thickness: float = 0.5
    healed_rim: float = 0.4
    fragments: float = 0.15
    metal: float = 0.15
    thin_bone: float = 0.3
    pores: float = 0.25
    thick_slices: float = 0.3
    threshold: float = 0.5
    field_of_view: float = 0.25
    # How far either surface of the bone moves. Skulls from MRI are thinner than those from CT.
    thinner_mm: float = 0.4
    thicker_mm: float = 0.7
    healed_mm: float = 3.0  # from the edge of the hole
    thinnest_bone_mm: float = 2.5  # thinner bone is lost
    thickest_slice_mm: float = 3.0
    threshold_mm: float = 0.3  # how far either surface of the bone moves
    cut_below: float = 0.35  # share of the height of what is there
    cut_vertex_mm: float = 6.0


NO_FLAWS = DegradationOptions(
    thickness=0, healed_rim=0, fragments=0, metal=0, thin_bone=0, pores=0, thick_slices=0,
    threshold=0, field_of_view=0,
)  # fmt: skip


def thickness_change_mm(
    shape: Sequence[int],
    spacing_mm: Lengths,
    rng: np.random.Generator,
    options: DegradationOptions = DegradationOptions(),
) -> Singles:
    """Return how far outward (float32) the surface of a complete skull moves, here and there.

    `spacing_mm` in (z, y, x). Thicker bone is another patient, not a flaw of the image: add it to
    the depth within the bone before the defect is cut, so that the lost piece fits its skull.
    """
    own = _child(rng)
    if own.random() >= options.thickness:
        return np.zeros(shape, np.float32)
    usual_mm = own.uniform(-options.thinner_mm, options.thicker_mm)
    uneven = 1.0 + 0.3 * smooth_noise(shape, spacing_mm, PATCH_MM, own)
    outward_mm: Singles = np.clip(usual_mm * uneven, -options.thinner_mm, options.thicker_mm)
    return outward_mm


def degrade(
    skull: Mask,
    spacing_mm: Lengths,
    hole: Mask,
    rng: np.random.Generator,
    options: DegradationOptions = DegradationOptions(),
    up: Lengths = (1.0, 0.0, 0.0),
) -> Mask:
    """Return a defective skull (bool) with random flaws; what belongs in the hole is untouched.

    `hole` (bool): the volume taken out. `spacing_mm` and `up`, the unit vector to the vertex, in
    (z, y, x). The same generator state makes the same mask, and a flaw of probability 0 changes
    nothing of the others. Raises `ValueError` for arrays of different shapes.
    """
    if hole.shape != skull.shape:
        raise ValueError(f"skull of shape {skull.shape}, hole of shape {hole.shape}")
    box = _around(skull | hole, spacing_mm)
    wound = Wound(hole[box], np.asarray(spacing_mm, float), np.asarray(up, float))
    bone = skull[box]
    for probability, flaw in _flaws(options):
        own = _child(rng)
        if own.random() < probability:
            bone = flaw(bone, wound, own, options)
    return _put_back(bone, skull, box)


Flaw = Callable[[Mask, Wound, np.random.Generator, DegradationOptions], Mask]


def _flaws(options: DegradationOptions) -> list[tuple[float, Flaw]]:
    """Return the flaws with their probabilities: first the patient's, then the scanner's."""
    return [
        (options.pores, _open_pores),
        (options.healed_rim, _heal_rim),
        (options.fragments, lambda bone, wound, rng, _: add_fragments(bone, wound, rng)),
        (options.thin_bone, _lose_thin_bone),
        (options.metal, lambda bone, wound, rng, _: add_metal(bone, wound, rng)),
        (options.thick_slices, _thicken_slices),
        (options.threshold, _misplace_surface),
        (options.field_of_view, _cut_view),
    ]


def smooth_noise(
    shape: Sequence[int], spacing_mm: Lengths, scale_mm: float, rng: np.random.Generator
) -> Singles:
    """Return normal noise (float32) of variance 1 whose bumps are about `scale_mm` wide."""
    steps = [max(1, round(scale_mm / 3.0 / s)) for s in spacing_mm]
    counts = [math.ceil((n - 1) / step) + 1 for n, step in zip(shape, steps)]
    noise = rng.standard_normal(counts, dtype=np.float32)
    blur = [scale_mm / 2.5 / (step * s) for step, s in zip(steps, spacing_mm)]
    noise = ndimage.gaussian_filter(noise, blur, mode="wrap")
    noise /= max(float(noise.std()), 1e-6)
    return refined(noise, steps)[tuple(slice(0, n) for n in shape)]


def _open_pores(
    bone: Mask, wound: Wound, rng: np.random.Generator, options: DegradationOptions
) -> Mask:
    """Open marrow spaces of the diploe, in patches, where a pore of a table lets air reach them."""
    share = _blurred(bone, wound.spacing_mm, DIPLOE_MM)
    unusual = smooth_noise(bone.shape, wound.spacing_mm, PORE_MM, rng)
    patches = smooth_noise(bone.shape, wound.spacing_mm, PATCH_MM, rng) > PORE_PATCH
    limit = np.where(share > DIPLOE_SHARE, PORE_IN_DIPLOE, PORE_IN_TABLE).astype(np.float32)
    pores = bone & patches & (unusual > limit)
    labels, count = ndimage.label(pores)
    is_open = np.zeros(count + 1, bool)
    is_open[labels[ndimage.binary_dilation(~bone) & pores]] = True
    opened: Mask = is_open[labels]
    return bone & ~opened


def _heal_rim(
    bone: Mask, wound: Wound, rng: np.random.Generator, options: DegradationOptions
) -> Mask:
    """Round the edge of the cut; here it has receded, there new bone has grown."""
    box = bounding_box(wound.hole, wound.voxels(options.healed_mm + MARGIN_MM))
    old, hole = bone[box], wound.hole[box]
    away_mm = ndimage.distance_transform_edt(~hole, wound.spacing_mm)
    near = np.clip(1.0 - away_mm / options.healed_mm, 0.0, 1.0)
    level = rng.normal(-0.04, 0.05) + 0.08 * smooth_noise(
        old.shape, wound.spacing_mm, RIM_PATCH_MM, rng
    )
    share = _blurred(old, wound.spacing_mm, rng.uniform(0.8, 1.6))
    healed = bone.copy()
    healed[box] = np.where(near > 0.0, share > 0.5 + near * level, old)
    return healed


def _lose_thin_bone(
    bone: Mask, wound: Wound, rng: np.random.Generator, options: DegradationOptions
) -> Mask:
    """Drop bone thinner than a limit that varies with the place, as a threshold does."""
    limit_mm = rng.uniform(0.4, 1.0) * options.thinnest_bone_mm
    limit = limit_mm * (1.0 + 0.25 * smooth_noise(bone.shape, wound.spacing_mm, PATCH_MM, rng))
    # The middle of a plate of thickness t, blurred, reads erf(t / (2 sqrt(2) s)).
    core = _blurred(bone, wound.spacing_mm, THIN_BLUR_MM) > special.erf(
        limit / np.float32(math.sqrt(8.0) * THIN_BLUR_MM)
    )
    size = [2 * n + 1 for n in wound.voxels(limit_mm / 2.0 + 1.0)]
    kept: Mask = ndimage.maximum_filter(core.view(np.uint8), size) > 0
    return bone & kept


def _thicken_slices(
    bone: Mask, wound: Wound, rng: np.random.Generator, options: DegradationOptions
) -> Mask:
    """Average slices along the body's axis, take the threshold there, and keep the steps."""
    axis = int(np.abs(wound.up).argmax())
    spacing = float(wound.spacing_mm[axis])
    slice_mm = rng.uniform(1.0, options.thickest_slice_mm)
    phase_mm = rng.uniform(0.0, slice_mm)
    if slice_mm <= spacing:
        return bone
    layers = np.moveaxis(bone, axis, 0)
    count = math.ceil(len(layers) * spacing / slice_mm) + 1
    edges = np.clip((np.arange(count + 1) * slice_mm - phase_mm) / spacing, 0, len(layers))
    # What lies below each edge: whole layers, and of one the part that is.
    whole = np.minimum(edges.astype(int), len(layers) - 1)
    below = np.concatenate([np.zeros_like(layers[:1], np.float32), layers.astype(np.float32)])
    np.cumsum(below, axis=0, out=below)
    part = (edges - whole).astype(np.float32)[:, None, None]
    sums = below[whole] + part * layers[whole]
    shares = np.diff(sums, axis=0) * np.float32(spacing / slice_mm)
    middle = ((np.arange(len(layers)) + 0.5) * spacing + phase_mm) / slice_mm
    return np.moveaxis((shares > 0.5)[np.minimum(middle.astype(int), count - 1)], 0, axis)


def _misplace_surface(
    bone: Mask, wound: Wound, rng: np.random.Generator, options: DegradationOptions
) -> Mask:
    """Take the threshold too low or too high, not everywhere alike."""
    half_mm = options.threshold_mm / 2.0
    uneven = smooth_noise(bone.shape, wound.spacing_mm, PATCH_MM, rng)
    outward_mm = rng.uniform(-half_mm, half_mm) + half_mm * np.clip(uneven / 2.0, -1.0, 1.0)
    return _moved(bone, wound.spacing_mm, outward_mm)


def _cut_view(
    bone: Mask, wound: Wound, rng: np.random.Generator, options: DegradationOptions
) -> Mask:
    """Leave out what lies below the first slice, and sometimes above the last; slices may tilt."""
    up = wound.up + rng.normal(0.0, 0.1, 3)
    steps = up / np.linalg.norm(up) * wound.spacing_mm
    z, y, x = (np.arange(n, dtype=np.float32) * step for n, step in zip(bone.shape, steps))
    height = z[:, None, None] + y[:, None] + x
    heights = height[bone]
    low, high = float(heights.min(initial=np.inf)), float(heights.max(initial=-np.inf))
    # No surgeon plans on a scan that misses the hole.
    lowest_of_hole = float(height[wound.hole].min(initial=np.inf))
    bottom = min(low + rng.uniform(0.0, options.cut_below) * (high - low), lowest_of_hole - 10.0)
    top = high - rng.uniform(0.0, options.cut_vertex_mm) * (rng.random() < 0.3)
    shown: Mask = (height >= bottom) & (height <= top)
    return bone & shown


def _moved(bone: Mask, spacing_mm: Lengths, outward_mm: Singles) -> Mask:
    """Return the mask with its surface moved outward, by less than about its blur."""
    blur_mm = BLUR_MM * max(1.0, *spacing_mm)
    level: Singles = special.ndtr(outward_mm / np.float32(-blur_mm))
    return _blurred(bone, spacing_mm, blur_mm) > level


def _blurred(bone: Mask, spacing_mm: Lengths, blur_mm: float) -> Singles:
    sigmas = [blur_mm / float(s) for s in spacing_mm]
    blurred: Singles = ndimage.gaussian_filter(bone.astype(np.float32), sigmas, truncate=3.0)
    return blurred


def _child(rng: np.random.Generator) -> np.random.Generator:
    """Return a generator of its own for one flaw, so that none disturbs the next one's draws."""
    return np.random.default_rng(rng.integers(2**63))


def _around(mask: Mask, spacing_mm: Lengths) -> tuple[slice, ...]:
    z, y, x = (math.ceil(MARGIN_MM / s) for s in spacing_mm)
    return bounding_box(mask, (z, y, x))


def _put_back(bone: Mask, whole: Mask, box: tuple[slice, ...]) -> Mask:
    result = np.zeros(whole.shape, bool)
    result[box] = bone
    return result
