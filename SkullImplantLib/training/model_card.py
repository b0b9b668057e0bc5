"""The model card that training writes beside the weights: what they are, and what they are not."""

from pathlib import Path
from typing import Any

from ..checksums import write_checksum
from ..images import atomic_path

CARD = """# Model card: {name}

| | |
|---|---|
| File | `{file}` |
| SHA-256 | `{sha256}` |
| Network | sparse auto-encoder `{network}`, {skip} skips, {activation}; inputs: {channels} |
| Grid | {spacing_mm:g} mm in the standard pose of the head |
| Iterations | {iteration} of {iterations}, seed {seed}, learning rate {learning_rate:g} |
| Cases | {cases_per_skull} defects a skull, of the five kinds of SkullBreak, 20 to 120 cm² |

## Data

Trained on {count} skulls: {trained_on}.
Held back for validation (never trained on): {validated_on}.

The terms of these skulls apply to the weights. Whoever trains on other data must check that its
licence allows it (SkullBreak and SkullFix, for instance, are non-commercial).

## Measured in training

Mean implant Dice over the held-back skulls, on the network's own grid: network
**{network_dice:.3f}**, geometric prior alone {prior_dice:.3f}. The accuracy on unseen test skulls,
at the CT's resolution, is in `Testing/Benchmarks/`.

## Intended use and limits

To propose the shape of a cranial implant to a qualified person, who reviews it. Not a medical
device. The number of training skulls is small; where some come from MRI, their inner table was
rebuilt and they lack orbits and sinuses, so defects that reach the orbit or the skull base are
outside what these weights know.
"""


def write_model_card(weights: Path, metadata: dict[str, Any]) -> None:
    """Write `NAME.md` and the checksum `NAME.npz.sha256` beside the weight file `NAME.npz`."""
    sha256 = write_checksum(weights)
    options = metadata["options"]
    text = CARD.format(
        name=weights.stem,
        file=weights.name,
        sha256=sha256,
        count=len(metadata["trained_on"]),
        trained_on=", ".join(metadata["trained_on"]),
        validated_on=", ".join(metadata["validated_on"]) or "none",
        iteration=metadata["iteration"],
        **{key: value for key, value in options.items() if key != "channels"},
        channels=", ".join(metadata["channels"]),
        **metadata["validation"],
    )
    with atomic_path(weights.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")
