"""What `skull-implant train` does."""

import argparse
import time
from dataclasses import fields, replace
from typing import Any

from ..cases.cohort import read_cohort, skulls_to_learn_from
from ..cases.skull_folder import SkullFile
from ..core.stages import StageReport
from ..core.threads import processor_count, use_threads
from ..core.torchrun import launched
from ..errors import SkullImplantError
from ..models import require_torch
from ..training.configuration import read_configuration, write_configuration
from ..training.training_options import SUPERRES_NETWORKS, TrainOptions, resolved
from .result import Result, stage_of


def train_network(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant train`: folders of skulls to weights and their model card.

    As one of several processes that `torchrun` started, too.
    """
    settings = chosen(options)
    if options.write_configuration:
        write_configuration(options.write_configuration, resolved(settings))
        named = {"configuration": str(options.write_configuration)}
        return Result(named, f"The options are in {options.write_configuration}; nothing trained.")
    require_torch("Training", remedy=None)
    from ..completion.network import choose_device
    from ..training.parallel import joined
    from ..training.train import train
    from ..training.train_superres import train_superres

    place = launched()
    # Processes on one machine have its cores together; torchrun lets each use one.
    fair = max(1, processor_count() // place.local_count) if place else None
    use_threads(options.threads or fair, torch=True)
    start = time.monotonic()
    learn = train_superres if settings.network in SUPERRES_NETWORKS else train
    skulls, terms = _skulls(options)
    device = choose_device(settings.device).type
    with joined(device) as processes:
        path = learn(
            skulls,
            options.output,
            replace(settings, device=device, provenance=settings.provenance or terms),
            options.resume,
            options.cases,
            stage_of(report, "training"),
            processes,
        )
    minutes = round((time.monotonic() - start) / 60.0, 1)
    data = {"weights": str(path), "minutes": minutes}
    return Result(data, f"Weights, model card and log are in {options.output} ({minutes} minutes).")


def _skulls(options: argparse.Namespace) -> tuple[list[SkullFile], str]:
    """Return the skulls to learn from, and the terms of the data sets among them.

    Raises `SkullImplantError` where none are named.
    """
    if not options.skulls and not options.cohort:
        raise SkullImplantError(
            "Say what to learn from: folders of complete skulls, or --cohort with a data set."
        )
    named = [read_cohort(options.cohort, options.dataset)] if options.cohort else []
    skulls, data_sets = skulls_to_learn_from(options.skulls, named)
    terms = [f"{one.title}: {one.source}; {one.terms}." for one in dict.fromkeys(data_sets)]
    return skulls, " ".join(terms)


def chosen(options: argparse.Namespace) -> TrainOptions:
    """Return the defaults, changed by the configuration file, changed by the command line.

    The parser leaves out what was not given, so that a file is not overruled by defaults.
    """
    settings: dict[str, Any] = {"device": "auto"}
    if options.configuration:
        settings |= read_configuration(options.configuration)
    for field in fields(TrainOptions):
        if hasattr(options, field.name):
            value = getattr(options, field.name)
            settings[field.name] = tuple(value) if isinstance(value, list) else value
    return TrainOptions(**settings)
