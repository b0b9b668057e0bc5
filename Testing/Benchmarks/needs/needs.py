"""How much memory designs take, beside what is foreseen from the header (`core/memory_need.py`).

    python Testing/Benchmarks/needs/needs.py -o Testing/Benchmarks/needs [--most-gb 9]

The sample patient's CT is brought to grids of several sizes, wide ones with much air around the
head, and types; each is designed by the command line in a process of its own, whose peak of
resident memory is measured. What is foreseen to need more than `--most-gb` is
left out. The fit of the two constants to the table's rows is printed below it: they are entered
into `core/memory_need.py` by hand.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.core.memory import BYTES_PER_GIB
from SkullImplantLib.core.memory_need import (
    GB,
    HEAD_MM,
    KEPT_BYTES,
    PROGRAM_BYTES,
    SURELY,
    WORK_BYTES,
    Extent,
    design_bytes,
)

AIR_HU = -1000.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LOOK_EVERY_S = 0.02
HEAD = """# The memory that designs take

Made by `Testing/Benchmarks/needs/needs.py` (`make needs`) with `--threads 2`: the sample patient on
grids of several sizes, `skull-implant design` with pictures. *foreseen* is what
`core/memory_need.py` tells from the header alone; a design is refused where {surely:.0%} of it is
not free, and told where all of it is not.

| image | voxels | voxel, mm | type | seconds | peak, GB | foreseen, GB | foreseen / peak |
|---|---|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Case:
    """An image: voxels and field of view (mm) along x, y, z, what it shows, and its type."""

    name: str
    size: tuple[int, int, int]
    view_mm: tuple[float, float, float]
    kind: str = "CT"
    pixel: int = sitk.sitkInt16

    @property
    def extent(self) -> Extent:
        spacing = tuple(mm / n for mm, n in zip(self.view_mm, self.size))
        voxel_bytes = sitk.Image(1, 1, self.pixel).GetSizeOfPixelComponent()
        return Extent(self.size, spacing, voxel_bytes)


HEAD_VIEW, WIDE_VIEW = (250.0, 250.0, 240.0), (500.0, 500.0, 480.0)
CASES = (
    Case("head", (128, 128, 128), HEAD_VIEW),
    Case("head", (256, 256, 256), HEAD_VIEW),
    Case("head", (512, 512, 200), HEAD_VIEW),
    Case("head", (512, 512, 512), HEAD_VIEW),
    Case("head", (768, 768, 400), HEAD_VIEW),
    Case("head", (1024, 1024, 600), HEAD_VIEW),
    Case("much air", (512, 512, 300), WIDE_VIEW),
    Case("much air", (1024, 1024, 600), WIDE_VIEW),
    Case("head", (512, 512, 512), HEAD_VIEW, "CT", sitk.sitkFloat32),
    Case("head", (512, 512, 512), HEAD_VIEW, "mask", sitk.sitkUInt8),
)


def written(case: Case, patient: tuple[sitk.Image, sitk.Image], folder: Path) -> Path:
    """Write the patient's CT or skull on a case's grid."""
    source = patient[case.kind == "mask"]
    spacing = np.array(case.extent.spacing_mm)
    middle = [(n - 1) / 2 for n in source.GetSize()]
    centre = np.array(source.TransformContinuousIndexToPhysicalPoint(middle))
    origin = centre - spacing * (np.array(case.size) - 1) / 2
    way = sitk.sitkNearestNeighbor if case.kind == "mask" else sitk.sitkLinear
    outside = 0.0 if case.kind == "mask" else AIR_HU
    image = sitk.Resample(
        source, case.size, sitk.Transform(), way, origin.tolist(), spacing.tolist(),
        source.GetDirection(), outside, case.pixel,
    )  # fmt: skip
    path = folder / "image.nrrd"
    sitk.WriteImage(image, str(path), False)
    return path


