"""Smooth displacements that turn every skull into every other, and any part of the way there.

What won the field's challenges: a few skulls, registered pairwise, become thousands (Ellis and
Aizenberg 2020; Wodzinski et al. 2021). Here depths within the skulls' surfaces in standard pose are
registered by demons (Thirion 1998, with symmetric forces, Vercauteren et al. 2009): it takes
seconds a pair, and the fields are kept on disk.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.archives import read_archive
from ..core.files import atomic_path
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from ..geometry.frame import BOX_LOW_MM
from .standard_skulls import DEPTH_GRID_MM, DEPTH_STEP_MM, NAME_LETTERS, StandardSkull

Field = NDArray[np.int8]  # (3: x, y, z; z, y, x) in steps of `STEP_MM`
Pair = tuple[str, str]

STEP_MM = 0.25
SHRUNK = (2, 1)  # of the depths' grid, coarse to fine
ROUNDS = (60, 40)  # of demons on each
SMOOTH_MM = 10.0  # standard deviation of the Gaussian that keeps a displacement smooth
# Below the vault some skulls go on to the chin and others end: nothing is displaced there.
FADED_MM = (-70.0, -40.0)  # height, standard frame; from none of a displacement to all of it


def displacement(moving: StandardSkull, fixed: StandardSkull) -> Field:
    """Return u on the grid of `DEPTH_GRID_MM`: what `moving` has at p + u(p), `fixed` has at p."""
    images = [_image(skull.depth) for skull in (fixed, moving)]
    field: sitk.Image | None = None
    for shrunk, rounds in zip(SHRUNK, ROUNDS):
        target, source = (sitk.BinShrink(image, [shrunk] * 3) for image in images)
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(rounds)
        demons.SetSmoothDisplacementField(True)
        demons.SetStandardDeviations(SMOOTH_MM / (DEPTH_GRID_MM * shrunk))
        if field is None:
            field = demons.Execute(target, source)
        else:
            start = sitk.Resample(field, target, sitk.Transform(), sitk.sitkLinear)
            field = demons.Execute(target, source, start)
    assert field is not None
    moved = np.moveaxis(sitk.GetArrayFromImage(field), -1, 0) * _faded(images[0].GetSize()[2])
    steps: Field = np.clip(np.rint(moved / STEP_MM), -128, 127).astype(np.int8)
    return steps


def prepare_fields(
    skulls: Sequence[StandardSkull], folder: Path, progress: Progress = silent
) -> dict[Pair, Field]:
    """Return the displacement of every ordered pair (moving, fixed) of names.

    They are made in `folder` where they are not there. Raises `SkullImplantError` where a file is
    damaged or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pairs = [(a, b) for a in skulls for b in skulls if a is not b]
    fields = {}
    for number, (moving, fixed) in enumerate(pairs):
        path = folder / _file_name(moving, fixed)
        if not path.exists():
            progress(number / len(pairs), f"registering {moving.name} with {fixed.name}")
            with atomic_path(path) as temporary:
                np.savez_compressed(temporary, field=displacement(moving, fixed))
        fields[moving.name, fixed.name] = _load(path)
    return fields


def _load(path: Path) -> Field:
    try:
        field: Field = read_archive(path)["field"]
        return field
    except (OSError, KeyError, ValueError) as error:
        raise SkullImplantError(
            f"The displacement {path.name} is damaged; delete it and train again."
        ) from error


def _file_name(moving: StandardSkull, fixed: StandardSkull) -> str:
    told = hashlib.sha256(moving.depth.tobytes() + fixed.depth.tobytes()).hexdigest()
    return f"{moving.name}-to-{fixed.name}-{told[:NAME_LETTERS]}.npz"


def _image(depth: NDArray[np.int8]) -> sitk.Image:
    """Return a depth as an image in mm, its axes the standard frame's."""
    image = sitk.GetImageFromArray(depth.astype(np.float32) * np.float32(DEPTH_STEP_MM))
    image.SetSpacing([DEPTH_GRID_MM] * 3)
    return image


def _faded(count: int) -> NDArray[np.float64]:
    """Return the share (z, 1, 1) of a displacement that is left at each height."""
    height_mm = BOX_LOW_MM[2] + (np.arange(count) + 0.5) * DEPTH_GRID_MM
    none, full = FADED_MM
    return np.clip((height_mm - none) / (full - none), 0, 1)[:, None, None]
