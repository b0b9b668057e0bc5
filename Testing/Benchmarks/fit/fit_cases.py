"""The 24 cases: skulls and CTs with a hole whose true piece is known. Made once, then kept."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hard_cuts
import SimpleITK as sitk

CT_HEADS = ("unc-cthead-ct", "visible-human-female-ct")
MASK_HEADS = ("brainweb-49", "brainweb-50")
HEADS = CT_HEADS + MASK_HEADS
# Seeds drawn once; where a skull has no place for a defect of that seed, the next one counts.
DEFECTS = {
    "bilateral": 11,
    "frontoorbital": 12,
    "parietotemporal": 13,
    "random_1": 14,
    "random_2": 15,
}
# Of these a fifth or more of the true piece's side wall has no bone opposite: brow and orbit.
ORBIT_KINDS = ("frontoorbital", "random_1")
SEED_STEP, SEEDS = 100, 5  # tries with seed, seed + 100, ...
THICK_SLICES_MM = 2.0


@dataclass(frozen=True)
class FitCase:
    """A case by name, and its folder: `defective.nrrd` (CT or mask), `implant.nrrd` (the true
    piece), `complete.nrrd` (mask); for a CT also `complete-ct.nrrd`.
    """

    name: str
    head: str
    kind: str
    folder: Path

    @property
    def of_ct(self) -> bool:
        return self.head in CT_HEADS

    @property
    def at_orbit(self) -> bool:
        """Does the defect reach into brow and orbit? There the true piece has steps itself."""
        return self.kind in ORBIT_KINDS

    def image(self, name: str) -> sitk.Image:
        return sitk.ReadImage(str(self.folder / f"{name}.nrrd"))


def all_cases(work: Path) -> list[FitCase]:
    """The cases in their order: five defects of each of four heads, then the hard ones."""
    usual = [(f"{head}-{kind}", head, kind) for head in HEADS for kind in DEFECTS]
    hard = [
        ("overhang", "brainweb-50", "overhang"),
        ("notch", "brainweb-49", "notch"),
        ("burr-holes", "visible-human-female-ct", "burr-holes"),
        ("thick-slices", "visible-human-female-ct", "thick-slices"),
    ]
    return [FitCase(name, head, kind, work / "cases" / name) for name, head, kind in usual + hard]


def make_case(case: FitCase, data: Path, command: Sequence[str]) -> None:
    """Make a case's folder unless it is there. `data` holds the heads, `command` is skull-implant.

    Raises `RuntimeError` with the command's own words where it fails.
    """
    done = case.folder / "case.json"
    if done.exists():
        return
    case.folder.mkdir(parents=True, exist_ok=True)
    head = data / f"{case.head}.nii.gz"
    if case.kind in DEFECTS:
        told = _cut(command, head, case.folder, case.kind, DEFECTS[case.kind])
    else:
        told = _hard_case(case, head, command)
    if case.of_ct and not (case.folder / "complete-ct.nrrd").exists():
        sitk.WriteImage(sitk.ReadImage(str(head)), str(case.folder / "complete-ct.nrrd"), True)
    done.write_text(json.dumps({"name": case.name, "head": case.head} | told) + "\n")


def _hard_case(case: FitCase, head: Path, command: Sequence[str]) -> dict:
    if case.kind == "thick-slices":
        thick = case.folder / "complete-ct.nrrd"
        sitk.WriteImage(
            hard_cuts.thick_slices(sitk.ReadImage(str(head)), THICK_SLICES_MM), str(thick), True
        )
        return _cut(command, thick, case.folder, "parietotemporal", DEFECTS["parietotemporal"])
    cuts: dict[str, Callable] = {
        "overhang": hard_cuts.overhanging_cut,
        "notch": hard_cuts.notched_cut,
        "burr-holes": hard_cuts.burr_hole_cut,
    }
    image = sitk.ReadImage(str(head))
    skull = image
    if case.of_ct:  # the skull of a CT as the program sees it
        _cut(command, head, case.folder, "parietotemporal", DEFECTS["parietotemporal"])
        skull = case.image("complete")
    cut = cuts[case.kind](skull)
    hard_cuts.write_cut(case.folder, image, skull, cut, ct=case.of_ct)
    return {"kind": case.kind}


def _cut(command: Sequence[str], head: Path, folder: Path, kind: str, seed: int) -> dict:
    """`skull-implant defect`, with the first seed for which the skull has a place."""
    words = ""
    for each in range(seed, seed + SEED_STEP * SEEDS, SEED_STEP):
        asked = ["defect", str(head), "-o", str(folder), "--kind", kind, "--seed", str(each)]
        run = subprocess.run(
            [*command, *asked, "--json", "--progress", "none"], capture_output=True, text=True
        )
        if run.returncode == 0:
            return json.loads(run.stdout)
        words = run.stderr.strip()
    raise RuntimeError(f"{kind} in {head.name}: {words}")
