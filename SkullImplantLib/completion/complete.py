"""The skull is completed around its hole, by whom the design chose: one answer for all of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ..core.blocks import grid_of_blocks
from ..core.distances import depth_mm, depth_of_shares, distance_mm
from ..core.images import array_of, bounding_box, crop, fraction_on, image_like, resample
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from ..geometry.brought_bone import AROUND_MM, GRID_MM, surroundings_of
from ..geometry.brow import Brow
from ..geometry.frame import standard_grid
from ..geometry.hole import Hole
from ..geometry.mirrored_bone import mirrored_bone
from ..geometry.other_skulls import others_bone
from ..geometry.prior import Prior
from ..geometry.view import defect_view, head_view
from ..models import MIRROR, model_needs_torch, require_torch
from .brought import blended
from .features import Departure, Doubt, departure_of
from .rearrangement import Rules, apply_rules, learn_rules
from .sub_voxel import sub_voxel_depth
from .trust import GEOMETRY, MIRRORED, NETWORK, is_trusted

if TYPE_CHECKING:
    from ..networks.weights import Weights

MIRROR_SPACING_MM = 1.0  # the mirrored skull's, whose thin bone a coarser grid would lose
# Rearrangement's coarse voxels are this much finer than the network's grid: from voxels as coarse
# as the network's own the dictionary loses more than it adds (Testing/Benchmarks/rearrangement.py).
CELLS_PER_NETWORK_VOXEL = 2
# The completion counts so far around the hole. Nor does rearrangement learn from bone this near:
# a cut edge is no anatomy.
RIM_MM = 6.0
# Rearrangement works on this much around the hole.
REARRANGED_AROUND_MM = 12.0
# So much of a brow without an example is told: a hole's edge over the midline is less.
TOLD_BROW_CM2 = 1.5
# The intact skull around the hole that serves as rearrangement's template reaches this far.
TEMPLATE_MM = 60.0


@dataclass(frozen=True)
class Choice:
    """Who completes the skull, and where: the model's name, its weights (None without a network),
    the device and the sparse engine.
    """

    model: str
    weights: "Weights | None" = None
    device: str = "auto"
    engine: str = "torch"


@dataclass(frozen=True)
class Completed:
    """The completed skull around the hole, whoever completed it.

    depth_mm: float32, positive within the completed skull's bone, on a grid and of a resolution of
        its own that holds the hole and `RIM_MM` around it. In mm near the surface, where it is 0;
        how far from it a value is still a depth depends on the source.
    hole: the bone missing, whoever found more of it than the prior's.
    source: `network`, `prior`, `mirror` or `reference`. device: where it was made.
    departure: how far the network's surface lies from the prior's, where one ran.
    doubt: what is left of the prior's, where more was heard than the prior.
    deviation_mm: float32, mm, on a grid of its own: how unsure the surface is there, where more was
        heard than the prior; elsewhere that is as unsure as it says.
    notes: one-sentence warnings.
    """

    depth_mm: sitk.Image
    hole: Hole
    source: str
    device: str = "cpu"
    departure: Departure | None = None
    doubt: Doubt | None = None
    deviation_mm: sitk.Image | None = None
    notes: tuple[str, ...] = ()

    def filled(self, skull: sitk.Image) -> sitk.Image:
        """Return the completed skull (uint8 0/1) on the box of the hole.

        It is `skull` (the whole one), and within `RIM_MM` of the hole also what is completed.
        """
        region = crop(skull, self.hole.box)
        near = self.hole.within(RIM_MM)
        depth = array_of(resample(self.depth_mm, crop(region, near), outside=-1.0))
        filled = array_of(region).copy()
        filled[near] |= (depth > 0.0) & (distance_mm(crop(self.hole.mask, near)) < RIM_MM)
        return image_like(filled, region)

    def rearranged(self, bone: sitk.Image) -> sitk.Image:
        """Return the depth (float32, mm) of the completed skull's voxels, made smooth by voxel
        rearrangement instead of taken as it is.

        bone: float32 on the box of the hole, positive in bone, 0 on its surface: what teaches,
        beyond the hole's edge.
        """
        depth = resample(self.depth_mm, bone, outside=-1.0)
        around = distance_mm(self.hole.mask)
        shape = image_like((array_of(depth) > 0.0) & (around < REARRANGED_AROUND_MM), bone)
        return sub_voxel_depth(shape, bone, image_like(around > RIM_MM, bone))


def find_weights(model: str) -> "Weights | None":
    """Return the weights that a model's name means: shipped ones, a file's, or None without a
    network.

    Raises `SkullImplantError` where they are not there, or PyTorch is not.
    """
    if not model_needs_torch(model):
        return None
    require_torch(f"The model '{Path(model).name}'")
    from ..networks.superres import TASK
    from ..networks.weights import load_weights, shipped_weights

    weights = load_weights(Path(model)) if model.endswith(".npz") else shipped_weights(model)
    if weights.metadata.get("task") == TASK:
        raise SkullImplantError(
            f"The weights {Path(model).name} refine masks (`skull-implant superres`) and complete "
            "no skull; use others.",
            Remedy.OTHER_WEIGHTS,
        )
    return weights


def complete(
    skull: sitk.Image,
    prior: Prior,
    hole: Hole,
    choice: Choice,
    progress: Progress = silent,
    brows: Sequence[Brow] = (),
) -> Completed:
    """Return the completed skull around the hole.

    skull: uint8 mask, with the hole. brows: other skulls', for holes across the midline. Where a
    network strays too far from the prior to be trusted (`trust.py`), the prior's answer is taken.
    Raises `SkullImplantError` where the device or engine is missing or the weights do not fit.
    """
    if choice.model == MIRROR:
        return Completed(_mirrored(skull, prior), hole, MIRRORED)
    if choice.weights is None:
        found = Completed(depth_by_prior(prior), hole, GEOMETRY)
    else:
        found = _by_network(skull, prior, hole, choice, choice.weights, part(progress, 0.0, 0.5))
        assert found.departure is not None
        if not is_trusted(found.departure, prior):
            found = replace(found, depth_mm=depth_by_prior(prior), source=GEOMETRY)
        elif not _is_of_the_hole(choice.weights):
            return found  # the papers' networks see both sides themselves
    around = surroundings_of(skull, prior)
    if around is None:
        return found
    mirrored = mirrored_bone(around, prior, part(progress, 0.5, 0.75))
    others = others_bone(around, mirrored, brows, part(progress, 0.75, 1.0))
    both = blended(found.depth_mm, prior, hole, mirrored, others)
    notes = found.notes + _notes_on(both.doubt, prior)
    return replace(
        found,
        depth_mm=both.depth_mm,
        hole=both.hole,
        doubt=both.doubt,
        deviation_mm=both.deviation_mm,
        notes=notes,
    )


def _notes_on(doubt: Doubt, prior: Prior) -> tuple[str, ...]:
    """Return what a person must know of a brow that is built without an example."""
    area_cm2 = doubt.unsupported_share * prior.hole_area_cm2
    if area_cm2 < TOLD_BROW_CM2:
        return ()
    return (
        f"{area_cm2:.0f} cm² of brow are built without this head's other side to show them; "
        "compare the brow with photographs or an earlier CT before use.",
    )


def _is_of_the_hole(weights: "Weights") -> bool:
    from .network import is_fine

    return is_fine(weights)


def depth_by_prior(prior: Prior) -> sitk.Image:
    """Return the prior's depth in mm around the hole."""
    grid = standard_grid(prior.pose, GRID_MM)
    z, y, x = bounding_box(array_of(prior.hole_on(grid)), math.ceil(AROUND_MM / GRID_MM))
    return prior.depth_on(grid[x, y, z])


