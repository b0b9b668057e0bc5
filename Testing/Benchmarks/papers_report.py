"""One page on the papers' tables beside ours: `Testing/Benchmarks/REPORT.md`.

It puts together what the tables' own programs left beside this file, and measures nothing itself:
`superres/superres.csv`, `published/published.json`, `memory/memory.json`. What is not there yet is
named with the command that makes it. Run from the project's folder, as `make tables` does last:

    python Testing/Benchmarks/papers_report.py
"""

import csv
import json
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
INTERPOLATIONS = ("nearest", "trilinear", "B-spline", "signed distance")
METHODS = (*INTERPOLATIONS, "rearrangement", "network")

HEAD = """# The papers' tables beside ours

Made by `make tables` ({date}, from commit {commit}, on {machine}). The numbers are those of the
tables that are linked, each of which names its own command, data and machine. The papers:
Kroviakov, Li and Egger (AutoImplant 2021), Li et al. (Sci Rep 2023), Li et al. (arXiv 2108.05269),
and the authors' slides on them, in which decimals can be misread.

**What differs, in plain words.** The papers trained on data sets of skulls from MRI and CT that are
not here; ours are 16 skulls to learn from (14 adults from MRI, two from CT) and four unseen ones
(two and two). Theirs ran on GPUs; ours on a processor unless a row says otherwise. A grid called
64, 128, 256 or 512 has voxels of 4, 2, 1 or 0.5 mm here, as theirs about have on a head.
Whole-skull Dice is easy: copying the defective skull scores about 0.93. The Dice of the implant is
what counts.
"""


def main() -> None:
    parts = [
        HEAD.format(
            date=datetime.now(UTC).date().isoformat(), commit=_commit(), machine=_machine()
        ),
        "## Which table is where\n\n" + _overview(),
        "## Shape completion\n\n" + _completion(),
        "## Shape super-resolution\n\n" + _superres(),
        "## Memory and arithmetic\n\n" + _memory(),
    ]
    (HERE / "REPORT.md").write_text("\n\n".join(part.strip() for part in parts) + "\n")


def _overview() -> str:
    rows = [
        ["slide", "ours", "what it needs"],
        [
            "Occupied voxels against all voxels",
            "[memory](memory/memory.md), column occupancy",
            "nothing",
        ],
        [
            "Completion, MRI skulls: Dice and reconstruction error at 30, 60, 90, 120 epochs",
            "[published](published/published.md), "
            "its [curve](published/ch1-128/learning-curve.png)",
            "the skulls; hours on two cores",
        ],
        [
            "Completion, CT skulls: Dice at 64 to 512 for `ch1` and `ch2`, 0.9903 at best",
            "[published](published/published.md)",
            "256 and 512: a GPU, `python Testing/Benchmarks/published.py ... --rows ch1-256`",
        ],
        [
            "Memory by resolution and by batch, sparse and dense",
            "[memory](memory/memory.md)",
            "GPU rows: `skull-implant benchmark memory --device cuda -o FOLDER`",
        ],
        [
            "Super-resolution (a) to (h)",
            "[super-resolution](superres/superres.md)",
            "the skulls; minutes",
        ],
        [
            "(i) completion at 256 against completion at 64 or 128 and super-resolution",
            "[below](#shape-super-resolution)",
            "`ch1` at 256: a GPU, `python Testing/Benchmarks/published.py ... --rows ch1-256`",
        ],
        [
            "Rearrangement of voxels",
            "[rearrangement](rearrangement.md), [smoothers](fit/smoothers.md)",
            "the skulls; minutes",
        ],
        [
            "Engines: MinkowskiEngine against ours",
            "[engines](engine.md)",
            "`make minkowski`, then `skull-implant benchmark engine`",
        ],
        [
            "Implants at 512x512xZ against the challenge's winners",
            "[accuracy](../../docs/reference/accuracy.md); their data: "
            "`skull-implant evaluate --cohort SkullBreak`",
            "SkullBreak or SkullFix, which are non-commercial",
        ],
        [
            "Organs: memory and occupancy of aorta, heart, trachea, oesophagus",
            "not built yet",
            "SegTHOR (a competition's data)",
        ],
    ]
    return _table(rows)


