"""Training cases: complete skulls with defects cut into them, prepared once and kept on disk.

A case is what a network sees of one defect (`geometry/view.py`), and the truth. The prior takes
seconds, a training step less than one; so the prior is computed when the case is made, and
augmentation deforms both alike.
"""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..cases.defects import USUAL_CM2, cut_defect, index_to_standard, vault_of
from ..cases.mask_flaws import NO_FLAWS, DegradationOptions, degrade, thickness_change_mm
from ..cases.outlines import Vault
from ..cases.skull_folder import SkullFile
from ..core.archives import read_archive
from ..core.checksums import sha256_of
from ..core.distances import depth_mm as depth_within
from ..core.files import atomic_path
from ..core.images import array_of, fraction_on, image_like
from ..core.progress import Progress, silent
from ..core.threads import use_threads, worker_count
from ..errors import DiskError, NoPlaceForDefect, OutOfMemory, Remedy, SkullImplantError
from ..geometry.frame import standard_grid
from ..geometry.pose import estimate_pose
from ..geometry.prior import DEEPEST_MM, complete_by_prior
from ..geometry.shape_statistics import POPULATION_FILE, Population, read_population
from ..geometry.view import View, defect_view, head_view

Singles = NDArray[np.float32]  # (z, y, x)

NAME_LETTERS = 8  # of the checksum of skull and shape statistics in a case's name
Region = Literal["head", "defect"]
# Lengths are kept in steps of int8, of which -128 is the clip of depths: 1/16 mm, which is finer
# than any grid trained on.
STEP_MM = DEEPEST_MM / 128
# The kinds of defects take turns. Those that reach the orbit come more often: there the prior,
# which sees the bone as two surfaces, leaves a network most to learn.
TURNS = (
    "frontoorbital",
    "bilateral",
    "frontoorbital",
    "parietotemporal",
    "random_1",
    "frontoorbital",
    "random_2",
)
# Defects are cut, and the prior computed, on a grid of about this spacing: fine enough for both.
WORKING_SPACING_MM = 1.0


@dataclass(frozen=True)
class TrainingCase:
    """One skull with one defect: what the network sees, and the truth on the same box, float32.

    `target`: the part of each voxel that bone fills in the complete skull. `depth_mm`: distance to
    the complete skull's surface, positive within the bone, clipped to +-`DEEPEST_MM`.
    """

    name: str
    view: View
    target: Singles
    depth_mm: Singles


@dataclass(frozen=True)
class CaseOptions:
    """Which cases are made: how many a skull, of which part of the head, on which grid.

    `areas_cm2`: the least and the greatest area of a defect. `flaws`: the share of the cases whose
    defective skull gets flaws (`cases/mask_flaws.py`). `population`: the file of the prior's shape
    statistics; the prior of a case knows neither its own skull nor those `left_out`, whose shape
    would else reach the network through the others.
    """

    count: int
    region: Region
    spacing_mm: float
    seed: int
    flaws: float = 0.0
    population: Path = POPULATION_FILE
    left_out: tuple[str, ...] = ()
    areas_cm2: tuple[float, float] = USUAL_CM2

    def known_shapes(self) -> Population:
        """Return the shape statistics without the skulls left out."""
        population = read_population(self.population)
        return population.without([n for out in self.left_out for n in population.skulls_like(out)])

    def names(self, skull: SkullFile) -> list[str]:
        """Return the file names of a skull's cases, which tell all that they depend on but the
        program; the kinds take turns.
        """
        names = self.known_shapes().names
        known = "+".join([sha256_of(self.population), *names, sha256_of(skull.path)])
        shapes = hashlib.sha256(known.encode()).hexdigest()[:NAME_LETTERS]
        least, most = self.areas_cm2
        made = (
            f"{self.region}-{self.spacing_mm:g}mm-{least:g}to{most:g}cm2-seed{self.seed}"
            f"-flaws{self.flaws:g}-{shapes}"
        )
        return [
            f"{skull.name}-{TURNS[k % len(TURNS)]}-{k:03d}-{made}.npz" for k in range(self.count)
        ]


