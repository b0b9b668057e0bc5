"""What the verbs that a patient meets do, from parsed options to a result to print.

Those that measure and train are in `evaluation_commands.py` and `training_commands.py`.
"""

import argparse
import logging
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..cases.defects import USUAL_CM2, apply_to_ct, make_defect
from ..cases.sample import SamplePatient, make_sample_patient
from ..completion.trust import MIRRORED
from ..core.images import voxel_volume_mm3, write_image
from ..core.memory_need import Foresee, unforeseen
from ..core.progress import part
from ..core.stages import ALMOST, StageReport
from ..core.staging import staged_folder
from ..core.threads import use_threads
from ..core.working_axes import on_working_axes
from ..design import design_implant
from ..designing.completed_head import check_lie
from ..designing.update import update_design
from ..evaluation.metrics import evaluate_implant
from ..export.renders import try_rendering
from ..export.results import RESULT_FILES, write_design, write_files, write_pictures
from ..geometry.pose import estimate_pose
from ..geometry.shape_statistics import shipped_population
from ..models import PRIOR, torch_version, uses_torch
from ..options import DesignOptions, DrillOptions
from ..reading.curve import Curve, read_curve
from ..reading.input import Choices, Input, read_input
from ..reading.reference import Reference, read_reference
from ..skull.left_out import LeftOut, read_left_out
from ..skull.segmentation import SkullOptions, clean_skull, segment_skull
from .devices import find_devices
from .foreseen import Foreseen
from .result import Result, stage_of

log = logging.getLogger(__name__)


