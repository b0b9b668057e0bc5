"""Heads under wrong axes, turned, scaled and cut to a cap, through whole designs: a table.

    python Testing/Benchmarks/turned/turned_table.py DATA -o FOLDER [--heads ...] [--groups ...]

DATA holds `train` and `test`. Each head gets one hole of 60 cm² (`turned_heads.py`), is changed and
designed with the prior, without clearance. A case is right if its Dice is no more than `LESS_DICE`
below that of the same part of the same head as it was. Cases that are in FOLDER are not made again,
so that a run that was stopped goes on; `--table` only writes the table of those that are there.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from turned_heads import Change, Head, changes, cube_rotations, head_in

from SkullImplantLib.core.files import atomic_path
from SkullImplantLib.design import design_implant
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.input import Input

HEADS = (
    "test/brainweb-49", "test/unc-cthead-ct", "test/visible-human-female-ct", "test/brainweb-50",
    "train/visible-human-male", "train/vismale",
)  # fmt: skip
GROUPS = ("axes", "turned", "scaled", "scaled and backwards", "cap")
LESS_DICE = 0.03
# A sentence may name any way that comes so near the true one, in degrees.
NEAR_DEG = 15.0
# In notes, which ask a person to look.
TOLD = ("whether the head stands upright", "a design may be less exact")
CAP_SENTENCE = "seems not to stand upright"
OUTCOMES = (
    "right", "refused, true reason", "refused, another reason", "flagged", "told in a note",
    "WRONG UNFLAGGED",
)  # fmt: skip


def outcome_of(head: Head, change: Change, least_dice: Callable[[], float]) -> dict[str, Any]:
    """Return what came of a changed head; `least_dice` is asked for only if there is a design."""
    made = change.made(head)
    source = Input(made.as_image(made.image), "ct" if made.kind == "ct" else "skull", "", "turned")
    row: dict[str, Any] = {"group": change.group}
    started = time.perf_counter()
    try:
        design = design_implant(source, DesignOptions(model="prior", clearance_mm=0.0))
    except SkullImplantError as error:
        row["said"] = str(error)
        true = any(words in str(error) for words in _true_words(made.turn, change))
        row["outcome"] = "refused, true reason" if true else "refused, another reason"
    else:
        found = sitk.GetArrayFromImage(design.implant) > 0
        truth = made.truth > 0
        row["dice"] = round(float(2 * (found & truth).sum() / (found.sum() + truth.sum())), 4)
        row["flagged"] = bool(design.confidence and design.confidence.flagged)
        row["told"] = any(words in note for note in design.notes for words in TOLD)
        row["failed"] = [check.name for check in design.checks if not check.passed]
        if row["dice"] >= least_dice():
            row["outcome"] = "right"
        elif row["flagged"]:
            row["outcome"] = "flagged"
        else:
            row["outcome"] = "told in a note" if row["told"] else "WRONG UNFLAGGED"
    row["seconds"] = round(time.perf_counter() - started, 1)
    return row


def _true_words(turn: np.ndarray, change: Change) -> set[str]:
    """Return words of which a sentence holds one if it tells how a head is turned."""
    words = {CAP_SENTENCE} if change.cap_mm is not None else set()
    angle = _degrees(turn)
    words |= {f"turned by about {n} degrees" for n in range(181) if abs(n - angle) <= NEAR_DEG}
    off = {k: _degrees(turn @ r.T) for k, r in enumerate(cube_rotations())}
    for k, r in enumerate(cube_rotations()):
        if off[k] <= min(off.values()) + NEAR_DEG:
            words.add(_seen(r))
    return words - {""}


def _seen(rotation: np.ndarray) -> str:
    """Return what a head does under a rotation of the cube."""
    top, face = rotation[:, 2], -rotation[:, 1]
    if top[2] > 0.5:
        return {-1: "", 1: "face backwards", 0: "face to the side"}[round(face[1])]
    if top[2] < -0.5:
        return "stand upside down"
    return {1: "lie on its back", -1: "lie on its face", 0: "lie on its side"}[round(face[2])]


def _degrees(rotation: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


def run(data: Path, output: Path, heads: list[str], groups: list[str]) -> None:
    """Make the cases that are not there."""
    for name in heads:
        number = HEADS.index(name) if name in HEADS else len(HEADS)
        chosen = [change for change in changes(number) if change.group in groups]
        for change in chosen:
            path = _path(output, name, change)
            if path.exists():
                continue
            head = head_in(data / f"{name}.nii.gz", number)
            beside = _path(output, name, change.straight)
            row = outcome_of(head, change, partial(_least_dice, head, change, beside))
            _keep(path, row)
            print(f"{path.stem}: {row['outcome']}, {row['seconds']} s", flush=True)


def _least_dice(head: Head, change: Change, path: Path) -> float:
    """Return the least Dice that is right for a change, by the same part as it was, kept in a file.

    Where nothing was designed of that, nothing is right.
    """
    if not path.exists():
        _keep(path, outcome_of(head, change.straight, lambda: 0.0))
    return json.loads(path.read_text()).get("dice", 2.0) - LESS_DICE


def _path(output: Path, name: str, change: Change) -> Path:
    return output / "cases" / f"{name.split('/')[-1]}-{change.name}.json"


def _keep(path: Path, row: dict[str, Any]) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(row, indent=1))


def table_of(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table, and what is not right beside it."""
    groups = ("straight", *GROUPS)
    lines = [
        (__doc__ or "").split("\n\n")[2].replace("\n", " "),
        "",
        f"| change | cases | {' | '.join(OUTCOMES)} |",
        "|---" * (2 + len(OUTCOMES)) + "|",
    ]
    total: Counter[str] = Counter()
    for group in groups:
        counts = Counter(row["outcome"] for row in rows.values() if row["group"] == group)
        if group != "straight":
            total += counts
        cells = " | ".join(str(counts[outcome]) for outcome in OUTCOMES)
        lines.append(f"| {group} | {sum(counts.values())} | {cells} |")
    cells = " | ".join(str(total[outcome]) for outcome in OUTCOMES)
    lines.append(f"| all but straight | {sum(total.values())} | {cells} |")
    lines += [
        "",
        "| what is neither right nor refused by its true reason | Dice | what |",
        "|---" * 3 + "|",
    ]
    for name, row in sorted(rows.items()):
        if row["outcome"] not in OUTCOMES[:2]:
            said = row.get("said", "failed checks: " + ", ".join(row.get("failed", [])))
            lines.append(f"| {name} | {row.get('dice', '')} | {row['outcome']}: {said} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of `train` and `test`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="table and cases")
    parser.add_argument("--heads", nargs="+", default=list(HEADS), metavar="FOLDER/NAME")
    parser.add_argument("--groups", nargs="+", default=list(GROUPS), choices=GROUPS)
    parser.add_argument("--table", action="store_true", help="only of the cases that are there")
    options = parser.parse_args()
    (options.output / "cases").mkdir(parents=True, exist_ok=True)
    if not options.table:
        run(options.data, options.output, options.heads, options.groups)
    rows = {
        path.stem: json.loads(path.read_text())
        for path in sorted((options.output / "cases").glob("*.json"))
    }
    table = table_of(rows)
    (options.output / "turned.md").write_text(table)
    (options.output / "turned.json").write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    print(table)
    return int(any(row["outcome"] == "WRONG UNFLAGGED" for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
