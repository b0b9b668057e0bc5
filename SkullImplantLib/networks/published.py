"""Checkpoints of the published networks, by name mapping.

Jianningli/SparseCNN and akroviakov/SparseSkullCompletion save the state dict of MinkowskiEngine's
completion example: `enc_block_s1`, `enc_block_s1s2` ... `enc_block_s32s64` (convolution 0, norm 1,
activation 2, and 3 to 5 again), `dec_block_s64s32` ... `dec_block_s2s1` likewise, the classifiers
`dec_s32_cls` ... `dec_s1_cls`, and `final_out.0`. Kernels and norms have our shapes already.
"""

from collections.abc import Mapping

import torch

from ..errors import SkullImplantError
from .autoencoder import SparseAutoEncoder


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

    Read the file with `torch.load(path, map_location="cpu", weights_only=True)`. The networks add
    skip connections (Kroviakov) or not (Li's ELU variant), which the state does not say: build
    `network` with the right configuration.

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
