"""Designs by a patient's own earlier bone: how near the piece that was taken out, and refusals.

Two CTs of heads that nothing was tuned on get a defect of each kind (`evaluate --suite`, number
0 of seed 0; the shape statistics know none of the two). What was there before is given as

- *CT*: the complete CT, turned by up to 30 degrees about each axis and shifted by up to 60 mm,
  resampled to 0.8 x 0.8 x 1.5 mm, with 20 HU of noise more;
- *skull -100*, *skull +100*: the same as a mask, segmented with a threshold 100 HU lower or higher;
- *flap 1*, *flap 2*, *flap 3*: the piece itself, 1, 2 or 3 mm of it lost to the saw along the bone
  and a bite of 9 mm out of its edge, turned and shifted as well; as a CT in air and as a mask;
- *design*: the folder of an earlier design of this head (its completed skull is the complete one).

Implants have no clearance and are compared with the whole piece: Dice, border Dice, HD95, and the
mean distance of the outer surface, by `evaluation/metrics.py`, which knows nothing of references.
Refusals: other persons' heads, other persons' flaps, the same head with a wrong voxel size.

    python Testing/Benchmarks/reference/reference_table.py DATA WORK [--only CT flap ...]

DATA holds `train` and `test`. Rows are kept in WORK, so that a run may be resumed; `reference.md`
and `reference.csv` are written beside this file.
"""

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from reference_images import another_scan, flap_of, reposed, scaled

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.completion import assess_reference, find_earlier
from SkullImplantLib.design import design_implant
from SkullImplantLib.designing.completed_head import BOX_AROUND_HOLE_MM
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.metrics import evaluate_implant
from SkullImplantLib.evaluation.suite_cases import CaseInput, SuiteCase
from SkullImplantLib.geometry import complete_by_prior, estimate_pose, find_hole
from SkullImplantLib.geometry.shape_statistics import read_population
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.reading.reference import Reference, read_reference
from SkullImplantLib.skull.automatic_threshold import automatic_threshold_hu
from SkullImplantLib.skull.segmentation import SkullOptions, segment_skull

HERE = Path(__file__).parent
POPULATION = HERE.parent / "accuracy" / "population.npz"
HEADS = ("visible-human-female-ct", "unc-cthead-ct")
KINDS = ("parietotemporal", "frontoorbital", "bilateral", "random_1", "random_2")
THRESHOLD_HU = 100.0
SCALES = (0.9, 0.95, 0.98, 1.02, 1.05)
OPTIONS = DesignOptions(clearance_mm=0.0, model="prior")
COLUMNS = (
    "head", "defect", "reference", "dice", "border_dice_10mm", "hd95_mm", "outer_error_mm",
    "outer_error95_mm", "volume_ratio", "residual_mm", "kerf_mm", "flagged", "seconds", "refused",
)  # fmt: skip


@dataclass(frozen=True)
class Trial:
    """A defect in a head, and the kind of reference that is given with it."""

    case: SuiteCase
    shown: str

    @property
    def name(self) -> str:
        return f"{self.case.skull}-{self.case.kind}-{self.shown}".replace(" ", "_")

    def rng(self) -> np.random.Generator:
        return np.random.default_rng([7, *self.name.encode()])

    def reference(self, made: CaseInput) -> Reference:
        """Make the reference."""
        complete, rng = self.case.complete(), self.rng()
        ct = complete.source.image
        if self.shown == "CT":
            return Reference(another_scan(ct, rng), "ct")
        if self.shown.startswith("skull"):
            again = another_scan(ct, rng)
            threshold = automatic_threshold_hu(again) + float(self.shown.split()[1])
            # Any pose is for the registration; who segments turns the head upright first.
            upright = sitk.Image(again)
            return Reference(segment_skull(upright, SkullOptions(threshold)).mask, "skull")
        if self.shown.startswith("flap"):
            _, kerf, kind = self.shown.split()
            image = flap_of(ct, made.truth, made.defective, float(kerf), kind == "CT", rng)
            return Reference(image, "ct" if kind == "CT" else "skull")
        with tempfile.TemporaryDirectory() as folder:
            sitk.WriteImage(reposed(complete.mask, rng), f"{folder}/completed.nrrd", True)
            return read_reference(folder)

    def row(self) -> dict[str, Any]:
        """Design with the reference, and measure."""
        made = self.case.load()
        reference = self.reference(made)
        row: dict[str, Any] = {
            "head": self.case.skull, "defect": self.case.kind, "reference": self.shown
        }  # fmt: skip
        start = time.perf_counter()
        try:
            design = design_implant(
                made.source, OPTIONS, reference=reference, population=read_population(POPULATION)
            )
        except SkullImplantError as error:
            return {**row, "refused": str(error)}
        seconds = time.perf_counter() - start
        found = evaluate_implant(design.implant != 0, made.truth, made.defective, made.centre_mm)
        told = design.reference
        assert told is not None and design.confidence is not None
        measures = {k: v for k, v in found.as_json().items() if k in COLUMNS}
        facts = {
            "residual_mm": told.residual_mm, "kerf_mm": told.kerf_mm,
            "flagged": design.confidence.flagged, "seconds": round(seconds, 1),
        }  # fmt: skip
        return {**row, **measures, **facts, "notes": list(design.notes)}


def trials(data: Path) -> list[Trial]:
    """All designs, those that matter most first."""
    found = []
    for shown in ("CT", "skull -100", "skull +100", "flap 1 mask", "flap 2 CT", "flap 3 mask",
                  "flap 1 CT", "flap 2 mask", "flap 3 CT", "design"):  # fmt: skip
        for head in HEADS:  # the last head is kept
            for kind in KINDS:
                path = data / "test" / f"{head}.nii.gz"
                found.append(Trial(SuiteCase(path, head, kind, 0, 0, POPULATION), shown))
    return found


