"""The whole path, told once: a CT becomes a skull, the skull is completed, the difference is the
implant, the implant is fitted, smoothed, meshed and checked.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
import vtk

from .completion.rearrangement import Rules, apply_rules, learn_rules
from .completion.trust import (
    GEOMETRY,
    MIRRORED,
    NETWORK,
    Confidence,
    Departure,
    assess,
    departure_of,
    is_trusted,
)
from .core.checksums import sha256_of
from .core.images import array_of, bounding_box, crop, fraction_on, image_like, resample
from .core.progress import Progress
from .core.stages import StageReport, Stages, no_report
from .errors import SkullImplantError
from .geometry.frame import Pose, standard_grid
from .geometry.other_side import where_not_denied
from .geometry.pose import estimate_pose
from .geometry.prior import Prior, complete_by_prior
from .geometry.shape_statistics import POPULATION_FILE, Population, shipped_population
from .geometry.view import defect_view, head_view
from .implant.checks import Check, CheckOptions, check_implant
from .implant.fit import Implant, make_implant
from .implant.surface import SurfaceOptions, surface_of
from .models import (
    AUTO,
    MIRROR,
    PRIOR,
    TORCH_MINIMUM,
    chosen_model,
    model_needs_torch,
    require_torch,
)
from .options import DesignOptions, ImplantOptions, check_lengths
from .reading.input import Input
from .skull.left_out import LeftOut, leave_out
from .skull.segmentation import Skull, SkullOptions, clean_skull, segment_skull

if TYPE_CHECKING:
    from .networks.weights import Weights

# The prior's depth is smooth, but the hollows that the other side shows are as narrow as this.
PRIOR_SPACING_MM = 1.5
MIRROR_SPACING_MM = 1.0  # the mirrored skull's, whose thin bone a coarser grid would lose
# Rearrangement's coarse voxels are this much finer than the network's grid: from voxels as coarse
# as the network's own the dictionary loses more than it adds (Testing/Benchmarks/rearrangement.py).
CELLS_PER_NETWORK_VOXEL = 2
WITHOUT_TORCH = (
    f"The geometric prior made this design, as PyTorch {TORCH_MINIMUM} or newer is not installed; "
    "with it the sparse network would, which is better at the orbit."
)
# The completed skull is looked at this far around the hole: the rim and what the implant meets.
AROUND_HOLE_MM = 12.0
# The intact skull around the hole that serves as rearrangement's template reaches this far.
TEMPLATE_MM = 60.0
# Rearrangement learns nothing from bone this near the hole: a cut edge is no anatomy.
RIM_MM = 6.0


@dataclass(frozen=True)
class ImplantDesign:
    """A proposal for review: masks on the input's grid, the mesh in LPS mm, and what is known."""

    skull: sitk.Image
    completed: sitk.Image
    implant: Implant
    mesh: vtk.vtkPolyData
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    bone_threshold_hu: float | None
    hole_area_cm2: float
    left_out: dict[str, Any] | None
    model: dict[str, Any]
    device: str
    confidence: Confidence
    stages: Stages = field(repr=False)


def design_implant(
    source: Input,
    options: DesignOptions = DesignOptions(),
    report: StageReport = no_report,
    left_out: LeftOut | None = None,
    population: Population | None = None,
) -> ImplantDesign:
    """Return the implant for a CT or a skull mask with a hole in it; bone `left_out` is not there.

    `population`, of which an evaluation leaves out the skull at hand, replaces the shipped one.
    Raises `SkullImplantError` for anything the user can mend (no skull, no defect, ...), and
    whatever `report` raises, `Cancelled` for instance, which stops the work.
    """
    check_lengths(options)
    asked, options = options.model, replace(options, model=chosen_model(options.model))
    without_torch = (WITHOUT_TORCH,) if asked == AUTO and options.model == PRIOR else ()
    weights = find_weights(options.model)
    if weights:
        from .completion.network import choose_device

        choose_device(options.device)  # a GPU that is not there is told before the long work
    stages = Stages(report)
    with stages.stage("skull") as progress:
        skull: Skull
        if source.kind == "ct":
            skull = segment_skull(
                source.image, SkullOptions(bone_threshold_hu=options.bone_threshold_hu), progress
            )
        else:
            skull = clean_skull(source.image, progress)
        left = None
        if left_out:
            skull, left = _without(skull, left_out)
    with stages.stage("pose") as progress:
        pose = estimate_pose(skull.mask, progress, population)
    with stages.stage("prior") as progress:
        prior = complete_by_prior(skull.mask, pose, progress, population)
        if prior.hole_area_cm2 <= 0.0:
            raise SkullImplantError(
                "No defect was found in the vault; check the bone threshold, or that this skull "
                "has a hole to be filled."
            )
    with stages.stage("completion") as progress:
        found = _complete(skull.mask, pose, prior, weights, options, progress)
        soft, is_depth, device, network_notes = found
        soft, is_depth, origin, departure = _trusted(soft, is_depth, skull.mask, prior, weights)
        if options.model == MIRROR:
            origin = MIRRORED
    with stages.stage("rearrangement") as progress:
        hole = prior.hole_on(skull.mask)
        box = _box_around(hole, AROUND_HOLE_MM)
        if is_depth:
            bone = array_of(resample(soft, crop(skull.mask, box), outside=-1.0)) > 0.0
        else:
            bone = rearranged(soft, skull.mask, hole, box)
        completed = _filled(skull.mask, hole, box, bone)
        progress(1.0)
    with stages.stage("implant") as progress:
        fit = ImplantOptions(
            clearance_mm=options.clearance_mm,
            rim_slack_mm=options.rim_slack_mm,
            spur_mm=options.spur_mm,
        )
        implant = make_implant(completed, skull.mask, fit, hole, progress)
    with stages.stage("surface") as progress:
        mesh = surface_of(implant.mask, SurfaceOptions(), progress)
    with stages.stage("checks") as progress:
        limits = CheckOptions(clearance_mm=options.clearance_mm)
        checks = check_implant(implant.mask, skull.mask, mesh, completed, limits, progress)
        known_shapes = population or shipped_population()
        confidence = assess(prior, known_shapes, departure, origin)
    return ImplantDesign(
        skull=skull.mask,
        completed=completed,
        implant=implant,
        mesh=mesh,
        checks=checks,
        notes=(
            confidence.warning
            + source.notes
            + skull.notes
            + prior.notes
            + network_notes
            + without_torch
            + implant.notes
        ),
        bone_threshold_hu=skull.bone_threshold_hu,
        hole_area_cm2=prior.hole_area_cm2,
        left_out=left,
        model={
            "name": Path(options.model).stem,
            "sha256": weights.sha256 if weights else sha256_of(POPULATION_FILE),
            "source": origin,
        },
        device=device,
        confidence=confidence,
        stages=stages,
    )


