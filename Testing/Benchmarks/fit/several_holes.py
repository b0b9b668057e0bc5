"""Does a hole get the implant that it would get alone, where the skull has more than one?

From the project's folder:

    python Testing/Benchmarks/fit/several_holes.py

Holes of the fit's own cases (`fit_cases.py`) are cut into one head, two and three at a time, and
designed in one run; each implant is measured as `judge.py` measures, and compared with the one of
the design of that hole alone. The table goes into `several_holes.md` beside this file. Designs are
kept: run again to resume.
"""

import argparse
import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from bone_facets import Grid
from facets import Facets, Floats, read_stl
from fit_cases import HEADS, FitCase, all_cases, make_case
from fit_runs import bones_of, design_folder, kept_rows, make_design
from measuring import Bones, box_of, designed_implants, measure_implant
from side_walls import walls_of
from truth_scores import truth_numbers
from way_out import CoarseDistance

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
# Holes that lie apart in the head; the first of each crosses the midline.
TOGETHER = {
    **{f"{head}-two": (head, ("bilateral", "parietotemporal")) for head in HEADS},
    "unc-cthead-ct-three": ("unc-cthead-ct", ("bilateral", "parietotemporal", "random_2")),
    "brainweb-50-three": ("brainweb-50", ("bilateral", "parietotemporal", "random_2")),
}
CLEARANCE_MM = 0.5
WITHIN_DICE = 0.02  # what is asked: no more worse than the hole alone


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, measure it, and write the table."""
    options = _parser().parse_args(arguments)
    command = shlex.split(options.command)
    cases = {case.name: case for case in all_cases(options.work)}
    rows, failures = [], []
    for name, (head, kinds) in TOGETHER.items():
        alone = [cases[f"{head}-{kind}"] for kind in kinds]
        for case in alone:
            make_case(case, options.data, command)
        case = _cut_together(FitCase(name, head, "several", options.work / "cases" / name), alone)
        folder = design_folder(options.work, options.run, case, CLEARANCE_MM)
        failed = make_design(case, CLEARANCE_MM, folder, command)
        for single in alone if not failed else ():
            there = design_folder(options.work, options.run, single, CLEARANCE_MM)
            failed = failed or make_design(single, CLEARANCE_MM, there, command)
        if failed:
            print(f"{name}: {failed}", file=sys.stderr)
            failures.append(name)
            continue
        for row in _measured(case, folder, alone):
            single = cases[f"{head}-{row['hole']}"]
            there = design_folder(options.work, options.run, single, CLEARANCE_MM)
            before = kept_rows(single, CLEARANCE_MM, there)[0]
            rows.append(row | {"alone": {key: before[key] for key in ("dice", "hd95")}})
            print(_line(rows[-1]), flush=True)
    if failures:
        print("There is no table: " + ", ".join(failures) + " failed.", file=sys.stderr)
        return 1
    options.output.write_text(_table(rows), encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--command", default=str(ROOT / ".venv/bin/skull-implant"), help="the program to judge")
    add("--run", default="now", metavar="NAME", help="keeps designs apart, as `judge.py` does")
    add("--work", type=Path, default=ROOT / "build" / "fit", help="kept cases and designs")
    add("--data", type=Path, default=ROOT / "../shared/data/test", help="the heads")
    add("-o", "--output", type=Path, default=HERE / "several_holes.md", metavar="FILE")
    return parser


def _cut_together(case: FitCase, alone: Sequence[FitCase]) -> FitCase:
    """Make the folder of a head with the holes of several cases, unless it is there."""
    done = case.folder / "case.json"
    if done.exists():
        return case
    case.folder.mkdir(parents=True, exist_ok=True)
    whole = alone[0].image("complete-ct" if case.of_ct else "complete")
    values = sitk.GetArrayFromImage(whole)
    together, piece = values.copy(), np.zeros(values.shape, np.uint8)
    for number, each in enumerate(alone, 1):
        cut = sitk.GetArrayFromImage(each.image("defective"))
        together = np.where(cut != values, cut, together)
        piece[sitk.GetArrayFromImage(each.image("implant")) != 0] = number
    for name, array in {"defective": together, "implant": piece}.items():
        image = sitk.GetImageFromArray(array)
        image.CopyInformation(whole)
        sitk.WriteImage(image, str(case.folder / f"{name}.nrrd"), True)
    for name in ("complete", "complete-ct") if case.of_ct else ("complete",):
        sitk.WriteImage(alone[0].image(name), str(case.folder / f"{name}.nrrd"), True)
    done.write_text(json.dumps({"name": case.name, "of": [each.name for each in alone]}) + "\n")
    return case


def _measured(case: FitCase, folder: Path, alone: Sequence[FitCase]) -> list[dict[str, Any]]:
    """A row for each hole, of the implant that lies nearest to its true piece."""
    design = json.loads((folder / "design.json").read_text(encoding="utf-8"))
    found = designed_implants(folder, design)
    bones = bones_of(case, folder)
    meshes = [read_stl(path) for path, _ in found]
    rows = []
    for each in alone:
        truth = each.image("implant")
        middle = _middle(truth)
        apart = [np.linalg.norm(mesh.points.mean(axis=0) - middle) for mesh in meshes]
        nearest = int(np.argmin(apart))
        told = {"case": case.name, "hole": each.kind, "implants": len(found)}
        numbers = _numbers(meshes[nearest], found[nearest][1], bones, truth)
        rows.append(told | {"implant": nearest + 1} | numbers)
    return rows


def _numbers(
    implant: Facets, direction: Floats | None, bones: Bones, truth: sitk.Image
) -> dict[str, Any]:
    walls = walls_of(implant, bones.place_within_head(), np.random.default_rng(0))
    ways = [walls.mean_sheet if direction is None else direction]
    coarse = CoarseDistance(bones.surface(*box_of([implant], ways)))
    complete = bones.surface(*box_of([implant]), complete=True)
    numbers = measure_implant(implant, walls, coarse, complete, direction)
    return numbers | truth_numbers([implant], truth, coarse, CLEARANCE_MM)


def _middle(truth: sitk.Image) -> Floats:
    inside = np.argwhere(sitk.GetArrayViewFromImage(truth) != 0)[:, ::-1]
    middle: Floats = Grid.of(truth).lps_mm(inside.mean(axis=0)[None])[0]
    return middle


def _line(row: dict[str, Any]) -> str:
    gap = f"{row['gap_5']:.2f} / {row['gap_median']:.2f} / {row['gap_95']:.2f}"
    worse = row["alone"]["dice"] - row["dice"]
    return (
        f"| {row['case']} | {row['hole']} | {row['implant']} of {row['implants']} | {gap} "
        f"| {row['interference_mm3']:.1f} | {row['blocked_mm3']:.1f} | {row['genus']:g} "
        f"| {row['dice']:.3f} | {row['alone']['dice']:.3f} | {row['hd95']:.2f} "
        f"| {row['alone']['hd95']:.2f} | {'yes' if worse <= WITHIN_DICE else 'no'} |"
    )


def _table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "# Several holes in one skull",
        "",
        f"Made by `several_holes.py` beside this file, at a clearance of {CLEARANCE_MM:g} mm: one "
        "run a head, an implant a hole. `bilateral` crosses the midline. Numbers as in `README.md`;"
        ' "alone" is the design of that hole alone.',
        "",
        "| head | hole | implant | gap 5 / 50 / 95 % | in bone mm³ | blocked mm³ | genus | Dice "
        f"| alone | HD95 | alone | Dice within {WITHIN_DICE:g} |",
        "|---" * 12 + "|",
        *map(_line, rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
