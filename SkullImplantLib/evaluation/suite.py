"""The accuracy tables: many cases, each designed from its input like a user's, and measured.

`evaluate_suite` cuts defects into complete skulls (or into the CT itself, so that segmentation is
judged too); `evaluate_cohort` takes the cases of a data set in its own layout. Every case is kept
as a JSON file, so that an interrupted run goes on where it stopped.
"""

import csv
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..design import DesignOptions, design_implant
from ..errors import SkullImplantError
from ..images import atomic_path
from ..reading import Input, read_input
from ..skull import clean_skull, segment_skull
from ..stages import StageReport, no_report
from ..symmetry import Pose, estimate_pose
from ..training.cohort import cases_in
from ..training.defects import KINDS, apply_to_ct, make_defect
from .metrics import evaluate_implant

# Defects of the vault; the orbit's is reported apart, being another problem altogether.
CALVARIAL_KINDS = tuple(kind for kind in KINDS if kind != "frontoorbital")
COLUMNS = ("dice", "border_dice_10mm", "hd95_mm", "seconds", "peak_memory_gib")
ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")

Result = tuple[dict[str, Any], str]


@dataclass(frozen=True)
class CaseInput:
    """One case to judge: an input with a hole, the piece that fills it, the skull without it."""

    source: Input
    truth: sitk.Image
    defective: sitk.Image
    facts: dict[str, Any]


def evaluate_suite(
    folder: Path,
    output: Path,
    kinds: Sequence[str] = KINDS,
    defects: int = 1,
    seed: int = 0,
    options: DesignOptions = DesignOptions(clearance_mm=0.0),
    report: StageReport = no_report,
) -> Result:
    """Cut `defects` of each kind into every complete skull or CT of `folder`, design and measure.

    Returns the data of all cases and a Markdown table; both are written into `output` with a CSV.
    Raises `SkullImplantError` where the folder holds no skull.
    """
    files = sorted(p for p in folder.glob("*") if p.name.endswith(ENDINGS))
    if not files:
        raise SkullImplantError(f"{folder} holds no skull or CT (NRRD, NIfTI or MHA files).")

    def cases() -> Iterator[tuple[str, Callable[[], CaseInput]]]:
        for path in files:
            complete = _Complete(path)
            for kind in kinds:
                for number in range(defects):
                    name = f"{complete.name}-{kind}-{number}"
                    yield name, partial(complete.cut, kind, number, seed)

    total = len(files) * len(kinds) * defects
    return _evaluate(cases(), total, output, options, report)


def evaluate_cohort(
    folder: Path,
    output: Path,
    kinds: Sequence[str] = KINDS,
    options: DesignOptions = DesignOptions(clearance_mm=0.0),
    report: StageReport = no_report,
) -> Result:
    """Design and measure every case of a data set in SkullBreak's or SkullFix's layout."""
    found = [case for case in cases_in(folder) if case.kind is None or case.kind in kinds]

    def cases() -> Iterator[tuple[str, Callable[[], CaseInput]]]:
        for case in found:

            def load(case: Any = case) -> CaseInput:
                source = read_input(case.defective, "skull")
                truth = sitk.ReadImage(str(case.implant)) != 0
                facts = {"skull": case.name, "kind": case.kind or "unnamed", "input": "skull"}
                return CaseInput(source, truth, source.image, facts)

            yield f"{case.name}-{case.kind or 'unnamed'}", load

    return _evaluate(cases(), len(found), output, options, report)


