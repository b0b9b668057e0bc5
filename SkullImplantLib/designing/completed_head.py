"""From an input to a completed skull: what a design, and a search for holes, have in common."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import SimpleITK as sitk

from ..completion import (
    Choice,
    Completed,
    Earlier,
    Refining,
    complete,
    complete_by_reference,
    find_earlier,
    find_refining,
    find_weights,
)
from ..core.finer_grid import by
from ..core.images import array_of, crop, image_like, resample
from ..core.progress import Progress, part
from ..core.stages import Stages
from ..core.working_axes import OwnAxes, as_working
from ..geometry import (
    CurveRegion,
    Pose,
    Prior,
    complete_by_prior,
    estimate_pose,
    find_hole,
    region_within,
    require_upright,
    shipped_mean_skull,
)
from ..geometry.brow import Brow
from ..geometry.hole import Hole
from ..geometry.shape_statistics import Population
from ..implant import Drawn
from ..options import DesignOptions
from ..reading import Input
from ..reading.curve import Curve
from ..reading.reference import Reference
from ..skull import (
    LeftOut,
    Skull,
    SkullOptions,
    bright_in,
    clean_skull,
    head_in,
    leave_out,
    loose_matter,
    segment_skull,
    with_metal,
)
from .proposal import DrawnFacts, LeftOutFacts

log = logging.getLogger(__name__)

# What is looked at around the hole: an implant's rim, and the bone beside it (`checks/`).
BOX_AROUND_HOLE_MM = 24.0
SHA_LETTERS = 12  # of a checksum in a sentence, enough to tell weights apart


@dataclass(frozen=True)
class Beside:
    """What comes beside an input.

    left_out: a region whose bone is not there. reference: the patient's own earlier skull or bone
    flap, which completes the skull. limit_to: curves within which there may be an implant; none
    given are all of the head. cut_out: curves whose inside is a hole, bone in it is removed.
    """

    left_out: LeftOut | None = None
    reference: Reference | None = None
    limit_to: tuple[Curve, ...] = ()
    cut_out: tuple[Curve, ...] = ()

    def on_working_axes(self) -> "Beside":
        """Return the same with its images on the working axes (`core.working_axes`)."""
        left_out, reference = self.left_out, self.reference
        if left_out is not None:
            left_out = replace(left_out, region=as_working(left_out.region))
        if reference is not None:
            reference = replace(reference, image=as_working(reference.image))
        return replace(self, left_out=left_out, reference=reference)


@dataclass(frozen=True)
class SeenHead:
    """A head whose holes are seen, and not filled yet.

    source: the input. image: the part of it that holds the head. found: its skull. skull: the
    same, refined if it was, without bone that was cut out. left_out, left: bone that was left out
    or cut out, and what `design.json` says of it. doubts: how the head may lie otherwise.
    limit, cut: the regions within curves that were drawn. drawn: what `design.json` says of them.
    """

    source: Input
    image: sitk.Image
    found: Skull
    skull: Skull
    refined: bool
    left_out: LeftOut | None
    left: LeftOutFacts | None
    doubts: tuple[str, ...]
    pose: Pose
    prior: Prior
    limit: CurveRegion | None
    cut: CurveRegion | None
    drawn: DrawnFacts

    @property
    def regions(self) -> Drawn:
        """What was drawn, as the search for holes takes it."""
        limit, cut = self.limit, self.cut
        return Drawn(
            None if limit is None else limit.depth_on, None if cut is None else cut.depth_on
        )

    def within(self, depth: sitk.Image) -> sitk.Image:
        """Return a depth in bone (mm) without what lies beyond the limit."""
        if self.limit is None:
            return depth
        within = image_like(self.limit.depth_on(depth), depth)
        return sitk.Minimum(sitk.Cast(depth, sitk.sitkFloat32), within)

    def loose(self, box: tuple[slice, ...]) -> sitk.Image:
        """Return what is as hard as bone in a box of the skull's grid and no skull, uint8."""
        if not self.refined:
            return loose_matter(self.image, self.skull, box, self.left_out)
        whole = tuple(slice(0, n) for n in self.found.mask.GetSize()[::-1])
        region = crop(self.skull.mask, box)
        matter = loose_matter(self.image, self.found, whole, self.left_out)
        loose = resample(matter, region, sitk.sitkNearestNeighbor)
        return image_like((array_of(loose) > 0) & (array_of(region) == 0), region)


