"""What `skull-implant evaluate --cohort` does with chests: the table of their organs."""

import argparse
from dataclasses import replace
from pathlib import Path

from ..core.resources import RESOURCES
from ..core.stages import StageReport
from ..core.threads import use_threads
from ..errors import SkullImplantError
from ..evaluation.evaluation_options import RunOptions
from ..evaluation.organ_cohort import evaluate_organs
from ..evaluation.organ_trial import OrganTrial
from ..models import DEFAULT_MODEL, ORGANS_COARSE, ORGANS_FINE, require_torch, torch_version
from .result import Result


def evaluate_organ_cohort(
    options: argparse.Namespace, run: RunOptions, report: StageReport
) -> Result:
    """`skull-implant evaluate --cohort` on SegTHOR: both steps of organ segmentation, measured."""
    if options.kinds or options.pictures or options.population:
        raise SkullImplantError(
            "Chests have no defects; leave --kinds, --pictures and --population out."
        )
    if options.model != DEFAULT_MODEL:
        raise SkullImplantError(
            "Organs have two networks; give --organs-segmentation and --organs-superres."
        )
    networks = (
        options.organs_segmentation or _shipped(ORGANS_COARSE),
        options.organs_superres or _shipped(ORGANS_FINE),
    )
    if any(networks):
        require_torch("A network of organs", remedy=None)
    use_threads(options.threads, any(networks))
    # A chest takes a few GB; several at a time only where that is asked for.
    run = replace(run, jobs=options.jobs or 1)
    if options.cluster:
        dense, fine = (path and path.absolute() for path in networks)
        networks = (dense, fine)
    trial = OrganTrial(options.output, *networks, device=options.device)
    return Result(*evaluate_organs(options.cohort, trial, options.part, run, report))


def _shipped(name: str) -> Path | None:
    """Return weights that come with the program, where they do and PyTorch is there."""
    path = RESOURCES / f"{name}.npz"
    return path if path.exists() and torch_version() else None
