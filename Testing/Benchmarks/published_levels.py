"""What each level of an auto-encoder's decoder does with a hole: where the missing bone is lost."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from SkullImplantLib.networks.applied import autoencoded
from SkullImplantLib.networks.autoencoder import Decoded, SparseAutoEncoder
from SkullImplantLib.networks.inputs import THINNEST_FRACTION
from SkullImplantLib.networks.weights import Weights
from SkullImplantLib.sparse import Sites
from SkullImplantLib.training.prepared import TrainingCase


@dataclass(frozen=True)
class LevelCounts:
    """Cells of one level in one case: `missing` are in the truth, hold missing bone and none that
    is left; of them `offered` are candidates, `sure` are seen as bone, `told` where coarser levels
    are told the truth. `spurious` are in the region taken out, outside the truth.
    """

    stride: int
    missing: int
    offered: int
    sure: int
    told: int
    spurious: int
    candidates: int


def level_counts(weights: Weights, case: TrainingCase) -> tuple[np.ndarray, list[LevelCounts]]:
    """Return the completed skull (z, y, x; bool) and what each level did, coarsest first."""
    network = weights.network()
    assert isinstance(network, SparseAutoEncoder)
    channels = weights.metadata["channels"]
    truth = case.target >= 0.5
    target = Sites(torch.from_numpy(np.argwhere(truth[None]).astype(np.int32)), 1)
    with torch.inference_mode():
        alone = autoencoded(network, [case.view], channels, False, torch.device("cpu"))
        told = _told(network, case, channels, target)
    made = _bone(alone, truth.shape)
    left = case.view.skull >= THINNEST_FRACTION
    counts = []
    for own, aided in zip(alone.levels, told.levels):
        stride, region = own.stride, _coarse(case.view.hole, own.stride)
        true, bone = (_coarse(mask, stride) for mask in (truth, left))
        missing = true & ~bone & region
        offered, sure, helped = (
            _marked(level.coordinates[chosen], stride, missing.shape)
            for level, chosen in (
                (own, slice(None)),
                (own, own.logits > 0),
                (aided, aided.logits > 0),
            )
        )
        counts.append(
            LevelCounts(
                stride,
                int(missing.sum()),
                int((offered & missing).sum()),
                int((sure & missing).sum()),
                int((helped & missing).sum()),
                int((sure & region & ~true & ~bone).sum()),
                len(own.logits),
            )
        )
    return made, counts


def completed(weights: Weights, case: TrainingCase) -> np.ndarray:
    """Return the completed skull (z, y, x; bool)."""
    network = weights.network()
    assert isinstance(network, SparseAutoEncoder)
    channels = weights.metadata["channels"]
    with torch.inference_mode():
        made = autoencoded(network, [case.view], channels, False, torch.device("cpu"))
    return _bone(made, case.target.shape)


def _bone(made: Decoded, shape: tuple[int, ...]) -> np.ndarray:
    bone = np.zeros(shape, bool)
    finest = made.levels[-1]
    bone[tuple(finest.coordinates[:, 1:].numpy().T)] = finest.logits.numpy() > 0
    return bone


def level_table(cases: Sequence[Sequence[LevelCounts]]) -> list[list[str]]:
    """Return the lines of a table of the sums over cases, a level a line."""
    lines = [
        ["cell, voxels", "missing cells", "offered", "sure", "spurious", "told", "candidates"],
        ["---"] * 7,
    ]
    for level in zip(*cases):
        total = {
            name: sum(getattr(count, name) for count in level)
            for name in ("missing", "offered", "sure", "spurious", "told", "candidates")
        }
        shares = [
            f"{total[name] / total['missing']:.2f}" if total["missing"] else "-"
            for name in ("offered", "sure", "spurious", "told")
        ]
        each = [f"{total[name] / len(level):.0f}" for name in ("missing", "candidates")]
        lines.append([f"{level[0].stride}", each[0], *shares, each[1]])
    return lines


def _told(
    network: SparseAutoEncoder, case: TrainingCase, channels: Sequence[str], target: Sites
) -> Decoded:
    """Return the levels where the truth is kept at the coarser ones, as in training."""
    keeps = network.keeps

    def kept(level: object) -> torch.Tensor:
        network.training = True  # only for the rule of pruning, not for the normalisation
        try:
            return keeps(level)  # type: ignore[arg-type]
        finally:
            network.training = False

    network.keeps = kept  # type: ignore[method-assign, assignment]
    try:
        return autoencoded(network, [case.view], channels, False, torch.device("cpu"), target)
    finally:
        network.keeps = keeps  # type: ignore[method-assign]


def _coarse(mask: np.ndarray, stride: int) -> np.ndarray:
    """Return which cells of `stride` voxels hold any of the mask."""
    shape = [-(-n // stride) for n in mask.shape]
    cells = np.zeros(shape, bool)
    cells[tuple(np.argwhere(mask).T // stride)] = True
    return cells


def _marked(coordinates: torch.Tensor, stride: int, shape: tuple[int, ...]) -> np.ndarray:
    cells = np.zeros(shape, bool)
    cells[tuple(coordinates[:, 1:].numpy().T // stride)] = True
    return cells
