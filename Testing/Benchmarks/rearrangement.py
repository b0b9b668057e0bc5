"""Does voxel rearrangement smooth a coarse mask better than interpolation does?

A defect is cut out of a real skull. The template is the skull that is left; the target is the
complete skull on a coarse grid, brought back to the fine grid by each method and compared with the
truth where the defect is, without the cut itself.

Two ways to a coarse target:
- *mask*: the complete skull in blocks of the CT's grid, set where at least half full. This is what
  rearrangement was published for. *share* methods also see how full each block is.
- *grid*: the share of bone on the network's grid, which is oblique to the CT; once exact and once
  with errors such as a network makes. This is the program's own path.

Run from the project's folder: python Testing/Benchmarks/rearrangement.py FOLDER_WITH_SKULLS
prints `rearrangement.md`, in five minutes of one processor core.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial import cKDTree

from SkullImplantLib.cases.defects import make_defect
from SkullImplantLib.completion.rearrangement import (
    PUBLISHED,
    RearrangementOptions,
    apply_rules,
    coarsen,
    learn_rules,
)
from SkullImplantLib.core.images import (
    array_of,
    bounding_box,
    crop,
    fraction_on,
    image_like,
    resample,
)
from SkullImplantLib.geometry.frame import Pose, standard_grid
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.shape_statistics import shipped_population

CASES = [
    ("visible-human-male", "parietotemporal"),
    ("visible-human-male", "random_1"),
    ("brainweb-04", "parietotemporal"),
    ("brainweb-20", "random_1"),
]
AREA_CM2 = 60.0
FACTORS = (2, 3, 4)
BLOCK = 12  # boxes are multiples of every factor
TEMPLATE_MM = 50.0
RIM_MM = 6.0  # the template does not teach nearer than this to the cut
NETWORK_GRID_MM = 2.0
SMOOTH_MM = 2.0  # scale of the surface that roughness is measured against

Votes = RearrangementOptions
HEAD = f"""# Does voxel rearrangement smooth a coarse mask better than interpolation does?

Made by `Testing/Benchmarks/rearrangement.py`, which says what is compared, on two defects of
{AREA_CM2:g} cm² in a CT (Visible Human male) and two in skulls from MRI (BrainWeb). *mask* and
*share*: in blocks of 2, 3 or 4 voxels of the CT. *grid*: on the network's grid of
{NETWORK_GRID_MM:g} mm, exact, and with errors as a network makes them; the program's own way is
`rearranged in blocks of 2 with linear`."""


@dataclass(frozen=True)
class Case:
    """A complete skull (z, y, x) around a defect; `part` is the box that is compared."""

    name: str
    complete: sitk.Image  # a box around the defect, wide enough to be the template
    defective: np.ndarray
    usable: np.ndarray  # of the template: away from the cut
    part: tuple[slice, ...]
    truth: np.ndarray  # the complete skull in the part
    compared: np.ndarray  # of the part: inside the defect, away from the cut
    pose: Pose

    @property
    def target(self) -> sitk.Image:
        return crop(self.complete, self.part)


@dataclass(frozen=True)
class Score:
    """How near to the truth a refined mask is, within the defect."""

    dice: float
    surface_mm: float
    hd95_mm: float
    roughness_deg: float
    volume_ratio: float
    seconds: float


def make_case(folder: Path, name: str, kind: str) -> Case:
    skull = sitk.ReadImage(str(folder / f"{name}.nii.gz"))
    pose = estimate_pose(skull, shipped_population())
    defect = make_defect(skull, kind, np.random.default_rng(2), pose, AREA_CM2)
    spacing_mm = skull.GetSpacing()[::-1]
    region = array_of(defect.region) > 0
    reach = tuple(int(TEMPLATE_MM / s) for s in spacing_mm)
    box = _whole_blocks(bounding_box(region, reach))  # type: ignore[arg-type]
    region = region[box]
    cut = sitk.SignedMaurerDistanceMap(crop(defect.region, box), False, False, True)
    part = _whole_blocks(bounding_box(region, BLOCK))
    return Case(
        name=name,
        complete=crop(skull, box),
        defective=array_of(defect.defective)[box] > 0,
        usable=array_of(cut) > RIM_MM,
        part=part,
        truth=array_of(skull)[box][part] > 0,
        compared=(array_of(cut) < -1.0)[part],
        pose=pose,
    )


def _whole_blocks(box: tuple[slice, ...]) -> tuple[slice, ...]:
    return tuple(slice(s.start, s.stop - (s.stop - s.start) % BLOCK) for s in box)


def from_mask(case: Case, size: int) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Ways back from the mask in blocks of `size`, and from how full the blocks are."""
    factor = (size,) * 3
    share = coarsen(case.truth, factor)
    coarse = share >= 0.5

    def rearranged(options: RearrangementOptions) -> np.ndarray:
        rules = learn_rules(case.defective, factor, options, case.usable)
        return apply_rules(coarse, rules, options) > 0.5

    yield "mask: nearest", lambda: enlarged(coarse, size) > 0
    yield "mask: trilinear", lambda: interpolated(coarse, size) > 0.5
    yield (
        "mask: signed distance, trilinear",
        lambda: interpolated(signed_distance(coarse), size) > 0,
    )
    for sigma in (0.5, 0.75, 1.0):
        yield (
            f"mask: Gaussian of {sigma} blocks",
            lambda sigma=sigma: blurred(enlarged(coarse, size), sigma * size) > 0.5,
        )
    yield "mask: rearranged, as published", lambda: rearranged(PUBLISHED)
    yield "mask: rearranged, mirrors", lambda: rearranged(replace(PUBLISHED, mirrored=True))
    for sigma in (0.4, 0.6):
        yield (
            f"mask: rearranged, mirrors, smoothing {sigma}",
            lambda sigma=sigma: rearranged(RearrangementOptions(smoothing=sigma)),
        )
    yield "share: trilinear", lambda: interpolated(share, size) > 0.5

    def mixed() -> np.ndarray:
        rules = learn_rules(case.defective, factor, valid=case.usable)
        return apply_rules(coarse, rules, interpolated=interpolated(share, size)) > 0.5

    yield "share: rearranged with trilinear", mixed


