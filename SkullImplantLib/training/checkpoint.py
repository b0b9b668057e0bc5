"""A training run on disk: network, optimiser and progress in one pickle-free `.npz` file."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..core.archives import read_archive
from ..core.files import atomic_path
from ..core.kept_json import Damaged, parsed
from ..errors import Remedy, SkullImplantError
from .parallel import ALONE, Processes

HEADER = "header"
# The one before stays, in case that the disk damages the last.
CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.npz", "checkpoint-before.npz"


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stands. `average` is of the network's weights; `progress` is a plain dictionary
    (iteration, best score, options).
    """

    network: dict[str, torch.Tensor]
    average: dict[str, torch.Tensor]
    optimiser: dict[str, Any]
    progress: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a run's checkpoint, whole or not at all; the one before stays beside it."""
    arrays = {f"network/{k}": v.cpu().numpy() for k, v in checkpoint.network.items()}
    arrays |= {f"average/{k}": v.cpu().numpy() for k, v in checkpoint.average.items()}
    for index, moments in checkpoint.optimiser["state"].items():
        arrays |= {f"optimiser/{index}/{k}": v.cpu().numpy() for k, v in moments.items()}
    header = {
        "progress": checkpoint.progress,
        "groups": checkpoint.optimiser["param_groups"],
    }
    arrays[HEADER] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    path = folder / CHECKPOINT
    with atomic_path(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
        if path.exists():
            os.replace(path, folder / CHECKPOINT_BEFORE)


def resume_from(
    folder: Path, restore: Callable[[Checkpoint], None], processes: Processes = ALONE
) -> None:
    """Let `restore` take up a run where its last checkpoint stands, if there is any.

    The first of several processes reads it for all. Raises `SkullImplantError` where that is
    damaged, and says if there is one before.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        path = folder / CHECKPOINT_BEFORE
    try:
        there = processes.is_first and path.exists()
        checkpoint = processes.told(load_checkpoint(path) if there else None)
        if checkpoint is not None:
            restore(checkpoint)
    except (Damaged, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        if path.name == CHECKPOINT and (folder / CHECKPOINT_BEFORE).exists():
            raise SkullImplantError(
                f"The checkpoint {CHECKPOINT} is damaged; take it away to resume from the one "
                f"before, {CHECKPOINT_BEFORE}."
            ) from error
        raise SkullImplantError(
            f"The checkpoint {path.name} is damaged.", Remedy.TRAIN_ANEW
        ) from error


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; raises `Damaged` where the file is."""
    states: dict[str, dict[str, torch.Tensor]] = {"network": {}, "average": {}}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    try:
        data = read_archive(path)
        header = parsed(data[HEADER].tobytes())
        for name, array in data.items():
            kind, _, rest = name.partition("/")
            if kind in states:
                states[kind][rest] = torch.from_numpy(array)
            elif kind == "optimiser":
                index, _, moment = rest.partition("/")
                moments.setdefault(int(index), {})[moment] = torch.from_numpy(array)
        if states["average"].keys() != states["network"].keys():
            raise KeyError("a network and its average of different makes")
        optimiser = {"state": moments, "param_groups": header["groups"]}
        return Checkpoint(**states, optimiser=optimiser, progress=header["progress"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise Damaged(str(error)) from error