@dataclass(frozen=True)
class CompletedHead:
    """A skull completed around its hole: `filled` (uint8 0/1) on the box of `completed.hole`, and
    the earlier bone that completed it, if it did.
    """

    completed: Completed
    filled: sitk.Image
    earlier: Earlier | None


def check_lie(
    image: sitk.Image, kind: str, own: OwnAxes, bone_threshold_hu: float | None = None
) -> tuple[str, ...]:
    """Return notes on how the head stands in an image of a `kind` (`ct`, `skull`) on the working
    axes, which came with its `own`.

    Raises `SkullImplantError` where it does not stand upright and look forward.
    """
    bright = bright_in(image, kind, bone_threshold_hu)
    return require_upright(bright, shipped_mean_skull(), own.direction)


def see_head(
    source: Input,
    own: OwnAxes,
    options: DesignOptions,
    beside: Beside,
    shapes: Population,
    stages: Stages,
) -> SeenHead:
    """Return the skull of an input on the working axes, where it lies, and the holes in its vault.

    Raises `SkullImplantError` where there is no skull, or a curve is drawn beside its vault.
    """
    refining = find_refining(options.refine_mm, source.image, options.device, options.engine)
    with stages.stage("skull") as progress:
        # What is refined lies on a grid of its own, over all of the image.
        image = source.image if refining is not None else head_in(source.image, source.kind)
        doubts = check_lie(image, source.kind, own, options.bone_threshold_hu)
        if source.kind == "ct":
            threshold = SkullOptions(bone_threshold_hu=options.bone_threshold_hu)
            found = segment_skull(image, threshold, progress)
        else:
            found = clean_skull(image, progress)
        left_out = beside.left_out
        if options.leave_out_metal:
            found, left_out = with_metal(found, left_out)
        found, left = _without(found, left_out)
    skull = found
    if refining is not None:
        with stages.stage("super-resolution", refining.device) as progress:
            skull = _refined(found, refining, progress)
    with stages.stage("pose") as progress:
        pose = estimate_pose(skull.mask, shapes, progress)
        log.info("pose: the vault fits the population's mean to %.2f mm", pose.fit_mm)
    with stages.stage("prior") as progress:
        limit, cut = (
            region_within([curve.points_mm for curve in curves], pose) if curves else None
            for curves in (beside.limit_to, beside.cut_out)
        )
        removed_cm3 = 0.0
        if cut is not None:
            skull, left_out, removed_cm3 = _cut(skull, left_out, cut)
        asked = None if cut is None else cut.inside
        prior = complete_by_prior(skull.mask, pose, shapes, progress, asked)
    return SeenHead(
        source=source,
        image=image,
        found=found,
        skull=skull,
        refined=refining is not None,
        left_out=left_out,
        left=left,
        doubts=doubts,
        pose=pose,
        prior=prior,
        limit=limit,
        cut=cut,
        drawn=DrawnFacts(
            tuple(curve.sha256 for curve in beside.limit_to),
            None if limit is None else limit.area_cm2,
            tuple(curve.sha256 for curve in beside.cut_out),
            None if cut is None else cut.area_cm2,
            removed_cm3,
        ),
    )


