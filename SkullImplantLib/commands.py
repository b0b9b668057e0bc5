"""What each verb of the command line does, from parsed options to a result to print."""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from .completion import choose_device
from .design import DEFAULT_MODEL, DesignOptions, ImplantDesign, design_implant
from .errors import SkullImplantError
from .evaluation.metrics import Metrics, evaluate_implant
from .evaluation.suite import evaluate_cohort, evaluate_suite
from .export.folder import staged_folder
from .images import same_grid, write_image
from .progress import Progress
from .reading import Input, read_input
from .results import write_results
from .sample import make_sample_patient
from .skull import SkullOptions, clean_skull, segment_skull
from .stages import StageReport
from .symmetry import estimate_pose
from .training.cohort import skulls_in
from .training.defects import KINDS, apply_to_ct, make_defect
from .training.train import TrainOptions, train

__all__ = ["COMMANDS", "DEFAULT_MODEL", "DEFECT_KINDS", "DesignOptions", "TrainOptions"]

# `random` is the first of SkullBreak's two random kinds.
DEFECT_KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random", "random_1", "random_2")


@dataclass(frozen=True)
class Result:
    """What a verb prints: `data` for `--json`, `text` for people."""

    data: dict[str, Any]
    text: str


def _stage(report: StageReport, name: str) -> Progress:
    return partial(report, name)


