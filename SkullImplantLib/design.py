"""The whole path, told once: a CT becomes a skull, the skull is completed, the difference is the
implant, the implant is fitted, smoothed, meshed and checked.
"""

import logging
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import SimpleITK as sitk
from vtkmodules.vtkCommonDataModel import vtkPolyData

from . import __version__
from .checks import Check, CheckOptions, check_implant
from .completion import Choice, Confidence, assess, complete, find_weights
from .core.distances import depth_mm
from .core.images import crop
from .core.progress import Progress, part
from .core.stages import StageReport, Stages, no_report
from .errors import SkullImplantError
from .geometry import complete_by_prior, estimate_pose, find_hole
from .geometry.frame import Pose
from .geometry.shape_statistics import Population, shipped_population
from .implant import (
    BoneSurface,
    Implant,
    WayIn,
    bone_surface,
    make_implants,
    mask_of,
    mesh_health,
    surface_of,
    together,
)
from .models import AUTO, PRIOR, TORCH_MINIMUM, chosen_model
from .options import REARRANGEMENT, DesignOptions, check_options
from .reading import Input
from .skull import LeftOut, Skull, SkullOptions, clean_skull, leave_out, segment_skull

log = logging.getLogger(__name__)

SCHEMA_VERSION = 2  # of `design.json`; raised with every change that a reader could trip over
DISCLAIMER = "A proposal for review by a qualified person; not a medical device."
WITHOUT_TORCH = (
    f"The geometric prior made this design, as PyTorch {TORCH_MINIMUM} or newer is not installed; "
    "with it the sparse network would, which is better at the orbit."
)
# What is looked at around the hole: an implant's rim, and the bone beside it (`checks/`).
BOX_AROUND_HOLE_MM = 24.0


@dataclass(frozen=True)
class InputFacts:
    """What `design.json` says of the input; `sha256` is None where it is not known."""

    kind: str
    description: str
    sha256: str | None
    size_xyz: tuple[int, ...]
    spacing_mm_xyz: tuple[float, ...]


@dataclass(frozen=True)
class ModelFacts:
    """Who completed the skull: the model's name, the SHA-256 of its weights or statistics, and
    whose completion was used in the end (`network`, `prior` or `mirror`). None is not known.
    """

    name: str | None
    sha256: str | None
    source: str | None


@dataclass(frozen=True)
class LeftOutFacts:
    """The region in which bone did not count: the SHA-256 of its file, and how much bone."""

    sha256: str
    volume_cm3: float


@dataclass(frozen=True)
class DesignedImplant:
    """One implant of a design: its mesh in LPS mm, checks, the way in, where its hole is (LPS), and
    how far it was bent to be flush with the rim (None where an edited design does not know).
    """

    mesh: vtkPolyData
    checks: tuple[Check, ...]
    way_in: WayIn
    centre_mm: tuple[float, float, float]
    rim_correction_mm: float | None

    def as_json(self, file: str, label: int) -> dict[str, Any]:
        """Return what `design.json` says of it."""
        health = mesh_health(self.mesh)
        bounds = self.mesh.GetBounds()
        area_cm2 = next(float(check.value) for check in self.checks if check.name == "area")
        return {
            "file": file,
            "label": label,
            "volume_cm3": round(health.volume_cm3, 2),
            "area_cm2": round(area_cm2, 1),
            "thickness_mm": round(10.0 * health.volume_cm3 / area_cm2, 2),
            "triangles": health.triangles,
            "size_mm_xyz": [round(bounds[2 * k + 1] - bounds[2 * k], 1) for k in range(3)],
            "centre_mm_xyz": [round(along, 1) for along in self.centre_mm],
            "insertion_direction_lps": [round(float(along), 5) for along in self.way_in.direction],
            "insertion_off_normal_deg": round(self.way_in.off_normal_deg, 1),
            "insertion_lost_percent": round(100.0 * self.way_in.lost_share, 2),
            "rim_correction_mm": (
                None if self.rim_correction_mm is None else round(self.rim_correction_mm, 2)
            ),
            "checks": [_plain(check) for check in self.checks],
            "passed": all(check.passed for check in self.checks),
        }


