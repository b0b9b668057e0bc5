"""How fast and how lean the sparse engines are: the published network on a head-sized shell.

The case is a phantom of the size of a CT at full resolution (512 x 512 x 200 voxels, about 2.3
million of them bone): an ellipsoid vault of uneven thickness with pores in its diploe, a base plate
and a spherical defect. The network is `ch1` or `ch2` with random weights, evaluated from
coordinates to the pruned output. Random weights would prune at random, so every level keeps the
candidates that lie in the phantom without defect: the network does the work that a perfect one
would, the classifiers' included, and each engine does the same. A training step is one of Adam on
the sum of the levels' cross-entropies. The dense network, where it is asked for, has the same
layers on the whole grid.

Every engine runs in a fresh process, so that memory is its own: peak resident memory above what the
process held once the input was loaded.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from ..core.memory import BYTES_PER_GIB, peak_bytes, restart_peak
from ..errors import SkullImplantError
from ..networks.autoencoder import Level, SparseAutoEncoder, named_configuration
from ..sparse import ENGINES, Sites, engine_named, from_dense
from ..sparse.sites import Lattice
from .dense_autoencoder import DenseAutoEncoder, dense_loss
from .device_memory import SHARE_OF_MEMORY, available_bytes, step_bytes

SHAPE = (200, 512, 512)
SEED = 0
REPEATS = 3
LEARNING_RATE = 1e-3
DENSE = "dense"
COORDINATES = "coordinates.npy"
# The phantom's parts, as fractions of the half grid or in voxels of the 512 grid.
VAULT_AXES = (0.90, 0.84, 0.68)  # outer semi-axes along (z, y, x)
THICKNESS_VOXELS = (5.0, 11.0)  # thinnest and thickest bone
BASE_VOXELS = 6.0
DIPLOE = (0.3, 0.7)  # the part of the thickness that has pores
PORE_SHARE = 0.12
DEFECT_RADIUS = 0.28


def phantom_shell(
    shape: tuple[int, int, int] = SHAPE, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray]:
    """Return the phantom without and with its defect, bool arrays (z, y, x)."""
    generator = torch.Generator().manual_seed(seed)
    depth, height, width = shape
    scale = width / 512

    def noise(spacing_voxels: float) -> np.ndarray:
        """Smooth noise, 0 to 1, with a random value every so many voxels."""
        nodes = [max(2, round(n / (spacing_voxels * scale))) for n in shape]
        values = torch.rand((1, 1, *nodes), generator=generator)
        smooth = torch.nn.functional.interpolate(values, shape, mode="trilinear")
        return smooth[0, 0].numpy()

    thickness = noise(48)
    thin, thick = (scale * t for t in THICKNESS_VOXELS)
    thickness *= thick - thin
    thickness += thin
    # Semi-axes in voxels; the base plate cuts the ellipsoid near the floor of the grid.
    a, b, c = (fraction * n for fraction, n in zip(VAULT_AXES, (depth, height / 2, width / 2)))
    floor = 0.04 * depth
    z = np.arange(depth, dtype=np.float32)[:, None, None] - floor
    y = np.arange(height, dtype=np.float32)[None, :, None] - height / 2
    x = np.arange(width, dtype=np.float32)[None, None, :] - width / 2
    radius = np.sqrt((z / a) ** 2 + (y / b) ** 2 + (x / c) ** 2)
    # To first order the distance below the surface is (1 - radius) times a local semi-axis.
    below = (1.0 - radius) * min(a, b, c)
    vault = (below >= 0) & (below < thickness) & (z >= 0)
    relative = below / thickness
    diploe = (relative > DIPLOE[0]) & (relative < DIPLOE[1])
    pores = noise(5)
    vault &= ~(diploe & (pores < np.quantile(pores[::8, ::8, ::8], PORE_SHARE)))
    base = (z >= 0) & (z < BASE_VOXELS * scale) & (below >= 0)
    complete = vault | base
    z_hole, y_hole, x_hole = 0.6 * a, 0.0, 0.8 * c
    reach = (z - z_hole) ** 2 + (y - y_hole) ** 2 + (x - x_hole) ** 2
    return complete, complete & (reach > (DEFECT_RADIUS * width / 2) ** 2)


class OraclePruning(SparseAutoEncoder):
    """The network, keeping what lies in the true skull whatever its logits say."""

    truth: dict[int, torch.Tensor]  # bool grids (z, y, x) by stride

    def keeps(self, level: Level) -> torch.Tensor:
        """Return which candidates are in the truth."""
        truth = self.truth[level.stride]
        lattice = Lattice((0, 0, 0, 0), (1, *truth.shape), level.stride)
        return truth.view(-1).index_select(0, lattice.numbers(level.coordinates))


def strided_truth(complete: torch.Tensor, levels: int) -> dict[int, torch.Tensor]:
    """Return a bool grid (z, y, x) for strides 1 to 2^(levels - 1): where a cell has any voxel."""
    truth = {1: complete}
    for level in range(1, levels):
        finer = truth[2 ** (level - 1)]
        pooled = torch.nn.functional.max_pool3d(finer[None].float(), 2, ceil_mode=True)
        truth[2**level] = pooled[0] > 0
    return truth


@dataclass(frozen=True)
class EngineRun:
    """A row: `engine` is one of `sparse.ENGINES`, or `dense`; `mode` is test or train."""

    engine: str
    network: str = "ch1"
    mode: str = "test"
    device: str = "cpu"
    threads: int = 1


def measure(run: EngineRun, folder: Path, repeats: int = REPEATS) -> dict[str, Any]:
    """Run one engine in this process, on the case that `folder` holds, and return its row.

    Memory is resident memory on the processor, and that of PyTorch's allocator on a GPU. In
    training `forward_s` is the forward part of a step, and `step_s` all of it.
    """
    torch.set_num_threads(run.threads)
    training, on_gpu = run.mode == "train", run.device == "cuda"
    network, forward, active = (_dense if run.engine == DENSE else _sparse)(run, folder)
    network.to(run.device).train(training)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, amsgrad=True)
    restart_peak()
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    start_bytes = torch.cuda.memory_allocated() if on_gpu else peak_bytes()
    seconds, steps, completed = list[float](), list[float](), 0
    for _ in range(repeats):
        began = _now(on_gpu)
        with torch.inference_mode(not training):
            loss, completed = forward()
        seconds.append(_now(on_gpu) - began)
        if training:
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
        steps.append(_now(on_gpu) - began)
    end_bytes = torch.cuda.max_memory_allocated() if on_gpu else peak_bytes()
    above = None if start_bytes is None or end_bytes is None else end_bytes - start_bytes
    return asdict(run) | {
        "active_voxels": active,
        "completed_voxels": completed,
        "forward_s": round(min(seconds), 3),
        "first_forward_s": round(seconds[0], 3),
        "step_s": round(min(steps), 3),
        "peak_over_start_gib": None if above is None else round(above / BYTES_PER_GIB, 3),
    }


def _now(on_gpu: bool) -> float:
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


Forward = Callable[[], tuple[torch.Tensor, int]]  # the loss (or nothing), voxels completed


def _sparse(run: EngineRun, folder: Path) -> tuple[nn.Module, Forward, int]:
    """Return the network, what a forward pass does, and the active voxels."""
    module = engine_named(run.engine)
    configuration = named_configuration(run.network)
    generator = torch.Generator().manual_seed(SEED)
    network = OraclePruning(**asdict(configuration), engine=module, generator=generator)
    coordinates = torch.from_numpy(np.load(folder / COORDINATES)).to(run.device)
    features = torch.ones((len(coordinates), 1), device=run.device)
    truths = [np.load(folder / f"{2**i}.npy") for i in range(configuration.levels)]
    bounds = truths[0].shape
    network.truth = {2**i: torch.from_numpy(t).to(run.device) for i, t in enumerate(truths)}
    places = from_dense(network.truth[1]).sites

    def use() -> tuple[torch.Tensor, int]:
        completion = network(module.SparseTensor(coordinates, features), bounds=bounds)
        return features, len(completion.coordinates)

    def train() -> tuple[torch.Tensor, int]:
        x = module.SparseTensor(coordinates, features)
        levels = network(x, Sites(places.coordinates, 1), bounds, reconstruct=False).levels
        losses = [cross_entropy(level.logits, level.target.float()) for level in levels]
        return torch.stack(losses).sum(), int(levels[-1].target.sum())

    return network, train if run.mode == "train" else use, len(coordinates)


def _dense(run: EngineRun, folder: Path) -> tuple[nn.Module, Forward, int]:
    """Return the same of the dense network."""
    network = DenseAutoEncoder(named_configuration(run.network))
    target = torch.from_numpy(np.load(folder / "1.npy")).to(run.device)[None, None].float()
    given = torch.zeros_like(target)
    places = torch.from_numpy(np.load(folder / COORDINATES)).long().to(run.device)
    given[0, 0, places[:, 1], places[:, 2], places[:, 3]] = 1.0

    def use() -> tuple[torch.Tensor, int]:
        return given, int((network(given)[-1] > 0).sum())

    def train() -> tuple[torch.Tensor, int]:
        return dense_loss(network(given, reconstruct=False), target), given.numel()

    return network, train if run.mode == "train" else use, len(places)


def benchmark_engines(
    threads: int | None = None,
    shape: tuple[int, int, int] = SHAPE,
    engines: tuple[str, ...] = tuple(ENGINES),
    repeats: int = REPEATS,
    networks: tuple[str, ...] = ("ch1",),
    modes: tuple[str, ...] = ("test",),
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Return a row for every installed engine, network and mode.

    Args:
        threads: of the engines; torch's own choice if not given.
        shape: (z, y, x) of the phantom.
        engines: those to try, of `sparse.ENGINES` and `dense`; one that is not installed, and the
            dense one where memory would not do, has no row.
        repeats: `forward_s` is the best of so many, `first_forward_s` the first one.
        networks, modes: `ch1`, `ch2`; `test` (forward), `train` (a step).
        device: `cpu` or `cuda`.

    Raises:
        SkullImplantError: an engine's process fails.
    """
    count = threads or torch.get_num_threads()
    runs = [
        EngineRun(engine, network, mode, device, count)
        for network in networks
        for mode in modes
        for engine in engines
    ]
    complete, defective = phantom_shell(shape)
    levels = named_configuration("ch1").levels
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = np.argwhere(defective).astype(np.int32)
        np.save(folder / COORDINATES, np.insert(places, 0, 0, axis=1))
        for stride, truth in strided_truth(torch.from_numpy(complete), levels).items():
            np.save(folder / f"{stride}.npy", truth.numpy())
        del complete, defective, places, truth
        return [_in_a_process(run, folder, repeats) for run in runs if _can_run(run, shape)]


