"""How much thin bone segmentation keeps, in simulated and real scans.

Simulated: a fine skull mask becomes a fine CT (`fine_heads.py`), which is scanned at four
spacings. Real: a CT of 1 mm is taken to slices of 2 mm, and what is segmented in it at 1 mm is the
truth. From the project's folder:

    python Testing/Benchmarks/thin_bone/measure_thin_bone.py --masks MASK ... --cts CT ... \\
        -o Testing/Benchmarks/thin_bone/thin_bone.md
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from fine_heads import CRANIUM_MM, SCANS, Scan, fine_head, scanned, thin_part
from numpy.typing import NDArray

from SkullImplantLib.core.distances import distance_mm
from SkullImplantLib.core.files import atomic_path
from SkullImplantLib.core.images import array_of, image_like, resample, voxel_volume_mm3
from SkullImplantLib.skull.head import find_head
from SkullImplantLib.skull.segmentation import segment_skull

SEED = 1
NEAR_VOXELS, FAR_VOXELS = 0.5, 1.0
BRIGHT_HU = 300.0  # of a CT of 1 mm: bone of any kind
COARSE_MM = (1.0, 1.0, 2.0)
HEAD = """# Thin bone

Made by `Testing/Benchmarks/thin_bone/measure_thin_bone.py`. Thin: in no ball of 1.5 mm within the
bone, and more than 1 mm from any such ball. Kept: the share of it within half a voxel of the
segmented skull, per cent. *Cranium*: within {cranium:g} mm of the cranial cavity (orbital roof,
temporal squama, wings of the sphenoid, cribriform plate); *face*: the rest, ethmoid and turbinates
for the most part. *Far*: segmented bone more than a voxel (1 mm at the least) from any true bone,
cm³.

| head | scan | thin, cm³ | cranium | face | far |
|---|---|---|---|---|---|
"""

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Truth:
    """Bool (z, y, x) on `grid`: any bone, and thin bone of cranium and face."""

    grid: sitk.Image
    any_bone: Flags
    cranium: Flags
    face: Flags


def away(mask: Flags, grid: sitk.Image, unit_mm: tuple[float, ...]) -> NDArray[np.float32]:
    """Return the distance (z, y, x) to a mask in units of `unit_mm` (x, y, z)."""
    image = image_like(mask, grid)
    image.SetSpacing([s / u for s, u in zip(grid.GetSpacing(), unit_mm)])
    return distance_mm(image)


def scores(truth: Truth, skull: sitk.Image) -> tuple[float, float, float]:
    """Return the kept shares of cranium and face, per cent, and the far bone in cm³."""
    voxel_mm = skull.GetSpacing()
    found = array_of(resample(skull, truth.grid, sitk.sitkNearestNeighbor)) != 0
    near = away(found, truth.grid, voxel_mm) <= NEAR_VOXELS
    kept = [100 * float(near[part].mean()) for part in (truth.cranium, truth.face)]
    unit_mm = tuple(max(s, 1.0) for s in voxel_mm)
    from_bone = image_like(away(truth.any_bone, truth.grid, unit_mm), truth.grid)
    distant = array_of(resample(from_bone, skull, sitk.sitkNearestNeighbor)) > FAR_VOXELS
    far = np.count_nonzero(distant & (array_of(skull) != 0))
    return kept[0], kept[1], far * voxel_volume_mm3(skull) / 1000


def row(head: str, scan: str, truth: Truth, ct: sitk.Image) -> str:
    """Return a row of the table."""
    cranium, face, far = scores(truth, segment_skull(ct).mask)
    thin = np.count_nonzero(truth.cranium | truth.face) * voxel_volume_mm3(truth.grid) / 1000
    line = f"| {head} | {scan} | {thin:.1f} | {cranium:.1f} | {face:.1f} | {far:.2f} |"
    print(line, flush=True)
    return line


def simulated(path: Path) -> list[str]:
    """Return the rows of a fine mask."""
    rng = np.random.default_rng(SEED)
    head = fine_head(sitk.ReadImage(str(path)), rng)
    truth = Truth(head.hu, head.any_bone, head.thin & head.cranium, head.thin & ~head.cranium)
    name = path.name.split(".")[0]
    return [
        row(f"{name}, simulated", scan.name, truth, scanned(head.hu, scan, rng)) for scan in SCANS
    ]


def real(path: Path) -> list[str]:
    """Return the row of a real CT of 1 mm, taken to slices of 2 mm."""
    ct = sitk.ReadImage(str(path))
    skull = segment_skull(ct).mask
    finer = sitk.Image([2 * n for n in ct.GetSize()], sitk.sitkUInt8)
    finer.SetSpacing([s / 2 for s in ct.GetSpacing()])
    finer.SetDirection(ct.GetDirection())
    finer.SetOrigin(ct.TransformContinuousIndexToPhysicalPoint([-0.25] * 3))
    bone, bright = (
        array_of(resample(mask, finer, sitk.sitkNearestNeighbor)) != 0
        for mask in (skull, ct > BRIGHT_HU)
    )
    thin = thin_part(bone, finer)
    cranium = find_head(skull).distance_on(finer) < CRANIUM_MM
    truth = Truth(finer, bone | bright, thin & cranium, thin & ~cranium)
    sharp = Scan("1x1x2, from 1 mm", COARSE_MM, 0.01, 1e-3)
    thick = scanned(ct, sharp, np.random.default_rng(SEED))
    return [row(path.name.split(".")[0], sharp.name, truth, thick)]


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=Path, nargs="*", default=[])
    parser.add_argument("--cts", type=Path, nargs="*", default=[])
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    lines = [line for path in options.masks for line in simulated(path)]
    lines += [line for path in options.cts for line in real(path)]
    with atomic_path(options.output) as temporary:
        temporary.write_text(HEAD.format(cranium=CRANIUM_MM) + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
