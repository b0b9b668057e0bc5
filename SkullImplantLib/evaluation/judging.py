"""One case designed as a user's, and measured; kept as a file that says what it was made with."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from .. import __version__
from ..completion.complete import find_weights
from ..completion.trust import judged_by, shipped_trials
from ..core.checksums import sha256_of
from ..core.files import atomic_path
from ..core.images import array_of, bounding_box, crop, write_image
from ..core.kept_json import read_json
from ..core.stages import StageReport, no_report
from ..design import design_implant
from ..designing.proposal import Design
from ..errors import DiskError, NoPlaceForDefect, OutOfMemory, Remedy, SkullImplantError
from ..geometry.shape_statistics import (
    POPULATION_FILE,
    Population,
    read_population,
    same_skull,
)
from ..models import chosen_model
from ..options import DesignOptions
from .evaluation_options import EXACT
from .metrics import evaluate_implant
from .suite_cases import CaseInput, JudgedCase

# Rows hold this many digits after the point.
DIGITS = 4
# The overlaps of a case for which nothing was designed are 0.
NOTHING_MADE = ("dice", "border_dice_10mm", "border_dice_10vox", "coverage_2mm")
# Letters of the code's fingerprint that a row shows.
CODE_LETTERS = 12


@dataclass(frozen=True)
class Trial:
    """How the cases of one run are designed, and where they are kept.

    `population`: the file with the shape statistics, from which each case's own skull is left out.
    """

    output: Path
    options: DesignOptions = EXACT
    population: Path = POPULATION_FILE

    def __post_init__(self) -> None:
        # A table names the model that was really used.
        model = chosen_model(self.options.model)
        object.__setattr__(self, "options", replace(self.options, model=model))

    @property
    def model(self) -> str:
        """What completes the skulls, by name or file."""
        return self.options.model

    def made_with(self, case: JudgedCase) -> dict[str, Any]:
        """Return all that the case's row depends on, the library's code excepted, and what is
        judged anew from its features whenever it is read.
        """
        # As rows have them that were kept on disk: lists for tuples.
        options = json.loads(json.dumps(asdict(self.options)))
        options["model"] = Path(self.options.model).stem
        return {
            "version": __version__,
            "options": options,
            "model_sha256": _model_sha256(self.options.model),
            "population_sha256": _file_sha256(self.population),
            "most_departure": shipped_trials(networked=True).most_departure,
            "left_out_of_population": list(self._left_out(case)),
            **case.identity(),
        }

    def known_shapes(self, case: JudgedCase) -> Population:
        """Return the population less the case's own skull."""
        return _population_without(self.population, self._left_out(case))

    def _left_out(self, case: JudgedCase) -> tuple[str, ...]:
        """Return the names of the population that mean the case's skull."""
        return read_population(self.population).skulls_like(case.skull)

    def result_path(self, case: JudgedCase) -> Path:
        """Return where the case's row is kept."""
        return self._path(case, ".json")

    def implant_path(self, case: JudgedCase) -> Path:
        """Return where the case's implant is kept, cut to its box."""
        return self._path(case, ".implant.nrrd")

    def _path(self, case: JudgedCase, ending: str) -> Path:
        return self.output / "cases" / f"{case.name}-{Path(self.options.model).stem}{ending}"

    def kept(self, case: JudgedCase) -> dict[str, Any] | None:
        """Return the case's row from an earlier run; None where it was made with anything else."""
        row = kept_row(self.result_path(case), self.made_with(case))
        if row is None:
            return None
        designed = "error" not in row and ("dice" in row or "no_truth" in row)
        return None if designed and not self.implant_path(case).exists() else row

    def run(self, case: JudgedCase, report: StageReport = no_report) -> None:
        """Design for the case, measure, and keep row and implant: cut to its box, or on the whole
        grid where others are to judge it.

        A case that cannot be read is kept as `not_read`, with the reason.
        """
        try:
            made = case.load()
        except (DiskError, OutOfMemory):
            raise
        except SkullImplantError as error:
            why = "not_made" if isinstance(error, NoPlaceForDefect) else "not_read"
            self._keep(case, {**case.facts, why: str(error)})
            return
        row, implant = self.judged(case, made, report)
        if implant is not None and made.truth is None:
            write_image(implant, self.implant_path(case))
        elif implant is not None:
            box = bounding_box(array_of(implant), 1) if array_of(implant).any() else None
            write_image(crop(implant, box) if box else implant, self.implant_path(case))
        self._keep(case, row)

    def judged(
        self, case: JudgedCase, made: CaseInput, report: StageReport
    ) -> tuple[dict[str, Any], sitk.Image | None]:
        """Return the row of a case that was loaded, and the implant that was designed for it."""
        return judge(made, self.options, self.known_shapes(case), report)

    def _keep(self, case: JudgedCase, row: dict[str, Any]) -> None:
        row = {**row, "code": code_fingerprint()}
        if any(same_skull(name, case.skull) for name in _skulls_of(self.options.model)):
            row["seen_in_training"] = True
        keep_row(self.result_path(case), self.made_with(case), row)