def _without(skull: Skull, left_out: LeftOut) -> tuple[Skull, dict[str, Any]]:
    """Return the skull without that bone and with a note on it, and what `design.json` says."""
    mask, volume_cm3 = leave_out(skull.mask, left_out)
    if volume_cm3 > 0.0:
        note = f"{volume_cm3:.1f} cm³ of bone were left out of the skull as you marked it."
    else:
        note = "The region to leave out holds none of the skull's bone (0.0 cm³)."
    left = {"sha256": left_out.sha256, "volume_cm3": round(volume_cm3, 2)}
    return replace(skull, mask=mask, notes=(*skull.notes, note)), left


def find_weights(model: str) -> "Weights | None":
    """Return the weights that `--model` names: shipped ones, a file's, or None without a network.

    Raises `SkullImplantError` where they are not there, or PyTorch is not.
    """
    if not model_needs_torch(model):
        return None
    require_torch(f"The model '{Path(model).name}'")
    from .networks.weights import load_weights, shipped_weights

    return load_weights(Path(model)) if model.endswith(".npz") else shipped_weights(model)


def _complete(
    skull: sitk.Image,
    pose: Pose,
    prior: Prior,
    weights: "Weights | None",
    options: DesignOptions,
    progress: Progress,
) -> tuple[sitk.Image, bool, str, tuple[str, ...]]:
    """Return the completed skull on the standard grid: the depth within its bone in mm, or an
    auto-encoder's occupancy, 0 to 1; whether it is a depth; on which device it was made; and notes.
    """
    if options.model == MIRROR:
        return _mirrored(skull, pose), True, "cpu", ()
    if weights is None:
        return _by_prior(skull, prior), True, "cpu", ()
    from .completion.network import CompletionOptions, complete_skull, grid_and_channels, is_fine

    where = CompletionOptions(options.device, options.engine)
    grid = standard_grid(pose, grid_and_channels(weights)[0])
    if not is_fine(weights):
        found = complete_skull(head_view(skull, prior, grid), weights, where, progress)
        return image_like(found.values, grid), False, found.device, found.notes
    view, box = defect_view(skull, prior, grid)
    found = complete_skull(view, weights, where, progress)
    depth = _with_box(prior, grid, box, where_not_denied(found.values, view))
    return depth, True, found.device, found.notes


def _mirrored(skull: sitk.Image, pose: Pose) -> sitk.Image:
    """Return the skull turned over on the standard grid, above 0 within its bone as a depth is."""
    grid = standard_grid(pose, MIRROR_SPACING_MM)
    share = array_of(fraction_on(skull, grid))[..., ::-1]
    return image_like(np.ascontiguousarray(share - 0.5, np.float32), grid)


def _by_prior(skull: sitk.Image, prior: Prior) -> sitk.Image:
    """Return the prior's depth in mm on the standard grid, less what the other side denies."""
    grid = standard_grid(prior.pose, PRIOR_SPACING_MM)
    view, box = defect_view(skull, prior, grid)
    return _with_box(prior, grid, box, where_not_denied(view.depth_mm, view))


