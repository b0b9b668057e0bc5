"""A coarse mask to a fine one: shape super-resolution, slab by slab (`networks/superres.py`)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from ..core.finer_grid import finer_grid, places_of
from ..core.images import array_of, image_like, voxel_volume_mm3
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..networks.autoencoder import SparseAutoEncoder
from ..networks.superres import (
    FEATURES,
    TASK,
    CoarseMask,
    coarse_mask,
    coarse_view,
    logits_by_network,
)
from ..networks.weights import Weights
from .network import GPU_TOO_SMALL, NetworkPlace, choose_device, on_device_or_cpu

# Fine voxels of a slab along z, and on either side of it what the network looks at as well. Slabs
# begin at multiples of the network's coarsest cells, so that each site is in the same cells.
SLAB_VOXELS, AROUND_VOXELS = 64, 32
# Outside the bone, what may become bone, in coarse voxels.
MARGIN_COARSE = 2.0
# Logits are kept in so many steps up to this.
LOGIT_STEPS, SUREST_LOGIT = 127, 4.0
# A coarse voxel is set where it is at least half full, so that a mask's volume is about right, and
# the surface lies where it encloses as much: at a logit near 0, at most so far from it.
MOST_SHIFT = 1.0
# Of the volume, by thin bone that comes back or goes; more is not the same skull.
USUAL_CHANGE = 0.15


@dataclass(frozen=True)
class Finer:
    """A mask (uint8 0/1) on a finer grid, where the network ran, and notes, a sentence each."""

    mask: sitk.Image
    device: str
    notes: tuple[str, ...] = ()


def super_resolve(
    mask: sitk.Image,
    to_mm: float,
    weights: Weights,
    place: NetworkPlace = NetworkPlace(),
    progress: Progress = silent,
) -> Finer:
    """Return a mask (uint8 0/1) on `finer_grid`, its surface made by the network.

    Raises `SkullImplantError` where the weights are not for super-resolution, the mask is empty
    before or after, or the device or engine is missing.
    """
    network = network_of(weights, place.engine)
    device = choose_device(place.device)
    grid = finer_grid(mask, to_mm)
    filled = array_of(mask) > 0
    if not filled.any():
        raise SkullImplantError("The mask is empty; check the bone threshold.")
    coarse = coarse_mask(filled, mask.GetSpacing()[::-1])
    at = places_of(grid, mask)
    # Logits in a byte each: the finest grids have a voxel for each byte of an eighth of a gigabyte.
    fine = np.full(grid.GetSize()[::-1], -LOGIT_STEPS, np.int8)
    ran_on = device
    for whole, kept in _slabs(coarse, at):
        progress(whole[0].start / len(fine), f"refining the mask ({ran_on.type})")
        view = coarse_view(coarse, [axis[part] for axis, part in zip(at, whole)])
        found, ran_on = on_device_or_cpu(
            lambda where, view=view: logits_by_network(network.to(where), view, where),  # type: ignore[misc]
            ran_on,
        )
        part = found[kept.start - whole[0].start :][: kept.stop - kept.start]
        steps = np.rint(np.clip(part / SUREST_LOGIT, -1.0, 1.0) * LOGIT_STEPS)
        fine[(kept, *whole[1:])] = steps.astype(np.int8)
    volume_mm3 = np.count_nonzero(filled) * voxel_volume_mm3(mask)
    result = image_like(fine > _level(fine, volume_mm3 / voxel_volume_mm3(grid)), grid)
    progress(1.0, "mask refined")
    notes = () if ran_on == device else (GPU_TOO_SMALL,)
    return Finer(result, ran_on.type, (*notes, *_change_of_volume(mask, result)))


def network_of(weights: Weights, engine: str = "torch") -> SparseAutoEncoder:
    """Return the network of weights for super-resolution; raises `SkullImplantError` for others."""
    network = weights.network(engine)
    if (
        weights.metadata.get("task") != TASK
        or not isinstance(network, SparseAutoEncoder)
        or network.configuration.in_channels != FEATURES
    ):
        raise SkullImplantError(
            "These weights complete skulls and do not refine masks; use weights that "
            "were trained for super-resolution."
        )
    return network


def _level(logits: np.ndarray, wanted_voxels: float) -> int:
    """Return the level, in steps of logits (int8), above which about so many voxels lie."""
    counts = np.bincount(logits.ravel().view(np.uint8), minlength=256)
    steps = np.arange(256).astype(np.uint8).view(np.int8)
    order = np.argsort(-steps.astype(int))
    above = np.cumsum(counts[order]) - counts[order]
    # Above[k]: voxels of more than the k-th largest step.
    nearest = steps[order][np.abs(above - wanted_voxels).argmin()]
    most = round(MOST_SHIFT / SUREST_LOGIT * LOGIT_STEPS)
    return int(np.clip(nearest, -most, most))


def _change_of_volume(before: sitk.Image, after: sitk.Image) -> tuple[str, ...]:
    """Return a note where refining changed how much bone there is; raises where none is left."""
    had, has = (
        float(np.count_nonzero(array_of(mask))) * voxel_volume_mm3(mask) for mask in (before, after)
    )
    if not has:
        raise SkullImplantError(
            "The network left no bone of the mask; use the shipped weights, or a mask of a skull."
        )
    change = has / had - 1.0
    if abs(change) <= USUAL_CHANGE:
        return ()
    return (f"The finer mask holds {change:+.0%} of bone; look at it before you use it.",)


def _slabs(
    coarse: CoarseMask, at: Sequence[np.ndarray]
) -> Iterator[tuple[tuple[slice, ...], slice]]:
    """Yield boxes of the fine grid, slices (z, y, x), that hold all bone, and which z to keep."""
    box = []
    for axis in range(3):
        others = tuple(k for k in range(3) if k != axis)
        used = np.flatnonzero(coarse.filled.any(axis=others))
        low, high = used[0] - MARGIN_COARSE, used[-1] + MARGIN_COARSE
        inside = np.flatnonzero((at[axis] >= low) & (at[axis] <= high))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1))
    z, y, x = box
    for start in range(z.start, z.stop, SLAB_VOXELS):
        stop = min(start + SLAB_VOXELS, z.stop)
        whole = slice(max(z.start, start - AROUND_VOXELS), min(stop + AROUND_VOXELS, z.stop))
        yield (whole, y, x), slice(start, stop)