def refusals(data: Path) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """Each head with a hole, and what is no reference of it."""
    found: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for head in HEADS:
        for other in [*skulls_in(data / "test"), *skulls_in(data / "train")]:
            if other.name != head:
                found.append(
                    (f"{head}-other-{other.name}", lambda h=head, o=other: _other(data, h, o))
                )
        for by in SCALES:
            found.append((f"{head}-scale-{by}", lambda h=head, b=by: _scaled(data, h, b)))
        for kind in KINDS[:3]:
            found.append((f"{head}-flap-{kind}", lambda h=head, k=kind: _other_flap(data, h, k)))
    return found


def _case(data: Path, head: str, kind: str = KINDS[0]) -> SuiteCase:
    return SuiteCase(data / "test" / f"{head}.nii.gz", head, kind, 0, 0, POPULATION)


def _tried(data: Path, head: str, reference: Reference, shown: str) -> dict[str, Any]:
    made = _case(data, head).load()
    population = read_population(POPULATION)
    skull = segment_skull(made.source.image)
    pose = estimate_pose(skull.mask, population)
    prior = complete_by_prior(skull.mask, pose, population)
    hole = find_hole(skull.mask, prior, BOX_AROUND_HOLE_MM)
    row: dict[str, Any] = {"head": head, "defect": KINDS[0], "reference": shown}
    start = time.perf_counter()
    try:
        earlier = find_earlier(reference, skull, prior, hole)
        reasons = assess_reference(earlier, 1.0).reasons
        row |= {"residual_mm": earlier.residual_mm, "notes": [earlier.note, *reasons]}
    except SkullImplantError as error:
        row["refused"] = str(error)
    return row | {"seconds": round(time.perf_counter() - start, 1)}


def _other(data: Path, head: str, other: Any) -> dict[str, Any]:
    source, _ = other.read(cleaned=False)
    reference = Reference(source.image, source.kind)
    return _tried(data, head, reference, f"another head: {other.name}")


def _scaled(data: Path, head: str, by: float) -> dict[str, Any]:
    rng = np.random.default_rng([8, *head.encode()])
    again = another_scan(_case(data, head).complete().source.image, rng)
    return _tried(data, head, Reference(scaled(again, by), "ct"), f"scale {by:g}")


def _other_flap(data: Path, head: str, kind: str) -> dict[str, Any]:
    """The other head's flap of the same kind, offered for the parietotemporal hole of this one."""
    other = next(h for h in HEADS if h != head)
    case = _case(data, other, kind)
    made = case.load()
    ct = case.complete().source.image
    rng = np.random.default_rng([9, *head.encode()])
    image = flap_of(ct, made.truth, made.defective, 1.0, False, rng)
    return _tried(data, head, Reference(image, "skull"), f"another head's flap: {kind}")


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the row in a file, made and written first where there is none."""
    if not path.exists():
        row = make()
        path.write_text(json.dumps(row, indent=1), encoding="utf-8")
        print(path.stem, row.get("dice"), row.get("refused"), flush=True)
    return dict(json.loads(path.read_text(encoding="utf-8")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", nargs="*", help="rows whose name holds one of these")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)

    def wanted(name: str) -> bool:
        return not options.only or any(word in name for word in options.only)

    designs = [
        kept(options.work / f"{t.name}.json", t.row)
        for t in trials(options.data)
        if wanted(t.name) or (options.work / f"{t.name}.json").exists()
    ]
    refused = [
        kept(options.work / f"{name}.json", make)
        for name, make in refusals(options.data)
        if wanted(name) or (options.work / f"{name}.json").exists()
    ]
    write(designs, refused)


def write(designs: list[dict[str, Any]], refused: list[dict[str, Any]]) -> None:
    """Write the table of all rows, and the page."""
    with (HERE / "reference.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows([*designs, *refused])
    lines = [
        "# Designs by a patient's own earlier bone",
        "",
        "Made by `reference_table.py`, which says how; each row is in `reference.csv`. Virtual "
        "machine, 2 cores AMD EPYC, 24 GiB, no GPU; other work ran beside it.",
        "",
        "| reference | designs | Dice: mean | least | border Dice | HD95 mm | outer surface mm | "
        "most | refused | flagged |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for shown in dict.fromkeys(row["reference"] for row in designs):
        rows = [row for row in designs if row["reference"] == shown]
        good = [row for row in rows if "dice" in row]
        if good:
            mean = {k: np.mean([r[k] for r in good]) for k in COLUMNS[3:7]}
            lines.append(
                f"| {shown} | {len(rows)} | {mean['dice']:.3f} | "
                f"{min(r['dice'] for r in good):.3f} | {mean['border_dice_10mm']:.3f} | "
                f"{mean['hd95_mm']:.2f} | {mean['outer_error_mm']:.2f} | "
                f"{max(r['outer_error_mm'] for r in good):.2f} | {len(rows) - len(good)} | "
                f"{sum(r['flagged'] for r in good)} |"
            )
        else:
            lines.append(f"| {shown} | {len(rows)} |||||||  {len(rows)} | |")
    lines += ["", "## What is no reference", "", "| head | given | what is said |", "|---|---|---|"]
    for row in refused:
        told = f"refused: {row['refused']}" if "refused" in row else " ".join(row["notes"])
        lines.append(f"| {row['head']} | {row['reference']} | {told} |")
    (HERE / "reference.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
