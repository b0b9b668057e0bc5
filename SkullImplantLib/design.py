"""The whole path, told once: a CT becomes a skull, the skull is completed, the difference is the
implant, the implant is fitted, smoothed, meshed and checked.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from .completion import (
    Choice,
    Completed,
    Earlier,
    assess,
    assess_reference,
    between_slices,
    lying_unsurely,
    no_defect,
    uncertainty_of,
)
from .core.grid import Grid
from .core.images import crop
from .core.stages import StageReport, Stages, no_report
from .core.working_axes import OwnAxes, on_working_axes
from .designing.completed_head import Beside, choice_of, complete_head, see_head
from .designing.finishing import Known, checked, meshes_of, surface_around
from .designing.proposal import Design, ModelFacts, ReferenceFacts, facts_of
from .geometry.shape_statistics import Population, shipped_population
from .implant import check_library, make_implants, mask_of
from .models import chosen_model
from .options import REARRANGEMENT, DesignOptions, check_options
from .reading import Input
from .reading.curve import Curve
from .reading.reference import Reference
from .reading.slice_gaps import widest_gap_mm
from .skull import LeftOut

log = logging.getLogger(__name__)


def design_implant(
    source: Input,
    options: DesignOptions = DesignOptions(),
    report: StageReport = no_report,
    left_out: LeftOut | None = None,
    reference: Reference | None = None,
    population: Population | None = None,
    limit_to: Sequence[Curve] = (),
    cut_out: Sequence[Curve] = (),
) -> Design:
    """Return the implant for a CT or a skull mask with a hole in it; bone `left_out` is not there.

    `reference`: the patient's own earlier skull or bone flap, which completes the skull then.
    `limit_to`: only what of the missing bone lies within one of these curves gets an implant.
    `cut_out`: the inside of these curves is a hole, and bone in it is removed.

    `population`, of which an evaluation leaves out the skull at hand, replaces the shipped one.
    Whatever the axes of the images, all work is done on the same ones (`core.working_axes`), and
    the masks of the design lie on the axes that the input has.
    Raises `SkullImplantError` for anything the user can mend (no skull, no defect, ...), and
    whatever `report` raises, `Cancelled` for instance, which stops the work.
    """
    check_options(options)
    check_library(options.drill)
    image, own = on_working_axes(source.image)
    beside = Beside(left_out, reference, tuple(limit_to), tuple(cut_out)).on_working_axes()
    design = _designed(replace(source, image=image), own, options, report, beside, population)
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
    beside: Beside,
    population: Population | None,
) -> Design:
    """Return the design for an input on the working axes; see `design_implant`."""
    options = replace(options, model=chosen_model(options.model))
    choice = choice_of(options)
    shapes = population or shipped_population()
    stages = Stages(report)
    head = see_head(source, own, options, beside, shapes, stages)
    skull, prior, pose, reference = head.skull, head.prior, head.pose, beside.reference
    if prior.hole_area_cm2 <= 0.0:
        raise no_defect(head.found, prior)
    whole = complete_head(head, choice, reference, shapes.brows, stages)
    completed, earlier, hole = whole.completed, whole.earlier, whole.completed.hole
    with stages.stage("implant") as progress:
        bone = surface_around(skull, hole.box)
        depth = completed.depth_mm
        if options.smoother == REARRANGEMENT:
            depth = completed.rearranged(bone.field)
        implants, notes = make_implants(
            depth, bone, hole.mask, pose.centre_mm, options.implant, progress, head.regions
        )
        mask = mask_of(implants, crop(skull.mask, hole.box))
    with stages.stage("surface") as progress:
        meshes = meshes_of(implants, progress)
    with stages.stage("checks") as progress:
        loose = head.loose(hole.box)
        unsure = uncertainty_of(prior, completed)
        depth_told = head.within(depth)
        own_bone = None if earlier is None else head.within(completed.depth_mm)
        known = Known(bone, skull, whole.filled, depth_told, pose, loose, unsure, own_bone)
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
        confidence = lying_unsurely(confidence, head.doubts)
    design = Design(
        grid=Grid.of(skull.mask if head.refined else source.image),
        skull_part=skull.mask,
        completed_part=whole.filled,
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
            *head.drawn.notes,
            *notes,
            *(note for implant in implants for note in implant.notes),
        ),
        background=source.image if source.kind == "ct" else skull.mask,
        input=facts_of(source.image, source.kind, source.description, source.sha256),
        options=options,
        bone_threshold_hu=skull.bone_threshold_hu,
        hole_area_cm2=prior.hole_area_cm2,
        left_out=head.left,
        drawn=head.drawn,
        reference=told,
        model=_model_told(options, choice, shapes, completed, told),
        device=completed.device,
        confidence=confidence,
        stages=stages,
        resampled=source.resampled,
    )
    _log(design)
    return design


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


def _log(design: Design) -> None:
    """Tell the log what was decided, in short."""
    log.info("hole of %.1f cm²", design.hole_area_cm2)
    log.info("completed by %s on %s", design.model.source, design.device)
    if design.confidence:
        log.info("expected HD95: %.1f mm", design.confidence.expected_hd95_mm)
    for check in design.checks:
        log.info("%s: %s", "passed" if check.passed else "look at", check.sentence)
