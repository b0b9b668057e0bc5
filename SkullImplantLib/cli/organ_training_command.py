"""What `skull-implant train` does with chests: the two networks of organs, one after the other."""

import argparse
import time
from dataclasses import replace

from ..cases.data_sets import DATA_SETS, SEGTHOR
from ..cases.segthor import chests_to_learn_from
from ..core.progress import part
from ..core.stages import StageReport
from ..errors import SkullImplantError
from ..models import require_torch
from ..training.configuration import write_configuration
from ..training.organ_options import organ_configuration, organ_options
from ..training.training_options import ORGAN_NETWORKS
from .result import Result, stage_of
from .training_settings import given_options, share_threads

PREPARED = 0.1  # the share of the progress after which subjects are prepared


def train_organ_networks(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant train --cohort` on SegTHOR: weights for organs, each with its model card.

    Without `--network` both are trained, each in a folder of its task's name in the output.
    """
    if options.skulls:
        raise SkullImplantError("Chests and skulls train different networks; name one of them.")
    given = given_options(options)
    wanted = [given["network"]] if "network" in given else list(ORGAN_NETWORKS)
    settings = {ORGAN_NETWORKS[name]: organ_options(ORGAN_NETWORKS[name], given) for name in wanted}
    if options.write_configuration:
        task, its = next(iter(settings.items()))
        if len(settings) > 1:
            raise SkullImplantError(
                f"Each network has a configuration of its own; choose one: --network {wanted[0]}."
            )
        write_configuration(options.write_configuration, organ_configuration(task, its))
        named = {"configuration": str(options.write_configuration)}
        return Result(named, f"The options are in {options.write_configuration}; nothing trained.")
    require_torch("Training", remedy=None)
    from ..completion.network import choose_device
    from ..training.organ_subjects import patients_split
    from ..training.organ_tasks import TASKS
    from ..training.parallel import joined
    from ..training.train_organs import train_organs

    share_threads(options)
    chests = chests_to_learn_from(options.cohort)
    data_set = DATA_SETS[SEGTHOR]
    terms = f"{data_set.title}: {data_set.source}; {data_set.terms}."
    device = choose_device(given.get("device", "auto")).type
    start, paths = time.monotonic(), {}
    with joined(device) as processes:
        for number, (task, its) in enumerate(settings.items()):
            its = replace(its, device=device, provenance=its.provenance or terms)
            folder = options.output if len(settings) == 1 else options.output / task
            subjects = patients_split(chests, its.validation_share, its.seed, its.leave_out)
            bounds = number / len(settings), (number + 1) / len(settings)
            progress = part(stage_of(report, "training"), *bounds)
            processes.own(its.batch)  # before anything is prepared
            learner = TASKS[task](
                its,
                subjects,
                options.cases or options.output / "cases",
                part(progress, 0.0, PREPARED),
                processes,
            )
            paths[task] = train_organs(
                learner, folder, its, part(progress, PREPARED, 1.0), processes, options.resume
            )
    minutes = round((time.monotonic() - start) / 60.0, 1)
    data = {
        "weights": {task: str(path) for task, path in paths.items()},
        "minutes": minutes,
        "trained_on": [one.name for one in subjects.learnt],
        "validated_on": [one.name for one in subjects.held_back],
    }
    return Result(
        data,
        f"Weights, model cards and logs are in {options.output} ({minutes} minutes; "
        f"{len(subjects.learnt)} patients learnt from, {len(subjects.held_back)} held back).",
    )
