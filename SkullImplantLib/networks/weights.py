"""A network's weights on disk: one `.npz` file without pickle, the same for every engine.

The file holds an array for every parameter and buffer, under its name in the state dict, and
`header`, JSON in bytes: the format's version, the network's configuration and free metadata (the
grid it was trained on, data, seeds, scores). What is float32 in the network may be float16 in the
file, which halves it. `NAME.npz.sha256` beside it, as `sha256sum` writes it,
guards against damage.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from .. import models, sparse
from ..core import resources
from ..core.archives import read_archive
from ..core.checksums import sha256_of, verify_checksum
from ..core.files import atomic_path
from ..core.kept_json import parsed
from ..errors import Remedy, SkullImplantError
from .autoencoder import Configuration, SparseAutoEncoder
from .dense_unet import DenseUNet, UNetConfiguration
from .refiner import RefinerConfiguration, SparseRefiner

FORMAT = "SkullImplant network"
VERSION = 2
AnyConfiguration = Configuration | RefinerConfiguration | UNetConfiguration
AnyNetwork = SparseAutoEncoder | SparseRefiner | DenseUNet
# The names of the kinds of network in a weight file's header.
AUTOENCODER, REFINER, DENSE = "sparse auto-encoder", "sparse refiner", "dense U-Net"
# By the class of a configuration.
KINDS = {Configuration: AUTOENCODER, RefinerConfiguration: REFINER, UNetConfiguration: DENSE}
HEADER = "header"


@dataclass(frozen=True)
class Weights:
    """A trained network: how to build it, its state dict, what is known of it, its checksum."""

    configuration: AnyConfiguration
    state: dict[str, torch.Tensor]
    metadata: dict[str, Any]
    sha256: str

    def skulls(self) -> tuple[str, ...]:
        """Return the skulls that the weights owe something to, where they say (`training`): those
        learnt from, those that chose the iteration, and those of the weights started from.
        """
        started_from = self.metadata.get("started_from") or {}
        lists = [self.metadata.get(key, ()) for key in ("trained_on", "validated_on")]
        return tuple(dict.fromkeys([*lists[0], *lists[1], *started_from.get("skulls", ())]))

    def network(self, engine: str | ModuleType = "torch") -> AnyNetwork:
        """Return the network with these weights, in evaluation mode, on the CPU."""
        module = sparse.engine_named(engine) if isinstance(engine, str) else engine
        network = _network(self.configuration, module)
        network.load_state_dict(self.state)
        return network.eval()


def save_weights(
    path: Path,
    configuration: AnyConfiguration,
    state: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any],
    halved: bool = False,
) -> None:
    """Write the weights, whole or not at all; the same weights make the same bytes.

    Args:
        path: a name that ends in `.npz`.
        configuration: of the network that `state` belongs to.
        state: its state dict.
        metadata: anything that JSON can hold.
        halved: in float16, of half the size and rounded to three digits.

    Raises:
        ValueError: the state does not fit the configuration, or is not finite as it is to be
            stored.
        SkullImplantError: the file cannot be written.
    """
    arrays = {name: value.detach().cpu().numpy() for name, value in state.items()}
    if halved:
        with np.errstate(over="ignore"):  # it is told
            arrays = {
                name: array.astype(np.float16) if array.dtype == np.float32 else array
                for name, array in arrays.items()
            }
    fault = _fault(arrays, configuration)
    if fault:
        raise ValueError(fault)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "network": KINDS[type(configuration)],
        "configuration": asdict(configuration),
        "metadata": dict(metadata),
    }
    arrays[HEADER] = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def load_weights(path: Path) -> Weights:
    """Read and verify weights.

    Raises:
        SkullImplantError: no such file, damaged (also by its `.sha256` file, where there is one),
            of another format or version, or arrays that are not as the configuration demands.
    """
    verify_checksum(path, required=False)
    try:
        arrays = read_archive(path)
        if HEADER not in arrays:
            raise SkullImplantError(
                f"{path.name} is not a weight file of this program; choose one that"
                " `skull-implant train` wrote."
            )
        header = parsed(arrays.pop(HEADER).tobytes())
        if header.get("format") != FORMAT or header.get("version") != VERSION:
            raise SkullImplantError(
                f"{path.name} has weights of another format or version; choose one that this"
                " version of the program wrote."
            )
        kinds = {kind: configuration for configuration, kind in KINDS.items()}
        configuration: AnyConfiguration = kinds[header["network"]](**header["configuration"])
        metadata = dict(header["metadata"])
    except FileNotFoundError as error:
        missing = f"There is no weight file {path.name}."
        raise SkullImplantError(missing, Remedy.OTHER_WEIGHTS) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise SkullImplantError(
            f"The weight file {path.name} is damaged; install or train it again."
        ) from error
    fault = _fault(arrays, configuration)
    if fault:
        raise SkullImplantError(
            f"The weight file {path.name} does not hold its network, for {fault}; install or train"
            " it again."
        )
    state = {
        name: torch.from_numpy(array.astype(np.float32) if array.dtype == np.float16 else array)
        for name, array in arrays.items()
    }
    return Weights(configuration, state, metadata, sha256_of(path))


def shipped_weights(name: str) -> Weights:
    """Return the weights `resources/NAME.npz` that come with the program.

    Raises:
        SkullImplantError: there are none of that name, or they are damaged.
    """
    shipped = models.shipped_models()
    if name not in shipped:
        others = ", ".join((*shipped, models.PRIOR, models.MIRROR))
        known = f"use one of {others}, or a weight file (.npz)" if shipped else "none are installed"
        raise SkullImplantError(f"There are no shipped weights '{name}'; {known}.")
    return load_weights(resources.RESOURCES / f"{name}.npz")


def shipped_beside(name: str) -> Weights:
    """Return weights that come with the program and complete no skull: one of `models.BESIDE`.

    Raises `SkullImplantError` where they are missing or damaged.
    """
    return load_weights(resources.RESOURCES / f"{name}.npz")


def weights_beside(asked: str, shipped: str) -> Weights:
    """Return the shipped weights where they are asked for by their name, otherwise a file's."""
    return shipped_beside(shipped) if asked == shipped else load_weights(Path(asked))


