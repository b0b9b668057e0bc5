"""The accuracy tables: many cases, each designed from its input like a user's, and measured.

Every case is kept as a JSON file with all that it was made with: an interrupted run goes on where
it stopped, and a case that was made otherwise is made anew.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cases.defects import KINDS, USUAL_CM2
from ..core.stages import StageReport, no_report
from ..core.threads import processor_count
from ..design import DesignOptions
from ..errors import SkullImplantError
from ..geometry.shape_statistics import POPULATION_FILE
from ..models import PRIOR
from .case_pictures import write_pictures
from .judging import Trial
from .suite_cases import JudgedCase, cohort_cases, complete_skull, suite_cases
from .tables import summary_of, table_of, write_tables
from .workers import run_here, run_in_processes

# Without clearance, since the truth is the exact complement.
EXACT = DesignOptions(clearance_mm=0.0, model=PRIOR)
DEFECTS = 2  # of each kind in each skull; ten in all
# Names of files that a run which was ended may leave behind (`images.atomic_path`).
LEFT_BEHIND = ".partial-*"

Result = tuple[dict[str, Any], str]


def evaluate_suite(
    folders: Sequence[Path],
    output: Path,
    kinds: Sequence[str] = KINDS,
    defects: int = DEFECTS,
    seed: int = 0,
    skulls: Sequence[str] | None = None,
    options: DesignOptions = EXACT,
    population: Path = POPULATION_FILE,
    jobs: int = 1,
    threads: int | None = None,
    pictures: bool = False,
    areas_cm2: tuple[float, float] = USUAL_CM2,
    report: StageReport = no_report,
) -> Result:
    """Cut `defects` of each kind into every complete skull or CT of the folders, design, measure.

    Args:
        folders: with complete skulls or CTs; `skulls` names those to take, all if not given.
        output: where cases, tables and `pictures` go; cases that are there are not made again.
        population: shape statistics; they place the defects, and a skull that is in them is left
            out when its own cases are designed.
        jobs: cases at a time, each in its own process; 1 runs them in this one.
        threads: of all jobs together; as many as there are cores if not given.
        areas_cm2: the least and the greatest area of a defect.

    Returns the data of all cases and a Markdown table. Raises `SkullImplantError` where there is
    no such skull.
    """
    cases = suite_cases(folders, kinds, defects, seed, skulls, population, areas_cm2)
    trial = Trial(output, options, population)
    return _evaluate(cases, trial, jobs, threads, pictures, report)


def evaluate_cohort(
    folder: Path,
    output: Path,
    kinds: Sequence[str] = KINDS,
    options: DesignOptions = EXACT,
    population: Path = POPULATION_FILE,
    jobs: int = 1,
    threads: int | None = None,
    pictures: bool = False,
    report: StageReport = no_report,
) -> Result:
    """As `evaluate_suite`, for the cases of a data set in SkullBreak's or SkullFix's layout."""
    cases = cohort_cases(folder, kinds)
    trial = Trial(output, options, population)
    return _evaluate(cases, trial, jobs, threads, pictures, report)


def _evaluate(
    cases: Sequence[JudgedCase],
    trial: Trial,
    jobs: int,
    threads: int | None,
    pictures: bool,
    report: StageReport,
) -> Result:
    if not cases:
        raise SkullImplantError("There was no case to evaluate; check the folder and the kinds.")
    folder = trial.output / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    missing = [case for case in cases if trial.kept(case) is None]
    kept = len(cases) - len(missing)

    def told(message: str, done: int) -> None:
        report("evaluation", min((kept + done) / len(cases), 0.999), message)

    told(f"{kept} of {len(cases)} cases are there", 0)
    try:
        if min(jobs, len(missing)) > 1:
            each = max((threads or processor_count()) // jobs, 1)
            model = trial.options.model
            run_in_processes(missing, trial.run, told, jobs, each, model)
        else:
            run_here(missing, trial.run, told)
    finally:
        complete_skull.cache_clear()
        for path in folder.glob(LEFT_BEHIND):
            path.unlink(missing_ok=True)
    judged = [(case, row) for case in cases if (row := trial.kept(case)) is not None]
    rows = [row for _, row in judged]
    table = table_of(rows, trial.options.model)
    write_tables(rows, table, trial.output)
    report("evaluation", 1.0, f"{len(rows)} cases")
    data: dict[str, Any] = {"cases": rows, "summary": summary_of(rows)}
    if pictures:
        written = write_pictures(judged, trial, report)
        data["pictures"] = [path.name for path in written]
    return data, table
