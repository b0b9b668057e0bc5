"""Complete skulls in standard pose, with places for defects: what endless cases are made from.

Each skull is kept in one file: its share of each voxel, its depth for registration, and regions
that defects may take out of any skull. Arrays are (z, y, x) over the box of `geometry.frame`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from ..cases.defects import cut_defect, index_to_standard, vault_of
from ..cases.outlines import Vault
from ..cases.skull_folder import SkullFile
from ..core.archives import read_archive
from ..core.blocks import mean_per_block
from ..core.checksums import sha256_of
from ..core.distances import depth_mm
from ..core.files import atomic_path
from ..core.images import array_of, fraction_on, image_like
from ..core.progress import Progress, silent
from ..errors import NoPlaceForDefect, SkullImplantError
from ..geometry.frame import BOX_HIGH_MM, BOX_LOW_MM, Pose, standard_grid
from ..geometry.pose import estimate_pose
from .prepared import TURNS, CaseOptions, working_copy

Bytes = NDArray[np.uint8]

NAME_LETTERS = 12  # of the checksum of all that a file depends on
REGION_MM = 2.0  # the grid that regions are kept on; their outlines are smooth
DEPTH_GRID_MM, DEEPEST_MM = 4.0, 16.0  # of what is registered: its grid, and where depths end
DEPTH_STEP_MM = DEEPEST_MM / 127
KEPT_MM = 1.0  # the grid of the shares in a file, from which those of coarser grids are made
# A region reaches so much farther in and out than it was cut, as a share of its radius of some
# 80 mm, so that it goes through other skulls too; in steps of less than a voxel.
REACH = np.linspace(0.9, 1.1, 11)
HALF_BOX_MM = (BOX_HIGH_MM - BOX_LOW_MM) / 2  # (x, y, z)
MIDDLE_MM = (BOX_HIGH_MM + BOX_LOW_MM) / 2


@dataclass(frozen=True)
class StandardSkull:
    """A complete skull in standard pose.

    share: uint8, 0 to 255, the part that bone fills of a voxel of the network's grid around each
        point of a lattice of half its spacing, whose outermost points lie on the sides of the box;
        so that the network's own voxels are every other point, from the second on.
    depth: int8, steps of `DEPTH_STEP_MM` within the surface, on the grid of `DEPTH_GRID_MM`.
    regions: bits (count, bytes) of the regions that defects take out, on the grid of `REGION_MM`.
    """

    name: str
    share: Bytes
    depth: NDArray[np.int8]
    regions: Bytes

    def region(self, number: int) -> NDArray[np.bool_]:
        """Return a region as bool (z, y, x) on the grid of `REGION_MM`."""
        shape = cells(REGION_MM)
        bits = np.unpackbits(self.regions[number], count=int(np.prod(shape)))
        return bits.reshape(shape).astype(bool)


def cells(spacing_mm: float) -> tuple[int, int, int]:
    """Return how many voxels (z, y, x) of `spacing_mm` the standard grid has."""
    x, y, z = np.ceil((BOX_HIGH_MM - BOX_LOW_MM) / spacing_mm - 1e-6).astype(int).tolist()
    return z, y, x


def checked_spacing(spacing_mm: float) -> float:
    """Return the spacing; raises `SkullImplantError` where its voxels do not fill the box."""
    counts = (BOX_HIGH_MM - BOX_LOW_MM) / spacing_mm
    if np.abs(counts - np.rint(counts)).max() > 1e-6:
        raise SkullImplantError(
            f"Voxels of {spacing_mm:g} mm do not fill the standard grid; for registered shapes use "
            "a spacing that does, like 4, 3, 2 or 1 mm."
        )
    return spacing_mm


def file_name(skull: SkullFile, options: CaseOptions) -> str:
    """Return the name of a skull's file, which tells all that it depends on but the program."""
    known = [sha256_of(options.population), *options.left_out, sha256_of(skull.path)]
    least, most = options.areas_cm2
    known.append(f"{options.count}-{least:g}-{most:g}-{options.seed}")
    told = hashlib.sha256("+".join(known).encode()).hexdigest()[:NAME_LETTERS]
    return f"{skull.name}-standard-{_kept_mm(options.spacing_mm):g}mm-{told}.npz"


def _kept_mm(spacing_mm: float) -> float:
    """Return the grid of the shares in a file, from which half of `spacing_mm` can be made."""
    halves = spacing_mm / 2 / KEPT_MM
    return KEPT_MM if halves >= 1 and halves == round(halves) else spacing_mm / 2


