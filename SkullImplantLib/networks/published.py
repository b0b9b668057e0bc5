"""Checkpoints of the published networks, from which a training may start.

Jianningli/SparseCNN and akroviakov/SparseSkullCompletion save the state dict of MinkowskiEngine's
completion example: `enc_block_s1`, `enc_block_s1s2` ... `enc_block_s32s64` (convolution 0, norm 1,
activation 2, and 3 to 5 again), `dec_block_s64s32` ... `dec_block_s2s1` likewise, the classifiers
`dec_s32_cls` ... `dec_s1_cls`, and `final_out.0`. Kernels and norms have our shapes already.

No design uses such a checkpoint as it is: its network saw heads in the pose and on the grid of its
own data set, ours sees them in the standard pose. What a training makes of it is a weight file of
this program.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import SkullImplantError
from .autoencoder import SparseAutoEncoder

ENDINGS = (".pth", ".pt")
# Beside a bare state dict: MinkowskiEngine's example and many trainings keep it under such a name.
WRAPPED = ("state_dict", "model_state_dict")


def is_published(path: Path) -> bool:
    """Say whether a file is, by its name, a checkpoint of torch and no weight file of ours."""
    return path.suffix.lower() in ENDINGS


def read_published(path: Path, network: SparseAutoEncoder) -> dict[str, torch.Tensor]:
    """Return a published checkpoint's state under the names of `network`, on the CPU.

    Only tensors and plain containers are read; a pickle of anything else is refused, since it could
    run code. Raises `SkullImplantError` where the file is no such checkpoint, or of a network with
    other layers.
    """
    try:
        stored: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise SkullImplantError(
            f"{path.name} is damaged, or holds more than a network's state, which is not read as "
            "it could run code; save its state dict alone."
        ) from error
    if isinstance(stored, Mapping):
        stored = next((stored[name] for name in WRAPPED if name in stored), stored)
    if not isinstance(stored, Mapping) or not all(
        isinstance(value, torch.Tensor) for value in stored.values()
    ):
        raise SkullImplantError(f"{path.name} holds no state dict; save the network's alone.")
    return published_state_dict(stored, network)


def published_names(levels: int) -> dict[str, str]:
    """Return our prefix of the state dict for every published one, for a network of `levels`."""
    names = {
        "enc_block_s1.0.": "encoder.0.0.",
        "enc_block_s1.1.": "encoder.0.1.",
        "final_out.0.": "final.",
    }
    for level in range(levels):
        fine, coarse = 2**level, 2 ** (level + 1)
        encoder, decoder = f"enc_block_s{fine}s{coarse}", f"dec_block_s{coarse}s{fine}"
        ours = f"decoder.{levels - 1 - level}"
        names |= {
            f"{encoder}.0.": f"encoder.{level + 1}.0.0.",
            f"{encoder}.1.": f"encoder.{level + 1}.0.1.",
            f"{encoder}.3.": f"encoder.{level + 1}.1.0.",
            f"{encoder}.4.": f"encoder.{level + 1}.1.1.",
            f"{decoder}.0.": f"{ours}.up.0.",
            f"{decoder}.1.": f"{ours}.up.1.",
            f"{decoder}.3.": f"{ours}.refine.0.",
            f"{decoder}.4.": f"{ours}.refine.1.",
            f"dec_s{fine}_cls.": f"{ours}.classify.",
        }
    return names


def published_state_dict(
    state: Mapping[str, torch.Tensor], network: SparseAutoEncoder
) -> dict[str, torch.Tensor]:
    """Return the published `state` under the names of `network`, ready for `load_state_dict`.

    The networks add skip connections and use ReLU (Kroviakov) or neither (Li's ELU variant), which
    the state does not say: build `network` with the right configuration. They see one
    channel: 1 in the skull's voxels, where our channel `skull` has the share that bone fills.

    Raises:
        SkullImplantError: a name that is not known or missing, or an array of another shape.
    """
    prefixes = published_names(network.configuration.levels)
    result: dict[str, torch.Tensor] = {}
    for name, value in state.items():
        bare = name.removeprefix("module.")  # left by torch's DataParallel
        prefix = next((p for p in prefixes if bare.startswith(p)), None)
        if prefix is None:
            raise SkullImplantError(
                f"The checkpoint's '{name}' is not of the published networks; use a checkpoint of"
                " SparseCNN or SparseSkullCompletion."
            )
        result[prefixes[prefix] + bare.removeprefix(prefix)] = value
    expected = network.state_dict()
    for name, value in expected.items():
        shape = None if name not in result else tuple(result[name].shape)
        if shape != tuple(value.shape):
            found = "nothing" if shape is None else f"{shape}"
            raise SkullImplantError(
                f"The checkpoint has {found} where the network has {name} {tuple(value.shape)};"
                " choose the configuration with its channels."
            )
    if len(result) != len(expected):
        surplus = sorted(set(result) - set(expected))[0]
        raise SkullImplantError(
            f"The checkpoint has '{surplus}', which the network lacks; choose the configuration"
            " with its layers."
        )
    return result
