"""How fast and how lean the sparse engines are: the published network on a head-sized shell.

The case is a phantom of the size of a CT at full resolution (512 x 512 x 200 voxels, about 2.3
million of them bone): an ellipsoid vault of uneven thickness with pores in its diploe, a base plate
and a spherical defect. The network is `ch1` with random weights, evaluated once from coordinates to
the pruned output. Random weights would prune at random, so every level keeps the candidates that
lie in the phantom without defect: the network does the work that a perfect one would, the
classifiers' included, and each engine does the same.

Every engine runs in a fresh process, so that memory is its own: peak resident memory above what the
process held once the input was loaded.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.memory import peak_bytes, restart_peak
from ..errors import SkullImplantError
from ..networks.autoencoder import Level, SparseAutoEncoder, named_configuration
from ..sparse import ENGINES, engine_named
from ..sparse.sites import Lattice

SHAPE = (200, 512, 512)
SEED = 0
REPEATS = 3
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


def measure(engine: str, folder: Path, threads: int, repeats: int = REPEATS) -> dict[str, Any]:
    """Run one engine in this process, on the case that `folder` holds, and return its row."""
    torch.set_num_threads(threads)
    module = engine_named(engine)
    configuration = named_configuration("ch1")
    generator = torch.Generator().manual_seed(SEED)
    network = OraclePruning(**asdict(configuration), engine=module, generator=generator).eval()
    coordinates = torch.from_numpy(np.load(folder / "coordinates.npy"))
    features = torch.ones((len(coordinates), 1))
    truths = [
        torch.from_numpy(np.load(folder / f"{2**i}.npy")) for i in range(configuration.levels)
    ]
    network.truth = {2**i: truth for i, truth in enumerate(truths)}
    restart_peak()
    start_bytes = peak_bytes()
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        with torch.inference_mode():
            x = module.SparseTensor(coordinates, features)
            completion = network(x, bounds=tuple(truths[0].shape))
            del x
        seconds.append(time.perf_counter() - began)
    assert completion.coordinates is not None
    above = None if start_bytes is None else (peak_bytes() or 0) - start_bytes
    return {
        "engine": engine,
        "threads": threads,
        "active_voxels": len(coordinates),
        "completed_voxels": len(completion.coordinates),
        "forward_s": round(min(seconds), 3),
        "first_forward_s": round(seconds[0], 3),
        "peak_over_start_gib": None if above is None else round(above / 2**30, 3),
    }


def benchmark_engines(
    threads: int | None = None,
    shape: tuple[int, int, int] = SHAPE,
    engines: tuple[str, ...] = tuple(ENGINES),
    repeats: int = REPEATS,
) -> list[dict[str, Any]]:
    """Return a row for every installed engine.

    Args:
        threads: of the engines; torch's own choice if not given.
        shape: (z, y, x) of the phantom.
        engines: those to try; one that is not installed has no row.
        repeats: `forward_s` is the best of so many, `first_forward_s` the first one.

    Raises:
        SkullImplantError: an engine's process fails.
    """
    installed = [engine for engine in engines if _is_installed(engine)]
    complete, defective = phantom_shell(shape)
    levels = named_configuration("ch1").levels
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = np.argwhere(defective).astype(np.int32)
        np.save(folder / "coordinates.npy", np.insert(places, 0, 0, axis=1))
        for stride, truth in strided_truth(torch.from_numpy(complete), levels).items():
            np.save(folder / f"{stride}.npy", truth.numpy())
        del complete, defective, places, truth
        count = threads or torch.get_num_threads()
        return [_in_a_process(engine, folder, count, repeats) for engine in installed]


def table_of(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| engine | threads | active voxels | forward, s | first, s | peak above start, GiB |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        peak = row["peak_over_start_gib"]
        lines.append(
            f"| {row['engine']} | {row['threads']} | {row['active_voxels']:,} |"
            f" {row['forward_s']:.2f} | {row['first_forward_s']:.2f} |"
            f" {'unknown' if peak is None else f'{peak:.2f}'} |"
        )
    return "\n".join(lines)


def _is_installed(engine: str) -> bool:
    try:
        engine_named(engine)
    except SkullImplantError:
        return False
    return True


def _in_a_process(engine: str, folder: Path, threads: int, repeats: int) -> dict[str, Any]:
    command = [sys.executable, "-m", __spec__.name, engine, str(folder), str(threads), str(repeats)]
    # Threads that spin while they wait would measure the machine's other work (see `__main__`).
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["no message"])[-1]
        raise SkullImplantError(f"The engine '{engine}' failed in its benchmark: {last}")
    row: dict[str, Any] = json.loads(result.stdout)
    return row


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5]))))
    else:
        print(table_of(benchmark_engines()))
