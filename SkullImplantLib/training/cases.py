"""Training cases: complete skulls with defects cut into them, prepared once and kept on disk.

A case lies on the network's standard grid. The geometric prior takes seconds, a training step less
than one; so the prior is computed when the case is made, and augmentation deforms both alike.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import SkullImplantError
from ..images import array_of, atomic_path, fraction_on
from ..population import shipped_population
from ..prior import complete_by_prior
from ..progress import Progress, part, silent
from ..skull import clean_skull
from ..symmetry import estimate_pose, standard_grid
from .cohort import SkullFile, read_mask
from .defects import KINDS, make_defect

# Cases are kept in 1/16 mm steps of int8, which is finer than any grid trained on.
DEPTH_STEP_MM = 1.0 / 16.0
# Defects are cut, and the prior computed, on a grid of about this spacing: fine enough for both.
WORKING_SPACING_MM = 1.0


@dataclass(frozen=True)
class Case:
    """One skull with one defect on the standard grid; arrays (z, y, x), float32.

    `skull` and `target`: the part of each voxel that bone fills, without and with the lost piece.
    `depth_mm`: the prior's depth within the bone expected in the hole, see `networks.inputs`.
    """

    name: str
    skull: np.ndarray
    target: np.ndarray
    depth_mm: np.ndarray
    spacing_mm: float


def prepare_cases(
    skulls: list[SkullFile],
    folder: Path,
    cases_per_skull: int,
    spacing_mm: float,
    seed: int,
    progress: Progress = silent,
) -> list[Path]:
    """Make the cases of `skulls` in `folder` and return their files; those there already are kept.

    Each skull has its own generator, so that adding a skull changes no other skull's cases. Defects
    that a skull does not admit (see `make_defect`) are left out. Raises `SkullImplantError` where
    no case could be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number, skull in enumerate(skulls):
        share = part(progress, number / len(skulls), (number + 1) / len(skulls))
        names = [
            f"{skull.name}-{KINDS[k % len(KINDS)]}-{k:03d}-{spacing_mm:g}mm.npz"
            for k in range(cases_per_skull)
        ]
        if not all((folder / name).exists() for name in names):
            _prepare_skull(skull, folder, names, spacing_mm, seed, share)
        files += [folder / name for name in names if (folder / name).exists()]
    if not files:
        raise SkullImplantError(
            "No defect could be cut into any of the skulls; check that they are complete skull "
            "masks in head orientation."
        )
    return files


def _prepare_skull(
    skull: SkullFile,
    folder: Path,
    names: list[str],
    spacing_mm: float,
    seed: int,
    progress: Progress,
) -> None:
    complete = _working_copy(clean_skull(read_mask(skull.path)).mask)
    pose = estimate_pose(complete)
    grid = standard_grid(pose, spacing_mm)
    target = _bytes(fraction_on(complete, grid))
    # In use the prior has not seen the patient either.
    others = shipped_population().without([skull.name])
    for k, name in enumerate(names):
        progress(k / len(names), f"preparing {name}")
        if (folder / name).exists():
            continue
        rng = np.random.default_rng([seed, k, *skull.name.encode()])
        try:
            defect = make_defect(complete, KINDS[k % len(KINDS)], rng, pose=pose)
            prior = complete_by_prior(defect.defective, pose, population=others)
        except SkullImplantError:
            continue
        depth = array_of(prior.hole_depth_on(grid)) / DEPTH_STEP_MM
        with atomic_path(folder / name) as temporary:
            np.savez_compressed(
                temporary,
                target=target,
                skull=_bytes(fraction_on(defect.defective, grid)),
                depth=np.clip(np.rint(depth), -128, 127).astype(np.int8),
            )


def _working_copy(mask: sitk.Image) -> sitk.Image:
    """Return the mask at about `WORKING_SPACING_MM`, never finer than it came."""
    spacing = [max(s, WORKING_SPACING_MM) for s in mask.GetSpacing()]
    size = [max(1, round(n * s / t)) for n, s, t in zip(mask.GetSize(), mask.GetSpacing(), spacing)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing(spacing)
    grid.SetOrigin(mask.GetOrigin())
    grid.SetDirection(mask.GetDirection())
    return fraction_on(mask, grid) >= 0.5


def _bytes(fraction: sitk.Image) -> np.ndarray:
    return np.rint(array_of(fraction) * 255.0).astype(np.uint8)


def load_case(path: Path) -> Case:
    """Read a case that `prepare_cases` wrote; raises `SkullImplantError` where it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return Case(
                name=path.stem,
                skull=data["skull"].astype(np.float32) / 255.0,
                target=data["target"].astype(np.float32) / 255.0,
                depth_mm=data["depth"].astype(np.float32) * np.float32(DEPTH_STEP_MM),
                spacing_mm=float(path.stem.rsplit("-", 1)[1].removesuffix("mm")),
            )
    except (OSError, KeyError, ValueError, EOFError) as error:
        raise SkullImplantError(
            f"The training case {path.name} is damaged; delete it and train again."
        ) from error
