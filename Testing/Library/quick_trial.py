"""Cases designed in no time: everything of an evaluation but the design itself, in any process.

    python Testing/Library/quick_trial.py COHORT OUTPUT I/N

runs a share of a data set, as `skull-implant evaluate --shard` does.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from SkullImplantLib.core.images import array_of, image_like
from SkullImplantLib.core.stages import StageReport
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.evaluation_options import RunOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.metrics import evaluate_implant
from SkullImplantLib.evaluation.shards import read_shard
from SkullImplantLib.evaluation.suite import evaluate_cohort
from SkullImplantLib.evaluation.suite_cases import CaseInput, JudgedCase

SECONDS = 0.4  # a case takes at least so long, in which its process can be ended


@dataclass(frozen=True)
class QuickTrial(Trial):
    """Takes the truth, moved by a voxel, for the implant; of random_2 it refuses to design."""

    def judged(
        self, case: JudgedCase, made: CaseInput, report: StageReport
    ) -> tuple[dict[str, Any], sitk.Image | None]:
        report("implant", 0.5)
        time.sleep(SECONDS)
        where = {"seconds": time.time(), "peak_memory_gib": os.getpid() / 1e6}
        if made.facts["kind"] == "random_2":
            overlaps = dict.fromkeys(("dice", "border_dice_10mm", "border_dice_10vox"), 0.0)
            return {**made.facts, "error": "No defect was found; look.", **overlaps}, None
        if made.truth is None:
            return {**made.facts, "no_truth": True, **where}, made.source.image
        implant = image_like(np.roll(array_of(made.truth), 1, axis=2), made.truth)
        numbers = evaluate_implant(implant, made.truth, made.defective).as_json()
        return {**made.facts, **numbers, **where, "checks_failed": [], "reasons": []}, implant


class DeadlyTrial(QuickTrial):
    """Ends the process that runs it, as the system does where memory runs out."""

    def judged(
        self, case: JudgedCase, made: CaseInput, report: StageReport
    ) -> tuple[dict[str, Any], sitk.Image | None]:
        os._exit(9)


def write_head(path: Path, hole: int | None, what: str) -> None:
    """Write a hollow ball of 60 mm, the same with a hole (one of 8), or what fills the hole."""
    grid = sitk.Image(33, 33, 33, sitk.sitkUInt8)
    grid.SetSpacing((4.0, 4.0, 5.0))
    z, y, x = np.indices((33, 33, 33)) - 16
    from_middle_mm = np.sqrt((4.0 * x) ** 2 + (4.0 * y) ** 2 + (5.0 * z) ** 2)
    bone = (from_middle_mm > 44) & (from_middle_mm < 56)
    if hole is not None:
        turn = hole * np.pi / 4
        open_here = (np.cos(turn) * x + np.sin(turn) * y > 0.6 * np.hypot(x, y)) & (z > 1)
        bone &= ~open_here if what == "defective" else open_here
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image_like(bone, grid), str(path), useCompression=True)


def lay_out_heads(folder: Path, kinds: tuple[str, ...], skulls: int = 3) -> Path:
    """Lay out a SkullBreak of such heads, each defect another one."""
    for number in range(skulls):
        name = f"{number:03d}.nrrd"
        write_head(folder / "test" / "complete_skull" / name, None, "complete")
        for place, kind in enumerate(kinds):
            for what, where in (("defective", "defective_skull"), ("implant", "implant")):
                write_head(folder / "test" / where / kind / name, number + 3 * place, what)
    return folder


def main(cohort: str, output: str, share: str) -> int:
    try:
        run = RunOptions(shard=read_shard(share))
        data, _ = evaluate_cohort(Path(cohort), QuickTrial(Path(output)), run=run)
    except SkullImplantError as error:
        print(error, file=sys.stderr)
        return 2
    print(len(data["cases"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