@dataclass(frozen=True)
class Design:
    """A proposal for review, made or edited: masks, implants, and what is known.

    skull: uint8 mask on the input's grid, with the hole. completed_part, implant_part: uint8 masks
    on a part of that grid, of the implants with labels 1 to N; beyond it the completed skull is the
    skull. implants: as many, the largest hole's first. background: what pictures show behind it:
    the CT, or the skull. bone_threshold_hu: None for an input that was a mask.
    hole_area_cm2 and confidence: None where an edited design does not know.
    """

    skull: sitk.Image
    completed_part: sitk.Image
    implant_part: sitk.Image
    implants: tuple[DesignedImplant, ...]
    notes: tuple[str, ...]
    background: sitk.Image
    input: InputFacts
    options: DesignOptions
    bone_threshold_hu: float | None
    hole_area_cm2: float | None
    left_out: LeftOutFacts | None
    model: ModelFacts
    device: str
    confidence: Confidence | None
    stages: Stages = field(repr=False)
    edited: bool = False

    @property
    def completed(self) -> sitk.Image:
        """The completed skull (uint8 0/1) on the input's grid, made anew at each call."""
        return _on_grid(self.completed_part, self.skull)

    @property
    def implant(self) -> sitk.Image:
        """The implants (uint8, labels 1 to N) on the input's grid, made anew at each call."""
        empty = sitk.Image(self.skull.GetSize(), sitk.sitkUInt8)
        empty.CopyInformation(self.skull)
        return _on_grid(self.implant_part, empty)

    @property
    def mesh(self) -> vtkPolyData:
        """The meshes of all implants as one, LPS mm."""
        return together(tuple(implant.mesh for implant in self.implants))

    @property
    def checks(self) -> tuple[Check, ...]:
        """The checks of all implants, one implant's after the other's."""
        return tuple(check for implant in self.implants for check in implant.checks)

    @property
    def volume_cm3(self) -> float:
        """The implants' volume."""
        return sum(mesh_health(implant.mesh).volume_cm3 for implant in self.implants)

    @property
    def stl_files(self) -> tuple[str, ...]:
        """The names of the implants' files in a result folder."""
        return stl_names(len(self.implants))

    def as_json(self) -> dict[str, Any]:
        """Return the contents of `design.json` (`export/design.schema.json`)."""
        confidence = {} if self.confidence is None else {"confidence": self.confidence.as_json()}
        implants = [
            implant.as_json(file, label)
            for label, (implant, file) in enumerate(zip(self.implants, self.stl_files), 1)
        ]
        several = len(implants) > 1
        return {
            "schema_version": SCHEMA_VERSION,
            "disclaimer": DISCLAIMER,
            "version": __version__,
            "input": _plain(self.input),
            "parameters": {
                **_plain(self.options),
                "bone_threshold_hu": self.bone_threshold_hu,
                "leave_out": None if self.left_out is None else _plain(self.left_out),
            },
            "model": _plain(self.model),
            "device": self.device,
            **confidence,
            "implant": self._measures(implants),
            "implants": implants,
            "checks": [
                {**check, "implant": told["label"]} if several else check
                for told in implants
                for check in told["checks"]
            ],
            "passed": all(told["passed"] for told in implants),
            "notes": list(dict.fromkeys(self.notes)),
            "stages": self.stages.as_list(),
            **({"edited": True} if self.edited else {}),
        }

    def _measures(self, implants: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the sizes of all implants together."""
        volume_cm3 = sum(told["volume_cm3"] for told in implants)
        area_cm2 = sum(told["area_cm2"] for told in implants)
        bounds = self.mesh.GetBounds()
        hole_cm2 = self.hole_area_cm2
        return {
            "volume_cm3": round(volume_cm3, 2),
            "area_cm2": round(area_cm2, 1),
            "thickness_mm": round(10.0 * volume_cm3 / area_cm2, 2),
            "hole_area_cm2": None if hole_cm2 is None else round(hole_cm2, 1),
            "triangles": sum(told["triangles"] for told in implants),
            "size_mm_xyz": [round(bounds[2 * k + 1] - bounds[2 * k], 1) for k in range(3)],
        }


def stl_names(count: int) -> tuple[str, ...]:
    """Return the names of the files of so many implants."""
    if count == 1:
        return ("implant.stl",)
    return tuple(f"implant-{number}.stl" for number in range(1, count + 1))


def design_implant(
    source: Input,
    options: DesignOptions = DesignOptions(),
    report: StageReport = no_report,
    left_out: LeftOut | None = None,
    population: Population | None = None,
) -> Design:
    """Return the implant for a CT or a skull mask with a hole in it; bone `left_out` is not there.

    `population`, of which an evaluation leaves out the skull at hand, replaces the shipped one.
    Raises `SkullImplantError` for anything the user can mend (no skull, no defect, ...), and
    whatever `report` raises, `Cancelled` for instance, which stops the work.
    """
    check_options(options)
    asked = str(options.model)
    options = replace(options, model=chosen_model(asked))
    choice = _choice(options)
    shapes = population or shipped_population()
    stages = Stages(report)
    with stages.stage("skull") as progress:
        if source.kind == "ct":
            threshold = SkullOptions(bone_threshold_hu=options.bone_threshold_hu)
            skull = segment_skull(source.image, threshold, progress)
        else:
            skull = clean_skull(source.image, progress)
        skull, left = _without(skull, left_out)
    with stages.stage("pose") as progress:
        pose = estimate_pose(skull.mask, shapes, progress)
        log.info("pose: the vault fits the population's mean to %.2f mm", pose.fit_mm)
    with stages.stage("prior") as progress:
        prior = complete_by_prior(skull.mask, pose, shapes, progress)
        if prior.hole_area_cm2 <= 0.0:
            raise SkullImplantError(
                "No defect was found in the vault; check the bone threshold, or that this skull "
                "has a hole to be filled."
            )
    with stages.stage("completion", choice.device if choice.weights else None) as progress:
        hole = find_hole(skull.mask, prior, BOX_AROUND_HOLE_MM)
        completed = complete(skull.mask, prior, hole, choice, progress)
        filled = completed.filled(skull.mask, hole)
    with stages.stage("implant") as progress:
        bone = surface_around(skull, hole.box)
        depth = completed.depth_mm
        if options.smoother == REARRANGEMENT:
            depth = completed.rearranged(bone.field, hole)
        implants, notes = make_implants(
            depth, bone, hole.mask, pose.centre_mm, options.implant, progress
        )
        mask = mask_of(implants, filled)
    with stages.stage("surface") as progress:
        meshes = meshes_of(implants, progress)
    with stages.stage("checks") as progress:
        known = Known(bone, skull, filled, depth, pose)
        designed = checked(implants, meshes, known, options, progress)
        confidence = assess(prior, shapes, completed.departure, completed.source)
    without_torch = (WITHOUT_TORCH,) if asked == AUTO and options.model == PRIOR else ()
    design = Design(
        skull=skull.mask,
        completed_part=filled,
        implant_part=mask,
        implants=designed,
        notes=(
            *confidence.warning,
            *source.notes,
            *skull.notes,
            *prior.notes,
            *completed.notes,
            *without_torch,
            *notes,
            *(note for implant in implants for note in implant.notes),
        ),
        background=source.image if source.kind == "ct" else skull.mask,
        input=facts_of(source.image, source.kind, source.description, source.sha256),
        options=options,
        bone_threshold_hu=skull.bone_threshold_hu,
        hole_area_cm2=prior.hole_area_cm2,
        left_out=left,
        model=ModelFacts(
            name=Path(options.model).stem,
            sha256=choice.weights.sha256 if choice.weights else shapes.sha256,
            source=completed.source,
        ),
        device=completed.device,
        confidence=confidence,
        stages=stages,
    )
    _log(design)
    return design


def surface_around(skull: Skull, box: tuple[slice, ...]) -> BoneSurface:
    """Return the surface of the skull's bone in a box, slices (z, y, x), of its grid."""
    grey = None if skull.grey is None else crop(skull.grey, box)
    return bone_surface(crop(skull.mask, box), grey, skull.bone_threshold_hu)


def meshes_of(implants: tuple[Implant, ...], progress: Progress) -> tuple[vtkPolyData, ...]:
    """Return the surface of each implant."""
    return tuple(
        surface_of(implant.field, part(progress, k / len(implants), (k + 1) / len(implants)))
        for k, implant in enumerate(implants)
    )


@dataclass(frozen=True)
class Known:
    """What is known of the head that implants are checked against.

    bone: the surface around the holes. skull: the whole. filled: the completed skull (uint8) on the
    grid of `bone.field`. depth: that within it (float32, mm), where it is known; pose: the head's.
    """

    bone: BoneSurface
    skull: Skull
    filled: sitk.Image
    depth: sitk.Image | None = None
    pose: Pose | None = None


def checked(
    implants: tuple[Implant, ...],
    meshes: tuple[vtkPolyData, ...],
    known: Known,
    options: DesignOptions,
    progress: Progress,
) -> tuple[DesignedImplant, ...]:
    """Return the implants with their checks."""
    limits = CheckOptions(
        clearance_mm=options.clearance_mm, least_wall_mm=options.least_wall_mm
    )
    completed = depth_mm(known.filled) if known.depth is None else known.depth
    ct = None if known.skull.grey is None else crop_like(known.skull.grey, known.bone.field)
    return tuple(
        DesignedImplant(
            mesh,
            check_implant(
                mesh,
                known.bone,
                limits,
                implant.way_in.direction,
                ct,
                completed,
                known.pose,
                known.skull.mask,
                part(progress, number / len(implants), (number + 1) / len(implants)),
            ),
            implant.way_in,
            implant.centre_mm,
            implant.correction_mm,
        )
        for number, (implant, mesh) in enumerate(zip(implants, meshes))
    )


def crop_like(image: sitk.Image, region: sitk.Image) -> sitk.Image:
    """Return the part of `image` on the grid of `region`, a box of its own."""
    start = image.TransformPhysicalPointToIndex(region.GetOrigin())
    return sitk.RegionOfInterest(image, region.GetSize(), start)


def facts_of(image: sitk.Image, kind: str, description: str, sha256: str | None) -> InputFacts:
    """Return what `design.json` says of an input with the grid of `image`."""
    spacing_mm = tuple(round(s, 6) for s in image.GetSpacing())
    return InputFacts(kind, description, sha256, tuple(image.GetSize()), spacing_mm)


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


def _on_grid(part: sitk.Image, grid: sitk.Image) -> sitk.Image:
    """Return `grid`, with the voxels of `part`, which lies on a part of it, in their place."""
    start = grid.TransformPhysicalPointToIndex(part.GetOrigin())
    whole: sitk.Image = sitk.Paste(grid, part, part.GetSize(), [0, 0, 0], start)
    return whole


def _plain(facts: Any) -> dict[str, Any]:
    """Return a dataclass as JSON has it: with lists, not tuples."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(facts).items()}
