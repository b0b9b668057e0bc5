"""The accuracy tables: many cases, each designed from its input like a user's, and measured.

Every case is kept as a JSON file with all that it was made with: an interrupted run goes on where
it stopped, and a case that was made otherwise is made anew.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ..cases.cohort import read_cohort
from ..core.stages import StageReport, no_report
from ..core.threads import processor_count
from ..errors import SkullImplantError
from .case_pictures import write_pictures
from .cluster import run_on_cluster
from .cohort_table import cohort_statistics, cohort_table
from .evaluation_options import CohortOptions, RunOptions, SuiteOptions
from .growing_tables import GrowingTables, ToldCases
from .judge import AnyCase, Judge
from .judging import Trial
from .published_rows import published_rows
from .suite_cases import cohort_cases, complete_skull, suite_cases
from .tables import summary_of, table_of
from .workers import run_here, run_in_processes

# Names of files that a run which was ended may leave behind (`core.files.atomic_path`); where
# others write into the same folder, only those that nobody can still be writing are removed.
LEFT_BEHIND = ".partial-*"
LONG_AGO_S = 3600.0

Result = tuple[dict[str, Any], str]
Row = dict[str, Any]


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
    left out when its own cases are designed. The tables are written anew after every case.

    Returns the data of all cases and a Markdown table. Raises `SkullImplantError` where there is
    no such skull.
    """
    return evaluate_cases(suite_cases(folders, suite, trial.population), trial, run, report)


def evaluate_cohort(
    folder: Path,
    trial: Trial,
    options: CohortOptions = CohortOptions(),
    run: RunOptions = RunOptions(),
    report: StageReport = no_report,
) -> Result:
    """As `evaluate_suite`, for the cases of a public data set in its own layout.

    The table is the one that the data set is published with (`cohort_table`), and the data has
    `data_set`, `notes`, its statistics as `published_table`, and what others `published`. Cases
    without truth are designed and not judged. Raises `SkullImplantError` where there is no data set
    that is known, or no such case.
    """
    cohort = read_cohort(folder, options.data_set)
    chosen, left_out = cohort.chosen(options.part, options.kinds)
    parts = sorted({one.part for one in chosen if one.part})
    skulls = len({one.skull for one in chosen})
    told = f"{', '.join(parts) or 'all'}: {len(chosen)} cases of {skulls} skulls."
    how = "as it was called" if options.data_set else "told by its file names"
    report("evaluation", 0.0, f"{cohort.data_set.title}, {how}; {told}")
    notes = (f"Part {told}", *left_out)
    table = partial(cohort_table, cohort=cohort, model=trial.options.model, notes=notes)
    data, text = evaluate_cases(cohort_cases(chosen), trial, run, report, table)
    data["data_set"], data["notes"] = cohort.data_set.key, list(notes)
    data["published_table"] = cohort_statistics(data["cases"])
    data["published"] = [asdict(row) for row in published_rows(cohort.data_set.key)]
    return data, text


def evaluate_cases(
    cases: Sequence[AnyCase],
    trial: Judge[AnyCase],
    run: RunOptions,
    report: StageReport = no_report,
    table: Callable[[Sequence[Row]], str] | None = None,
    summary: Callable[[Sequence[Row]], Any] = summary_of,
) -> Result:
    """As `evaluate_suite`, for any cases; `table` makes the table of their rows, and `summary` what
    the data says of them together.

    With a shard (`run`) only its cases are made, and the tables are of all that are there. Raises
    `SkullImplantError` where there are none.
    """
    if not cases:
        raise SkullImplantError("There was no case to evaluate; check the folder and the kinds.")
    folder = trial.output / "cases"
    folder.mkdir(parents=True, exist_ok=True)
    own = cases if run.shard is None else run.shard.of(cases)
    missing = [case for case in own if not _is_done(trial, case)]
    tables = GrowingTables(cases, trial, table or partial(table_of, model=trial.model))
    told = ToldCases(tables, len(own) - len(missing), len(missing), report)
    told(f"{len(own) - len(missing)} of {len(own)} cases are there", 0)
    try:
        if run.cluster is not None and missing:
            run_on_cluster(missing, trial, told, run.cluster, run.threads)
        elif min(run.jobs, len(missing)) > 1:
            each = max((run.threads or processor_count()) // run.jobs, 1)
            run_in_processes(missing, trial.run, told, run.jobs, each, trial.model)
        else:
            run_here(missing, trial.run, told)
    finally:
        complete_skull.cache_clear()
        alone = run.shard is None and run.cluster is None and bool(missing)
        _remove_partial(folder, 0.0 if alone else LONG_AGO_S)
    tables.write()
    judged = tables.judged()
    rows = [row for _, row in judged]
    report("evaluation", 1.0, f"{len(rows)} of {len(cases)} cases")
    data: dict[str, Any] = {"cases": rows, "summary": summary(rows)}
    if len(rows) < len(cases):
        data["to_come"] = len(cases) - len(rows)
    if run.pictures and isinstance(trial, Trial):
        written = write_pictures(judged, trial, report)
        data["pictures"] = [path.name for path in written]
    return data, tables.text()


def _is_done(trial: Judge[AnyCase], case: AnyCase) -> bool:
    """Say whether a case need not be made: what could not be read is tried again."""
    row = trial.kept(case)
    return row is not None and "not_read" not in row


def _remove_partial(folder: Path, least_age_s: float) -> None:
    now = time.time()
    for path in folder.glob(LEFT_BEHIND):
        with suppress(FileNotFoundError):
            if now - path.stat().st_mtime >= least_age_s:
                path.unlink()
