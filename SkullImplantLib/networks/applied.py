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
    view: View,
    channels: Sequence[str],
    residual: bool,
    device: torch.device,
    target: Sites | None = None,
) -> Decoded:
    """Return the auto-encoder's levels for a whole head; `target` as in its `forward`.

    Where the network is `residual`, its finest logits are added to `inputs.starting_logit`.
    """
    x = _tensor(network.engine, *whole_head(view, channels), device)
    completion: Decoded = network(x, target=target, bounds=view.skull.shape, reconstruct=False)
    finest = completion.levels[-1]
    if residual and len(finest.logits):
        belief = torch.from_numpy(starting_logit(view)).to(device)
        finest.logits = finest.logits + belief[finest.coordinates[:, 1:].long().unbind(1)]
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
