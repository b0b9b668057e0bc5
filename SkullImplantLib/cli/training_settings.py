"""What all trainings take from the command line: the options that were given, and threads."""

import argparse
from dataclasses import fields
from typing import Any

from ..core.threads import processor_count, use_threads
from ..core.torchrun import launched
from ..training.configuration import read_configuration
from ..training.training_options import TrainOptions


def given_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what of `TrainOptions` the configuration file says, or the command line, which goes
    before it.

    The parser leaves out what was not given, so that a file is not overruled by defaults.
    """
    settings = read_configuration(options.configuration) if options.configuration else {}
    for field in fields(TrainOptions):
        if hasattr(options, field.name):
            value = getattr(options, field.name)
            settings[field.name] = tuple(value) if isinstance(value, list) else value
    return settings


def share_threads(options: argparse.Namespace) -> None:
    """Let PyTorch use the threads that are asked for, or this process's fair share of them."""
    place = launched()
    # Processes on one machine have its cores together; torchrun lets each use one.
    fair = max(1, processor_count() // place.local_count) if place else None
    use_threads(options.threads or fair, torch=True)
