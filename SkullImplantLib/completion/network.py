"""Skull -> completed skull with a sparse network, on the standard grid.

The fine stage (`networks/refiner.py`) corrects the geometric prior's depth around the defect; the
papers' auto-encoder (`networks/autoencoder.py`) says of each candidate voxel of the whole head how
likely the complete skull fills it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from scipy.special import expit

from ..core.progress import Progress, silent
from ..errors import Remedy, SkullImplantError
from ..geometry.view import View
from ..networks.applied import autoencoded, refined_depth
from ..networks.autoencoder import SparseAutoEncoder
from ..networks.dense_unet import UNetConfiguration
from ..networks.inputs import CHANNELS, THINNEST_FRACTION
from ..networks.refiner import RefinerConfiguration, SparseRefiner
from ..networks.weights import Weights

GPU_TOO_SMALL = "The GPU's memory did not suffice; the network ran on the CPU."
Found = TypeVar("Found")


@dataclass(frozen=True)
class NetworkPlace:
    """Where and with what the network runs."""

    device: str = "auto"
    engine: str = "torch"


@dataclass(frozen=True)
class NetworkOutput:
    """What a network made of a view, float32 (z, y, x) on its box, and the device it ran on.

    Of the fine stage `values` are the depth within the completed skull's surface in mm, of an
    auto-encoder its occupancy, 0 to 1.
    """

    values: np.ndarray
    device: str
    notes: tuple[str, ...] = ()


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; `auto` is the GPU where there is one.

    Raises `SkullImplantError` where `cuda` is asked for and not there.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise SkullImplantError(
            "No CUDA GPU was found; install a PyTorch built for your GPU.", Remedy.USE_CPU
        )
    return torch.device("cuda")


def grid_and_channels(weights: Weights) -> tuple[float, list[str]]:
    """Return the grid's spacing in mm and the input channels that weights were trained with.

    Raises `SkullImplantError` where the weights do not say, or say what does not fit them.
    """
    spacing_mm = weights.metadata.get("spacing_mm")
    channels = weights.metadata.get("channels")
    if (
        not spacing_mm
        or not isinstance(channels, list)
        or not set(channels) <= set(CHANNELS)
        or isinstance(weights.configuration, UNetConfiguration)
        or sum(CHANNELS[name] for name in channels) != weights.configuration.in_channels
    ):
        raise SkullImplantError(
            "The weight file does not say which grid and inputs it was trained with; use one that "
            "`skull-implant train` wrote."
        )
    return float(spacing_mm), channels


def on_device_or_cpu(
    run: Callable[[torch.device], Found], device: torch.device
) -> tuple[Found, torch.device]:
    """Return what `run` gives on `device`, or on the CPU where the GPU's memory does not suffice;
    and the device it ran on.
    """
    if device.type == "cpu":
        return run(device), device
    try:
        return run(device), device
    except RuntimeError as error:
        # `torch.OutOfMemoryError`, or a kernel's own failure, which has no class of its own.
        if "out of memory" not in str(error).lower():
            raise
    # Outside of the handler, whose traceback would hold on to the tensors.
    torch.cuda.empty_cache()
    cpu = torch.device("cpu")
    return run(cpu), cpu


def is_fine(weights: Weights) -> bool:
    """Say whether these are weights of the fine stage, which sees the box around the defect."""
    return isinstance(weights.configuration, RefinerConfiguration)


def run_network(
    view: View,
    weights: Weights,
    options: NetworkPlace = NetworkPlace(),
    progress: Progress = silent,
) -> NetworkOutput:
    """Return what the network makes of the view, on its box.

    The view lies on the standard grid of the spacing the weights were trained at: of the box around
    the defect for the fine stage, else of the whole head. Where an auto-encoder offers no candidate
    the occupancy is 0. Raises `SkullImplantError` where the device or engine is missing or the
    weights do not fit.
    """
    _, channels = grid_and_channels(weights)
    device = choose_device(options.device)
    progress(0.0, f"preparing the network's input ({device.type})")
    if not (view.skull >= THINNEST_FRACTION).any():
        raise SkullImplantError(
            "The skull is empty on the network's grid; check the bone threshold."
        )
    network = weights.network(options.engine)
    residual = bool(weights.metadata.get("residual"))

    def run(where: torch.device) -> np.ndarray:
        if isinstance(network, SparseRefiner):
            return refined_depth(network.to(where), view, channels, where)
        assert isinstance(network, SparseAutoEncoder)
        return occupancy_of(network.to(where), view, channels, residual, where)

    progress(0.2, "completing the skull")
    values, ran_on = on_device_or_cpu(run, device)
    progress(1.0, "skull completed")
    return NetworkOutput(values, ran_on.type, () if ran_on == device else (GPU_TOO_SMALL,))


def occupancy_of(
    network: SparseAutoEncoder,
    view: View,
    channels: list[str],
    residual: bool,
    device: torch.device,
) -> np.ndarray:
    """Return the occupancy, float32 (z, y, x): the last level's sigmoid, 0 elsewhere."""
    with torch.inference_mode():
        finest = autoencoded(network, [view], channels, residual, device).levels[-1]
    dense = np.zeros(view.skull.shape, np.float32)
    dense[tuple(finest.coordinates[:, 1:].cpu().numpy().T)] = expit(finest.logits.cpu().numpy())
    return dense