def design(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant design`: CT or skull to a result folder."""
    use_threads(options.threads)
    source = _read(options, report)
    with staged_folder(options.output) as folder:
        data = _design_into(folder, source, _design_options(options), report, not options.no_report)
    return Result(data, _summary(data, options.output))


def demo(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant demo`: the sample patient, end to end, and how near the answer it came."""
    use_threads(options.threads)
    patient = make_sample_patient(options.seed, progress=_stage(report, "sample patient"))
    with staged_folder(options.output) as folder:
        write_image(patient.ct, folder / "sample-ct.nrrd")
        write_image(patient.implant, folder / "sample-answer.nrrd")
        source = read_input(folder / "sample-ct.nrrd", "ct")
        found = design_implant(source, _design_options(options), report)
        data = write_results(found, source, _design_options(options), folder)
        metrics = evaluate_implant(found.implant.mask, patient.implant, patient.defective)
    data["against_the_answer"] = metrics.as_json()
    text = _summary(data, options.output) + (
        f"\nAgainst the piece that was taken out: Dice {metrics.dice:.3f}, "
        f"HD95 {metrics.hd95_mm:.2f} mm (a phantom made by formulas, no evidence of accuracy)."
    )
    return Result(data, text)


def _design_into(
    folder: Path, source: Input, options: DesignOptions, report: StageReport, pictures: bool
) -> dict[str, Any]:
    found: ImplantDesign = design_implant(source, options, report)
    return write_results(found, source, options, folder, pictures)


def _design_options(options: argparse.Namespace) -> DesignOptions:
    return DesignOptions(
        bone_threshold_hu=getattr(options, "bone_threshold", None),
        clearance_mm=getattr(options, "clearance_mm", DesignOptions.clearance_mm),
        model=options.model,
        device=options.device,
        engine=options.engine,
    )


def _read(options: argparse.Namespace, report: StageReport) -> Input:
    progress = _stage(report, "reading")
    source = read_input(options.input, options.kind_of_input, options.series, progress)
    progress(1.0, source.description)
    return source


def _summary(data: dict[str, Any], folder: Path) -> str:
    implant = data["implant"]
    lines = [
        f"Implant: {implant['volume_cm3']:.1f} cm³, {implant['area_cm2']:.0f} cm², "
        f"{implant['thickness_mm']:.1f} mm thick, {implant['triangles']} triangles.",
    ]
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
    source = _read(options, report)
    if source.kind == "ct":
        threshold = SkullOptions(bone_threshold_hu=options.bone_threshold)
        skull = segment_skull(source.image, threshold, _stage(report, "skull")).mask
    else:
        skull = clean_skull(source.image, _stage(report, "skull")).mask
    pose = estimate_pose(skull, _stage(report, "pose"))
    rng = np.random.default_rng(options.seed)
    kind = "random_1" if options.kind == "random" else options.kind
    cut = make_defect(skull, kind, rng, pose=pose, area_cm2=options.area_cm2)
    defective = cut.defective
    if source.kind == "ct":
        defective = apply_to_ct(source.image, cut, rng)
    with staged_folder(options.output) as folder:
        progress = _stage(report, "export")
        write_image(defective, folder / "defective.nrrd")
        progress(0.5)
        write_image(cut.implant, folder / "implant.nrrd")
        write_image(skull, folder / "complete.nrrd")
        progress(1.0)
    data = {
        "kind": kind,
        "seed": options.seed,
        "area_cm2": round(cut.area_cm2, 1),
        "volume_cm3": round(_volume_cm3(cut.implant), 2),
    }
    return Result(
        data,
        f"A {kind} defect of {data['area_cm2']} cm² ({data['volume_cm3']} cm³ of bone) was cut; "
        f"written to {options.output}.",
    )


def _volume_cm3(mask: sitk.Image) -> float:
    statistics = sitk.StatisticsImageFilter()
    statistics.Execute(mask)
    return float(statistics.GetSum() * np.prod(mask.GetSpacing()) / 1000.0)


def evaluate(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant evaluate`: one case, a data set in its own layout, or the suite."""
    use_threads(options.threads)
    chosen = [
        bool(options.implant or options.truth or options.defective),
        bool(options.cohort),
        bool(options.suite),
    ]
    if sum(chosen) != 1:
        raise SkullImplantError(
            "Say what to evaluate: --implant with --truth and --defective, or --cohort, or --suite."
        )
    if chosen[0]:
        return _evaluate_one(options)
    many = (
        partial(evaluate_cohort, options.cohort)
        if chosen[1]
        else partial(evaluate_suite, options.suite, defects=options.defects, seed=options.seed)
    )
    kinds = tuple("random_1" if k == "random" else k for k in options.kinds or KINDS)
    # The truth is the exact complement, so the implant is judged without its clearance.
    settings = DesignOptions(
        clearance_mm=0.0, model=options.model, device=options.device, engine=options.engine
    )
    data, table = many(options.output, kinds=kinds, options=settings, report=report)
    return Result(data, table)


def _evaluate_one(options: argparse.Namespace) -> Result:
    if not (options.implant and options.truth and options.defective):
        raise SkullImplantError("One case needs all of --implant, --truth and --defective.")
    implant, truth, defective = (
        _read_mask(path) for path in (options.implant, options.truth, options.defective)
    )
    for path, image in ((options.truth, truth), (options.defective, defective)):
        if not same_grid(implant, image):
            raise SkullImplantError(
                f"{path.name} does not lie on the grid of {options.implant.name}; evaluate masks "
                "of one image."
            )
    metrics: Metrics = evaluate_implant(implant, truth, defective)
    data = metrics.as_json()
    lines = (f"{k:<20} {'-' if v is None else format(v, '.4f')}" for k, v in data.items())
    return Result(data, "\n".join(lines))


def _read_mask(path: Path) -> sitk.Image:
    """Read a mask that may be small or touch nothing, as an implant alone does."""
    if not path.is_file():
        raise SkullImplantError(f"{path} does not exist; check the path.")
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        raise SkullImplantError(
            f"{path.name} cannot be read as an image; check the file."
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise SkullImplantError(f"{path.name} is not a mask in three dimensions; check the file.")
    return image != 0


def train_network(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant train`: a folder of skulls to weights and their model card."""
    use_threads(options.threads)
    names = TrainOptions.__dataclass_fields__
    settings = {name: getattr(options, name) for name in names if hasattr(options, name)}
    settings["channels"] = tuple(options.channels)
    settings["device"] = choose_device(options.device).type
    start = time.monotonic()
    path = train(
        skulls_in(options.skulls),
        options.output,
        TrainOptions(**settings),
        options.resume,
        _stage(report, "training"),
    )
    minutes = round((time.monotonic() - start) / 60.0, 1)
    data = {"weights": str(path), "minutes": minutes}
    return Result(data, f"Weights, model card and log are in {options.output} ({minutes} minutes).")


def benchmark(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant benchmark engine`: forward time and memory, a row an engine."""
    from .evaluation.benchmark_engine import benchmark_engines, table_of

    rows = benchmark_engines(threads=options.threads)
    return Result({"rows": rows}, table_of(rows))


def use_threads(threads: int | None) -> None:
    """Let numpy's, torch's and SimpleITK's work use so many threads; None leaves their choice."""
    if threads is None:
        return
    import torch

    torch.set_num_threads(threads)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


COMMANDS: dict[str, Callable[[argparse.Namespace, Any], Result]] = {
    "demo": demo,
    "design": design,
    "defect": defect,
    "evaluate": evaluate,
    "train": train_network,
    "benchmark": benchmark,
}