def _mirrored(skull: sitk.Image, prior: Prior) -> sitk.Image:
    """Return the skull turned over, as a depth in mm."""
    grid = standard_grid(prior.pose, MIRROR_SPACING_MM)
    share = array_of(fraction_on(skull, grid))[..., ::-1]
    return depth_of_shares(image_like(np.ascontiguousarray(share), grid))


def _by_network(
    skull: sitk.Image,
    prior: Prior,
    hole: Hole,
    choice: Choice,
    weights: "Weights",
    progress: Progress,
) -> Completed:
    """Return what the network makes of the skull, and how far that departs from the prior.

    The fine stage answers with a depth. An auto-encoder answers with the occupancy of coarse
    voxels, which voxel rearrangement brings to the resolution of the patient's own grid.
    """
    from .network import NetworkPlace, grid_and_channels, is_fine, run_network

    where = NetworkPlace(choice.device, choice.engine)
    grid = standard_grid(prior.pose, grid_and_channels(weights)[0])
    if is_fine(weights):
        view, (z, y, x) = defect_view(skull, prior, grid)
        found = run_network(view, weights, where, progress)
        depth = image_like(found.values, grid[x, y, z])
        departure = departure_of(prior.hole_depth_on(depth), depth)
    else:
        found = run_network(head_view(skull, prior, grid), weights, where, progress)
        occupancy = image_like(found.values, grid)
        departure = departure_of(prior.hole_depth_on(grid), depth_mm(occupancy > 0.5))
        depth = depth_of_shares(rearranged(occupancy, skull, hole))
    return Completed(depth, hole, NETWORK, found.device, departure, notes=found.notes)


def rearranged(occupancy: sitk.Image, skull: sitk.Image, hole: Hole) -> sitk.Image:
    """Return an occupancy refined to the skull's grid, around the hole: the share (float32) of each
    voxel that is filled.

    By voxel rearrangement, whose template is the patient's own intact skull around the hole.
    """
    cell_mm = occupancy.GetSpacing()[0] / CELLS_PER_NETWORK_VOXEL
    z, y, x = (max(1, round(cell_mm / s)) for s in skull.GetSpacing()[::-1])
    factor = (z, y, x)
    target = crop(hole.mask, hole.within(REARRANGED_AROUND_MM))
    count = [math.ceil(n / f) for n, f in zip(target.GetSize()[::-1], factor)]
    coarse_grid = grid_of_blocks(target, (0, 0, 0), factor, tuple(count))
    # All fine voxels of the blocks, which may reach beyond the target.
    cells = tuple(n * f for n, f in zip(count, factor))
    fine_grid = grid_of_blocks(target, (0, 0, 0), (1, 1, 1), cells)
    coarse = array_of(resample(occupancy, coarse_grid)) > 0.5
    interpolated = resample(occupancy, fine_grid)
    rules = _rules_of(skull, hole, factor)
    share = apply_rules(coarse, rules, interpolated=array_of(interpolated))
    fine = share[tuple(slice(0, n) for n in target.GetSize()[::-1])]
    return image_like(np.ascontiguousarray(fine), target)


def _rules_of(skull: sitk.Image, hole: Hole, factor: tuple[int, int, int]) -> Rules:
    """Learn from the patient's own intact bone around the hole, but not from the cut edge."""
    template = crop(skull, hole.around(skull, TEMPLATE_MM))
    intact = distance_mm(hole.on(template)) > RIM_MM
    return learn_rules(array_of(template) > 0, factor, valid=intact)
