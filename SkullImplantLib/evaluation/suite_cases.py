"""The cases that accuracy is measured on: inputs with a hole whose filling is known.

A suite's case is cut into a complete skull, or into the CT itself, so that segmentation is judged
too; a cohort's case lies on disk. A case is a small description that any process can load.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import SimpleITK as sitk

from ..cases.data_folders import CaseFile
from ..cases.defects import KINDS, USUAL_CM2, Defect, apply_to_ct, checked_areas, make_defect
from ..cases.skull_folder import SkullFile, named_skulls, skulls_of
from ..core.checksums import sha256_of
from ..core.image_files import read_mask
from ..core.images import array_of, same_grid
from ..core.working_axes import as_working
from ..errors import SkullImplantError
from ..geometry.frame import Pose
from ..geometry.pose import estimate_pose
from ..geometry.shape_statistics import POPULATION_FILE, read_population, shipped_population
from ..reading.input import Input, read_input
from .evaluation_options import SuiteOptions
from .expert_implant import read_expert_implant
from .judge import NamedCase

UNNAMED = "unnamed"  # the kind of defects that a data set does not sort


@dataclass(frozen=True)
class CaseInput:
    """One case to judge: an input with a hole, the piece that fills it (None where the truth is not
    public), the skull without it, the vault's centre (LPS, mm; None where it is not known), and
    what is known of it.
    """

    source: Input
    truth: sitk.Image | None
    defective: sitk.Image
    centre_mm: np.ndarray | None
    facts: dict[str, Any]


class JudgedCase(NamedCase, Protocol):
    """A case that an implant is designed for."""

    def load(self) -> CaseInput:
        """Make the case.

        Raises `NoPlaceForDefect`: no case, and nobody's failure. Raises `SkullImplantError` for a
        file that cannot be read, or a truth that does not lie where it should.
        """
        ...


@dataclass(frozen=True)
class CompleteSkull:
    """A complete skull or CT as read, its mask, and its pose by the shape statistics at hand, by
    which defects are placed.
    """

    source: Input
    mask: sitk.Image
    pose: Pose


@lru_cache(maxsize=1)
def complete_skull(skull: SkullFile, population: Path = POPULATION_FILE) -> CompleteSkull:
    """Return the complete skull in a file; the last one is kept, for the next of its cases."""
    source, mask = skull.read()
    return CompleteSkull(source, mask, estimate_pose(mask, read_population(population)))


@dataclass(frozen=True)
class SuiteCase:
    """The defect number `number` of a kind in the complete skull or CT in `path`, its area drawn
    between `areas_cm2`; it depends on the skull, the seed, and the `population` by which the
    skull's pose is found.
    """

    path: Path
    skull: str
    kind: str
    number: int
    seed: int
    population: Path = POPULATION_FILE
    areas_cm2: tuple[float, float] = USUAL_CM2

    @property
    def name(self) -> str:
        return f"{self.skull}-{self.kind}-{self.number}"

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "skull": self.skull, "kind": self.kind, "number": self.number, "seed": self.seed
        }  # fmt: skip

    def identity(self) -> dict[str, Any]:
        return {
            **self.facts,
            "input_sha256": _sha256_of(self.path),
            "placed_by": _sha256_of(self.population),
            "areas_cm2": list(self.areas_cm2),
        }

    def complete(self) -> CompleteSkull:
        """Return the skull that the case is cut into."""
        return complete_skull(SkullFile(self.skull, self.path), self.population)

    def cut(self) -> tuple[Input, Defect, dict[str, Any]]:
        """Return the input with the defect, the defect, and what is known of the case.

        Raises `NoPlaceForDefect` where the skull offers none for the defect that was drawn.
        """
        complete = self.complete()
        rng = np.random.default_rng(
            [self.seed, self.number, KINDS.index(self.kind), *self.skull.encode()]
        )
        defect = make_defect(complete.mask, self.kind, rng, complete.pose, self.areas_cm2)
        source = complete.source
        image = defect.defective
        if source.kind == "ct":
            image = apply_to_ct(source.image, defect, rng)
        facts = {**self.facts, "input": source.kind, "area_cm2": round(defect.area_cm2, 1)}
        return Input(image, source.kind, "", "a skull of the suite"), defect, facts

    def load(self) -> CaseInput:
        source, defect, facts = self.cut()
        centre_mm = self.complete().pose.centre_mm
        return CaseInput(source, defect.implant, defect.defective, centre_mm, facts)


@dataclass(frozen=True)
class CohortCase:
    """A case of a data set on disk; `kind` is `unnamed` where the data set has none, `implant` the
    truth, a mask or an expert's STL, where it is public.
    """

    defective: Path
    implant: Path | None
    skull: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.skull}-{self.kind}".replace("/", "-")

    @property
    def facts(self) -> dict[str, Any]:
        return {"skull": self.skull, "kind": self.kind, "input": "skull"}

    def identity(self) -> dict[str, Any]:
        return {
            **self.facts,
            "input_sha256": _sha256_of(self.defective),
            "truth_sha256": None if self.implant is None else _sha256_of(self.implant),
        }

    def load(self) -> CaseInput:
        source = read_input(self.defective, "skull")
        centre_mm = vault_centre_mm(source.image)
        return CaseInput(source, self._truth(source.image), source.image, centre_mm, self.facts)

    def _truth(self, skull: sitk.Image) -> sitk.Image | None:
        if self.implant is None:
            return None
        if self.implant.suffix.lower() == ".stl":
            return read_expert_implant(self.implant, skull)
        truth = read_mask(self.implant)
        if not same_grid(truth, skull):
            raise SkullImplantError(
                f"The truth {self.implant.name} of {self.name} is not on the grid of its skull; "
                "download both again."
            )
        if not array_of(truth).any():
            raise SkullImplantError(
                f"The truth {self.implant.name} of {self.name} is empty; download it again."
            )
        return truth


def vault_centre_mm(skull: sitk.Image) -> np.ndarray | None:
    """Return the centre (LPS, mm) of a skull's vault; None where the mask is no skull."""
    try:
        return estimate_pose(as_working(skull), shipped_population()).centre_mm
    except SkullImplantError:
        return None


def suite_cases(
    folders: Iterable[Path], suite: SuiteOptions, population: Path = POPULATION_FILE
) -> list[SuiteCase]:
    """Return the cases that `suite` asks for, in the skulls and CTs of the folders.

    `population`: the shape statistics that place the defects. Raises `SkullImplantError` where a
    folder holds no skull, none has a name that is asked for, or the areas are none.
    """
    checked_areas(suite.areas_cm2)
    found = skulls_of(folders)
    return [
        SuiteCase(skull.path, skull.name, kind, number, suite.seed, population, suite.areas_cm2)
        for skull in (found if suite.skulls is None else named_skulls(found, suite.skulls))
        for kind in suite.kinds
        for number in range(suite.defects)
    ]


def cohort_cases(cases: Iterable[CaseFile]) -> list[CohortCase]:
    """Return the cases of a data set as they are designed and judged."""
    return [CohortCase(one.defective, one.implant, one.skull, one.kind or UNNAMED) for one in cases]


def _sha256_of(path: Path) -> str:
    return _sha256_at(path, path.stat().st_mtime_ns)


@cache
def _sha256_at(path: Path, changed_ns: int) -> str:
    """Return a file's checksum; `changed_ns` makes a changed file another one."""
    return sha256_of(path)
