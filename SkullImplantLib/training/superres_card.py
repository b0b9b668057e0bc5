"""The model card of weights for super-resolution."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.checksums import write_checksum
from ..core.files import atomic_path
from .log import LogRow
from .model_card import UNKNOWN_PROVENANCE, curve_table, options_table
from .training_options import SUPERRES_NETWORKS

# Of the options those that tell nothing of this training.
SILENT = {
    "channels",
    "spacing_mm",
    "skip",
    "hole_weight",
    "residual",
    "population",
    "cases_per_skull",
    "areas_cm2",
    "flaws",
    "patience",
    "jobs",
}

CARD = """# Model card: {name}

| | |
|---|---|
| File | `{file}` |
| SHA-256 | `{sha256}` |
| Network | sparse auto-encoder `{network}` with added skip connections, for super-resolution |
| Inputs | the coarse mask, interpolated on the fine grid; place and size of the coarse voxel |
| Output | the fine mask, as a correction of the interpolated signed distance |
| Iterations | {iteration}, four pieces of skulls each |
| Weights | running average over the iterations (`training/average.py`) |
| Precision | products in {precision}, all else in float32 |
| Seed | {seed} |

## Data

Endless pieces of {count} skulls, turned, with fine voxels of 0.45 to 2.2 mm and coarse ones 2 to 8
times as large, along all axes or along one (`training/superres_cases.py`).
Trained on: {trained_on}.
Held back for validation (never trained on): {validated_on}.

{provenance}

The terms of these skulls apply to the weights. Whoever trains on other data must check that its
licence allows it (SkullBreak and SkullFix, for instance, are non-commercial).

## Measured in training

{measured}

{curve}

## Options

{options}

## Intended use and limits

To bring a coarse mask of a skull (thick slices, a network's grid) to the resolution of a design.
What the coarse mask has lost it cannot know: bone much thinner than a coarse voxel stays lost. Not
a medical device.
"""
VALIDATED = (
    "Mean Dice over pieces of the held-back skulls: network **{network_dice:.3f}**, interpolated "
    "signed\ndistance {interpolation_dice:.3f}."
)
NOT_VALIDATED = "No skull was held back; `Testing/Benchmarks/superres` measures unseen skulls."


def write_superres_card(weights: Path, metadata: dict[str, Any], rows: Sequence[LogRow]) -> None:
    """Write `NAME.md` and the checksum `NAME.npz.sha256` beside the weight file `NAME.npz`.

    `metadata`: as training writes it into the weights. `rows`: the log up to now.
    """
    options = metadata["options"]
    text = CARD.format(
        name=weights.stem,
        file=weights.name,
        sha256=write_checksum(weights),
        network=SUPERRES_NETWORKS[options["network"]],
        iteration=metadata["iteration"],
        precision=metadata["precision"],
        seed=options["seed"],
        count=len(metadata["trained_on"]),
        trained_on=", ".join(metadata["trained_on"]),
        validated_on=", ".join(metadata["validated_on"]) or "none",
        provenance=options["provenance"] or UNKNOWN_PROVENANCE,
        measured=VALIDATED.format(**metadata["validation"])
        if metadata["validation"]
        else NOT_VALIDATED,
        curve=curve_table(rows),
        options=options_table({k: v for k, v in options.items() if k not in SILENT}),
    )
    with atomic_path(weights.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
