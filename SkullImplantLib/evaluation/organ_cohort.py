"""The table of a cohort of chests: Dice, HD95 and occupancy of each organ, step by step."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..cases.data_sets import DATA_SETS, SEGTHOR
from ..cases.segthor import ORGANS, ChestFile, chests_in
from ..core.stages import StageReport, no_report
from ..errors import SkullImplantError
from ..organs.upsampling import METHODS
from .evaluation_options import RunOptions
from .organ_trial import (
    COARSE,
    DENSE,
    PERFECT,
    SPARSE,
    ChestCase,
    OrganTrial,
    column,
    occupancy_of,
)
from .suite import evaluate_cases
from .tables import cell, markdown

Row = dict[str, Any]
# Steps in the order of the table.
STEPS = (
    (DENSE, COARSE),
    *((start, how) for start in (DENSE, PERFECT) for how in (*METHODS, SPARSE)),
)
DEFINITIONS = """\
**Definitions.** *Coarse grid*: the dense network's labels beside the true ones on its own grid. \
*Perfect labels*: of each voxel of that grid the label that fills most of it, which a dense \
network cannot do better than; what follows tells of the second step alone. *Dice* and *HD95* \
(the 95th percentile of the distances between the surface voxels of both, in both directions \
pooled) of an organ's voxels on the CT's own grid. An organ that was not found counts with a Dice \
of 0 and has no HD95. *Occupancy*: the share of the grid that the true organ fills."""


def evaluate_organs(
    folder: Path,
    trial: OrganTrial,
    part: str | None = None,
    run: RunOptions = RunOptions(),
    report: StageReport = no_report,
) -> tuple[dict[str, Any], str]:
    """Judge the chests of a SegTHOR folder that have labels: of a `part` (train, test, all), or of
    all parts.

    As `suite.evaluate_cohort`: rows are kept, shared and gone on from alike. Returns the data of
    all cases (`cases`, `summary`: a line for each step, organ and whether it was learnt from) and a
    Markdown table. Raises `SkullImplantError` where there is no such chest.
    """
    found = [one for one in chests_in(folder) if part in (None, "all", one.part)]
    judged = [one for one in found if one.labels]
    if not judged:
        raise SkullImplantError(
            f"There is no chest with labels to judge in {folder}; give the training part, whose "
            "labels are public."
        )
    note = _left_out(found, judged)
    report("evaluation", 0.0, f"{DATA_SETS[SEGTHOR].title}: {len(judged)} patients. {note}".strip())
    table = partial(organ_table, trial=trial, note=note)
    cases = [ChestCase(one) for one in judged]
    data, text = evaluate_cases(cases, trial, run, report, table, organ_statistics)
    data["data_set"] = SEGTHOR
    return data, text


def _left_out(found: Sequence[ChestFile], judged: Sequence[ChestFile]) -> str:
    hidden = len(found) - len(judged)
    return f"{hidden} patients have no public labels and are left out." if hidden else ""


def organ_statistics(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a line for each step and organ, apart for patients that a network has learnt from:
    `patients`, `not_found`, mean and median of `dice` and `hd95_mm`, mean `occupancy`.
    """
    lines = []
    for seen in (False, True):
        some = [row for row in rows if row.get("seen_in_training") is seen]
        for start, method in STEPS:
            for organ in ORGANS.values():
                key = column(start, method, organ, "dice")
                mine = [row for row in some if key in row]
                if not mine:
                    continue
                dice = [row[key] for row in mine]
                far = [row[column(start, method, organ, "hd95_mm")] for row in mine]
                known = [value for value in far if value is not None]
                lines.append(
                    {
                        "learnt_from": seen,
                        "start": start,
                        "method": method,
                        "organ": organ,
                        "patients": len(mine),
                        "not_found": len(far) - len(known),
                        "dice_mean": float(np.mean(dice)),
                        "dice_median": float(np.median(dice)),
                        "hd95_mm_mean": float(np.mean(known)) if known else None,
                        "hd95_mm_median": float(np.median(known)) if known else None,
                        "occupancy": float(np.mean([row[occupancy_of(organ)] for row in mine])),
                    }
                )
    return lines


def organ_table(rows: Sequence[Row], trial: OrganTrial, note: str) -> str:
    """Return the table as Markdown."""
    data_set = DATA_SETS[SEGTHOR]
    parts = [
        f"# {data_set.title}",
        f"{data_set.source}; {data_set.terms}. {note}".strip(),
    ]
    for what, path in (("dense network", trial.segmentation), ("sparse network", trial.superres)):
        if path is None:
            parts.append(f"No weights of the {what} were given, so that it has no rows.")
    lines = organ_statistics(rows)
    for seen, title in (
        (False, "Patients that no network has learnt from"),
        (True, "Patients that a network has learnt from"),
    ):
        mine = [line for line in lines if line["learnt_from"] is seen]
        if mine:
            parts += [f"## {title}", _lines_table(mine)]
    unread = [row for row in rows if "not_read" in row]
    if unread:
        told = "\n".join(f"- {row['patient']}: {row['not_read']}" for row in unread)
        parts += ["## Not read, and tried again in the next run", told]
    return "\n\n".join([*parts, DEFINITIONS])


def _lines_table(lines: Sequence[dict[str, Any]]) -> str:
    head = ["labels from", "brought to the CT's grid by", "organ", "patients", "not found"]
    head += ["Dice, mean / median", "HD95 mm, mean / median", "occupancy %"]
    cells = [head]
    for line in lines:
        pairs = (
            " / ".join(cell(line[f"{name}_{kind}"], digits) for kind in ("mean", "median"))
            for name, digits in (("dice", 3), ("hd95_mm", 2))
        )
        counts = [f"{line['patients']}", f"{line['not_found']}"]
        named = [line["start"], line["method"], line["organ"]]
        cells.append([*named, *counts, *pairs, f"{100 * line['occupancy']:.3f}"])
    return markdown(cells)