def from_grid(case: Case, occupancy: sitk.Image) -> Iterator[tuple[str, Callable[[], np.ndarray]]]:
    """Ways back from the occupancy on the network's grid."""
    spacing_mm = case.target.GetSpacing()
    smooth = np.full(3, 0.75) / spacing_mm[::-1]

    def linear() -> np.ndarray:
        return array_of(resample(occupancy, case.target))

    yield "grid: linear", lambda: linear() > 0.5
    yield "grid: linear, Gaussian of 0.75 mm", lambda: blurred(linear(), smooth) > 0.5
    for size in (4, 2):
        coarse = array_of(resample(occupancy, _blocks_of(case.target, size))) > 0.5

        def rearranged(
            options: RearrangementOptions, mix: bool, size: int = size, coarse: np.ndarray = coarse
        ) -> np.ndarray:
            rules = learn_rules(case.defective, (size,) * 3, options, case.usable)
            return apply_rules(coarse, rules, options, linear() if mix else None) > 0.5

        blocks = f"in blocks of {size}"
        yield f"grid: rearranged {blocks}, as published", lambda r=rearranged: r(PUBLISHED, False)
        yield f"grid: rearranged {blocks}, default", lambda r=rearranged: r(Votes(), False)
        yield f"grid: rearranged {blocks} with linear", lambda r=rearranged: r(Votes(), True)
        yield (
            f"grid: rearranged {blocks} with linear, smoothing 0.75 mm",
            lambda r=rearranged, size=size: r(Votes(smoothing=float(smooth[2]) / size), True),
        )


