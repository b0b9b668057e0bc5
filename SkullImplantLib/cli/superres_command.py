"""What `skull-implant superres` does."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import __version__
from ..core.finer_grid import by, finer_grid
from ..core.images import array_of, voxel_volume_mm3
from ..core.stages import StageReport, Stages
from ..core.staging import staged_folder
from ..core.threads import use_threads
from ..core.working_axes import on_working_axes
from ..export.superres_result import SUPERRES_FILES, write_superres
from ..models import SUPERRES, require_torch
from ..skull.segmentation import SkullOptions, segment_skull
from .commands import read_source
from .result import Result


def superres(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant superres`: a coarse mask to a fine one."""
    require_torch("Super-resolution", remedy=None)
    from ..completion.network import NetworkPlace, choose_device
    from ..completion.super_resolution import network_of, super_resolve
    from ..networks.weights import weights_beside

    use_threads(options.threads, torch=True)
    weights = weights_beside(options.model, SUPERRES)
    network_of(weights)
    choose_device(options.device)
    source = read_source(options, report)
    image, own = on_working_axes(source.image)
    finer_grid(image, options.to_mm)
    stages = Stages(report)
    mask = image
    if source.kind == "ct":
        with stages.stage("skull") as progress:
            threshold = SkullOptions(bone_threshold_hu=options.bone_threshold)
            mask = segment_skull(image, threshold, progress).mask
    where = NetworkPlace(options.device, options.engine)
    with staged_folder(options.output, SUPERRES_FILES) as folder:
        with stages.stage("super-resolution") as progress:
            fine = super_resolve(mask, options.to_mm, weights, where, progress)
        mask, refined = own.hand_back(mask), own.hand_back(fine.mask)
        told = {
            "version": __version__,
            "input": {"sha256": source.sha256, "kind": source.kind, **_grid(mask)},
            "output": _grid(refined),
            "model": {"name": Path(options.model).stem, "sha256": weights.sha256},
            "device": fine.device,
            "notes": [*source.notes, *fine.notes],
            "stages": stages.as_list(),
        }
        write_superres(mask, refined, told, folder)
    return Result(told, _told(told, options.output))


def _grid(mask: sitk.Image) -> dict[str, Any]:
    """Return what is told of a mask: its grid, and how much bone it holds."""
    volume_mm3 = np.count_nonzero(array_of(mask)) * voxel_volume_mm3(mask)
    return {
        "size": list(mask.GetSize()),
        "spacing_mm": [round(side, 4) for side in mask.GetSpacing()],
        "bone_cm3": round(float(volume_mm3) / 1000.0, 1),
    }


def _told(told: dict[str, Any], folder: Path) -> str:
    before, after = (
        "{} voxels of {} mm".format(*(by(grid[key]) for key in ("size", "spacing_mm")))
        for grid in (told["input"], told["output"])
    )
    seconds = sum(stage["seconds"] for stage in told["stages"])
    lines = [
        f"{before} became {after}; bone {told['input']['bone_cm3']} and now "
        f"{told['output']['bone_cm3']} cm³; {seconds:.0f} s; written to {folder}.",
        *(f"Note: {note}" for note in told["notes"]),
    ]
    return "\n".join(lines)
