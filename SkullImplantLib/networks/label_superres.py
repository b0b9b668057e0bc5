"""Super-resolution of several labels at once: one sparse network, a channel of its own for each.

As for one mask (`superres.py`): the auto-encoder starts from the interpolated signed distances and
is told where in its coarse voxel a fine voxel lies. A site is where any label is or may be, and no
other is made. What it knows of each label stands side by side, and the finest level answers with a
logit for each, against 0 for none. Where organs touch, the network so sees both.

Arrays are (z, y, x).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ..sparse import Sites
from .autoencoder import NAMED_CHANNELS, Configuration, Decoded, SparseAutoEncoder
from .superres import (
    OF_MASK,
    OF_PLACE,
    CoarseMask,
    CoarseView,
    Singles,
    coarse_mask,
    coarse_view,
    of_mask,
    of_place,
    starting_logit,
    up_to_outside,
)

# Of the metadata of weights.
LABELS_TASK = "super-resolution of labels"


@dataclass(frozen=True)
class LabelsView:
    """Several coarse masks on one fine grid, a view for each label in the network's order."""

    views: tuple[CoarseView, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the fine grid."""
        z, y, x = self.views[0].depth_mm.shape
        return z, y, x


def labels_configuration(labels: int, network: str = "ch1") -> Configuration:
    """Return the published network `ch1` or `ch2` for so many labels."""
    return Configuration(
        channels=NAMED_CHANNELS[network],
        in_channels=OF_MASK * labels + OF_PLACE,
        skip="add",
        labels=labels,
    )


def coarse_masks(
    labels: NDArray[np.integer], wanted: Sequence[int], spacing_mm: Sequence[float]
) -> tuple[CoarseMask, ...]:
    """Return the masks of the `wanted` labels of a map (z, y, x); spacing along (z, y, x)."""
    return tuple(coarse_mask(labels == label, spacing_mm) for label in wanted)


def labels_view(masks: Sequence[CoarseMask], at: Sequence[NDArray[np.floating]]) -> LabelsView:
    """Return what is seen of coarse masks on a finer grid; `at` as in `coarse_view`."""
    return LabelsView(tuple(coarse_view(mask, at) for mask in masks))


def seen_of_labels(view: LabelsView) -> tuple[NDArray[np.int32], Singles]:
    """Return the network's sites, int32 (n, 4) as (batch = 0, z, y, x) in lexicographic order, and
    their features, float32 (n, `OF_MASK` a label and `OF_PLACE`).
    """
    active = np.logical_or.reduce([up_to_outside(each) for each in view.views])
    places = np.argwhere(active).astype(np.int32)
    features = [of_mask(each, places) for each in view.views]
    features.append(of_place(view.views[0], places))
    return np.insert(places, 0, 0, axis=1), np.hstack(features)


def decoded_labels(
    network: SparseAutoEncoder,
    views: Sequence[LabelsView],
    device: torch.device,
    target: Sites | None = None,
) -> Decoded:
    """Return the network's levels; the finest logits add to the interpolation's.

    views: one a batch index, all of one shape. target: where the true fine labels are while
    training, whichever, as in `SparseAutoEncoder.forward`.
    """
    sites, features = zip(*(seen_of_labels(view) for view in views), strict=True)
    for number, places in enumerate(sites):
        places[:, 0] = number
    x = network.engine.SparseTensor(
        torch.from_numpy(np.concatenate(sites)).to(device),
        torch.from_numpy(np.concatenate(features)).to(device),
    )
    decoded: Decoded = network(x, target=target, reconstruct=False, only_sites=True)
    finest = decoded.levels[-1]
    if len(finest.logits):
        index = finest.coordinates.cpu().numpy()
        belief = np.empty((len(index), len(views[0].views)), np.float32)
        for number, view in enumerate(views):
            own = index[:, 0] == number
            where = tuple(index[own, 1:].T)
            for k, each in enumerate(view.views):
                belief[own, k] = starting_logit(each.depth_mm[where], each.fine_mm)
        told = finest.logits if finest.logits.dim() == 2 else finest.logits[:, None]
        finest.logits = told + torch.from_numpy(belief).to(device)
    return decoded


def labels_by_network(
    network: SparseAutoEncoder, view: LabelsView, device: torch.device
) -> NDArray[np.uint8]:
    """Return the fine labels (z, y, x): 0, or 1 and so on in the order of the view's labels.

    A voxel takes the label whose logit is largest, if that is above 0.
    """
    with torch.inference_mode():
        finest = decoded_labels(network, [view], device).levels[-1]
    labels = np.zeros(view.shape, np.uint8)
    if len(finest.logits):
        largest, which = finest.logits.float().max(1)
        chosen = torch.where(largest > 0, which + 1, 0).to(torch.uint8)
        labels[tuple(finest.coordinates[:, 1:].cpu().numpy().T)] = chosen.cpu().numpy()
    return labels