class _Complete:
    """A complete skull or CT of the suite, read and segmented once for all its defects."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name[: -len(next(e for e in ENDINGS if path.name.endswith(e)))]
        self._loaded: tuple[Input, sitk.Image, Pose] | None = None

    def cut(self, kind: str, number: int, seed: int) -> CaseInput:
        if self._loaded is None:
            source = read_input(self.path)
            segment = segment_skull if source.kind == "ct" else clean_skull
            skull = segment(source.image).mask
            self._loaded = source, skull, estimate_pose(skull)
        source, skull, pose = self._loaded
        rng = np.random.default_rng([seed, number, KINDS.index(kind), *self.name.encode()])
        defect = make_defect(skull, kind, rng, pose=pose)
        image = defect.defective
        if source.kind == "ct":
            image = apply_to_ct(source.image, defect, rng)
        facts = {
            "skull": self.name,
            "kind": kind,
            "input": source.kind,
            "number": number,
            "seed": seed,
            "area_cm2": round(defect.area_cm2, 1),
        }
        broken = Input(image, source.kind, "", "a skull of the suite")
        return CaseInput(broken, defect.implant, defect.defective, facts)


def _evaluate(
    cases: Iterator[tuple[str, Callable[[], CaseInput]]],
    total: int,
    output: Path,
    options: DesignOptions,
    report: StageReport,
) -> Result:
    (output / "cases").mkdir(parents=True, exist_ok=True)
    rows = []
    for done, (name, load) in enumerate(cases):
        report("evaluation", done / total, name)
        path = output / "cases" / f"{name}-{Path(options.model).stem}.json"
        if not path.exists():
            row = _judge(load(), options)
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(row, indent=1))
        rows.append(json.loads(path.read_text()))
    if not rows:
        raise SkullImplantError("There was no case to evaluate; check the folder and the kinds.")
    report("evaluation", 1.0, f"{len(rows)} cases")
    table = table_of(rows, options.model)
    _write_tables(rows, table, output)
    return {"cases": rows, "summary": summary_of(rows)}, table


def _judge(case: CaseInput, options: DesignOptions) -> dict[str, Any]:
    """Return the facts and measures of one case; a design that fails is a case with Dice 0."""
    start = time.perf_counter()
    try:
        design = design_implant(case.source, options)
    except SkullImplantError as error:
        return {**case.facts, "error": str(error), "dice": 0.0, "border_dice_10mm": 0.0}
    seconds = time.perf_counter() - start
    metrics = evaluate_implant(design.implant.mask, case.truth, case.defective)
    peaks = [r.peak_memory_gib for r in design.stages.records if r.peak_memory_gib is not None]
    return {
        **case.facts,
        **{k: v if v is None else round(v, 4) for k, v in metrics.as_json().items()},
        "seconds": round(seconds, 1),
        "peak_memory_gib": max(peaks, default=None),
        "checks_failed": [check.name for check in design.checks if not check.passed],
    }


def summary_of(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return mean and median Dice, border Dice and HD95 (mm) of the calvarial and orbital cases,
    for masks and CTs together and apart.
    """
    summary = {}
    for place, kinds in (("calvarial", CALVARIAL_KINDS), ("frontoorbital", ("frontoorbital",))):
        for given in ("all", "ct", "skull"):
            some = [r for r in rows if r["kind"] in kinds and given in ("all", r["input"])]
            if some:
                summary[f"{place}, {given}"] = _statistics(some)
    return summary


def _statistics(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    numbers: dict[str, float] = {"cases": len(rows), "failed": sum("error" in r for r in rows)}
    for key in ("dice", "border_dice_10mm", "hd95_mm"):
        values = [r[key] for r in rows if r.get(key) is not None]
        if values:
            numbers[f"{key}_mean"] = round(float(np.mean(values)), 3)
            numbers[f"{key}_median"] = round(float(np.median(values)), 3)
    return numbers


def table_of(rows: Sequence[dict[str, Any]], model: str) -> str:
    """Return the cases, a line each, and their summary as Markdown."""
    lines = [
        f"Model `{Path(model).stem}`, no clearance, on each input's own grid.",
        "",
        "| skull | kind | cm² | Dice | border Dice | HD95 mm | seconds | peak GiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row["skull"], row["kind"], row.get("area_cm2", "")]
        cells += [_cell(row.get(key), 3 if "dice" in key else 2) for key in COLUMNS]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += [
        "",
        "| group | cases | failed | Dice mean / median | border Dice | HD95 mm |",
        "|---|---|---|---|---|---|",
    ]
    for group, s in summary_of(rows).items():
        pairs = [
            f"{_cell(s.get(key + '_mean'), 3)} / {_cell(s.get(key + '_median'), 3)}"
            for key in ("dice", "border_dice_10mm", "hd95_mm")
        ]
        lines.append(f"| {group} | {s['cases']} | {s['failed']} | " + " | ".join(pairs) + " |")
    return "\n".join(lines)


def _cell(value: float | None, digits: int) -> str:
    return "failed" if value is None else f"{value:.{digits}f}"


def _write_tables(rows: Sequence[dict[str, Any]], table: str, output: Path) -> None:
    with atomic_path(output / "table.md") as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_path(output / "table.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
