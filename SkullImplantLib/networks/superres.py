"""A coarse mask on a finer grid, and what the auto-encoder makes of it: shape super-resolution.

Li et al., "Sparse convolutional neural network for high-resolution skull shape completion and shape
super-resolution" (Sci Rep 2023): the network that completes skulls also refines them. The coarse
mask is brought to the fine grid by interpolation, and the network moves its surface ("non-zero
voxels partially rearranged"). Here it starts from the interpolated signed distance and is told
where in its coarse voxel a fine voxel lies and how large both are, so that one network serves all
pairs of resolutions, thick slices too. Training and use share this file. Arrays are (z, y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.distances import between_voxels_mm
from ..core.interpolation import along_axes, values_at
from ..sparse import Sites
from .autoencoder import Decoded, SparseAutoEncoder

Singles = NDArray[np.float32]

# Of the metadata of weights: what a network is for, where it does not complete skulls.
TASK = "super-resolution"
# Per site: depth, share and own value of the coarse voxel; place in it (3), its size (3), spacing.
OF_MASK, OF_PLACE = 3, 7
FEATURES = OF_MASK + OF_PLACE
# Sites reach so far outside the interpolated surface, in coarse voxels, and in fine ones.
OUTSIDE_COARSE, OUTSIDE_FINE = 0.5, 1.0
# Depths are told up to so many fine voxels.
DEEPEST_VOXELS = 4.0
# The fine spacing that is told as 0, and the size of a coarse voxel in fine ones told as 1.
USUAL_MM, USUAL_RATIO = 0.7, 8.0
# The surest a voxel starts: a logit of +-4, which the network can still talk out of it.
SUREST = 0.98


@dataclass(frozen=True)
class CoarseMask:
    """A mask (bool) and its signed distance in mm, positive in it; (z, y, x), spacing likewise."""

    filled: NDArray[np.bool_]
    depth_mm: Singles
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class CoarseView:
    """A coarse mask on a fine grid with the same axes.

    depth_mm: its signed distance there, interpolated; float32 of the fine shape (z, y, x). at: for
    each axis the fine voxels' centres as indices of coarse voxels. fine_mm: spacing of the grid.
    """

    mask: CoarseMask
    depth_mm: Singles
    at: tuple[Singles, Singles, Singles]
    fine_mm: tuple[float, float, float]


def coarse_mask(filled: NDArray[np.bool_], spacing_mm: Sequence[float]) -> CoarseMask:
    """Return a mask (z, y, x) with its distances; spacing along (z, y, x)."""
    z, y, x = (float(mm) for mm in spacing_mm)
    return CoarseMask(filled, between_voxels_mm(filled, spacing_mm), (z, y, x))


def coarse_view(mask: CoarseMask, at: Sequence[NDArray[np.floating]]) -> CoarseView:
    """Return what is seen of a mask on a finer grid.

    at: for each axis (z, y, x) the places of the fine voxels' centres as indices of coarse voxels,
    evenly spaced; they fall where the grid is turned over.
    """
    z_at, y_at, x_at = (np.asarray(axis, np.float32) for axis in at)
    places = (z_at, y_at, x_at)
    z, y, x = (
        step * (abs(float(p[-1] - p[0])) / (len(p) - 1) if len(p) > 1 else 1.0)
        for p, step in zip(places, mask.spacing_mm)
    )
    return CoarseView(mask, along_axes(mask.depth_mm, places), places, (z, y, x))


def seen(view: CoarseView) -> tuple[NDArray[np.int32], Singles]:
    """Return the network's sites, int32 (n, 4) as (batch = 0, z, y, x) in lexicographic order, and
    their features, float32 (n, `FEATURES`).

    The sites are the interpolated bone and what may be bone around it.
    """
    places = np.argwhere(up_to_outside(view)).astype(np.int32)
    features = np.hstack([of_mask(view, places), of_place(view, places)])
    return np.insert(places, 0, 0, axis=1), features


def up_to_outside(view: CoarseView) -> NDArray[np.bool_]:
    """Return the voxels (z, y, x) of the interpolated mask, and what may be of it around it."""
    outside_mm = OUTSIDE_COARSE * np.mean(view.mask.spacing_mm)
    outside_mm += OUTSIDE_FINE * np.mean(view.fine_mm)
    active: NDArray[np.bool_] = view.depth_mm > -outside_mm
    return active


def of_mask(view: CoarseView, places: NDArray[np.integer]) -> Singles:
    """Return what sites (n, 3; z, y, x) know of the mask, float32 (n, `OF_MASK`): depth in it,
    interpolated share, and own value of the coarse voxel.
    """
    features = np.empty((len(places), OF_MASK), np.float32)
    depth = view.depth_mm[tuple(places.T)] / np.float32(np.mean(view.fine_mm))
    features[:, 0] = np.clip(depth, -DEEPEST_VOXELS, DEEPEST_VOXELS) / DEEPEST_VOXELS
    filled = view.mask.filled
    at = [axis[places[:, k]] for k, axis in enumerate(view.at)]
    features[:, 1] = values_at(filled.view(np.uint8), at)
    nearest = [np.clip(np.rint(axis), 0, n - 1).astype(int) for axis, n in zip(at, filled.shape)]
    features[:, 2] = filled[tuple(nearest)]
    return features


def of_place(view: CoarseView, places: NDArray[np.integer]) -> Singles:
    """Return what sites (n, 3) know of the grids, float32 (n, `OF_PLACE`): place in the coarse
    voxel, its size, and the fine spacing.
    """
    coarse, fine = view.mask.spacing_mm, view.fine_mm
    features = np.empty((len(places), OF_PLACE), np.float32)
    for axis in range(3):
        at = view.at[axis][places[:, axis]]
        # On a grid that is turned over, what was before is behind.
        forward = -1.0 if view.at[axis][-1] < view.at[axis][0] else 1.0
        features[:, axis] = forward * (at - np.rint(at))
        features[:, 3 + axis] = np.log2(coarse[axis] / fine[axis]) / np.log2(USUAL_RATIO)
    features[:, 6] = np.log2(np.mean(fine) / USUAL_MM)
    return features


def starting_logit(depth_mm: Singles, fine_mm: Sequence[float]) -> Singles:
    """Return what the interpolation believes of voxels at a depth, as logits."""
    filled = depth_mm / np.float32(np.mean(fine_mm)) + np.float32(0.5)
    share = np.clip(filled, 1.0 - SUREST, SUREST)
    logit: Singles = np.log(share / (1.0 - share)).astype(np.float32)
    return logit


def rearranged_by_network(
    network: SparseAutoEncoder,
    views: Sequence[CoarseView],
    device: torch.device,
    target: Sites | None = None,
    only_sites: bool = False,
) -> Decoded:
    """Return the network's levels; the finest logits add to the interpolation's.

    views: one a batch index, all of one shape. target: the sites of the true fine masks while
    training, and only_sites: no candidates but the sites, as in `SparseAutoEncoder.forward`.
    """
    sites, features = zip(*(seen(view) for view in views), strict=True)
    for number, places in enumerate(sites):
        places[:, 0] = number
    x = network.engine.SparseTensor(
        torch.from_numpy(np.concatenate(sites)).to(device),
        torch.from_numpy(np.concatenate(features)).to(device),
    )
    shape = views[0].depth_mm.shape
    decoded: Decoded = network(
        x, target=target, bounds=shape, reconstruct=False, only_sites=only_sites
    )
    finest = decoded.levels[-1]
    if len(finest.logits):
        index = finest.coordinates.cpu().numpy()
        belief = np.empty(len(index), np.float32)
        for number, view in enumerate(views):
            own = index[:, 0] == number
            depth_mm = view.depth_mm[tuple(index[own, 1:].T)]
            belief[own] = starting_logit(depth_mm, view.fine_mm)
        finest.logits = finest.logits + torch.from_numpy(belief).to(device)
    return decoded


def logits_by_network(
    network: SparseAutoEncoder, view: CoarseView, device: torch.device, only_sites: bool = False
) -> Singles:
    """Return how sure the network is of bone in each fine voxel (z, y, x), as a logit.

    -infinity where it made no candidate of a voxel.
    """
    with torch.inference_mode():
        finest = rearranged_by_network(network, [view], device, None, only_sites).levels[-1]
    logits = np.full(view.depth_mm.shape, -np.inf, np.float32)
    places = finest.coordinates[:, 1:].cpu().numpy()
    logits[tuple(places.T)] = finest.logits.float().cpu().numpy()
    return logits
