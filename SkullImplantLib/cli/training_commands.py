"""What `skull-implant train` does."""

import argparse
import time
from dataclasses import replace

from ..cases.cohort import is_segthor, read_cohort, skulls_to_learn_from
from ..cases.skull_folder import SkullFile
from ..core.stages import StageReport
from ..errors import SkullImplantError
from ..models import require_torch
from ..training.configuration import write_configuration
from ..training.training_options import (
    ORGAN_NETWORKS,
    SUPERRES_NETWORKS,
    TrainOptions,
    resolved,
)
from .organ_training_command import train_organ_networks
from .result import Result, stage_of
from .training_settings import given_options, share_threads


def train_network(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant train`: folders of skulls to weights and their model card.

    As one of several processes that `torchrun` started, too.
    """
    if _of_organs(options):
        return train_organ_networks(options, report)
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

    share_threads(options)
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


def _of_organs(options: argparse.Namespace) -> bool:
    """Say whether the networks of organs are asked for: by name, or by a cohort of chests.

    Raises `SkullImplantError` where a network of organs is asked for and no chests are named, or
    chests and another network.
    """
    network = given_options(options).get("network")
    chests = bool(options.cohort) and is_segthor(options.cohort, options.dataset)
    if network in ORGAN_NETWORKS and not chests:
        raise SkullImplantError(
            "Organs are learnt from chests; name a folder in SegTHOR's layout with --cohort."
        )
    if chests and network not in (None, *ORGAN_NETWORKS):
        raise SkullImplantError(
            f"Chests do not train the network {network}; choose {' or '.join(ORGAN_NETWORKS)}, or "
            "none for both."
        )
    return chests


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
    """Return the defaults, changed by the configuration file, changed by the command line."""
    return TrainOptions(**({"device": "auto"} | given_options(options)))
