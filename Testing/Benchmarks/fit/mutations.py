"""Which check catches which fault? Implants spoilt on purpose, over all cases.

From the project's folder:

    python Testing/Benchmarks/fit/mutations.py                     all cases
    python Testing/Benchmarks/fit/mutations.py --cases brainweb-50-bilateral

Each case's true piece with a clearance of 0.5 mm, along a straight way out as well, is checked: it
deserves no alarm. Then it is spoilt in one way after the other; a check catches that where it fails
and did not before. Run again to resume. The table goes into `mutations.md` beside this file.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fit_cases import FitCase, all_cases, make_case

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.append(str(ROOT / "Testing" / "Library"))

from SkullImplantLib.checks import CheckOptions, check_implant  # noqa: E402
from SkullImplantLib.geometry.pose import estimate_pose  # noqa: E402
from SkullImplantLib.geometry.shape_statistics import shipped_population  # noqa: E402
from SkullImplantLib.skull.segmentation import segment_skull  # noqa: E402
from spoilt_implants import SPOILT  # noqa: E402
from true_piece import Cut, TruePiece  # noqa: E402

TRUE, AS_CUT = "true piece", "true piece, its way out not looked at"
MOST_NAMED = 4


def main(arguments: list[str] | None = None) -> int:
    """Check what is missing and write the table."""
    options = _parser().parse_args(arguments)
    cases = [c for c in all_cases(options.work) if not options.cases or c.name in options.cases]
    found = {}
    for case in cases:
        kept = options.work / "mutations" / f"{case.name}.json"
        if not kept.exists() or options.again:
            make_case(case, options.data, [str(options.command)])
            start = time.perf_counter()
            told = check_case(case)
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps(told, indent=1) + "\n")
            print(f"{case.name}: {time.perf_counter() - start:.0f} s", flush=True)
        found[case.name] = json.loads(kept.read_text())
    table = "\n".join(table_of(found)) + "\n"
    if not options.cases:
        options.output.write_text(table)
    print(table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cases", nargs="+", default=[], metavar="NAME", help="default: all 24, and the table")
    add("--again", action="store_true", help="check anew")
    add("--work", type=Path, default=ROOT / "build" / "fit", help="kept cases and checks")
    add("--data", type=Path, default=ROOT / "../shared/data/test", help="the heads")
    add("--command", type=Path, default=ROOT / ".venv/bin/skull-implant")
    add("-o", "--output", type=Path, default=HERE / "mutations.md", metavar="FILE")
    return parser


def cut_of(case: FitCase) -> Cut:
    """The head of a case with its hole: as a design sees it."""
    piece = case.image("implant")
    if not case.of_ct:
        return Cut(case.image("defective"), piece)
    ct = case.image("defective")
    skull = segment_skull(ct)
    return Cut(skull.mask, piece, ct, case.image("complete-ct"), skull.bone_threshold_hu)


def check_case(case: FitCase) -> dict[str, Any]:
    """The checks, as JSON has them, of the true piece and of each spoilt one."""
    cut = cut_of(case)
    pose = estimate_pose(cut.skull, shipped_population())
    piece = TruePiece(cut)
    field = piece.field(solid=True)
    meshes = {
        TRUE: lambda: piece.mesh(field),
        AS_CUT: lambda: piece.mesh(piece.field(goes_in=False)),
        **{name: lambda spoil=spoil: spoil(piece, field) for name, spoil in SPOILT.items()},
    }
    told: dict[str, Any] = {}
    for name, make in meshes.items():
        mesh = make()
        start = time.perf_counter()
        checked = check_implant(
            mesh,
            piece.bone,
            CheckOptions(),
            piece.direction,
            piece.ct,
            piece.completed,
            pose,
            cut.skull,
        )
        told[name] = {
            "seconds": round(time.perf_counter() - start, 2),
            "triangles": mesh.GetNumberOfPolys(),
            "checks": {
                check.name: [check.value, check.limit, check.passed] for check in checked.checks
            },
        }
    return told


def table_of(found: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of the table."""
    count = len(found)
    alarms = {name: _failed(told[TRUE]) for name, told in found.items()}
    as_cut = {name: _failed(told[AS_CUT]) for name, told in found.items()}
    lines = [
        "# Implants spoilt on purpose, and the checks that catch them",
        "",
        f"Made by `mutations.py` beside this file on {count} cases: the true piece with a "
        "clearance of 0.5 mm, spoilt in one way. A check catches where it fails and does not fail "
        "on the piece itself.",
        "",
        "| spoilt | caught | by (cases) | not caught in |",
        "|---|---|---|---|",
    ]
    for spoilt in SPOILT:
        by: Counter[str] = Counter()
        missed = []
        for name, told in found.items():
            new = _failed(told[spoilt]) - alarms[name]
            by.update(new)
            if not new:
                missed.append(name)
        named = ", ".join(f"{check} ({times})" for check, times in by.most_common(MOST_NAMED))
        caught = count - len(missed)
        lines.append(f"| {spoilt} | {caught} of {count} | {named} | {', '.join(missed) or '-'} |")
    seconds = sorted(told[TRUE]["seconds"] for told in found.values())
    lines += ["", "## False alarms", "", "| piece | alarms | which |", "|---|---|---|"]
    for title, each in ((TRUE, alarms), (AS_CUT, as_cut)):
        firing = {name: checks for name, checks in each.items() if checks}
        which = "; ".join(f"{name}: {', '.join(sorted(firing[name]))}" for name in firing)
        lines.append(f"| {title} | {len(firing)} of {count} | {which or '-'} |")
    lines += [
        "",
        f"All checks of one implant took {seconds[len(seconds) // 2]:.1f} s in the middle, "
        f"{seconds[-1]:.1f} s at most.",
    ]
    return lines


def _failed(told: dict[str, Any]) -> set[str]:
    return {name for name, (_, _, passed) in told["checks"].items() if not passed}


if __name__ == "__main__":
    sys.exit(main())
