"""The robustness table: what is left of the accuracy when the input is worse than it could be.

The same defects are designed from the input as it is and from each of its degradations
(`cases/ct_flaws.py`). What is judged, and against what:

- The truth is the piece cut from the complete skull as it was, taken to the grid of the degraded
  input: it moves with the head, is averaged with the slices and ends with the view.
- Where the bone threshold is off, the patient's own skull becomes thicker or thinner, by up to half
  a millimetre a side, and a Dice against the skull as it was falls by definition, however good the
  completion. The limit therefore judges against the piece as the same threshold sees it in the
  complete CT: that is what completing an imperfect mask can be asked for. The Dice against the
  piece as it was stands beside it.

A case fails silently where its Dice falls by more than the limit and nothing told the user so: no
refusal in a sentence and no flag.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..cases.ct_flaws import (
    Degradation,
    Landmarks,
    all_degradations,
    changed_ct,
    changed_mask,
    landmarks_of,
)
from ..cases.defects import KINDS, Defect
from ..cases.skull_folder import SkullFile
from ..core.files import atomic_path
from ..core.images import array_of, image_like
from ..core.stages import StageReport, no_report
from ..design import design_implant
from ..errors import DiskError, NoPlaceForDefect, OutOfMemory, SkullImplantError
from ..geometry.shape_statistics import Population
from ..options import DesignOptions
from ..reading.input import Input
from ..skull.automatic_threshold import automatic_threshold_hu
from ..skull.segmentation import SkullOptions, segment_skull
from .evaluation_options import SuiteOptions
from .judging import Trial, keep_row, kept_row
from .metrics import evaluate_implant
from .robustness_table import MOST_FALL, summary_of, table_of
from .suite_cases import CompleteSkull, SuiteCase, complete_skull, suite_cases

# One kind of each sort: across the midline, at the side, anywhere. The orbit is another problem.
ROBUSTNESS_SUITE = SuiteOptions(("bilateral", "parietotemporal", "random_1"), defects=1)


@dataclass(frozen=True)
class _Broken:
    """A complete skull with a defect, and the input that shows it."""

    source: Input
    defect: Defect
    facts: dict[str, Any]


class _Subject:
    """A complete skull or CT, for all its defects and degradations."""

    def __init__(self, complete: CompleteSkull) -> None:
        self.complete = complete
        self.kind = complete.source.kind
        self.landmarks: Landmarks = landmarks_of(complete.mask)
        self._at: dict[float, sitk.Image] = {}

    @cached_property
    def threshold_hu(self) -> float:
        """The automatic bone threshold of the complete CT."""
        return automatic_threshold_hu(self.complete.source.image)

    def skull_at(self, shift_hu: float) -> sitk.Image:
        """Return the complete skull with the bone threshold off by so much."""
        if shift_hu not in self._at:
            options = SkullOptions(self.threshold_hu + shift_hu)
            self._at[shift_hu] = segment_skull(self.complete.source.image, options).mask
        return self._at[shift_hu]


@lru_cache(maxsize=1)
def subject_of(skull: SkullFile, population: Path) -> _Subject:
    """Return the subject in a file; the last one is kept, for the next of its cases."""
    return _Subject(complete_skull(skull, population))


def evaluate_robustness(
    folder: Path,
    trial: Trial,
    suite: SuiteOptions = ROBUSTNESS_SUITE,
    degradations: Sequence[Degradation] | None = None,
    report: StageReport = no_report,
) -> tuple[dict[str, Any], str]:
    """Cut the defects of `suite` into the complete skulls or CTs of `folder`, and design each from
    the input as it is and from each degradation of it, all if not given.

    `trial` says how cases are designed and where rows go. Returns the data of all rows and a
    Markdown table; both are written there too. Every row is kept as a JSON file with all that it
    was made with, the program's code excepted, so that an interrupted run goes on where it stopped
    and what was made otherwise is made anew. Defects without a place on their skull are left out
    and counted. Raises `SkullImplantError` where the folder holds no skull.
    """
    cases = suite_cases([folder], suite, trial.population)
    chosen = all_degradations() if degradations is None else list(degradations)
    (trial.output / "cases").mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    not_made: list[str] = []
    for number, case in enumerate(cases):

        def told(done: float, what: str, before: int = number) -> None:
            report("robustness", (before + done) / len(cases), what)

        try:
            rows += _rows_of(case, trial, chosen, told)
        except NoPlaceForDefect:
            not_made.append(case.name)
    subject_of.cache_clear()
    report("robustness", 1.0, f"{len(rows)} designs")
    rows = _with_falls(rows)
    model = Path(trial.options.model).stem
    table = table_of(rows, trial.options.model, len(not_made))
    data = {"rows": rows, "summary": summary_of(rows), "not_made": not_made}
    for ending, text in (("json", json.dumps(data, indent=1)), ("md", table + "\n")):
        with atomic_path(trial.output / f"robustness-{model}.{ending}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    return data, table


def _rows_of(
    case: SuiteCase,
    trial: Trial,
    degradations: Sequence[Degradation],
    told: Callable[[float, str], None],
) -> list[dict[str, Any]]:
    """Return a case's row for each degradation of its input, from an earlier run where it is kept.

    Raises `NoPlaceForDefect` where the skull offers none for the case's defect.
    """
    subject = subject_of(SkullFile(case.skull, case.path), case.population)
    possible = [each for each in degradations if subject.kind in each.inputs]
    rows: list[dict[str, Any]] = []
    broken: _Broken | None = None
    for step, degradation in enumerate(possible):
        told(step / len(possible), f"{case.name}, {degradation.title}")
        model = Path(trial.options.model).stem
        name = f"{case.name}-seed{case.seed}-{degradation.name}-{model}.json"
        made_with = {**trial.made_with(case), "degradation": degradation.name}
        row = kept_row(trial.output / "cases" / name, made_with)
        if row is None:
            broken = broken or _Broken(*case.cut())
            row = _judge(subject, broken, degradation, trial.options, trial.known_shapes(case))
            keep_row(trial.output / "cases" / name, made_with, row)
        rows.append(row)
    return rows


def _judge(
    subject: _Subject,
    case: _Broken,
    degradation: Degradation,
    options: DesignOptions,
    others: Population,
) -> dict[str, Any]:
    """Return the facts and measures of one row; a refusal is a row with Dice 0 and its sentence."""
    row = {**case.facts, "degradation": degradation.name, "title": degradation.title}
    degraded = _degraded(subject, case, degradation)
    if degraded is None:
        return {**row, "as_is": True}
    source, truth, defective = degraded
    first_truth = None
    if degradation.threshold_hu:
        first_truth = truth
        bone = array_of(subject.skull_at(degradation.threshold_hu)) > 0
        region = array_of(case.defect.region) > 0
        truth = image_like(bone & region, first_truth)
        defective = image_like(bone & ~region, first_truth)
        threshold_hu = subject.threshold_hu + degradation.threshold_hu
        options = replace(options, bone_threshold_hu=threshold_hu)
    start = time.perf_counter()
    try:
        design = design_implant(source, options, population=others)
    except (DiskError, OutOfMemory):
        raise
    except SkullImplantError as error:
        return {**row, "error": str(error), "dice": 0.0, "border_dice_10mm": 0.0}
    seconds = time.perf_counter() - start
    metrics = evaluate_implant(design.implant, truth, defective)
    row |= {k: v if v is None else round(v, 4) for k, v in metrics.as_json().items()}
    if first_truth is not None:
        against = evaluate_implant(design.implant, first_truth, case.defect.defective)
        best = evaluate_implant(truth, first_truth, case.defect.defective)
        row |= {"dice_as_it_was": round(against.dice, 4), "dice_at_best": round(best.dice, 4)}
    return {
        **row,
        "flagged": design.confidence is not None and design.confidence.flagged,
        "notes": list(design.notes),
        "seconds": round(seconds, 1),
    }


def _degraded(
    subject: _Subject, case: _Broken, degradation: Degradation
) -> tuple[Input, sitk.Image, sitk.Image] | None:
    """Return the degraded input, the truth and the defective skull on its grid; None as is."""
    image, masks = case.source.image, [case.defect.implant, case.defect.defective]
    if degradation.spoil:
        name = [*case.facts["skull"].encode(), *degradation.name.encode()]
        numbers = [case.facts["seed"], case.facts["number"], KINDS.index(case.facts["kind"])]
        rng = np.random.default_rng([*numbers, *name])
        image = degradation.spoil(image, masks[0], masks[1], subject.landmarks, rng)
    if degradation.change:
        change_input: Callable[..., sitk.Image | None] = (
            changed_ct if subject.kind == "ct" else changed_mask
        )
        found = [change_input(image, degradation.change, subject.landmarks)]
        found += [changed_mask(m, degradation.change, subject.landmarks) for m in masks]
        if found[0] is None:
            return None
        image, *masks = (each for each in found if each is not None)
    return replace(case.source, image=image), masks[0], masks[1]


def _with_falls(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with their fall of Dice against the same case undegraded, and a verdict."""

    def case_of(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[key] for key in ("skull", "kind", "number"))

    first = {case_of(row): row["dice"] for row in rows if row["degradation"] == "none"}
    judged = []
    for row in rows:
        if not row.get("as_is") and case_of(row) in first:
            fall = first[case_of(row)] - row["dice"]
            told = "error" in row or bool(row.get("flagged"))
            row = {**row, "fall": round(fall, 4), "silent": bool(fall > MOST_FALL and not told)}
        judged.append(row)
    return judged
