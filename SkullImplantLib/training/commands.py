"""What `skull-implant train` does."""

import argparse
import time

from ..commands import Result, stage_of, use_threads
from ..models import require_torch
from ..stages import StageReport
from .cohort import skulls_in
from .options import TrainOptions


def train_network(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant train`: a folder of skulls to weights and their model card."""
    require_torch("Training", otherwise="")
    from ..completion import choose_device
    from .train import train

    use_threads(options.threads, options.network)
    names = TrainOptions.__dataclass_fields__
    settings = {name: getattr(options, name) for name in names if hasattr(options, name)}
    settings["channels"] = tuple(options.channels)
    settings["device"] = choose_device(options.device).type
    start = time.monotonic()
    path = train(
        skulls_in(options.skulls),
        options.output,
        TrainOptions(**settings),
        options.resume,
        stage_of(report, "training"),
    )
    minutes = round((time.monotonic() - start) / 60.0, 1)
    data = {"weights": str(path), "minutes": minutes}
    return Result(data, f"Weights, model card and log are in {options.output} ({minutes} minutes).")
