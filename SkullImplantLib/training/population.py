"""Make `Resources/population.npz`: the mean and the main variations of the skulls in a folder.

    python -m SkullImplantLib.training.population FOLDER -o Resources/population.npz

Every skull (a mask with an intact vault, its LPS axes within 30 degrees of the patient's) is
brought to the standard pose and written as two radial maps, outer radius and thickness. The first
skull by name, as it lies, is the first template; the mirrored mean of all then takes its place
(generalised Procrustes analysis, Gower 1975). The variations are the principal components of the
skulls and their mirror images. Deterministic.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .. import radial
from ..errors import SkullImplantError
from ..images import array_of, atomic_path, index_to_lps_mm
from ..population import Population
from ..symmetry import Pose, fit_pose

ROUNDS = 3
RAY_MM = 1.0  # spacing at which rays are cast
MODES = 24
# Middle of the first template: this share of its length below the vertex.
CENTRE_DEPTH = 0.44


def load_skulls(folder: Path) -> dict[str, sitk.Image]:
    """Return the skull masks (`*.nii.gz`, `*.nrrd`) of `folder` by name, in order of name."""
    paths = sorted([*folder.glob("*.nii.gz"), *folder.glob("*.nrrd")])
    if not paths:
        raise SkullImplantError(
            f"There is no .nii.gz or .nrrd skull in {folder}; check the folder."
        )
    return {path.name.split(".")[0]: sitk.ReadImage(str(path), sitk.sitkUInt8) for path in paths}


def shape_maps(skull: sitk.Image, pose: Pose) -> tuple[np.ndarray, np.ndarray]:
    """Return the (outer radius, thickness) maps of `skull`, (2, SIZE, SIZE), and where it has bone.

    Pinholes and directions without bone take the nearest value.
    """
    outer, inner, known = radial.shell_of(
        radial.share_of_bone(skull, RAY_MM), pose.rotation, pose.centre_mm
    )
    maps = np.stack([outer, outer - inner])
    return np.stack([radial.fill_nearest(channel, known) for channel in maps]), known


def statistics(maps: np.ndarray, known: np.ndarray) -> Population:
    """Return the population of `maps` (skulls, 2, SIZE, SIZE), known where `known`."""
    both = np.concatenate([maps, maps[..., ::-1]])
    known_both = np.concatenate([known, known[..., ::-1]])
    mean = both.mean(axis=0)
    away = both - mean
    sized = (
        both[:, 0] / np.median(both[:, 0][:, radial.POLAR_RAD < np.pi / 2], axis=1)[:, None, None]
    )
    spread = sized.std(axis=0) * radial.MEAN_RADIUS_MM
    left, strength, right = np.linalg.svd(away.reshape(len(both), -1), full_matrices=False)
    count = min(MODES, max(len(both) - 2, 1))
    modes = right[:count] * strength[:count, None] / np.sqrt(max(len(maps) - 1, 1) * 2)
    return Population(
        mean_mm=mean.astype(np.float32),
        modes_mm=modes.reshape(count, *mean.shape).astype(np.float32),
        share=ndimage.uniform_filter(known_both.mean(axis=0), 3).astype(np.float32),
        spread_mm=ndimage.uniform_filter(spread, 3).astype(np.float32),
    )


def _as_it_lies(skull: sitk.Image) -> Pose:
    """Return the pose of a skull whose axes are the patient's, its centre from its extent."""
    bone = np.argwhere(array_of(skull) > 0)[:, ::-1]
    frame = index_to_lps_mm(skull)
    points = bone @ frame[:3, :3].T + frame[:3, 3]
    length = np.ptp(points[:, 1])
    top = points[:, 2].max()
    vault = points[points[:, 2] > top - CENTRE_DEPTH * length]
    middle = (vault.min(axis=0) + vault.max(axis=0)) / 2
    return Pose(np.eye(3), np.array([middle[0], middle[1], top - CENTRE_DEPTH * length]), 0.0)


def build_population(skulls: dict[str, sitk.Image]) -> tuple[Population, dict[str, Pose]]:
    """Return the population of `skulls` (by name) and the pose of each in its standard frame."""
    first = next(iter(skulls))
    poses = {first: _as_it_lies(skulls[first])}
    population = statistics(*_all_maps({first: skulls[first]}, poses))
    for _ in range(ROUNDS):
        poses = {name: fit_pose(skull, population) for name, skull in skulls.items()}
        population = statistics(*_all_maps(skulls, poses))
    return population, poses


def _all_maps(
    skulls: dict[str, sitk.Image], poses: dict[str, Pose]
) -> tuple[np.ndarray, np.ndarray]:
    pairs = [shape_maps(skull, poses[name]) for name, skull in skulls.items()]
    return np.stack([maps for maps, _ in pairs]), np.stack([known for _, known in pairs])


def save_population(population: Population, path: Path) -> None:
    """Write `population` as a compressed `.npz` of float16 arrays (0.03 mm at 100 mm)."""
    arrays = {name: np.asarray(a, np.float16) for name, a in vars(population).items()}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **arrays)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build and write the population; print each skull's fit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of intact skull masks")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .npz to write")
    options = parser.parse_args(arguments)
    try:
        population, poses = build_population(load_skulls(options.folder))
        save_population(population, options.output)
    except SkullImplantError as error:
        print(error, file=sys.stderr)
        return 2
    for name, pose in poses.items():
        print(f"{name:24s} fits to {pose.fit_mm:.2f} mm")
    return 0


if __name__ == "__main__":
    sys.exit(main())
