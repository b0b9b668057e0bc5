"""The cases of the memory benchmark: the phantom at a resolution, and what the network does on it.

The phantom is that of `benchmark_engine`, on a grid of R x R x (200 R / 512) voxels, as the slides'
512 x 512 x Z, 256 x 256 x Z/2 and so on. Every level keeps the candidates that lie in the complete
phantom, as a perfect network would.
"""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..networks.autoencoder import Level
from ..sparse import SparseTensor
from .arithmetic import Layer, LayerCounter, Operations, dense_operations, sparse_operations
from .benchmark_engine import SHAPE, OraclePruning, phantom_shell, strided_truth
from .device_memory import step_bytes
from .memory_options import MemoryRun
from .memory_run import published_configuration

CASE_FILE = "case.json"
# Any channels have the same sites; these are the fewest.
NARROWEST = "ch1"


def shape_at(resolution: int) -> tuple[int, int, int]:
    """Return the grid (z, y, x) with so many voxels a side."""
    return (max(SHAPE[0] * resolution // SHAPE[2], 1), resolution, resolution)


class _Recording(OraclePruning):
    """Writes down what every level keeps."""

    kept: dict[int, np.ndarray]

    def keeps(self, level: Level) -> torch.Tensor:
        keep = super().keeps(level)
        self.kept[level.stride] = keep.numpy()
        return keep


def make_case(resolution: int, folder: Path) -> None:
    """Write the phantom's sites, what the levels keep, and the network's layers into `folder`.

    `defective.npy` and `complete.npy` int32 [N, 3] (z, y, x); `keep-S.npy` bool, for the candidates
    of stride S; `case.json`.
    """
    shape = shape_at(resolution)
    complete, defective = phantom_shell(shape)
    configuration = published_configuration(NARROWEST)
    channels = (1,) * len(configuration.channels)
    network = _Recording(channels, skip=configuration.skip).eval()
    network.truth, network.kept = strided_truth(torch.from_numpy(complete), len(channels) - 1), {}
    places = np.argwhere(defective).astype(np.int32)
    np.save(folder / "defective.npy", places)
    np.save(folder / "complete.npy", np.argwhere(complete).astype(np.int32))
    counter = LayerCounter(network)
    with torch.inference_mode():
        sites = torch.from_numpy(np.insert(places, 0, 0, axis=1))
        network(SparseTensor(sites, torch.ones((len(sites), 1))), bounds=shape)
    counter.remove()
    for stride, keep in network.kept.items():
        np.save(folder / f"keep-{stride}.npy", keep)
    case = {
        "shape": shape,
        "active_voxels": len(places),
        "occupancy": round(len(places) / defective.size, 5),
        "layers": [asdict(layer) for layer in counter.layers],
    }
    (folder / CASE_FILE).write_text(json.dumps(case))


def read_case(folder: Path) -> dict[str, Any]:
    """Return what `make_case` wrote of a case in words and numbers."""
    case: dict[str, Any] = json.loads((folder / CASE_FILE).read_text())
    case["layers"] = [Layer(**layer) for layer in case["layers"]]
    return case


def operations(run: MemoryRun, case: dict[str, Any]) -> Operations:
    """Return the floating-point operations of one step of a row."""
    configuration = published_configuration(run.network)
    if run.engine == "dense":
        one = dense_operations(tuple(case["shape"]), configuration, run.training)
    else:
        one = sparse_operations(case["layers"], configuration, run.training)
    return Operations(run.batch * one.useful, run.batch * one.performed)


def needed_bytes(run: MemoryRun, case: dict[str, Any]) -> int:
    """Return about how much memory a row needs, rather too much than too little."""
    dense = run.engine == "dense"
    rows = math.prod(case["shape"]) if dense else max(layer.rows for layer in case["layers"])
    channels = published_configuration(run.network).channels
    return step_bytes(channels, run.batch * rows, dense, run.training)