def _completion() -> str:
    path = HERE / "published" / "published.json"
    if not path.exists():
        return "Not measured yet: `make tables`."
    rows = [
        ["weights", "grid", "loss", "skulls", "whole skull", "error, %", "implant on the grid",
         "implant designed: Dice / border Dice / HD95, mm"],
    ]  # fmt: skip
    for found in json.loads(path.read_text(encoding="utf-8")):
        weight = found["hole_weight"]
        loss = f"and Dice on the hole ({weight:g})" if weight else "the papers'"
        for group, grid in found["grid"].items():
            made = found["designs"].get(group)
            designed = (
                "{dice:.3f} / {border_dice:.3f} / {hd95_mm:.2f}".format(**made) if made else "-"
            )
            rows.append(
                [
                    f"`{found['name']}`",
                    f"{found['spacing_mm']:g} mm",
                    loss,
                    group,
                    f"{grid['skull_dice']:.3f}",
                    f"{100.0 * grid['error']:.1f}",
                    f"{grid['implant_dice']:.3f}",
                    designed,
                ]
            )
    return (
        "`ch1` and `ch2` alone: the skull in, no prior, no mirror image. Slides: 0.9903 for whole "
        "CT skulls at best; retrained by others at full resolution (PCDiff's authors) 0.71 to "
        "0.81 for implants. What limits ours: [limits](published/limits.md).\n\n" + _table(rows)
    )


def _superres() -> str:
    path = HERE / "superres" / "superres.csv"
    if not path.exists():
        return "Not measured yet: `make tables`."
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    by: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(dict)
    for row in found:
        by[row["pair"], row["method"]][row["skull"]] = row
    pairs = sorted({row["pair"] for row in found}, key=lambda p: tuple(map(int, p.split(":"))))
    rows = [["pair", "skulls", *METHODS, "network best in Dice / in distance"]]
    for pair in pairs:
        skulls = sorted(by[pair, "network"])
        if not skulls:
            continue
        cells = []
        for method in METHODS:
            some = [by[pair, method][name] for name in skulls if name in by[pair, method]]
            cells.append(
                "{:.3f} / {:.2f}".format(
                    *(np.mean([float(r[k]) for r in some]) for k in ("dice", "surface_mm"))
                )
                if some
                else "-"
            )
        wins = [
            sum(_beats(by, pair, name, key, sign) for name in skulls)
            for key, sign in (("dice", 1.0), ("surface_mm", -1.0))
        ]
        rows.append(
            [
                pair.replace(":", " to "),
                f"{len(skulls)}",
                *cells,
                f"{wins[0]} of {len(skulls)} / {wins[1]} of {len(skulls)}",
            ]
        )
    return (
        _after_completion()
        + "Whole skulls, means over the unseen skulls: Dice / mean distance of the surfaces in mm. "
        "The last column counts the skulls in which the network beats nearest, trilinear, B-spline "
        "and signed-distance interpolation, all of them. 512 needs skulls finer than 1 mm; what is "
        "not there yet: `python Testing/Benchmarks/superres/superres_table.py DATA "
        "SkullImplantLib/resources/superres.npz --pairs 64:512 128:512`.\n\n" + _table(rows)
    )


def _after_completion() -> str:
    """Return the table of completion at a low resolution and then super-resolution."""
    path = HERE / "superres" / "after_completion.csv"
    if not path.exists():
        return ""
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    rows = [["completion", "then to 1 mm by", "cases", "whole skull", "implant"]]
    for name, then in dict.fromkeys((row["weights"], row["then"]) for row in found):
        some = [row for row in found if (row["weights"], row["then"]) == (name, then)]
        means = [np.mean([float(r[key]) for r in some]) for key in ("skull_dice", "implant_dice")]
        grid = f"`{name}` at {some[0]['grid_mm']} mm"
        rows.append([grid, then, f"{len(some)}", *(f"{mean:.3f}" for mean in means)])
    return (
        "Completion at a low resolution, brought to 256 (Dice at 1 mm, unseen skulls, "
        "`Testing/Benchmarks/superres/after_completion.py`):\n\n" + _table(rows) + "\n\n"
    )


def _beats(by: Any, pair: str, name: str, key: str, sign: float) -> bool:
    """Say whether the network is better than every interpolation for one skull."""
    own = sign * float(by[pair, "network"][name][key])
    return all(
        own > sign * float(by[pair, method][name][key])
        for method in INTERPOLATIONS
        if name in by[pair, method]
    )


def _memory() -> str:
    path = HERE / "memory" / "memory.md"
    if not path.exists():
        return "Not measured yet: `make tables`."
    # Its own first heading is replaced by ours, and its others are a level deeper here.
    text = path.read_text(encoding="utf-8").split("\n", 1)[1]
    text = text.split("## Time and arithmetic")[0].replace("\n## ", "\n### ")
    return f"[Times, operations, occupancy and rows not run](memory/memory.md).\n\n{text.strip()}"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = [list(rows[0]), ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)
    return found.stdout.strip() or "unknown"


def _machine() -> str:
    """Return the processor's name and count of cores, as the system tells them."""
    name = platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if cpu.exists():
        lines = [line for line in cpu.read_text().splitlines() if line.startswith("model name")]
        name = lines[0].split(":", 1)[1].strip() if lines else name
    return f"{os.cpu_count()} cores, {name}, {platform.system()}"


if __name__ == "__main__":
    main()
