"""What `skull-implant organs` does."""

import argparse
from pathlib import Path
from typing import Any

from .. import __version__
from ..core.image_files import read_labels
from ..core.progress import part
from ..core.stages import ALMOST, StageReport, Stages
from ..core.staging import staged_folder
from ..core.threads import use_threads
from ..core.working_axes import as_working, on_working_axes
from ..export.organs_result import ORGAN_FILES, write_organs
from ..export.renders import try_rendering
from ..models import ORGANS_COARSE, ORGANS_FINE, require_torch
from ..reading.input import read_input
from .result import Result, stage_of


def organs(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant organs`: a CT of the chest to its organs."""
    require_torch("The segmentation of organs", remedy=None)
    from ..completion.network import NetworkPlace, choose_device
    from ..networks.weights import weights_beside
    from ..organs.segmented_organs import segment_organs

    use_threads(options.threads, torch=True)
    choose_device(options.device)
    dense = None if options.coarse else weights_beside(options.dense, ORGANS_COARSE)
    fine = weights_beside(options.model, ORGANS_FINE)
    given = as_working(read_labels(options.coarse)) if options.coarse else None
    try_rendering()
    progress = stage_of(report, "reading")
    source = read_input(
        options.input, "ct", options.series, part(progress, 0.0, ALMOST), whole=False
    )
    progress(1.0, source.description)
    ct, own = on_working_axes(source.image)
    stages = Stages(report)
    where = NetworkPlace(options.device, options.engine)
    with staged_folder(options.output, ORGAN_FILES) as folder:
        found = segment_organs(ct, dense, fine, stages, where, given)
        told = {
            "version": __version__,
            "input": {"sha256": source.sha256, "size": list(source.image.GetSize())},
            "models": {
                name: {"name": Path(asked).stem, "sha256": weights.sha256}
                for name, asked, weights in (
                    ("dense", options.dense, dense),
                    ("sparse", options.model, fine),
                )
                if weights is not None
            },
            "device": found.ran_on,
            "notes": list(source.notes),
            "stages": stages.as_list(),
        }
        with stages.stage("export") as progress:
            written = write_organs(ct, found, own, told, folder, progress)
    return Result(written, _told(written, options.output))


def _told(told: dict[str, Any], folder: Path) -> str:
    lines = [
        f"{organ['name']}: {organ['volume_cm3']:.1f} cm³, {organ['occupancy_percent']:.2f} % of "
        "the voxels."
        for organ in told["organs"]
    ]
    return "\n".join([*lines, f"Written to {folder}.", *(f"Note: {n}" for n in told["notes"])])