def _network(configuration: AnyConfiguration, engine: ModuleType = sparse) -> AnyNetwork:
    """Return an untrained network of that configuration."""
    if isinstance(configuration, UNetConfiguration):
        return DenseUNet(**asdict(configuration))
    if isinstance(configuration, RefinerConfiguration):
        return SparseRefiner(**asdict(configuration), engine=engine)
    return SparseAutoEncoder(**asdict(configuration), engine=engine)


def _expected_state(configuration: AnyConfiguration) -> dict[str, torch.Tensor]:
    """Return the state dict of such a network, without values."""
    with torch.device("meta"):
        return _network(configuration).state_dict()


def _fault(arrays: Mapping[str, np.ndarray], configuration: AnyConfiguration) -> str | None:
    """Return what keeps `arrays` from being a state of such a network, or None."""
    expected = _expected_state(configuration)
    for name, value in expected.items():
        if name not in arrays:
            return f"the array {name} is missing"
        array = arrays[name]
        dtype = str(value.dtype).removeprefix("torch.")
        stored = ("float16", dtype) if dtype == "float32" else (dtype,)
        if array.shape != tuple(value.shape) or str(array.dtype) not in stored:
            return (
                f"{name} is {array.dtype} {array.shape} and should be {dtype} {tuple(value.shape)}"
            )
        if not np.isfinite(array).all():
            return f"{name} has values that are not finite"
        if name.endswith("running_var") and (array < 0).any():
            return f"{name} has negative variances"
    surplus = set(arrays) - set(expected)
    return f"there is no place for {min(surplus)}" if surplus else None
