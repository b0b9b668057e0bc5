"""What each step of the completion is worth, on the completion alone: without fit and walls.

    python Testing/Benchmarks/steps/completion_steps.py DATA -o Testing/Benchmarks/steps [--jobs N]

DATA holds `train` and `test`. The cases of the main table (four skulls of `test`), and the low
frontal ones (`low_frontal_cuts.py`) in the four CT skulls. Each skull is left out of the shape
statistics, which know no test skull. The prior's depth; with the other side; with other skulls.
Judged is the completed skull where bone is missing, less the bone that is there. Rows that are in
the output folder are not made again.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import SimpleITK as sitk

sys.path.append(str(Path(__file__).parents[1] / "low_frontal"))

from low_frontal_cuts import NAMES, LowFrontal
from low_frontal_table import POPULATION, SKULLS, LowFrontalCase

from SkullImplantLib.cases.skull_folder import named_skulls, skulls_of
from SkullImplantLib.completion.brought import blended
from SkullImplantLib.completion.complete import Choice, Completed, complete, depth_by_prior
from SkullImplantLib.completion.trust import GEOMETRY
from SkullImplantLib.core.images import array_of, crop, image_like, resample
from SkullImplantLib.core.threads import thread_variables
from SkullImplantLib.evaluation.evaluation_options import SuiteOptions
from SkullImplantLib.evaluation.metrics import evaluate_implant
from SkullImplantLib.evaluation.suite_cases import SuiteCase, suite_cases
from SkullImplantLib.geometry.brought_bone import surroundings_of
from SkullImplantLib.geometry.hole import Hole, find_hole
from SkullImplantLib.geometry.mirrored_bone import mirrored_bone
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import read_population
from SkullImplantLib.models import PRIOR
from SkullImplantLib.skull.segmentation import clean_skull, segment_skull

AROUND_MM = 24.0
STEPS = ("prior", "with the other side", "and other skulls")
MEASURES = ("dice", "border_dice_10mm", "hd95_mm", "outer_error_mm")
COLUMNS = ("suite", "skull", "case", "input", "step", *MEASURES)
HEAD = """# What each step of the completion is worth

Made by `Testing/Benchmarks/steps/completion_steps.py`, on the completion alone: mean Dice / border
Dice (10 mm) / HD95 / mean error of the outer surface. Every case: [`steps.csv`](steps.csv). The
piece is cut off where the directions without bone end, which is less exact than a design's rim:
compare the columns, not these numbers with a design's.

"""
Case = SuiteCase | LowFrontalCase
Row = dict[str, str]


def steps_of(skull: sitk.Image, prior: Prior, hole: Hole, brows: Sequence) -> Iterator[Completed]:
    """Yield the completions of `STEPS`."""
    alone = Completed(depth_by_prior(prior), hole, GEOMETRY)
    yield alone
    around = surroundings_of(skull, prior)
    assert around is not None
    both = blended(alone.depth_mm, prior, hole, mirrored_bone(around, prior))
    yield replace(alone, depth_mm=both.depth_mm, hole=both.hole)
    yield complete(skull, prior, hole, Choice(PRIOR), brows=brows)


def rows_of(case: Case, suite: str) -> list[Row]:
    """Return the rows of one case."""
    made = case.load()
    known = read_population(POPULATION)
    known = known.without(known.skulls_like(case.skull))
    find = segment_skull if made.source.kind == "ct" else clean_skull
    skull = find(made.source.image).mask
    prior = complete_by_prior(skull, estimate_pose(skull, known), known)
    hole = find_hole(skull, prior, AROUND_MM)
    rows = []
    for step, completed in zip(STEPS, steps_of(skull, prior, hole, known.brows)):
        piece = array_of(completed.filled(skull)) * array_of(completed.hole.mask)
        piece *= array_of(crop(skull, completed.hole.box)) == 0
        implant = resample(
            image_like(piece, completed.hole.mask), made.truth, sitk.sitkNearestNeighbor
        )
        found = evaluate_implant(implant, made.truth, made.defective, made.centre_mm).as_json()
        told = {name: f"{found[name]:.4f}" for name in MEASURES}
        named = {"suite": suite, "skull": case.skull, "case": case.name}
        rows.append({**named, "input": made.facts["input"], "step": step, **told})
    return rows


def cases_of(data: Path) -> list[tuple[Case, str]]:
    """Return the cases, each with its suite's name."""
    found = named_skulls(skulls_of([data / "train", data / "test"]), SKULLS)
    low: list[tuple[Case, str]] = [
        (LowFrontalCase(file, LowFrontal(name, 1 - 2 * (number % 2))), "low frontal")
        for number, file in enumerate(sorted(found, key=lambda file: SKULLS.index(file.name)))
        for name in NAMES
    ]
    main = suite_cases([data / "test"], SuiteOptions(), POPULATION)
    orbit = "orbit", "vault"
    return [(case, orbit[case.kind != "frontoorbital"]) for case in main] + low


def table(rows: Sequence[Row]) -> str:
    """Return the means by suite and kind of input, a column a step."""
    lines = ["| cases | " + " | ".join(STEPS) + " |", "|---" * (len(STEPS) + 1) + "|"]
    groups = sorted({(row["suite"], row["input"]) for row in rows})
    for suite, kind in groups:
        cells = []
        for step in STEPS:
            own = [r for r in rows if (r["suite"], r["input"], r["step"]) == (suite, kind, step)]
            dice, border, hd, outer = (np.mean([float(r[m]) for r in own]) for m in MEASURES)
            cells.append(f"{dice:.3f} / {border:.3f} / {hd:.2f} / {outer:.2f}")
        lines.append(f"| {suite}, {kind} ({len(own)}) | " + " | ".join(cells) + " |")
    worse = {
        row["case"]: float(row["dice"])
        - max(float(r["dice"]) for r in rows if r["case"] == row["case"] and r["step"] == STEPS[0])
        for row in rows
        if row["step"] == STEPS[-1]
    }
    lost = sorted((change, name) for name, change in worse.items() if change < -0.01)
    told = ", ".join(f"{name} {change:+.3f}" for change, name in lost) or "none"
    return "\n".join([*lines, "", f"Lost more than 0.01 of the Dice to the prior alone: {told}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder of `train` and `test`")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    options = parser.parse_args()
    path, rows = options.output / "steps.csv", []
    if path.exists():
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    done = {row["case"] for row in rows}
    left = [(case, suite) for case, suite in cases_of(options.data) if case.name not in done]
    with thread_variables(1), ProcessPoolExecutor(options.jobs, get_context("spawn")) as workers:
        cases, suites = [case for case, _ in left], [suite for _, suite in left]
        for found in workers.map(rows_of, cases, suites):
            rows += found
            print(found[-1]["case"], found[0]["dice"], found[-1]["dice"], flush=True)
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    (options.output / "steps.md").write_text(HEAD + table(rows) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
