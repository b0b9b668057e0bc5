"""The model card that training writes beside the weights: what they are, and what they are not."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.defects import USUAL_CM2
from ..core.checksums import write_checksum
from ..core.files import atomic_path
from .log import LogRow
from .training_options import FINE, REGISTERED

CARD = """# Model card: {name}

| | |
|---|---|
| File | `{file}`, {numbers} numbers |
| SHA-256 | `{sha256}` |
| Network | {network} |
| Inputs | {channels} |
| Grid | {spacing_mm:g} mm in the standard pose of the head |
| Iterations | {iterations}, {heads} |
| Weights | running average over the iterations (`training/average.py`) |
| Started from | {started_from} |
| Precision | products in {precision}, all else in float32 |
| Seed | {seed}: of the cases, the weights at the start, their order and augmentation |

## Data

Trained on {skulls}: {trained_on}.
Held back for validation (never trained on): {validated_on}.
Cut into each skull: {cases_per_skull} defects of the five kinds of SkullBreak, {areas}.
{shapes}

{provenance}

The terms of these skulls apply to the weights. Whoever trains on other data must check that its
licence allows it (SkullBreak and SkullFix, for instance, are non-commercial).

## Measured in training

{measured}

{curve}

## Options

{options}

## Intended use and limits

To propose the shape of a cranial implant to a qualified person, who reviews it. Not a medical
device.

{limits}

