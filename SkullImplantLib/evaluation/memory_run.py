"""One row of the memory benchmark: a network's steps in this process, and what they took.

Run as `python -m SkullImplantLib.evaluation.memory_run SPECIFICATION FOLDER`, so that memory is the
row's own. The case in `FOLDER` is made by `memory_case`.
"""

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ..core.memory import BYTES_PER_GIB, peak_bytes, restart_peak
from ..networks.autoencoder import (
    Configuration,
    Decoded,
    Level,
    SparseAutoEncoder,
    named_configuration,
)
from ..sparse import Sites, SparseTensor
from ..sparse.packing import packed_rows
from .dense_autoencoder import DenseAutoEncoder, dense_loss
from .device_memory import DeviceWatch
from .memory_options import MemoryRun

SEED = 0
# The first step also fetches code and makes Adam's moments; there are more while there is time.
FEWEST_STEPS, MOST_STEPS, LONG_ENOUGH_S = 2, 5, 10.0
LEARNING_RATE = 1e-3


def published_configuration(network: str) -> Configuration:
    """Return `ch1` or `ch2` as published: ReLU, and the encoder added to the decoder."""
    return named_configuration(network, skip="add")


class Remembering(SparseAutoEncoder):
    """The network, keeping what is in the true skull, which training is told and use remembers."""

    remembered: dict[int, torch.Tensor]  # bool [M] by stride

    def keeps(self, level: Level) -> torch.Tensor:
        """Return which candidates are in the truth."""
        return self.remembered[level.stride] if level.target is None else level.target


def measure(run: MemoryRun, folder: Path) -> dict[str, Any]:
    """Run the steps here, on the case in `folder`, and return what they took.

    Memory in GiB: `peak_over_start_gib` above what the process held with network and input in it,
    `peak_gib` in all; on a GPU `device_peak_gib` of the whole device, and `allocator_peak_gib`.
    """
    torch.set_num_threads(run.threads)
    torch.manual_seed(SEED)
    step = (_sparse_step if run.engine == "sparse" else _dense_step)(run, folder)
    return steps_taken(step, run.device == "cuda")


def steps_taken(
    step: Callable[[], None], on_gpu: bool = False, fewest: int = FEWEST_STEPS
) -> dict[str, Any]:
    """Run a step a few times, at least `fewest`, and return what that took; see `measure`."""
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    restart_peak()
    start, seconds = peak_bytes(), list[float]()
    watch = DeviceWatch() if on_gpu else nullcontext()
    with watch:
        while len(seconds) < fewest or (len(seconds) < MOST_STEPS and sum(seconds) < LONG_ENOUGH_S):
            began = time.perf_counter()
            step()
            if on_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - began)
    peak = peak_bytes()
    result: dict[str, Any] = {
        "step_s": round(min(seconds), 3),
        "first_step_s": round(seconds[0], 3),
        "peak_gib": _gib(peak),
        "peak_over_start_gib": None if peak is None or start is None else _gib(peak - start),
    }
    if isinstance(watch, DeviceWatch):
        result["device_peak_gib"] = _gib(watch.peak_bytes)
        result["allocator_peak_gib"] = _gib(torch.cuda.max_memory_allocated())
    return result


def _gib(size: int | None) -> float | None:
    return None if size is None else round(size / BYTES_PER_GIB, 3)


def _batched(places: np.ndarray, batch: int) -> torch.Tensor:
    """Return `batch` copies of the sites [N, 3] as int32 [batch N, 4] (batch, z, y, x)."""
    sites = torch.from_numpy(places)
    members = [F.pad(sites, (1, 0), value=member) for member in range(batch)]
    return torch.cat(members)


def _sparse_step(run: MemoryRun, folder: Path) -> Callable[[], None]:
    configuration = published_configuration(run.network)
    network = Remembering(**asdict(configuration)).to(run.device).train(run.training)
    network.recompute = run.memory == "recomputed"
    coordinates = _batched(np.load(folder / "defective.npy"), run.batch).to(run.device)
    features = torch.ones((len(coordinates), 1), device=run.device)
    shape = tuple(json.loads((folder / "case.json").read_text())["shape"])
    if not run.training:
        strides = [2**level for level in range(configuration.levels)]
        masks = {stride: np.load(folder / f"keep-{stride}.npy") for stride in strides}
        network.remembered = {
            stride: torch.from_numpy(mask).repeat(run.batch).to(run.device)
            for stride, mask in masks.items()
        }

        def use() -> None:
            with torch.inference_mode():
                network(SparseTensor(coordinates, features), bounds=shape)

        return use

    places = _batched(np.load(folder / "complete.npy"), run.batch).to(run.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, amsgrad=True)

    def loss() -> torch.Tensor:
        target = Sites(places, 1)
        x = SparseTensor(coordinates, features)
        completion: Decoded = network(x, target=target, bounds=shape, reconstruct=False)
        total = features.new_zeros(())
        for level in completion.levels:
            assert level.target is not None
            total = total + F.binary_cross_entropy_with_logits(level.logits, level.target.float())
        return total

    def train() -> None:
        optimiser.zero_grad(set_to_none=True)
        with packed_rows() if run.memory == "packed" else nullcontext():
            total = loss()
        torch.autograd.backward(total)
        optimiser.step()

    return train


def _dense_step(run: MemoryRun, folder: Path) -> Callable[[], None]:
    network = DenseAutoEncoder(published_configuration(run.network))
    network.to(run.device).train(run.training)
    shape = json.loads((folder / "case.json").read_text())["shape"]

    def grid(name: str) -> torch.Tensor:
        """One channel, as the sparse network has."""
        result = torch.zeros((run.batch, 1, *shape), device=run.device)
        z, y, x = torch.from_numpy(np.load(folder / f"{name}.npy")).long().unbind(1)
        result[:, 0, z, y, x] = 1.0
        return result

    given = grid("defective")
    if not run.training:

        def use() -> None:
            with torch.inference_mode():
                network(given)

        return use

    target = grid("complete")
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, amsgrad=True)

    def train() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(dense_loss(network(given, reconstruct=False), target))
        optimiser.step()

    return train


if __name__ == "__main__":
    print(json.dumps(measure(MemoryRun(**json.loads(sys.argv[1])), Path(sys.argv[2]))))