def design(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant design`: CT or skull to a result folder."""
    refines = options.refine_mm is not None and torch_version() is not None
    use_threads(options.threads, refines or uses_torch(options.model))
    left_out = read_left_out(options.leave_out) if options.leave_out else None
    foreseen = Foreseen(options.coarser)
    with foreseen.told():
        return _design(options, report, left_out, foreseen)


def _design(
    options: argparse.Namespace, report: StageReport, left_out: LeftOut | None, foreseen: Foreseen
) -> Result:
    source = read_source(options, report, foreseen)
    reference = read_earlier(options, report)
    limit_to, cut_out = read_curves(options)
    settings = replace(
        until_completed(options),
        thickness_mm=options.thickness_mm,
        least_wall_mm=options.least_wall_mm,
        insertion_direction=options.insertion_direction,
        holes=tuple(options.hole),
        split_gap_mm=options.split_gap_mm,
        bevel_mm=options.bevel_mm,
        drill=DrillOptions(
            **{field.name: getattr(options, field.name) for field in fields(DrillOptions)}
        ),
    )
    if not options.no_report:
        try_rendering()
    with staged_folder(options.output, RESULT_FILES) as folder:
        found = design_implant(
            source, settings, report, left_out, reference, limit_to=limit_to, cut_out=cut_out
        )
        data = write_files(found, folder, not options.no_report)
    return Result(data, _summary(data, options.output))


def read_curves(options: argparse.Namespace) -> tuple[list[Curve], list[Curve]]:
    """Return the curves that limit a design, and those whose inside is a hole."""
    limit_to, cut_out = (
        [read_curve(path) for path in paths] for paths in (options.limit_to, options.cut_out)
    )
    return limit_to, cut_out


def until_completed(options: argparse.Namespace) -> DesignOptions:
    """Return the options on which the completed skull, and so the holes in it, depend."""
    return DesignOptions(
        bone_threshold_hu=options.bone_threshold,
        leave_out_metal=options.leave_out_metal,
        refine_mm=options.refine_mm,
        clearance_mm=options.clearance_mm,
        smoother=options.smoother,
        model=options.model,
        device=options.device,
        engine=options.engine,
    )


def update(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant update`: mesh and check an implant anew that was edited by hand."""
    use_threads(options.threads)
    edited = update_design(
        options.result, options.input, options.clearance_mm, options.insertion_direction, report
    )
    data = write_design(edited, options.output, not options.no_report)
    return Result(data, _summary(data, options.output))


def report(options: argparse.Namespace, progress: StageReport) -> Result:
    """`skull-implant report`: the pictures and the report of a design that has none."""
    use_threads(options.threads)
    try_rendering()
    output = options.output or options.result
    data = write_pictures(options.result, options.input, output, progress, options.previous)
    return Result(data, f"The pictures and the report were written to {output}.")


def sample(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant sample`: the sample patient's CT and answer."""
    use_threads(options.threads)
    with staged_folder(options.output) as folder:
        patient = _make_sample(options.seed, folder, report)
    data = {"seed": options.seed, "answer_volume_cm3": round(_volume_cm3(patient.implant), 2)}
    return Result(data, f"The sample patient was written to {options.output}.")


def _make_sample(seed: int, folder: Path, report: StageReport) -> SamplePatient:
    """Make the sample patient, and write its CT and the answer."""
    progress = stage_of(report, "sample patient")
    patient = make_sample_patient(seed, progress=part(progress, 0.0, 0.8))
    progress(0.8, "writing the sample patient")
    write_image(patient.ct, folder / "sample-ct.nrrd")
    write_image(patient.implant, folder / "sample-answer.nrrd")
    progress(1.0, "sample patient written")
    return patient


def demo(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant demo`: the sample patient, end to end, and how near the answer it came."""
    use_threads(options.threads, uses_torch(options.model))
    settings = DesignOptions(model=options.model, device=options.device, engine=options.engine)
    try_rendering()
    with staged_folder(options.output) as folder:
        patient = _make_sample(options.seed, folder, report)
        source = read_input(folder / "sample-ct.nrrd", "ct")
        found = design_implant(source, settings, report)
        data = write_files(found, folder)
        metrics = evaluate_implant(found.implant, patient.implant, patient.defective)
    data["against_the_answer"] = metrics.as_json()
    text = _summary(data, options.output) + (
        f"\nAgainst the piece that was taken out: Dice {metrics.dice:.3f}, "
        f"HD95 {metrics.hd95_mm:.2f} mm (a phantom made by formulas, no evidence of accuracy)."
    )
    return Result(data, text)


def devices(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant devices`: where a network can run on this machine."""
    data = find_devices()
    if data["torch"] is None:
        torch = f"PyTorch is not installed; the model '{PRIOR}' runs without it."
    else:
        torch = f"PyTorch {data['torch']}" + ("" if data["torch_ok"] else ", too old")
    lines = [
        f"{device['id']:<6} {device['name']}, "
        + (f"{device['threads']} threads" if "threads" in device else f"{device['memory_gib']} GiB")
        for device in data["devices"]
    ]
    return Result(data, "\n".join([*lines, torch]))


def read_source(
    options: argparse.Namespace, report: StageReport, foresee: Foresee = unforeseen
) -> Input:
    """Read INPUT as its options say; `foresee` is told what its headers say."""
    progress = stage_of(report, "reading")
    # The stage ends once, with what was read.
    reading = part(progress, 0.0, ALMOST)
    choices = Choices(options.label, options.segment, options.orientation, options.coarser)
    kind, series = options.kind_of_input, options.series
    source = read_input(options.input, kind, series, reading, choices=choices, foresee=foresee)
    progress(1.0, source.description)
    return source


def read_earlier(options: argparse.Namespace, report: StageReport) -> Reference | None:
    """Read the reference that is asked for; None where there is none."""
    if options.reference is None:
        return None
    progress = stage_of(report, "reading the reference")
    found = read_reference(options.reference, options.reference_is, part(progress, 0.0, ALMOST))
    progress(1.0)
    return found


def _summary(data: dict[str, Any], folder: Path) -> str:
    implant = data["implant"]
    lines = [
        f"Implant: {implant['volume_cm3']:.1f} cm³, {implant['area_cm2']:.0f} cm², "
        f"{implant['thickness_mm']:.1f} mm thick, {implant['triangles']} triangles.",
    ]
    # Of an implant edited by hand nobody knows, nor of the other side turned over.
    if data.get("confidence", {}).get("source", MIRRORED) != MIRRORED:
        expected_mm = data["confidence"]["expected_hd95_mm"]
        lines.append(f"Expected error (HD95): {expected_mm:.1f} mm.")
    lines += [f"Note: {note}" for note in data["notes"]]
    lines += [f"Look at: {check['sentence']}" for check in data["checks"] if not check["passed"]]
    seconds = sum(stage["seconds"] for stage in data["stages"])
    passed = sum(check["passed"] for check in data["checks"])
    lines += [
        f"{passed} of {len(data['checks'])} checks passed; {seconds:.0f} s; written to {folder}.",
        data["disclaimer"],
    ]
    return "\n".join(lines)


def defect(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant defect`: cut a craniectomy, and keep the answer."""
    use_threads(options.threads)
    source = read_source(options, report)
    image, own = on_working_axes(source.image)
    doubts = check_lie(image, source.kind, own, options.bone_threshold)
    if source.kind == "ct":
        threshold = SkullOptions(bone_threshold_hu=options.bone_threshold)
        skull = segment_skull(image, threshold, stage_of(report, "skull")).mask
    else:
        skull = clean_skull(image, stage_of(report, "skull")).mask
    pose = estimate_pose(skull, shipped_population(), stage_of(report, "pose"))
    kind = "random_1" if options.kind == "random" else options.kind
    # Of the kind too: with one seed, each kind has an area and a place of its own.
    rng = np.random.default_rng([options.seed, *kind.encode()])
    area_cm2 = USUAL_CM2 if options.area_cm2 is None else options.area_cm2
    cut = make_defect(skull, kind, rng, pose=pose, area_cm2=area_cm2)
    defective = cut.defective
    if source.kind == "ct":
        defective = apply_to_ct(image, cut, rng)
    with staged_folder(options.output) as folder:
        progress = stage_of(report, "export")
        write_image(own.hand_back(defective), folder / "defective.nrrd")
        progress(0.5)
        write_image(own.hand_back(cut.implant), folder / "implant.nrrd")
        write_image(own.hand_back(skull), folder / "complete.nrrd")
        progress(1.0)
    log.info("%s defect of %.1f cm² cut with seed %d", kind, cut.area_cm2, options.seed)
    data = {
        "kind": kind,
        "seed": options.seed,
        "area_cm2": round(cut.area_cm2, 1),
        "volume_cm3": round(_volume_cm3(cut.implant), 2),
        "notes": [*source.notes, *doubts],
    }
    lines = [
        f"A {kind} defect of {data['area_cm2']} cm² ({data['volume_cm3']} cm³ of bone) was cut; "
        f"written to {options.output}.",
        *(f"Note: {note}" for note in (*source.notes, *doubts)),
    ]
    return Result(data, "\n".join(lines))


def _volume_cm3(mask: sitk.Image) -> float:
    statistics = sitk.StatisticsImageFilter()
    statistics.Execute(mask)
    return float(statistics.GetSum()) * voxel_volume_mm3(mask) / 1000.0
