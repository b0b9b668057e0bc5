"""What `skull-implant evaluate` and `skull-implant benchmark` do."""

import argparse
from dataclasses import replace
from pathlib import Path

from ..cases.cohort import is_segthor
from ..cases.defects import KINDS, USUAL_CM2
from ..core.image_files import read_mask
from ..core.images import same_grid
from ..core.stages import StageReport
from ..core.threads import processor_count, use_threads
from ..errors import SkullImplantError
from ..evaluation.evaluation_options import EXACT, CohortOptions, RunOptions, SuiteOptions
from ..evaluation.judging import Trial
from ..evaluation.metrics import Metrics, evaluate_implant
from ..evaluation.robustness import ROBUSTNESS_SUITE, evaluate_robustness
from ..evaluation.shards import read_shard
from ..evaluation.suite import evaluate_cohort, evaluate_suite
from ..evaluation.suite_cases import vault_centre_mm
from ..geometry.shape_statistics import POPULATION_FILE
from ..models import require_torch, uses_torch
from ..options import DEFECT_KINDS, ENGINES
from .benchmark_arguments import memory_options
from .organ_evaluation_command import evaluate_organ_cohort
from .result import Result

RANDOM = "random"


def evaluate(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant evaluate`: one case, a data set in its own layout, or the suite."""
    use_threads(options.threads, uses_torch(options.model))
    chosen = [
        bool(options.implant or options.truth or options.defective),
        bool(options.cohort),
        bool(options.suite),
    ]
    if sum(chosen) != 1:
        raise SkullImplantError(
            "Say what to evaluate: --implant with --truth and --defective, or --cohort, or --suite."
        )
    if chosen[0]:
        return _evaluate_one(options)
    threads = options.threads or processor_count()
    if options.cluster:
        _name_wholly(options)
    run = RunOptions(
        options.jobs or threads,
        options.threads if options.cluster else threads,
        options.pictures,
        read_shard(options.shard) if options.shard else None,
        options.cluster,
    )
    if chosen[1] and is_segthor(options.cohort, options.dataset):
        return evaluate_organ_cohort(options, run, report)
    trial = _trial(options)
    if chosen[1]:
        wanted = CohortOptions(options.dataset, options.part, _kinds_of_cohort(options.kinds))
        return Result(*evaluate_cohort(options.cohort, trial, wanted, run, report))
    suite = _suite(options, KINDS)
    suite = replace(suite, areas_cm2=tuple(options.areas_cm2 or USUAL_CM2))
    return Result(*evaluate_suite(options.suite, trial, suite, run, report))


def _name_wholly(options: argparse.Namespace) -> None:
    """Name files by their whole paths: workers on other machines work in other folders."""
    if options.cohort:
        options.cohort = options.cohort.absolute()
    if options.suite:
        options.suite = [folder.absolute() for folder in options.suite]
    if options.population:
        options.population = options.population.absolute()
    if Path(options.model).is_file():
        options.model = str(Path(options.model).absolute())


def _trial(options: argparse.Namespace) -> Trial:
    """Return how cases are designed, and where they are kept."""
    design = replace(EXACT, model=options.model, device=options.device, engine=options.engine)
    return Trial(options.output, design, options.population or POPULATION_FILE)


def _kinds_of_cohort(kinds: list[str] | None) -> tuple[str, ...] | None:
    """Return the kinds of defects to take; `random` takes all that are random."""
    if kinds is None:
        return None
    random = tuple(kind for kind in KINDS if kind.startswith(RANDOM))
    return tuple(one for kind in kinds for one in (random if kind == RANDOM else (kind,)))


def _suite(options: argparse.Namespace, usual_kinds: tuple[str, ...]) -> SuiteOptions:
    """Return which defects are cut."""
    kinds = tuple("random_1" if k == RANDOM else k for k in options.kinds or usual_kinds)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        raise SkullImplantError(
            f"No defect of the kind {unknown[0]} can be cut; there are {', '.join(DEFECT_KINDS)}."
        )
    skulls = tuple(options.skulls) if options.skulls is not None else None
    return SuiteOptions(kinds, options.defects, options.seed, skulls)


def _evaluate_one(options: argparse.Namespace) -> Result:
    if not (options.implant and options.truth and options.defective):
        raise SkullImplantError("One case needs all of --implant, --truth and --defective.")
    implant, truth, defective = (
        read_mask(path) for path in (options.implant, options.truth, options.defective)
    )
    for path, image in ((options.truth, truth), (options.defective, defective)):
        if not same_grid(implant, image):
            raise SkullImplantError(
                f"{path.name} does not lie on the grid of {options.implant.name}; evaluate masks "
                "of one image."
            )
    centre_mm = vault_centre_mm(defective)
    metrics: Metrics = evaluate_implant(implant, truth, defective, centre_mm)
    data = metrics.as_json()
    lines = (f"{k:<20} {'-' if v is None else format(v, '.4f')}" for k, v in data.items())
    return Result(data, "\n".join(lines))


def benchmark(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant benchmark`: the engines, the networks' memory, or the robustness table."""
    options.output = options.output or Path(options.what)
    if options.what == "robustness":
        return _robustness(options, report)
    require_torch("The benchmark of the engines", remedy=None)
    if options.what == "memory":
        return _memory(options, report)
    return _engines(options)


def _engines(options: argparse.Namespace) -> Result:
    from ..completion.network import choose_device
    from ..evaluation.benchmark_engine import DENSE, benchmark_engines, missing_engines, table_of

    wanted = options.engines or ["sparse"]
    engines = (*(ENGINES if "sparse" in wanted else ()), *([DENSE] if DENSE in wanted else ()))
    rows = benchmark_engines(
        options.threads,
        engines=engines,
        networks=tuple(options.networks or ["ch1"]),
        modes=tuple(options.modes or ["test"]),
        device=choose_device("cpu" if options.device == "auto" else options.device).type,
    )
    missing = [f"\nNot installed, so without a row: {name}." for name in missing_engines(engines)]
    return Result({"rows": rows}, table_of(rows) + "".join(missing))


def _memory(options: argparse.Namespace, report: StageReport) -> Result:
    from ..completion.network import choose_device
    from ..evaluation.benchmark_memory import benchmark_memory

    device = choose_device(options.device).type
    wanted = memory_options(options, device, options.threads or processor_count())
    return Result(*benchmark_memory(options.output, wanted, options.note, report))


def _robustness(options: argparse.Namespace, report: StageReport) -> Result:
    if not options.suite:
        raise SkullImplantError(
            "The robustness benchmark needs --suite, a folder of skulls or CTs."
        )
    use_threads(options.threads, uses_torch(options.model))
    suite = _suite(options, ROBUSTNESS_SUITE.kinds)
    return Result(*evaluate_robustness(options.suite, _trial(options), suite, report=report))