def table_of(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| engine | network | device | threads | active voxels | forward, s | first, s |"
        " training step, s | peak above start, GiB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        peak = row["peak_over_start_gib"]
        step = f"{row['step_s']:.2f}" if row["mode"] == "train" else "-"
        lines.append(
            f"| {row['engine']} | {row['network']} | {row['device']} | {row['threads']} |"
            f" {row['active_voxels']:,} | {row['forward_s']:.2f} | {row['first_forward_s']:.2f} |"
            f" {step} | {'unknown' if peak is None else f'{peak:.2f}'} |"
        )
    return "\n".join(lines)


def missing_engines(engines: tuple[str, ...] = tuple(ENGINES)) -> list[str]:
    """Return the engines that are not installed."""
    return [engine for engine in engines if engine != DENSE and not _is_installed(engine)]


def _is_installed(engine: str) -> bool:
    try:
        engine_named(engine)
    except SkullImplantError:
        return False
    return True


def _can_run(run: EngineRun, shape: tuple[int, int, int]) -> bool:
    if run.engine != DENSE:
        return _is_installed(run.engine)
    channels = named_configuration(run.network).channels
    needed = step_bytes(channels, math.prod(shape), True, run.mode == "train")
    free = available_bytes(run.device)
    return free is None or needed < SHARE_OF_MEMORY * free


def _in_a_process(run: EngineRun, folder: Path, repeats: int) -> dict[str, Any]:
    arguments = [json.dumps(asdict(run)), str(folder), str(repeats)]
    command = [sys.executable, "-m", __spec__.name, *arguments]
    # Threads that spin while they wait would measure the machine's other work (see `__main__`).
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise SkullImplantError(f"The engine '{run.engine}' failed in its benchmark: {last}")
    row: dict[str, Any] = json.loads(result.stdout)
    return row


if __name__ == "__main__":
    if len(sys.argv) > 1:
        wanted = EngineRun(**json.loads(sys.argv[1]))
        print(json.dumps(measure(wanted, Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        print(table_of(benchmark_engines()))
