"""Make `resources/mean-skull.npz`: how likely bone is at each place of the standard frame.

    python -m SkullImplantLib.training.mean_skull_maker FOLDER... -o FILE.npz [--whole NAME...]

Every skull of the folders (read as `population.py` reads them) is brought to the standard pose. A
skull named by `--whole` shows base, face and what lies below; each of the others says nothing below
its own lowest bone, where it was cut off. Deterministic.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.files import atomic_path
from ..core.images import array_of, index_to_lps_mm, resample
from ..errors import SkullImplantError
from ..geometry.frame import Pose
from ..geometry.mean_skull import GRID_MM, LOW_MM, SIZE_XYZ, STEPS, blurred_bone
from ..geometry.pose import estimate_pose
from ..geometry.shape_statistics import shipped_population
from .population import load_skulls

# Few skulls are whole, and beside the many that are cut they would not be heard.
WHOLE_WEIGHT = 4.0


def mean_of(
    skulls: Mapping[str, sitk.Image], poses: Mapping[str, Pose], whole: Sequence[str]
) -> NDArray[np.uint8]:
    """Return how likely bone is, (z, y, x) in steps of 1 / `STEPS`, made symmetric."""
    total = np.zeros(SIZE_XYZ[::-1])
    weight = np.zeros(SIZE_XYZ[::-1])
    for name, skull in skulls.items():
        grid = _grid(poses[name])
        told = np.full(total.shape, WHOLE_WEIGHT)
        if name not in whole:
            told = np.where(_height_mm(grid) > _lowest_mm(skull), 1.0, 0.0)
        total += told * array_of(resample(blurred_bone(skull), grid, pixel_type=sitk.sitkFloat32))
        weight += told
    share = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    return np.rint((share + share[..., ::-1]) / 2 * STEPS).astype(np.uint8)


def _grid(pose: Pose) -> sitk.Image:
    """Return the mean skull's grid where a skull of that pose has it."""
    grid = sitk.Image(list(SIZE_XYZ), sitk.sitkUInt8)
    grid.SetSpacing([GRID_MM] * 3)
    grid.SetDirection(pose.rotation.ravel().tolist())
    grid.SetOrigin(pose.to_patient(LOW_MM + GRID_MM / 2).tolist())
    return grid


def _height_mm(grid: sitk.Image) -> NDArray[np.float64]:
    """Return S (mm) of every voxel (z, y, x)."""
    z, y, x = np.indices(grid.GetSize()[::-1])
    to_s = index_to_lps_mm(grid)[2]
    return np.asarray(to_s[0] * x + to_s[1] * y + to_s[2] * z + to_s[3])


def _lowest_mm(skull: sitk.Image) -> float:
    """Return the lowest S (mm) at which a skull, whose third axis is S, has bone."""
    levels = np.flatnonzero(array_of(skull).any(axis=(1, 2)))
    return float(skull.TransformIndexToPhysicalPoint((0, 0, int(levels[0])))[2])


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and write the mean skull."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", help="intact skulls: masks or CTs")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .npz to write")
    parser.add_argument("--whole", nargs="*", default=(), help="skulls that are not cut off below")
    options = parser.parse_args(arguments)
    try:
        skulls = load_skulls(*options.folders)
        population = shipped_population()
        poses = {name: estimate_pose(skull, population) for name, skull in skulls.items()}
        likely = mean_of(skulls, poses, options.whole)
        with atomic_path(options.output) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, likely=likely, names=np.array(tuple(skulls)))
    except SkullImplantError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    print(f"{len(skulls)} skulls, {options.output.stat().st_size / 1000:.0f} kB: {options.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
