"""The model card of weights for organs, written beside the file that is shipped.

    python -m SkullImplantLib.training.organs_card training/organs-superres organs-fine.npz

writes the weights of a training to that file, in float16, and its checksum and card.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.checksums import write_checksum
from ..core.files import atomic_path
from ..networks.dense_unet import SEGMENTATION_TASK
from ..networks.label_superres import CHANNELS
from ..networks.weights import load_weights, save_weights
from .model_card import options_table

CARD = """# Model card: {name}

| | |
|---|---|
| File | `{file}` |
| SHA-256 | `{sha256}` |
| Network | {network} |
| Inputs | {inputs} |
| Output | {output} |
| Organs | {organs} |
| Iterations | {iteration} |
| Weights | running average over the iterations (`training/average.py`) |

## Data

Trained on {count} subjects: {trained_on}.
Held back for validation (never trained on): {validated_on}.

{provenance}

## Measured in training

{curve}

What it does on subjects that no training saw, and on a real CT, is in
[the table](../../Testing/Benchmarks/organs/organs.md).

## Options

{options}

## Intended use and limits

{limits} Not a medical device.
"""
OF_FORMULAS = (
    "These are chests made by formulas (`cases/thorax_phantom.py`), of no patient: the weights are "
    "free of terms."
)
OF_OTHERS = "The terms of these data apply to the weights."
KINDS: dict[bool, dict[str, str]] = {
    True: {
        "network": "dense U-Net (`networks/dense_unet.py`)",
        "inputs": "a whole CT in HU, averaged on at most 128 x 128 x 128 voxels",
        "output": "the organ of each of these voxels",
        "limits": "To find organs of the chest for `skull-implant organs`. On patients' CTs it "
        "finds what resembles the formulas' chest: each slice must be compared with the CT, and "
        "weights that learnt from patients (SegTHOR) are to be preferred.",
    },
    False: {
        "network": f"sparse auto-encoder of {', '.join(map(str, CHANNELS))} channels with added "
        "skip connections, for one organ at a time (`networks/label_superres.py`)",
        "inputs": "coarse labels interpolated on the CT's grid; place and size of the coarse voxel",
        "output": "labels on the CT's grid, as a correction of the interpolated signed distances",
        "limits": "To bring coarse labels of these organs, or of others as smooth, to the CT's "
        "grid. It sees shapes alone, not the CT: what is wrong in the coarse labels stays wrong.",
    },
}
FORMULAS = "procedural thorax"


def write_organs_card(weights: Path, metadata: Mapping[str, Any], log: Path) -> None:
    """Write `NAME.md` and `NAME.npz.sha256` beside the weight file.

    `metadata`: as training writes it into the weights. `log`: the training's CSV.
    """
    names = [str(name) for name in metadata["trained_on"]]
    formulas = all(FORMULAS in name for name in names)
    said = metadata["options"].get("provenance", "")
    provenance = [OF_FORMULAS] if formulas else [*([said] if said else []), OF_OTHERS]
    header, *rows = log.read_text(encoding="utf-8").split()
    lines = [header.split(","), ["---"] * len(header.split(",")), *(r.split(",") for r in rows)]
    text = CARD.format(
        name=weights.stem,
        file=weights.name,
        sha256=write_checksum(weights),
        organs=", ".join(metadata["organs"]),
        iteration=metadata["iteration"],
        count=len(names),
        trained_on=_told(names),
        validated_on=_told(metadata.get("validated_on", ())),
        provenance=" ".join(provenance),
        curve="\n".join(f"| {' | '.join(line)} |" for line in lines),
        options=options_table(metadata["options"]),
        **KINDS[metadata["task"] == SEGMENTATION_TASK],
    )
    with atomic_path(weights.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _told(names: Sequence[str]) -> str:
    """Return names of subjects, those of the procedural thorax by the first and the last."""
    if names and all(FORMULAS in name for name in names):
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names) or "none"


def main() -> None:
    """Copy weights to where they are shipped, with their card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("training", type=Path, help="the folder of the training")
    parser.add_argument("weights", type=Path, help="the file to write")
    given = parser.parse_args()
    learnt = load_weights(given.training / "weights.npz")
    save_weights(given.weights, learnt.configuration, learnt.state, learnt.metadata, halved=True)
    write_organs_card(given.weights, learnt.metadata, given.training / "log.csv")


if __name__ == "__main__":
    main()