def prepare_standard_skulls(
    skulls: Sequence[SkullFile],
    folder: Path,
    options: CaseOptions,
    progress: Progress = silent,
) -> list[StandardSkull]:
    """Return the skulls in standard pose; they are made in `folder` where they are not there.

    Of `options` count (of regions), spacing, seed, population and areas matter. Each skull has its
    own generator, so that adding one changes no other. Raises `SkullImplantError` for a file that
    is no skull or where `folder` cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checked_spacing(options.spacing_mm)
    found = []
    for number, skull in enumerate(skulls):
        progress(number / len(skulls), f"bringing {skull.name} into standard pose")
        path = folder / file_name(skull, options)
        if not path.exists():
            _keep(skull, path, options)
        found.append(load_standard_skull(path, skull.name, options.spacing_mm))
    return found


def load_standard_skull(path: Path, name: str, spacing_mm: float) -> StandardSkull:
    """Read a skull that `prepare_standard_skulls` wrote, for a network's grid of `spacing_mm`.

    Raises `SkullImplantError` where it is damaged.
    """
    try:
        data = read_archive(path)
        kept, depth, regions = data["share"], data["depth"], data["regions"]
        factor = round(spacing_mm / 2 / _kept_mm(spacing_mm))
        halves = mean_per_block(kept, (factor,) * 3) if factor > 1 else kept
        return StandardSkull(name, share_lattice(halves), depth, regions)
    except (OSError, KeyError, ValueError) as error:
        raise SkullImplantError(
            f"The skull in standard pose {path.name} is damaged; delete it and train again."
        ) from error


def _keep(skull: SkullFile, path: Path, options: CaseOptions) -> None:
    _, whole = skull.read()
    complete = working_copy(whole)
    pose = estimate_pose(complete, options.known_shapes())
    share = array_of(fraction_on(whole, standard_grid(pose, _kept_mm(options.spacing_mm))))
    deep = sitk.Resample(
        depth_mm(complete),
        standard_grid(pose, DEPTH_GRID_MM),
        sitk.Transform(),
        sitk.sitkLinear,
        -DEEPEST_MM,
    )
    steps = np.rint(np.clip(array_of(deep), -DEEPEST_MM, DEEPEST_MM) / DEPTH_STEP_MM)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            share=np.rint(share * 255).astype(np.uint8),
            depth=steps.astype(np.int8),
            regions=_regions(skull.name, complete, pose, options),
        )


def share_lattice(halves: NDArray[np.uint8 | np.float32]) -> Bytes:
    """Return the share (0 to 255) of a voxel around each corner of voxels half as wide.

    halves: (z, y, x), 0 to 255 too; beyond the grid its border goes on. A corner more than
    voxels along each axis.
    """
    around: NDArray[Any] = np.pad(halves.astype(np.float32), 1, mode="edge")
    for axis in range(3):
        low, high = ([slice(None)] * 3 for _ in range(2))
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        around = (around[tuple(low)] + around[tuple(high)]) / np.float32(2)
    lattice: Bytes = np.rint(around).astype(np.uint8)
    return lattice


def _regions(name: str, complete: sitk.Image, pose: Pose, options: CaseOptions) -> Bytes:
    """Return the bits of the regions of `options.count` defects, as many as find a place."""
    bone = array_of(complete) != 0
    vault, to_standard = vault_of(complete, pose), index_to_standard(complete, pose)
    grid = standard_grid(pose, REGION_MM)
    kept = []
    for number in range(options.count):
        rng = np.random.default_rng([options.seed, number, *name.encode()])
        kind = TURNS[number % len(TURNS)]
        region = _region(bone, complete, grid, (vault, to_standard), kind, rng, options)
        if region is not None:
            kept.append(np.packbits(through_any_skull(region)))
    if not kept:
        raise SkullImplantError(
            f"No defect could be cut into {name}; check that it is a complete skull in head "
            "orientation."
        )
    return np.stack(kept)


def _region(
    bone: NDArray[np.bool_],
    complete: sitk.Image,
    grid: sitk.Image,
    seen: tuple[Vault, NDArray[np.floating]],
    kind: str,
    rng: np.random.Generator,
    options: CaseOptions,
) -> NDArray[np.bool_] | None:
    """Return the region of one defect on the standard grid; None where it finds no place."""
    vault, to_standard = seen
    try:
        cut = cut_defect(bone, to_standard, vault, kind, rng, options.areas_cm2)
    except NoPlaceForDefect:
        return None
    taken = np.zeros(bone.shape, np.float32)
    taken[cut.box] = cut.region
    on_grid = sitk.Resample(image_like(taken, complete), grid, sitk.Transform(), sitk.sitkLinear)
    region: NDArray[np.bool_] = array_of(on_grid) >= 0.5
    return region


def through_any_skull(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the region (z, y, x; standard grid) reaching farther in and out along its rays.

    The rays come from the origin of the standard frame, the middle of the vault.
    """
    volume = torch.from_numpy(region.astype(np.float32))[None, None]
    z, y, x = (torch.from_numpy(_centres(n)) for n in region.shape)
    middle = torch.from_numpy((MIDDLE_MM / HALF_BOX_MM).astype(np.float32))
    taken = torch.zeros(region.shape, dtype=torch.bool)
    at = torch.stack(torch.meshgrid(z, y, x, indexing="ij")[::-1], dim=-1)[None]
    for scale in REACH:
        where = (at + middle) / float(scale) - middle
        taken |= grid_sample(volume, where, align_corners=False)[0, 0] >= 0.5
    return taken.numpy()


def _centres(count: int) -> NDArray[np.float32]:
    """Return where the centres of `count` voxels lie, from -1 to 1 between the box's sides."""
    return ((np.arange(count) + 0.5) * 2 / count - 1).astype(np.float32)
