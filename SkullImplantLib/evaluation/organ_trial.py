"""A chest segmented and brought to its own grid in each way, and measured organ by organ."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from .. import __version__
from ..cases.segthor import ORGANS, ChestFile
from ..core.checksums import sha256_of
from ..core.images import array_of, image_like
from ..core.memory import BYTES_PER_GIB, peak_bytes, restart_peak
from ..core.stages import StageReport, no_report
from ..errors import DiskError, OutOfMemory, SkullImplantError
from ..models import PRIOR
from ..organs.coarse_grid import CELLS, coarse_grid, labels_on
from ..organs.upsampling import METHODS, upsampled
from .judging import DIGITS, code_fingerprint, keep_row, kept_row
from .organ_scores import score_organs

if TYPE_CHECKING:
    from ..networks.weights import Weights

# Of weights learnt from patients (`training.organ_subjects`).
PREFIX = "segthor-"
NUMBERS = {name: label for label, name in ORGANS.items()}
# Where coarse labels come from: the dense network, or the truth, as a perfect one would find it.
DENSE, PERFECT = "dense network", "perfect labels"
COARSE, SPARSE = "coarse grid", "sparse super-resolution"
MEASURES = ("dice", "hd95_mm", "surface_distance_mm")
Bring = Callable[[sitk.Image, sitk.Image], sitk.Image]


@dataclass(frozen=True)
class ChestCase:
    """A patient with labels, whose organs are judged."""

    file: ChestFile

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def skull(self) -> str:
        return self.file.name

    @property
    def facts(self) -> dict[str, Any]:
        return {"patient": self.file.name, "part": self.file.part or ""}

    def identity(self) -> dict[str, Any]:
        labels = self.file.labels
        return {
            "patient": self.file.name,
            "ct_sha256": sha256_of(self.file.ct),
            "labels_sha256": None if labels is None else sha256_of(labels),
        }


def column(start: str, method: str, organ: str, measure: str) -> str:
    """Return the name of a number in a row."""
    return f"{start}, {method}, {organ}: {measure}"


def occupancy_of(organ: str) -> str:
    """Return the name of an organ's share of the grid in a row."""
    return f"{organ}: occupancy"