def _blocks_of(fine: sitk.Image, size: int) -> sitk.Image:
    grid = sitk.Image([n // size for n in fine.GetSize()], sitk.sitkUInt8)
    grid.SetSpacing([s * size for s in fine.GetSpacing()])
    grid.SetDirection(fine.GetDirection())
    grid.SetOrigin(fine.TransformContinuousIndexToPhysicalPoint([(size - 1) / 2] * 3))
    return grid


def occupancies(case: Case) -> Iterator[tuple[str, sitk.Image]]:
    """The complete skull on the network's grid: exact, and with a network's kind of error."""
    exact = fraction_on(case.complete, standard_grid(case.pose, NETWORK_GRID_MM))
    yield "exact", exact
    rng = np.random.default_rng(0)
    share = array_of(exact).astype(np.float32)
    # A bumpy surface (2 voxels wide, about 0.3 mm high) and some noise from voxel to voxel.
    bumps = ndimage.gaussian_filter(rng.normal(size=share.shape).astype(np.float32), 2)
    logit = 1.2 * np.log((share + 0.02) / (1.02 - share)) + 0.6 * bumps / bumps.std()
    logit += 0.3 * rng.normal(size=share.shape).astype(np.float32)
    yield "with errors", image_like((1 / (1 + np.exp(-logit))).astype(np.float32), exact)


def enlarged(coarse: np.ndarray, size: int) -> np.ndarray:
    return np.kron(coarse, np.ones((size,) * 3, np.float32))


def interpolated(coarse: np.ndarray, size: int) -> np.ndarray:
    image = sitk.GetImageFromArray(coarse.astype(np.float32))
    image.SetSpacing([float(size)] * 3)
    image.SetOrigin([(size - 1) / 2] * 3)
    grid = sitk.Image([n * size for n in coarse.shape[::-1]], sitk.sitkUInt8)
    # Beyond the outermost centres the value repeats; the defect lies far from there.
    return array_of(resample(sitk.MirrorPad(image, [1] * 3, [1] * 3), grid))


def signed_distance(coarse: np.ndarray) -> np.ndarray:
    """Positive inside; the surface lies half-way between voxels of different value."""
    mask = sitk.GetImageFromArray(coarse.astype(np.uint8))
    to_mask = array_of(sitk.SignedMaurerDistanceMap(mask, False, False, False))
    to_rest = array_of(sitk.SignedMaurerDistanceMap(1 - mask, False, False, False))
    return np.where(coarse, to_rest - 0.5, 0.5 - to_mask).astype(np.float32)


def blurred(fine: np.ndarray, sigma_voxels: float | np.ndarray) -> np.ndarray:
    variance = np.broadcast_to(np.square(sigma_voxels), 3).astype(float)[::-1].tolist()
    return array_of(sitk.DiscreteGaussian(sitk.GetImageFromArray(fine), variance))


def surface_of(mask: np.ndarray) -> np.ndarray:
    return mask & ~ndimage.binary_erosion(mask, border_value=1)


def normals(mask: np.ndarray, places: np.ndarray, sigma_voxels: float | np.ndarray) -> np.ndarray:
    soft = blurred(mask.astype(np.float32), sigma_voxels)
    slope = np.stack([g[tuple(places.T)] for g in np.gradient(soft)], axis=-1)
    return slope / np.maximum(np.linalg.norm(slope, axis=-1, keepdims=True), 1e-9)


def score(case: Case, mask: np.ndarray, seconds: float) -> Score:
    """Compare within the defect. Roughness: the mean angle between the surface's normal, at the
    scale of a voxel, and that of the true surface at a scale of 2 mm.
    """
    spacing_mm = np.asarray(case.target.GetSpacing())[::-1]
    made, true = mask & case.compared, case.truth & case.compared
    surfaces = [np.argwhere(surface_of(m) & case.compared) for m in (mask, case.truth)]
    trees = [cKDTree(s * spacing_mm) for s in surfaces]
    there, nearest = trees[1].query(surfaces[0] * spacing_mm)
    back, _ = trees[0].query(surfaces[1] * spacing_mm)
    apart_mm = np.concatenate([there, back])
    fine = normals(mask, surfaces[0], 1.0)
    smooth = normals(case.truth, surfaces[1], SMOOTH_MM / spacing_mm)[nearest]
    angle = np.rad2deg(np.arccos(np.clip((fine * smooth).sum(axis=-1), -1, 1)))
    return Score(
        dice=2 * (made & true).sum() / (made.sum() + true.sum()),
        surface_mm=apart_mm.mean(),
        hd95_mm=np.percentile(apart_mm, 95),
        roughness_deg=angle.mean(),
        volume_ratio=made.sum() / true.sum(),
        seconds=seconds,
    )


def measure(folder: Path) -> dict[tuple[str, str, str], list[Score]]:
    """Return the scores by skull's source, set-up and method."""
    scores: dict[tuple[str, str, str], list[Score]] = {}
    for name, kind in CASES:
        case = make_case(folder, name, kind)
        source = "BrainWeb" if name.startswith("brainweb") else "Visible Human male"
        setups = [(f"factor {size}", from_mask(case, size)) for size in FACTORS]
        setups += [(label, from_grid(case, image)) for label, image in occupancies(case)]
        scores.setdefault((source, "", "truth"), []).append(score(case, case.truth, 0.0))
        for setup, methods in setups:
            for method, make in methods:
                start = time.process_time()
                mask = make()
                seconds = time.process_time() - start
                scores.setdefault((source, setup, method), []).append(score(case, mask, seconds))
                print(name, kind, setup, method, file=sys.stderr, flush=True)
    return scores


def table(scores: dict[tuple[str, str, str], list[Score]], source: str) -> str:
    """Return the means over a source's cases as a Markdown table."""
    lines = [
        "| target | method | Dice | surface mm | HD95 mm | roughness ° | volume | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (of, setup, method), values in scores.items():
        if of == source:
            m = Score(*np.mean([list(vars(v).values()) for v in values], axis=0))
            lines.append(
                f"| {setup} | {method} | {m.dice:.4f} | {m.surface_mm:.3f} | {m.hd95_mm:.2f} "
                f"| {m.roughness_deg:.1f} | {m.volume_ratio:.3f} | {m.seconds:.1f} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    measured = measure(Path(sys.argv[1]))
    print(HEAD)
    for each in dict.fromkeys(key[0] for key in measured):
        print(f"\n## {each}: means of two defects\n\n{table(measured, each)}")