The number of training skulls is {small}; where some come from MRI, their inner table was rebuilt
and they lack orbits and sinuses, so defects that reach the orbit or the skull base are where these
weights know the least.
"""

VALIDATED = """Mean implant Dice over the held-back skulls, on the network's own grid: network
**{network_dice:.3f}**, geometric prior alone {prior_dice:.3f}. The held-back skulls chose the
iteration, so that unseen skulls score somewhat less; for those, at the CT's resolution, see
`Testing/Benchmarks/`."""
VALIDATED_ALONE = """Mean Dice over the held-back skulls, on the network's own grid: implant
**{network_dice:.3f}**, whole skull {skull_dice:.4f}. The held-back skulls chose the
iteration, so that unseen skulls score somewhat less; for those, at the CT's resolution, see
`Testing/Benchmarks/`."""
NOT_VALIDATED = """No skull was held back, so nothing here tells how good these weights are on an
unseen one; train in the same way on some of the skulls and measure on the others to know. For the
weights that ship, `Testing/Benchmarks/` does."""

NETWORKS = {
    FINE: "sparse U-Net around the defect, which corrects the depth of the geometric prior",
    "ch1": "sparse auto-encoder `ch1` of the whole head (Kroviakov et al. 2021)",
    "ch2": "sparse auto-encoder `ch2` of the whole head (Kroviakov et al. 2021)",
}
LIMITS = {
    FINE: "It corrects the prior near the bone that prior and mirror image expect, and can make "
    "none far from either.",
}
OF_ANY_NETWORK = (
    "It completes the head on a coarse grid; fit and rim are the work of the stages after it."
)
UNKNOWN_PROVENANCE = (
    "Whoever trained these weights did not say where the skulls come from, whether from CT or MRI, "
    "and under which terms (the option `provenance`)."
)
FLAWS = (
    "In {share:.0%} of the cases the skull was given flaws of patients and scanners at random "
    "(healed\nrims, pores, metal, thick slices and others; see `cases/mask_flaws.py`), and "
    "bone was made\nthicker or thinner."
)
WARPED = (
    "No case came twice: each is a skull warped a random part of the way to one or two others\n"
    "(`training/registration.py`) and deformed, and the regions of one to four of these defects,\n"
    "moved about, are taken out of it (`training/endless.py`). All of them are clean."
)
FEW_SKULLS = 100
MOST_ROWS = 12  # of the learning curve in the card; the log has them all


def write_model_card(weights: Path, metadata: dict[str, Any], rows: Sequence[LogRow] = ()) -> None:
    """Write `NAME.md` and the checksum `NAME.npz.sha256` beside the weight file `NAME.npz`.

    `metadata`: as training writes it into the weights. `rows`: the log up to now.
    """
    sha256 = write_checksum(weights)
    with np.load(weights, allow_pickle=False) as stored:
        numbers = sum(stored[name].size for name in stored.files if name != "header")
    options = metadata["options"]
    network = options["network"]
    count = len(metadata["trained_on"])
    text = CARD.format(
        name=weights.stem,
        file=weights.name,
        sha256=sha256,
        numbers=f"{numbers:,}",
        network=NETWORKS[network],
        channels=", ".join(metadata["channels"]),
        spacing_mm=metadata["spacing_mm"],
        iterations=_iterations(metadata, rows),
        started_from=_started_from(metadata),
        heads=_heads(metadata),
        seed=options["seed"],
        skulls="1 skull" if count == 1 else f"{count} skulls",
        precision=metadata["precision"],
        trained_on=", ".join(metadata["trained_on"]),
        validated_on=", ".join(metadata["validated_on"]) or "none",
        cases_per_skull=options["cases_per_skull"],
        areas="{:g} to {:g} cm²".format(*options.get("areas_cm2", USUAL_CM2)),
        shapes=_shapes(options),
        provenance=options.get("provenance") or UNKNOWN_PROVENANCE,
        measured=_measured(metadata["validation"]),
        curve=curve_table(rows),
        options=options_table(options),
        limits=LIMITS.get(network, OF_ANY_NETWORK),
        small="small" if count < FEW_SKULLS else f"{count}",
    )
    with atomic_path(weights.with_suffix(".md")) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _iterations(metadata: dict[str, Any], rows: Sequence[LogRow]) -> str:
    iteration = metadata["iteration"]
    if not metadata["validation"]:
        return f"{iteration}"
    return f"best of {rows[-1].iteration if rows else iteration} at iteration {iteration}"


def _heads(metadata: dict[str, Any]) -> str:
    options = metadata["options"]
    batch = options.get("batch", 1)
    if options.get("shapes") == REGISTERED:
        return "1 new case each" if batch == 1 else f"{batch} new cases each"
    cases = max(len(metadata["trained_on"]) * options["cases_per_skull"], 1)
    return f"{metadata['iteration'] * batch / cases:.1f} times through the cases"


def _shapes(options: dict[str, Any]) -> str:
    if options.get("shapes") == REGISTERED:
        return WARPED
    return FLAWS.format(share=options["flaws"]) if options["flaws"] else "All of them are clean."


def _measured(validation: dict[str, Any] | None) -> str:
    if not validation:
        return NOT_VALIDATED
    text = VALIDATED_ALONE if validation["prior_dice"] is None else VALIDATED
    return text.format(**validation)


def _started_from(metadata: dict[str, Any]) -> str:
    before = metadata.get("started_from")
    if not before:
        return "nothing"
    skulls = ", ".join(before["skulls"]) or "skulls that it does not name"
    return f"`{before['name']}` (SHA-256 {before['sha256'][:12]}…), of {skulls}"


def options_table(options: Mapping[str, Any]) -> str:
    """Return options and their values as a table."""
    return _table(["option", "value"], [[f"`{k}`", _said(v)] for k, v in options.items()])


def curve_table(rows: Sequence[LogRow]) -> str:
    """Return some rows of the log, evenly spaced, the last one among them, as a table."""
    if not rows:
        return ""
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MOST_ROWS)).round().astype(int))
    cells = [
        [f"{r.iteration}", f"{r.loss:.3f}", _dice(r.network_dice), f"{r.minutes:.0f}"]
        for r in (rows[k] for k in chosen)
    ]
    return _table(["iteration", "training loss", "validation Dice", "minutes"], cells)


def _dice(dice: float) -> str:
    return f"{dice:.3f}" if math.isfinite(dice) else "-"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _said(value: Any) -> str:
    if value is None or value in ("", [], ()):
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
