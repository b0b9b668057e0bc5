"""What a design is: masks and implants, what is known of them, and how `design.json` tells it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from vtkmodules.vtkCommonDataModel import vtkPolyData

from .. import __version__
from ..checks import Check
from ..completion import Confidence
from ..core.grid import Grid, pasted
from ..core.result_names import maps_name, stl_names
from ..core.stages import Stages
from ..implant import WayIn, mesh_health, together
from ..options import DesignOptions

SCHEMA_VERSION = 2  # of `design.json`; raised with every change that a reader could trip over
# More than anybody is told: rounded twice, a size would be told in two ways.
SIZE_DECIMALS = 4
DISCLAIMER = "A proposal for review by a qualified person; not a medical device."


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
    whose completion was used in the end (`network`, `prior`, `mirror` or `reference`). None is
    not known.
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
class DrawnFacts:
    """What was drawn on the head: the SHA-256 of the curves' files, the area within them (cm², on a
    usual vault; None without any), and how much bone was cut out (cm³).
    """

    limit_to: tuple[str, ...] = ()
    limit_cm2: float | None = None
    cut_out: tuple[str, ...] = ()
    cut_cm2: float | None = None
    cut_cm3: float = 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know of it."""
        if self.limit_cm2 is None:
            return ()
        return (
            f"Limited to the inside of the curve ({self.limit_cm2:.0f} cm²): what is missing "
            "beyond it stays open, and there the implant ends in a free edge.",
        )

    def as_json(self) -> dict[str, Any]:
        """Return what `design.json` says of it, beside the parameters."""
        limit: dict[str, Any] | None = None
        cut: dict[str, Any] | None = None
        if self.limit_cm2 is not None:
            limit = {"sha256": list(self.limit_to), "area_cm2": round(self.limit_cm2, 1)}
        if self.cut_cm2 is not None:
            cut = {
                "sha256": list(self.cut_out),
                "area_cm2": round(self.cut_cm2, 1),
                "volume_cm3": round(self.cut_cm3, 2),
            }
        return {"limit_to": limit, "cut_out": cut}


@dataclass(frozen=True)
class ReferenceFacts:
    """The patient's own earlier bone that completed the skull: its SHA-256, what it shows (`skull`
    or `flap`), how its registration left it on intact bone (half and 95 % of it less, mm; the share
    that agrees to a millimetre), how much thicker its bone is, a flap's kerf (mm; else None), and
    by which share it was larger along the worst of its axes before it was scaled to fit.
    """

    sha256: str
    shows: str
    residual_mm: float
    residual_most_mm: float
    agreeing_share: float
    thicker_mm: float
    kerf_mm: float | None
    scale_off: float


@dataclass(frozen=True)
class DesignedImplant:
    """One implant of a design: its mesh in LPS mm, checks, the way in, where its hole is (LPS), and
    how far it was bent to be flush with the rim (None where an edited design does not know). maps:
    values (float32, mm) at the points of the mesh by name (`gap_mm`, `step_mm`, `thickness_mm`, and
    `uncertainty_mm` where it is known), not a number where there is none.
    """

    mesh: vtkPolyData
    checks: tuple[Check, ...]
    way_in: WayIn
    centre_mm: tuple[float, float, float]
    rim_correction_mm: float | None
    maps: Mapping[str, NDArray[np.float32]]

    def as_json(self, file: str, label: int) -> dict[str, Any]:
        """Return what `design.json` says of it."""
        health = mesh_health(self.mesh)
        bounds = self.mesh.GetBounds()
        area_cm2 = next(float(check.value) for check in self.checks if check.name == "area")
        return {
            "file": file,
            "label": label,
            "maps": {"file": maps_name(file), "arrays": list(self.maps)},
            "volume_cm3": round(health.volume_cm3, SIZE_DECIMALS),
            "area_cm2": round(area_cm2, SIZE_DECIMALS),
            "thickness_mm": round(10.0 * health.volume_cm3 / area_cm2, SIZE_DECIMALS),
            "triangles": health.triangles,
            "size_mm_xyz": [round(bounds[2 * k + 1] - bounds[2 * k], 1) for k in range(3)],
            "centre_mm_xyz": [round(along, 1) for along in self.centre_mm],
            "insertion_direction_lps": [round(float(along), 5) for along in self.way_in.direction],
            "insertion_off_normal_deg": round(self.way_in.off_normal_deg, 1),
            "insertion_lost_percent": round(100.0 * self.way_in.lost_share, 2),
            "insertion_bared_rim_mm": round(self.way_in.bared_mm, 2),
            "rim_correction_mm": (
                None if self.rim_correction_mm is None else round(self.rim_correction_mm, 2)
            ),
            "checks": [plain(check) for check in self.checks],
            "passed": all(check.passed for check in self.checks),
        }


@dataclass(frozen=True)
class Design:
    """A proposal for review, made or edited: masks, implants, and what is known.

    grid: of all masks: the input's, or the one that it was refined to.
    skull_part: uint8 mask on a part of that grid, with the hole; beyond it is no bone.
    completed_part, implant_part: uint8 masks on a part of it, of the implants with labels 1 to N;
    beyond it the completed skull is the skull. implants: as many, the largest hole's first.
    background: what pictures show behind it: the CT, on its own grid, or the skull. resampled: that
    CT is no longer as it was scanned (`Input`).
    bone_threshold_hu: None for an input that was a mask. hole_area_cm2 and confidence: None where
    an edited design does not know.
    """

    grid: Grid
    skull_part: sitk.Image
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
    drawn: DrawnFacts
    reference: ReferenceFacts | None
    model: ModelFacts
    device: str
    confidence: Confidence | None
    stages: Stages = field(repr=False)
    edited: bool = False
    resampled: bool = False

    @property
    def skull(self) -> sitk.Image:
        """The skull (uint8 0/1) on the whole grid."""
        return self.grid.holding(self.skull_part)

    @property
    def completed(self) -> sitk.Image:
        """The completed skull (uint8 0/1) on the whole grid, made anew at each call."""
        return pasted(self.skull, self.completed_part)

    @property
    def implant(self) -> sitk.Image:
        """The implants (uint8, labels 1 to N) on the whole grid, made anew at each call."""
        return self.grid.holding(self.implant_part)

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
            "input": plain(self.input),
            "parameters": {
                **plain(self.options),
                "bone_threshold_hu": self.bone_threshold_hu,
                "leave_out": None if self.left_out is None else plain(self.left_out),
                **self.drawn.as_json(),
            },
            **({} if self.reference is None else {"reference": plain(self.reference)}),
            "model": plain(self.model),
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
            "volume_cm3": round(volume_cm3, SIZE_DECIMALS),
            "area_cm2": round(area_cm2, SIZE_DECIMALS),
            "thickness_mm": round(10.0 * volume_cm3 / area_cm2, SIZE_DECIMALS),
            "hole_area_cm2": None if hole_cm2 is None else round(hole_cm2, 1),
            "triangles": sum(told["triangles"] for told in implants),
            "size_mm_xyz": [round(bounds[2 * k + 1] - bounds[2 * k], 1) for k in range(3)],
        }


def facts_of(image: sitk.Image, kind: str, description: str, sha256: str | None) -> InputFacts:
    """Return what `design.json` says of an input with the grid of `image`."""
    spacing_mm = tuple(round(s, 6) for s in image.GetSpacing())
    return InputFacts(kind, description, sha256, tuple(image.GetSize()), spacing_mm)


def plain(facts: Any) -> dict[str, Any]:
    """Return a dataclass as JSON has it: with lists, not tuples."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(facts).items()}