def kept_row(path: Path, made_with: dict[str, Any]) -> dict[str, Any] | None:
    """Return the row of an earlier run; None where there is none or it was made otherwise.

    What the design says of itself is judged anew, by the trials at hand.
    """
    try:
        stored = read_json(path)
        row = dict(stored["row"])
        if stored["made_with"] != made_with:
            return None
        return (
            {**row, **_judged(row["features"], row["model_source"])} if "features" in row else row
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_row(path: Path, made_with: dict[str, Any], row: dict[str, Any]) -> None:
    """Write a row with all that it was made with, whole or not at all."""
    with atomic_path(path) as temporary:
        stored = {"made_with": made_with, "row": row}
        temporary.write_text(json.dumps(stored, indent=1), encoding="utf-8")


def judge(
    case: CaseInput,
    options: DesignOptions,
    population: Population | None = None,
    report: StageReport = no_report,
) -> tuple[dict[str, Any], sitk.Image | None]:
    """Return facts and measures of one case, and the implant's mask.

    A case for which the tool refuses to design has the overlaps 0, the refusal as `error`, and no
    implant. One without truth has no measures, and `no_truth`. Raises `DiskError` and
    `OutOfMemory`, which tell of the computer and not of the case.
    """
    start = time.perf_counter()
    try:
        design = design_implant(case.source, options, report, population=population)
    except (DiskError, OutOfMemory):
        raise
    except SkullImplantError as error:
        refused = {**case.facts, "error": str(error)}
        if case.truth is None:
            return {**refused, "no_truth": True}, None
        return {**refused, **dict.fromkeys(NOTHING_MADE, 0.0)}, None
    seconds = time.perf_counter() - start
    implant = design.implant
    measured: dict[str, Any] = {"no_truth": True}
    if case.truth is not None:
        numbers = evaluate_implant(implant, case.truth, case.defective, case.centre_mm).as_json()
        measured = {k: v if v is None else round(v, DIGITS) for k, v in numbers.items()}
    peaks = [r.peak_memory_gib for r in design.stages.records if r.peak_memory_gib is not None]
    row = {
        **case.facts,
        **measured,
        **_told_by(design),
        "seconds": round(seconds, 1),
        "peak_memory_gib": max(peaks, default=None),
        "checks_failed": [check.name for check in design.checks if not check.passed],
    }
    return row, implant


def _told_by(design: Design) -> dict[str, Any]:
    """Return what the design says of itself: its source, and whether it flags itself and why."""
    confidence, source = design.confidence, design.model.source
    assert confidence is not None and source is not None  # only an edited design does not know
    features = {name: round(v, DIGITS) for name, v in confidence.features.items()}
    return {
        "model": design.model.name,
        "model_source": source,
        **_judged(features, source),
        "features": features,
    }


def _judged(features: dict[str, float], source: str) -> dict[str, Any]:
    """Return whether a design with these features flags itself, why, and its expected error."""
    confidence = judged_by(features, source)
    return {
        "flagged": confidence.flagged,
        "expected_hd95_mm": round(confidence.expected_hd95_mm, 2),
        "reasons": list(confidence.reasons),
    }


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """Return a fingerprint of the library's code: rows of two fingerprints may differ by it."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:CODE_LETTERS]


@lru_cache(maxsize=4)
def _model_sha256(model: str) -> str | None:
    weights = find_weights(model)
    return weights.sha256 if weights else None


@lru_cache(maxsize=4)
def _skulls_of(model: str) -> tuple[str, ...]:
    """Return the skulls that a network's weights were trained on or chosen by, where they say."""
    weights = find_weights(model)
    return weights.skulls() if weights else ()


@lru_cache(maxsize=4)
def _file_sha256(path: Path) -> str:
    if not path.is_file():
        raise SkullImplantError(f"{path} does not exist.", Remedy.OTHER_POPULATION)
    return sha256_of(path)


@lru_cache(maxsize=1)
def _population_without(path: Path, names: Sequence[str]) -> Population:
    """Return the population less those skulls; kept, since what is worked out of it is kept too."""
    return read_population(path).without(names)