def prepare_cases(
    skulls: Sequence[SkullFile],
    folder: Path,
    options: CaseOptions,
    jobs: int = 1,
    progress: Progress = silent,
) -> list[Path]:
    """Make the cases of `skulls` in `folder` and return their files; those there already are kept.

    Each skull has its own generator, so that adding a skull changes no other skull's cases. Defects
    that a skull does not admit (`NoPlaceForDefect`) are left out. `jobs` skulls are prepared at the
    same time. Raises `SkullImplantError` where no case could be made, a file is no skull, `folder`
    cannot be written, or memory ran out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    prepare = partial(_prepare_skull, folder=folder, options=options)
    if jobs == 1:
        for number, skull in enumerate(skulls):
            progress(number / len(skulls), f"preparing cases of {skull.name}")
            prepare(skull)
    else:
        try:
            # Fresh processes, as everywhere: a fork would copy the threads of PyTorch half.
            fresh, threads = get_context("spawn"), (worker_count(),)
            with ProcessPoolExecutor(jobs, fresh, use_threads, threads) as workers:
                for number, _ in enumerate(workers.map(prepare, skulls)):
                    progress(number / len(skulls), f"prepared cases of {skulls[number].name}")
        except BrokenProcessPool as error:
            raise OutOfMemory(
                "A process that prepared training cases was ended by the system, most likely "
                "because memory ran out.",
                Remedy.FEWER_JOBS,
            ) from error
    files = [folder / name for skull in skulls for name in options.names(skull)]
    files = [path for path in files if path.exists()]
    if not files:
        raise SkullImplantError(
            "No defect could be cut into any of the skulls; check that they are complete skulls "
            "in head orientation."
        )
    return files


def _prepare_skull(skull: SkullFile, folder: Path, options: CaseOptions) -> None:
    names = options.names(skull)
    if all((folder / name).exists() for name in names):
        return
    _, whole = skull.read()
    known_shapes = options.known_shapes()
    known_shapes = known_shapes.without(known_shapes.skulls_like(skull.name))
    depth_mm = depth_within(whole)
    complete = working_copy(whole)
    pose = estimate_pose(complete, known_shapes)
    vault, to_standard = vault_of(complete, pose), index_to_standard(complete, pose)
    for k, name in enumerate(names):
        if (folder / name).exists():
            continue
        rng = np.random.default_rng([options.seed, k, *skull.name.encode()])
        try:
            truth = _of_any_thickness(_Truth(complete, whole, depth_mm), rng, options.flaws)
            kind = TURNS[k % len(TURNS)]
            bone = _with_defect(truth.complete, to_standard, vault, kind, rng, options)
            view, grid = _seen(bone, known_shapes, options)
        except NoPlaceForDefect:
            continue
        _keep_case(view, truth, grid, folder / name)


@dataclass(frozen=True)
class _Truth:
    """A complete skull: its working copy, and on a grid at least as fine, mask and depth in mm."""

    complete: sitk.Image
    whole: sitk.Image
    depth_mm: sitk.Image


def _of_any_thickness(truth: _Truth, rng: np.random.Generator, flaws: float) -> _Truth:
    """Return the skull with thicker or thinner bone, or as it was; never where no flaw is wanted.

    The generator moves on alike, so that the same defect follows.
    """
    complete = truth.complete
    options = DegradationOptions() if flaws > 0.0 else NO_FLAWS
    shape, spacing_mm = complete.GetSize()[::-1], complete.GetSpacing()[::-1]
    outward_mm = thickness_change_mm(shape, spacing_mm, rng, options)
    if not outward_mm.any():
        return truth
    before = sitk.Resample(truth.depth_mm, complete, sitk.Transform(), sitk.sitkLinear, -DEEPEST_MM)
    depth_mm = array_of(before) + outward_mm
    bone = image_like(depth_mm > 0.0, complete)
    return _Truth(bone, bone, image_like(depth_mm, complete))


def _with_defect(
    complete: sitk.Image,
    to_standard: NDArray[np.floating],
    vault: Vault,
    kind: str,
    rng: np.random.Generator,
    options: CaseOptions,
) -> sitk.Image:
    """Return the skull with a defect, and in a share of the cases with flaws too."""
    bone = array_of(complete) != 0
    cut = cut_defect(bone, to_standard, vault, kind, rng, options.areas_cm2)
    bone[cut.box] &= ~cut.implant
    if rng.random() < options.flaws:
        hole = np.zeros(bone.shape, bool)
        hole[cut.box] = cut.region
        spacing_mm = complete.GetSpacing()[::-1]
        up = to_standard[2, :3][::-1] / spacing_mm
        bone = degrade(bone, spacing_mm, hole, rng, up=up)
    return image_like(bone, complete)


def _seen(
    defective: sitk.Image, known_shapes: Population, options: CaseOptions
) -> tuple[View, sitk.Image]:
    """Return what a network sees of a defective skull, and the grid of that view.

    Raises `NoPlaceForDefect` where pose or prior make nothing of what this defect left.
    """
    # In use neither pose nor prior has seen the patient's missing bone, nor the patient.
    try:
        pose = estimate_pose(defective, known_shapes)
        prior = complete_by_prior(defective, pose, known_shapes)
        grid = standard_grid(pose, options.spacing_mm)
        if options.region == "head":
            return head_view(defective, prior, grid), grid
        view, (z, y, x) = defect_view(defective, prior, grid)
        return view, grid[x, y, z]
    except (DiskError, OutOfMemory):
        raise
    except SkullImplantError as error:
        raise NoPlaceForDefect(str(error), error.remedy) from error


def _keep_case(view: View, truth: _Truth, grid: sitk.Image, path: Path) -> None:
    """Write the case of `view` and `truth` on its `grid`; see `load_case`."""
    true_mm = sitk.Resample(truth.depth_mm, grid, sitk.Transform(), sitk.sitkLinear, -DEEPEST_MM)
    with atomic_path(path) as temporary:
        np.savez_compressed(
            temporary,
            skull=_shares(view.skull),
            mirror=_shares(view.mirror),
            prior=_steps(view.depth_mm),
            hole=view.hole,
            opposite_hole=view.opposite_hole,
            deviation=_steps(view.deviation_mm),
            spacing_mm=view.spacing_mm,
            low_mm=view.low_mm,
            target=_shares(array_of(fraction_on(truth.whole, grid))),
            depth=_steps(array_of(true_mm)),
        )


def working_copy(mask: sitk.Image) -> sitk.Image:
    """Return the mask at about `WORKING_SPACING_MM`, never finer than it came."""
    spacing = [max(s, WORKING_SPACING_MM) for s in mask.GetSpacing()]
    size = [max(1, round(n * s / t)) for n, s, t in zip(mask.GetSize(), mask.GetSpacing(), spacing)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing(spacing)
    grid.SetOrigin(mask.GetOrigin())
    grid.SetDirection(mask.GetDirection())
    copy: sitk.Image = fraction_on(mask, grid) >= 0.5
    return copy


def _shares(fraction: NDArray[np.floating]) -> NDArray[np.uint8]:
    shares: NDArray[np.uint8] = np.rint(fraction * 255.0).astype(np.uint8)
    return shares


def _steps(lengths_mm: NDArray[np.floating]) -> NDArray[np.int8]:
    steps: NDArray[np.int8] = np.clip(np.rint(lengths_mm / STEP_MM), -128, 127).astype(np.int8)
    return steps


def load_case(path: Path) -> TrainingCase:
    """Read a case that `prepare_cases` wrote; raises `SkullImplantError` where it is damaged."""
    try:
        data = read_archive(path)

        def share(name: str) -> Singles:
            kept: Singles = data[name].astype(np.float32)
            return kept / np.float32(255.0)

        def length(name: str) -> Singles:
            kept: Singles = data[name].astype(np.float32)
            return kept * np.float32(STEP_MM)

        z, y, x = data["low_mm"].tolist()
        view = View(
            skull=share("skull"),
            mirror=share("mirror"),
            depth_mm=length("prior"),
            hole=data["hole"],
            opposite_hole=data["opposite_hole"],
            deviation_mm=length("deviation"),
            spacing_mm=float(data["spacing_mm"]),
            low_mm=(z, y, x),
        )
        return TrainingCase(path.stem, view, share("target"), length("depth"))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise SkullImplantError(
            f"The training case {path.name} is damaged; delete it and train again."
        ) from error
