"""Skull -> completed skull with the sparse network, on the standard grid.

The network sees the defective skull and the geometric prior on a coarse grid in the standard pose,
and says of each candidate voxel how likely the complete skull fills it (`networks/autoencoder.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import SimpleITK as sitk
import torch
from scipy.special import expit

from .errors import SkullImplantError
from .images import array_of, image_like
from .networks.autoencoder import SparseAutoEncoder
from .networks.inputs import CHANNELS, network_input, starting_logit
from .networks.weights import Weights
from .progress import Progress, silent

GPU_TOO_SMALL = "The GPU's memory did not suffice; the network ran on the CPU."
Found = TypeVar("Found")


@dataclass(frozen=True)
class CompletionOptions:
    """Where and with what the network runs."""

    device: str = "auto"
    engine: str = "torch"


@dataclass(frozen=True)
class Completion:
    """The completed skull's occupancy, float32 from 0 to 1, and the device it was found on."""

    occupancy: sitk.Image
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
            "No CUDA GPU was found; use --device cpu, or install a PyTorch built for your GPU."
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
        or len(channels) != weights.configuration.in_channels
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


def complete_skull(
    skull_fraction: sitk.Image,
    depth_mm: sitk.Image,
    weights: Weights,
    options: CompletionOptions = CompletionOptions(),
    progress: Progress = silent,
) -> Completion:
    """Return the completed skull on the same grid.

    Both images lie on one standard grid of the spacing the weights were trained at:
    `skull_fraction`, the part of each voxel that bone fills; `depth_mm`, the geometric prior's
    depth within the bone it expects in the hole. Where the network offers no candidate the
    occupancy is 0. Raises `SkullImplantError` where the device or engine is missing or the weights
    do not fit.
    """
    spacing_mm, channels = grid_and_channels(weights)
    device = choose_device(options.device)
    progress(0.0, f"preparing the network's input ({device.type})")
    coordinates, features = network_input(
        array_of(skull_fraction), array_of(depth_mm), spacing_mm, channels
    )
    if len(coordinates) == 0:
        raise SkullImplantError(
            "The skull is empty on the network's grid; check the bone threshold."
        )
    network = weights.network(options.engine)
    belief = None
    if weights.metadata.get("residual"):
        belief = starting_logit(array_of(skull_fraction), array_of(depth_mm), spacing_mm)
    progress(0.2, "completing the skull")
    shape = skull_fraction.GetSize()[::-1]
    occupancy, ran_on = on_device_or_cpu(
        lambda where: run_network(network.to(where), coordinates, features, shape, where, belief),
        device,
    )
    progress(1.0, "skull completed")
    notes = () if ran_on == device else (GPU_TOO_SMALL,)
    return Completion(image_like(occupancy, skull_fraction), ran_on.type, notes)


def run_network(
    network: SparseAutoEncoder,
    coordinates: np.ndarray,
    features: np.ndarray,
    shape: tuple[int, int, int],
    device: torch.device,
    belief: np.ndarray | None = None,
) -> np.ndarray:
    """Return the network's occupancy, float32 (z, y, x): the last level's sigmoid, 0 elsewhere.

    `belief` (z, y, x) is the logit to which a residual network adds.
    """
    tensor = network.engine.SparseTensor(
        torch.from_numpy(coordinates).to(device), torch.from_numpy(features).to(device)
    )
    with torch.inference_mode():
        finest = network(tensor, bounds=shape, reconstruct=False).levels[-1]
    places = tuple(finest.coordinates[:, 1:].cpu().numpy().T)
    logits = finest.logits.cpu().numpy()
    if belief is not None:
        logits = logits + belief[places]
    dense = np.zeros(shape, np.float32)
    dense[places] = expit(logits)
    return dense
