"""A head's view through a network: sites in, the network's answer on the box out.

Training and use share this file. Arrays are (z, y, x).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..geometry.view import View
from ..sparse import Sites
from .autoencoder import Decoded, SparseAutoEncoder
from .inputs import CORRECTED_MM, around_the_hole, starting_logit, whole_head
from .refiner import SparseRefiner


def autoencoded(
    network: SparseAutoEncoder,
    views: Sequence[View],
    channels: Sequence[str],
    residual: bool,
    device: torch.device,
    target: Sites | None = None,
) -> Decoded:
    """Return the auto-encoder's levels for whole heads; `target` as in its `forward`.

    views: of one grid; a head's number is the batch index of its coordinates. Where the network
    is `residual`, its finest logits are added to `inputs.starting_logit`.
    """
    heads = [whole_head(view, channels) for view in views]
    for number, (places, _) in enumerate(heads):
        places[:, 0] = number
    places, features = (np.concatenate(parts) for parts in zip(*heads))
    x = _tensor(network.engine, places, features, device)
    bounds = views[0].skull.shape
    completion: Decoded = network(x, target=target, bounds=bounds, reconstruct=False)
    finest = completion.levels[-1]
    if residual and len(finest.logits):
        belief = torch.from_numpy(np.stack([starting_logit(view) for view in views])).to(device)
        finest.logits = finest.logits + belief[finest.coordinates.long().unbind(1)]
    return completion


def refined(
    network: SparseRefiner, view: View, channels: Sequence[str], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sites of the fine stage, int64 [N, 3] (z, y, x), and the depth [N] there in mm.

    The depth is the prior's, which says no less than -`CORRECTED_MM`, and the correction.
    """
    x = network(_tensor(network.engine, *around_the_hole(view, channels), device))
    places = x.coordinates[:, 1:].long()
    before = torch.from_numpy(np.maximum(view.depth_mm, -CORRECTED_MM)).to(device)
    return places, before[places.unbind(1)] + x.features[:, 0]


def refined_depth(
    network: SparseRefiner, view: View, channels: Sequence[str], device: torch.device
) -> np.ndarray:
    """Return the depth (z, y, x), float32, mm: the prior's, refined at the fine stage's sites."""
    with torch.inference_mode():
        places, depth = refined(network, view, channels, device)
    result = view.depth_mm.copy()
    result[tuple(places.cpu().numpy().T)] = depth.float().cpu().numpy()
    return result


def _tensor(engine: Any, places: np.ndarray, features: np.ndarray, device: torch.device) -> Any:
    return engine.SparseTensor(
        torch.from_numpy(places).to(device), torch.from_numpy(features).to(device)
    )
