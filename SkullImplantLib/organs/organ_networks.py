"""The two networks of organ segmentation in use: a CT to coarse labels, and these to fine ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
import torch

from ..completion.network import NetworkPlace, choose_device, on_device_or_cpu
from ..core.finer_grid import places_of
from ..core.images import array_of, image_like
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..networks.autoencoder import SparseAutoEncoder
from ..networks.dense_unet import SEGMENTATION_TASK, DenseUNet, segmented
from ..networks.label_superres import LABELS_TASK, coarse_masks
from ..networks.superres import coarse_view, logits_by_network
from ..networks.weights import Weights
from .coarse_grid import CELLS, coarse_grid, mean_on

# Fine voxels of a slab along z, and on either side of it what the network looks at as well. Slabs
# begin at multiples of the network's coarsest cells, so that each site is in the same cells.
SLAB_VOXELS, AROUND_VOXELS = 64, 32
# Outside the coarse labels, what may become one, in coarse voxels.
MARGIN_COARSE = 2.0


@dataclass(frozen=True)
class OrganLabels:
    """`labels` (uint8), the device that the network `ran_on`, and, of those that a dense network
    found, how `sure` it is of each voxel, 0 to 1 (z, y, x).
    """

    labels: sitk.Image
    ran_on: str
    sure: np.ndarray | None = None


def segment_coarse(
    ct: sitk.Image, weights: Weights, labels: Sequence[int], where: NetworkPlace = NetworkPlace()
) -> OrganLabels:
    """Return organs on the `coarse_grid` of a CT in HU.

    labels: the number of each organ, in the order of the weights'. Raises `SkullImplantError` for
    weights of another task or number of organs, or a device that is not there.
    """
    network = weights.network()
    if weights.metadata.get("task") != SEGMENTATION_TASK or not isinstance(network, DenseUNet):
        raise SkullImplantError(
            "These weights do not segment organs; use some that were trained for segmentation."
        )
    _check(labels, network.configuration.labels)
    cells = weights.metadata.get("options", {}).get("cells", CELLS)
    grid = coarse_grid(ct, cells)
    hu = array_of(mean_on(ct, grid))
    (found, sure), ran_on = on_device_or_cpu(
        lambda device: segmented(network.to(device), hu, device), choose_device(where.device)
    )
    return OrganLabels(image_like(_renumbered(labels)[found], grid), ran_on.type, sure)


def super_resolve_labels(
    coarse: sitk.Image,
    grid: sitk.Image,
    weights: Weights,
    labels: Sequence[int],
    where: NetworkPlace = NetworkPlace(),
    progress: Progress = silent,
) -> OrganLabels:
    """Return coarse labels (uint8) on a finer `grid` along the same axes, by the sparse network.

    labels: those to refine, each by itself; others are left out. Raises `SkullImplantError` for
    weights of another task, a device that is not there, or where the coarse image has none of them.
    """
    network = weights.network(where.engine)
    if weights.metadata.get("task") != LABELS_TASK or not isinstance(network, SparseAutoEncoder):
        raise SkullImplantError(
            "These weights do not refine labels of organs; use some that were trained for that."
        )
    masks = coarse_masks(array_of(coarse), labels, coarse.GetSpacing()[::-1])
    if not any(mask.filled.any() for mask in masks):
        raise SkullImplantError("There are no organs in the coarse labels; look at the CT.")
    at = places_of(grid, coarse)
    fine = np.zeros(grid.GetSize()[::-1], np.uint8)
    surest = np.zeros(fine.shape, np.float16)  # where organs touch, the surer one takes a voxel
    ran_on = choose_device(where.device)
    for number, mask in enumerate(masks, 1):
        if not mask.filled.any():
            continue
        z, y, x = (_reach(mask.filled, axis, places) for axis, places in enumerate(at))
        for start in range(z.start, z.stop, SLAB_VOXELS):
            done = (start - z.start) / (z.stop - z.start)
            progress((number - 1 + done) / len(masks), "refining the organs")
            stop = min(start + SLAB_VOXELS, z.stop)
            seen = slice(max(z.start, start - AROUND_VOXELS), min(stop + AROUND_VOXELS, z.stop))
            view = coarse_view(mask, [axis[part] for axis, part in zip(at, (seen, y, x))])

            def run(device: torch.device) -> np.ndarray:
                return logits_by_network(network.to(device), view, device, only_sites=True)  # noqa: B023

            logits, ran_on = on_device_or_cpu(run, ran_on)
            here = (slice(start, stop), y, x)
            own = logits[start - seen.start : stop - seen.start].astype(np.float16)
            fine[here][own > surest[here]] = number
            np.maximum(surest[here], own, out=surest[here])
    progress(1.0, "organs refined")
    return OrganLabels(image_like(_renumbered(labels)[fine], grid), ran_on.type)


def _check(labels: Sequence[int], known: int) -> None:
    if len(labels) != known:
        raise SkullImplantError(
            f"The weights know {known} organs, and {len(labels)} are asked for; give as many."
        )


def _renumbered(labels: Sequence[int]) -> np.ndarray:
    """Return the table from 0, 1 and so on to the numbers of the organs."""
    return np.array([0, *labels], np.uint8)


def _reach(filled: np.ndarray, axis: int, at: np.ndarray) -> slice:
    """Return the fine voxels along an axis that hold all labels with a margin."""
    used = np.flatnonzero(filled.any(axis=tuple(k for k in range(3) if k != axis)))
    inside = np.flatnonzero((at >= used[0] - MARGIN_COARSE) & (at <= used[-1] + MARGIN_COARSE))
    return slice(int(inside[0]), int(inside[-1]) + 1)