@dataclass(frozen=True)
class OrganTrial:
    """How the chests of one run are judged, and where rows are kept.

    segmentation, superres: weight files of the two networks; without one, what it makes is not
    judged.
    """

    output: Path
    segmentation: Path | None = None
    superres: Path | None = None
    device: str = "auto"

    @property
    def model(self) -> str:
        """The weights, or a model that needs no PyTorch where there are none."""
        return str(self.superres or self.segmentation or PRIOR)

    def made_with(self, case: ChestCase) -> dict[str, Any]:
        """Return all that the case's row depends on, the library's code excepted."""
        both = {"segmentation": self.segmentation, "superres": self.superres}
        shas = {f"{name}_sha256": path and _sha256(path) for name, path in both.items()}
        return {"version": __version__, **shas, **case.identity()}

    def result_path(self, case: ChestCase) -> Path:
        """Return where the case's row is kept."""
        return self.output / "cases" / f"{case.name}.json"

    def implant_path(self, case: ChestCase) -> Path:
        """Return a place where nothing is kept."""
        return self.result_path(case).with_suffix(".none")

    def kept(self, case: ChestCase) -> dict[str, Any] | None:
        """Return the case's row from an earlier run; None where it was made with anything else."""
        return kept_row(self.result_path(case), self.made_with(case))

    def run(self, case: ChestCase, report: StageReport = no_report) -> None:
        """Segment, bring to the CT's grid, measure, and keep the row.

        A patient whose files cannot be read is kept as `not_read`, with the reason.
        """
        try:
            ct, truth = case.file.read()
        except (DiskError, OutOfMemory):
            raise
        except SkullImplantError as error:
            row = {**case.facts, "not_read": str(error)}
        else:
            assert truth is not None
            row = {**case.facts, **self._seen(case), **self.judged(ct, truth, report)}
        keep_row(self.result_path(case), self.made_with(case), row | {"code": code_fingerprint()})

    def judged(
        self, ct: sitk.Image, truth: sitk.Image, report: StageReport = no_report
    ) -> dict[str, Any]:
        """Return the numbers of a chest: of both steps, in every way, organ by organ; `dice`: the
        mean of the organs by the best of the ways that are at hand, which are tried in order.
        """
        restart_peak()
        start, row = time.perf_counter(), dict[str, Any]()
        whole = 0.0
        for source, coarse in self._coarse(ct, truth, report):
            if source == DENSE:
                grid = coarse_grid(truth, coarse.GetSize())
                row |= _measured(source, COARSE, coarse, labels_on(truth, grid))
            for method, bring in self._ways():
                report("upsampling", 0.5, f"{method} of {source}")
                made = bring(coarse, truth)
                numbers = _measured(source, method, made, truth)
                row |= numbers
                overlaps = [v for k, v in numbers.items() if k.endswith(": dice")]
                # The dense network's labels and the sparse network come last.
                whole = float(np.mean(overlaps)) if overlaps else whole
        peak = peak_bytes()
        return row | {
            "dice": round(whole, DIGITS),
            "seconds": round(time.perf_counter() - start, 1),
            "peak_memory_gib": None if peak is None else round(peak / BYTES_PER_GIB, 3),
        }

    def _coarse(
        self, ct: sitk.Image, truth: sitk.Image, report: StageReport
    ) -> Iterator[tuple[str, sitk.Image]]:
        """Yield the coarse labels, those of a perfect segmentation first."""
        weights = _weights(self.segmentation) if self.segmentation else None
        cells = weights.metadata.get("options", {}).get("cells", CELLS) if weights else CELLS
        yield PERFECT, labels_on(truth, coarse_grid(truth, cells))
        if weights is not None:
            from ..completion.network import NetworkPlace
            from ..organs.organ_networks import segment_coarse

            report("segmentation", 0.5, "segmenting the organs")
            where = NetworkPlace(self.device)
            yield DENSE, segment_coarse(ct, weights, _numbers_of(weights), where).labels

    def _ways(self) -> Iterator[tuple[str, Bring]]:
        for name in METHODS:
            yield name, lambda coarse, grid, name=name: upsampled(coarse, grid, name)  # type: ignore[misc]
        if self.superres is not None:
            weights = _weights(self.superres)
            yield SPARSE, lambda coarse, grid: self._super_resolved(coarse, grid, weights)

    def _super_resolved(
        self, coarse: sitk.Image, grid: sitk.Image, weights: "Weights"
    ) -> sitk.Image:
        from ..completion.network import NetworkPlace
        from ..organs.organ_networks import super_resolve_labels

        if not array_of(coarse).any():  # a dense network that found nothing
            return image_like(np.zeros(grid.GetSize()[::-1], np.uint8), grid)
        where = NetworkPlace(self.device)
        return super_resolve_labels(coarse, grid, weights, _numbers_of(weights), where).labels

    def _seen(self, case: ChestCase) -> dict[str, bool]:
        """Say whether a network has learnt from the patient."""
        both = (path for path in (self.segmentation, self.superres) if path)
        learnt = {name for path in both for name in _weights(path).metadata.get("trained_on", ())}
        return {"seen_in_training": PREFIX + case.name in learnt}


def _numbers_of(weights: "Weights") -> list[int]:
    """Return the labels of the weights' organs, in their order.

    Raises `SkullImplantError` where they know others than SegTHOR's.
    """
    names = weights.metadata.get("organs", list(NUMBERS))
    if sorted(names) != sorted(NUMBERS):
        raise SkullImplantError(
            f"The weights know {', '.join(names)}; judge some that know {', '.join(NUMBERS)}."
        )
    return [NUMBERS[name] for name in names]


def _measured(start: str, method: str, made: sitk.Image, truth: sitk.Image) -> dict[str, Any]:
    """Return the numbers of the organs that the truth has; None for an infinite distance."""
    row: dict[str, Any] = {}
    for organ, score in score_organs(made, truth, NUMBERS).items():
        if score.occupancy == 0.0:
            continue
        numbers = score.as_json()
        for measure in MEASURES:
            value = numbers[measure]
            told = None if value is None else round(value, DIGITS)
            row[column(start, method, organ, measure)] = told
        if method != COARSE:
            row[occupancy_of(organ)] = round(score.occupancy, 8)
    return row


@lru_cache(maxsize=2)
def _weights(path: Path) -> "Weights":
    from ..networks.weights import load_weights

    return load_weights(path)


@lru_cache(maxsize=2)
def _sha256(path: Path) -> str:
    if not path.is_file():
        raise SkullImplantError(f"There is no weight file {path}; check its name.")
    return sha256_of(path)