def _with_box(
    prior: Prior, grid: sitk.Image, box: tuple[slice, slice, slice], depth_mm: np.ndarray
) -> sitk.Image:
    """Return the prior's depth in mm on `grid` with `depth_mm` in the box (z, y, x)."""
    # Not an occupancy: cut off at 0 and 1, it would interpolate to waves on the surface.
    depth = array_of(prior.depth_on(grid)).copy()
    depth[box] = depth_mm
    return image_like(depth, grid)


def _trusted(
    soft: sitk.Image, is_depth: bool, skull: sitk.Image, prior: Prior, weights: "Weights | None"
) -> tuple[sitk.Image, bool, str, Departure | None]:
    """Return the completion to go on with, of `_complete`'s and the prior's: the skull and whether
    it is a depth, whose it is, and how far the network departs from the prior, where one ran.
    """
    if weights is None:
        return soft, is_depth, GEOMETRY, None
    departure = departure_of(prior.hole_depth_on(soft), soft if is_depth else _depth_of(soft))
    if is_trusted(departure, prior):
        return soft, is_depth, NETWORK, departure
    return _by_prior(skull, prior), True, GEOMETRY, departure


def _depth_of(occupancy: sitk.Image) -> sitk.Image:
    """Return the depth (float32, mm) within the surface where an occupancy is one half."""
    distance = sitk.SignedMaurerDistanceMap(occupancy > 0.5, False, False, True)
    return sitk.Cast(occupancy.GetSpacing()[0] / 2 - distance, sitk.sitkFloat32)


def rearranged(
    occupancy: sitk.Image, skull: sitk.Image, hole: sitk.Image, box: tuple[slice, ...]
) -> np.ndarray:
    """Return the bone in `box` (slices and result (z, y, x)) of the skull's grid: the occupancy
    refined from the network's grid by voxel rearrangement; the template is the patient's own skull.
    """
    cell_mm = occupancy.GetSpacing()[0] / CELLS_PER_NETWORK_VOXEL
    z, y, x = (max(1, round(cell_mm / s)) for s in skull.GetSpacing()[::-1])
    factor = (z, y, x)
    target = crop(skull, box)
    coarse_grid = _blocks_of(target, factor)
    coarse = array_of(resample(occupancy, coarse_grid)) > 0.5
    interpolated = resample(occupancy, _cells_of(coarse_grid, target, factor))
    rules = _rules_of(skull, hole, factor)
    share = apply_rules(coarse, rules, interpolated=array_of(interpolated))
    return share[tuple(slice(0, n) for n in target.GetSize()[::-1])] > 0.5


def _filled(
    skull: sitk.Image, hole: sitk.Image, box: tuple[slice, ...], bone: np.ndarray
) -> sitk.Image:
    """Return the completed skull (uint8): the skull, and at the hole the `bone` in `box`."""
    completed = array_of(skull).copy()
    completed[box] |= bone & (_distance_mm(crop(hole, box)) < RIM_MM)
    return image_like(completed, skull)


def _box_around(hole: sitk.Image, reach_mm: float) -> tuple[slice, ...]:
    """Return the box (z, y, x) around the hole and `reach_mm` more each way."""
    z, y, x = (math.ceil(reach_mm / s) for s in hole.GetSpacing()[::-1])
    return bounding_box(array_of(hole), (z, y, x))


def _blocks_of(fine: sitk.Image, factor: tuple[int, int, int]) -> sitk.Image:
    """Return the empty grid whose voxels are blocks of `factor` (z, y, x) voxels of `fine`."""
    blocks = factor[::-1]
    size = [math.ceil(n / f) for n, f in zip(fine.GetSize(), blocks)]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing([s * f for s, f in zip(fine.GetSpacing(), blocks)])
    grid.SetDirection(fine.GetDirection())
    grid.SetOrigin(fine.TransformContinuousIndexToPhysicalPoint([(f - 1) / 2.0 for f in blocks]))
    return grid


def _cells_of(blocks: sitk.Image, fine: sitk.Image, factor: tuple[int, int, int]) -> sitk.Image:
    """Return the empty grid of all fine voxels within `blocks`, which may reach beyond `fine`."""
    size = [n * f for n, f in zip(blocks.GetSize(), factor[::-1])]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing(fine.GetSpacing())
    grid.SetDirection(fine.GetDirection())
    grid.SetOrigin(fine.GetOrigin())
    return grid


def _rules_of(skull: sitk.Image, hole: sitk.Image, factor: tuple[int, int, int]) -> Rules:
    """Learn from the patient's own intact bone around the hole, but not from the cut edge."""
    box = _box_around(hole, TEMPLATE_MM)
    intact = _distance_mm(crop(hole, box)) > RIM_MM
    return learn_rules(array_of(crop(skull, box)) > 0, factor, valid=intact)


def _distance_mm(mask: sitk.Image) -> np.ndarray:
    """Return each voxel's distance to the mask in mm, negative within it; (z, y, x)."""
    return array_of(sitk.SignedMaurerDistanceMap(mask, False, False, True))
