"""The whole path, told once: a CT becomes a skull, the skull is completed, the difference is the
implant, the implant is fitted, smoothed, meshed and checked.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import SimpleITK as sitk

from .completion import (
    Choice,
    Completed,
    Earlier,
    Refining,
    assess,
    assess_reference,
    between_slices,
    complete,
    complete_by_reference,
    find_earlier,
    find_refining,
    find_weights,
    lying_unsurely,
    no_defect,
    uncertainty_of,
)
from .core.finer_grid import by
from .core.grid import Grid
from .core.images import array_of, crop, image_like, resample
from .core.progress import Progress, part
from .core.stages import StageReport, Stages, no_report
from .core.working_axes import OwnAxes, as_working, on_working_axes
from .finishing import Known, checked, meshes_of, surface_around
from .geometry import (
    complete_by_prior,
    estimate_pose,
    find_hole,
    require_upright,
    shipped_mean_skull,
)
from .geometry.brow import Brow
from .geometry.hole import Hole
from .geometry.prior import Prior
from .geometry.shape_statistics import Population, shipped_population
from .implant import check_library, make_implants, mask_of
from .models import chosen_model
from .options import REARRANGEMENT, DesignOptions, check_options
from .proposal import (
    Design,
    LeftOutFacts,
    ModelFacts,
    ReferenceFacts,
    facts_of,
)
from .reading import Input
from .reading.reference import Reference
from .reading.slice_gaps import widest_gap_mm
from .skull import (
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

log = logging.getLogger(__name__)

# What is looked at around the hole: an implant's rim, and the bone beside it (`checks/`).
BOX_AROUND_HOLE_MM = 24.0
SHA_LETTERS = 12  # of a checksum in a sentence, enough to tell weights apart


def design_implant(
    source: Input,
    options: DesignOptions = DesignOptions(),
    report: StageReport = no_report,
    left_out: LeftOut | None = None,
    reference: Reference | None = None,
    population: Population | None = None,
) -> Design:
    """Return the implant for a CT or a skull mask with a hole in it; bone `left_out` is not there.

    `reference`: the patient's own earlier skull or bone flap, which completes the skull then.

    `population`, of which an evaluation leaves out the skull at hand, replaces the shipped one.
    Whatever the axes of the images, all work is done on the same ones (`core.working_axes`), and
    the masks of the design lie on the axes that the input has.
    Raises `SkullImplantError` for anything the user can mend (no skull, no defect, ...), and
    whatever `report` raises, `Cancelled` for instance, which stops the work.
    """
    check_options(options)
    check_library(options.drill)
    image, own = on_working_axes(source.image)
    if left_out is not None:
        left_out = replace(left_out, region=as_working(left_out.region))
    if reference is not None:
        reference = replace(reference, image=as_working(reference.image))
    design = _designed(
        replace(source, image=image), own, options, report, left_out, reference, population
    )
    skull = own.hand_back(design.skull_part)
    refined = design.grid != Grid.of(image)
    return replace(
        design,
        grid=Grid.of(skull if refined else source.image),
        skull_part=skull,
        completed_part=own.hand_back(design.completed_part),
        implant_part=own.hand_back(design.implant_part),
        background=source.image if source.kind == "ct" else skull,
        input=facts_of(source.image, source.kind, source.description, source.sha256),
    )


def _designed(
    source: Input,
    own: OwnAxes,
    options: DesignOptions,
    report: StageReport,
    left_out: LeftOut | None,
    reference: Reference | None,
    population: Population | None,
) -> Design:
    """Return the design for an input on the working axes; see `design_implant`."""
    options = replace(options, model=chosen_model(options.model))
    choice = _choice(options)
    refining = find_refining(options.refine_mm, source.image, options.device, options.engine)
    shapes = population or shipped_population()
    stages = Stages(report)
    with stages.stage("skull") as progress:
        # What is refined lies on a grid of its own, over all of the image.
        head = source.image if refining is not None else head_in(source.image, source.kind)
        doubts = check_lie(head, source.kind, own, options.bone_threshold_hu)
        if source.kind == "ct":
            threshold = SkullOptions(bone_threshold_hu=options.bone_threshold_hu)
            skull = segment_skull(head, threshold, progress)
        else:
            skull = clean_skull(head, progress)
        if options.leave_out_metal:
            skull, left_out = with_metal(skull, left_out)
        skull, left = _without(skull, left_out)
    found = skull
    if refining is not None:
        with stages.stage("super-resolution", refining.device) as progress:
            skull = _refined(found, refining, progress)
    with stages.stage("pose") as progress:
        pose = estimate_pose(skull.mask, shapes, progress)
        log.info("pose: the vault fits the population's mean to %.2f mm", pose.fit_mm)
    with stages.stage("prior") as progress:
        prior = complete_by_prior(skull.mask, pose, shapes, progress)
        if prior.hole_area_cm2 <= 0.0:
            raise no_defect(found, prior)
    hole, earlier = find_hole(skull.mask, prior, BOX_AROUND_HOLE_MM), None
    if reference is not None:
        with stages.stage("reference") as progress:
            earlier = find_earlier(reference, skull, prior, hole, progress)
    with stages.stage("completion", choice.device if choice.weights else None) as progress:
        if earlier is None:
            completed = complete(skull.mask, prior, hole, choice, progress, shapes.brows)
        else:
            completed = _by_reference(earlier, skull, prior, hole, choice, progress, shapes.brows)
        hole, filled = completed.hole, completed.filled(skull.mask)
    with stages.stage("implant") as progress:
        bone = surface_around(skull, hole.box)
        depth = completed.depth_mm
        if options.smoother == REARRANGEMENT:
            depth = completed.rearranged(bone.field)
        implants, notes = make_implants(
            depth, bone, hole.mask, pose.centre_mm, options.implant, progress
        )
        mask = mask_of(implants, crop(skull.mask, hole.box))
    with stages.stage("surface") as progress:
        meshes = meshes_of(implants, progress)
    with stages.stage("checks") as progress:
        loose = _loose(head, found, skull, hole.box, left_out)
        unsure = uncertainty_of(prior, completed)
        known = Known(bone, skull, filled, depth, pose, loose, unsure)
        designed = checked(implants, meshes, known, options, progress)
        if reference is None or earlier is None:
            told = None
            confidence = assess(
                prior, shapes, completed.departure, completed.source, doubt=completed.doubt
            )
        else:
            told = _told_of(reference, earlier)
            images = (source.image, reference.image)
            voxel_mm = max(max(image.GetSpacing()) for image in images)
            confidence = assess_reference(earlier, voxel_mm)
        confidence = between_slices(confidence, widest_gap_mm(source, hole.mask))
        confidence = lying_unsurely(confidence, doubts)
    design = Design(
        grid=Grid.of(source.image if skull is found else skull.mask),
        skull_part=skull.mask,
        completed_part=filled,
        implant_part=mask,
        implants=designed,
        notes=(
            *confidence.warning,
            *source.notes,
            *(() if reference is None else reference.notes),
            *(() if earlier is None else (*earlier.bone.notes, earlier.note)),
            *skull.notes,
            *prior.notes,
            *completed.notes,
            *notes,
            *(note for implant in implants for note in implant.notes),
        ),
        background=source.image if source.kind == "ct" else skull.mask,
        input=facts_of(source.image, source.kind, source.description, source.sha256),
        options=options,
        bone_threshold_hu=skull.bone_threshold_hu,
        hole_area_cm2=prior.hole_area_cm2,
        left_out=left,
        reference=told,
        model=_model_told(options, choice, shapes, completed, told),
        device=completed.device,
        confidence=confidence,
        stages=stages,
        resampled=source.resampled,
    )
    _log(design)
    return design


def check_lie(
    image: sitk.Image, kind: str, own: OwnAxes, bone_threshold_hu: float | None = None
) -> tuple[str, ...]:
    """Return notes on how the head stands in an image of a `kind` (`ct`, `skull`) on the working
    axes, which came with its `own`.

    Raises `SkullImplantError` where it does not stand upright and look forward.
    """
    bright = bright_in(image, kind, bone_threshold_hu)
    return require_upright(bright, shipped_mean_skull(), own.direction)


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


def _model_told(
    options: DesignOptions,
    choice: Choice,
    shapes: Population,
    completed: Completed,
    told: ReferenceFacts | None,
) -> ModelFacts:
    """Return who completed the skull; beside a whole skull of before nobody else did."""
    if told is not None and told.shows == "skull":
        return ModelFacts(completed.source, told.sha256, completed.source)
    sha256 = choice.weights.sha256 if choice.weights else shapes.sha256
    return ModelFacts(Path(options.model).stem, sha256, completed.source)


def _told_of(reference: Reference, earlier: Earlier) -> ReferenceFacts:
    """Return what `design.json` says of a reference."""
    return ReferenceFacts(
        sha256=reference.sha256,
        shows=earlier.shows,
        residual_mm=round(earlier.residual_mm, 3),
        residual_most_mm=round(earlier.residual_most_mm, 3),
        agreeing_share=round(earlier.agreeing, 4),
        thicker_mm=round(earlier.thicker_mm, 3),
        kerf_mm=None if earlier.kerf_mm is None else round(earlier.kerf_mm, 2),
        scale_off=round(earlier.scale_off, 4),
    )


def _refined(skull: Skull, refining: Refining, progress: Progress) -> Skull:
    """Return the skull on its finer grid, without grey: the mask alone says where bone is."""
    finer = refining.refined(skull.mask, progress)
    weights, spacing = refining.weights.sha256[:SHA_LETTERS], by(finer.mask.GetSpacing())
    note = (
        f"Super-resolution (weights {weights}) refined the skull: all masks lie on a grid of "
        f"{spacing} mm, and not on the input's."
    )
    return replace(skull, mask=finer.mask, notes=(*skull.notes, note, *finer.notes), grey=None)


def _loose(
    image: sitk.Image,
    found: Skull,
    skull: Skull,
    box: tuple[slice, ...],
    left_out: LeftOut | None,
) -> sitk.Image:
    """Return what is as hard as bone in a box of the skull's grid and no skull, uint8.

    found: the skull on the grid of the input `image`, before it was refined, if it was.
    """
    if skull is found:
        return loose_matter(image, skull, box, left_out)
    whole = tuple(slice(0, n) for n in found.mask.GetSize()[::-1])
    region = crop(skull.mask, box)
    loose = resample(loose_matter(image, found, whole, left_out), region, sitk.sitkNearestNeighbor)
    return image_like((array_of(loose) > 0) & (array_of(region) == 0), region)


def _log(design: Design) -> None:
    """Tell the log what was decided, in short."""
    log.info("hole of %.1f cm²", design.hole_area_cm2)
    log.info("completed by %s on %s", design.model.source, design.device)
    if design.confidence:
        log.info("expected HD95: %.1f mm", design.confidence.expected_hd95_mm)
    for check in design.checks:
        log.info("%s: %s", "passed" if check.passed else "look at", check.sentence)


def _choice(options: DesignOptions) -> Choice:
    """Return who completes the skull; a GPU or engine that is missing is told before long work."""
    weights = find_weights(options.model)
    if weights is None:
        return Choice(options.model)
    from .completion.network import choose_device
    from .sparse import engine_named

    engine_named(options.engine)
    device = choose_device(options.device).type
    return Choice(options.model, weights, device, options.engine)


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