def measured(path: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak (bytes) of a design in a process of its own.

    The design tells the peak of its stages, and starts the system's mark anew for each; what it has
    before, while it reads, is looked at from here.
    """
    command = [sys.executable, "-m", "SkullImplantLib", "design", str(path), "-o", str(folder)]
    command += ["--progress", "none", "--threads", "2"]
    begin, peak = time.perf_counter(), 0
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    memory = Path(f"/proc/{run.pid}/statm")
    while run.poll() is None:
        with suppress(OSError, IndexError):
            peak = max(peak, int(memory.read_text().split()[1]) * PAGE_BYTES)
        time.sleep(LOOK_EVERY_S)
    if run.returncode:
        raise SystemExit(f"{path.name}: the design ended with {run.returncode}")
    seconds = time.perf_counter() - begin
    stages = json.loads((folder / "design.json").read_text())["stages"]
    peaks = [stage["peak_memory_gib"] * BYTES_PER_GIB for stage in stages]
    return seconds, max(peak, *peaks)


def fitted(rows: list[dict[str, str]]) -> tuple[float, float]:
    """Return the bytes of a program and of a voxel in the head's box that fit the peaks best, by
    least squares of the relative errors.
    """
    left, right = [], []
    for case, row in ((CASES[int(row["case"])], row) for row in rows):
        extent, peak = case.extent, float(row["peak_gb"]) * GB
        kept = np.prod(extent.size, dtype=float) * min(extent.voxel_bytes, KEPT_BYTES)
        sides = [min(n, np.ceil(HEAD_MM / s)) for n, s in zip(extent.size, extent.spacing_mm)]
        left.append([1.0 / peak, np.prod(sides) / peak])
        right.append(1.0 - kept / peak)
    program, work = np.linalg.lstsq(np.array(left), np.array(right), rcond=None)[0]
    return float(program), float(work)


def table_of(rows: list[dict[str, str]]) -> str:
    """Return the rows as Markdown, each beside what is foreseen for it, and the fit to them."""
    lines = []
    for row in sorted(rows, key=lambda row: int(row["case"])):
        case = CASES[int(row["case"])]
        foreseen, peak = design_bytes(case.extent) / GB, float(row["peak_gb"])
        lines.append(
            f"| {case.name} | {' x '.join(map(str, case.size))} | "
            f"{' x '.join(f'{s:.2f}' for s in case.extent.spacing_mm)} | "
            f"{case.kind}, {sitk.GetPixelIDValueAsString(case.pixel)} | {row['seconds']} | "
            f"{peak:.2f} | {foreseen:.2f} | {foreseen / peak:.2f} |"
        )
    program, work = fitted(rows)
    fit = (
        f"Fit to these rows: {program / 1e6:.0f} MB for the program, and {work:.2f} bytes for a "
        f"voxel of the box of {HEAD_MM:.0f} mm a side that holds the head, beside the image's own. "
        f"Used: {PROGRAM_BYTES / 1e6:.0f} MB and {WORK_BYTES:.2f} bytes.\n"
    )
    return HEAD.format(surely=SURELY) + "\n".join([*lines, "", fit])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--most-gb", type=float, default=9.0)
    options = parser.parse_args()
    path = options.output / "needs.csv"
    rows = list(csv.DictReader(path.open())) if path.exists() else []
    patient = make_sample_patient(3, SampleOptions(spacing_mm=(1.0, 1.0, 1.0)))
    for number, case in enumerate(CASES):
        done = any(int(row["case"]) == number for row in rows)
        if done or design_bytes(case.extent) > options.most_gb * GB:
            continue
        with tempfile.TemporaryDirectory() as name:
            image = written(case, (patient.ct, patient.defective), Path(name))
            seconds, peak = measured(image, Path(name) / "result")
        row = {"case": str(number), "seconds": f"{seconds:.0f}", "peak_gb": f"{peak / GB:.3f}"}
        rows.append(row)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, ("case", "seconds", "peak_gb"), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(case, row, flush=True)
    (options.output / "needs.md").write_text(table_of(rows))


if __name__ == "__main__":
    main()
