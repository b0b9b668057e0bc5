"""The accuracy tables: many cases, each designed from its input like a user's, and measured.

Every case is kept as a JSON file with all that it was made with: an interrupted run goes on where
it stopped, and a case that was made otherwise is made anew.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..cases.defects import KINDS
from ..core.stages import StageReport, no_report
from ..core.threads import processor_count
from ..errors import SkullImplantError
from .case_pictures import write_pictures
from .evaluation_options import RunOptions, SuiteOptions
from .judging import Trial
from .suite_cases import JudgedCase, cohort_cases, complete_skull, suite_cases
from .tables import summary_of, table_of, write_tables
from .workers import run_here, run_in_processes

# Names of files that a run which was ended may leave behind (`core.files.atomic_path`).
LEFT_BEHIND = ".partial-*"

Result = tuple[dict[str, Any], str]


def evaluate_suite(
    folders: Sequence[Path],
    trial: Trial,
    suite: SuiteOptions = SuiteOptions(),
    run: RunOptions = RunOptions(),
    report: StageReport = no_report,
) -> Result:
    """Cut defects into every complete skull or CT of the folders, design, measure.

    `trial` says how cases are designed, and where they, tables and pictures go; cases that are
    there are not made again. Its shape statistics place the defects, and a skull that is in them is
    left out when its own cases are designed.

    Returns the data of all cases and a Markdown table. Raises `SkullImplantError` where there is
    no such skull.
    """
    return evaluate_cases(suite_cases(folders, suite, trial.population), trial, run, report)


def evaluate_cohort(
    folder: Path,
    trial: Trial,
    kinds: Sequence[str] = KINDS,
    run: RunOptions = RunOptions(),
    report: StageReport = no_report,
) -> Result:
    """As `evaluate_suite`, for the cases of a data set in SkullBreak's or SkullFix's layout."""
    return evaluate_cases(cohort_cases(folder, kinds), trial, run, report)


def evaluate_cases(
    cases: Sequence[JudgedCase], trial: Trial, run: RunOptions, report: StageReport = no_report
) -> Result:
    """As `evaluate_suite`, for any cases. Raises `SkullImplantError` where there are none."""
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
        if min(run.jobs, len(missing)) > 1:
            each = max((run.threads or processor_count()) // run.jobs, 1)
            model = trial.options.model
            run_in_processes(missing, trial.run, told, run.jobs, each, model)
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
    if run.pictures:
        written = write_pictures(judged, trial, report)
        data["pictures"] = [path.name for path in written]
    return data, table