def complete_head(
    head: SeenHead,
    choice: Choice,
    reference: Reference | None,
    brows: Sequence[Brow],
    stages: Stages,
) -> CompletedHead:
    """Return a head's skull completed around its hole, which it must have."""
    skull, prior, earlier = head.skull, head.prior, None
    hole = find_hole(skull.mask, prior, BOX_AROUND_HOLE_MM)
    if reference is not None:
        with stages.stage("reference") as progress:
            earlier = find_earlier(reference, skull, prior, hole, progress)
    with stages.stage("completion", choice.device if choice.weights else None) as progress:
        if earlier is None:
            completed = complete(skull.mask, prior, hole, choice, progress, brows)
        else:
            completed = _by_reference(earlier, skull, prior, hole, choice, progress, brows)
        return CompletedHead(completed, completed.filled(skull.mask), earlier)


def choice_of(options: DesignOptions) -> Choice:
    """Return who completes the skull; a GPU or engine that is missing is told before long work."""
    weights = find_weights(options.model)
    if weights is None:
        return Choice(options.model)
    from ..completion.network import choose_device
    from ..sparse import engine_named

    engine_named(options.engine)
    device = choose_device(options.device).type
    return Choice(options.model, weights, device, options.engine)


def _by_reference(
    earlier: Earlier,
    skull: Skull,
    prior: Prior,
    hole: Hole,
    choice: Choice,
    progress: Progress,
    brows: Sequence[Brow],
) -> Completed:
    """Return the skull completed by its own earlier bone; the chosen model fills a flap's gaps."""
    otherwise = None
    if earlier.shows == "flap":
        half = part(progress, 0.0, 0.5)
        otherwise = complete(skull.mask, prior, hole, choice, half, brows)
    rest = part(progress, 0.5, 1.0)
    return complete_by_reference(earlier, skull, prior, hole, otherwise, rest)


def _refined(skull: Skull, refining: Refining, progress: Progress) -> Skull:
    """Return the skull on its finer grid, without grey: the mask alone says where bone is."""
    finer = refining.refined(skull.mask, progress)
    weights, spacing = refining.weights.sha256[:SHA_LETTERS], by(finer.mask.GetSpacing())
    note = (
        f"Super-resolution (weights {weights}) refined the skull: all masks lie on a grid of "
        f"{spacing} mm, and not on the input's."
    )
    return replace(skull, mask=finer.mask, notes=(*skull.notes, note, *finer.notes), grey=None)


def _without(skull: Skull, left_out: LeftOut | None) -> tuple[Skull, LeftOutFacts | None]:
    """Return the skull without that bone and with a note on it, and what `design.json` says."""
    if left_out is None:
        return skull, None
    mask, volume_cm3 = leave_out(skull.mask, left_out)
    if volume_cm3 > 0.0:
        note = f"{volume_cm3:.1f} cm³ of bone were left out of the skull as you marked it."
    else:
        note = "The region to leave out holds none of the skull's bone (0.0 cm³)."
    facts = LeftOutFacts(left_out.sha256, round(volume_cm3, 2))
    return replace(skull, mask=mask, notes=(*skull.notes, note)), facts


def _cut(
    skull: Skull, left_out: LeftOut | None, cut: CurveRegion
) -> tuple[Skull, LeftOut | None, float]:
    """Return the skull without the bone in a region, what is left out of it now, and how much bone
    that was (cm³).
    """
    bone = cut.bone_within(skull.mask)
    volume_cm3 = 0.0
    if array_of(bone).any():
        mask, volume_cm3 = leave_out(skull.mask, LeftOut(bone))
        skull = replace(skull, mask=mask)
        if left_out is not None:
            bone = bone | (resample(left_out.region, bone, sitk.sitkNearestNeighbor) != 0)
        left_out = LeftOut(bone, "" if left_out is None else left_out.sha256)
    note = (
        f"The inside of the curve to cut out ({cut.area_cm2:.0f} cm²) is taken for a hole; "
        f"{volume_cm3:.1f} cm³ of bone in it count as removed, without a saw's width."
    )
    return replace(skull, notes=(*skull.notes, note)), left_out, volume_cm3
