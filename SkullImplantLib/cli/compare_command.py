"""`skull-implant compare` and `mirror`: their words and options, and what they do."""

import argparse
import json
import textwrap
from itertools import groupby
from pathlib import Path

from ..core.files import atomic_path
from ..core.stages import StageReport
from ..core.staging import staged_folder
from ..core.threads import use_threads
from ..evaluation.design_distance import Comparison, compare_folders
from ..evaluation.mirrored_side import MirroredSide, mirrored_side_of
from ..export.results import MIRROR_FILES
from ..export.stl import write_stl
from .result import Result

COLUMN, NAME_COLUMN = 26, 26


def compare(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant compare`: designs side by side, and how far they lie apart."""
    use_threads(options.threads)
    found = compare_folders([options.first, *options.others], report)
    return Result(found.as_json(), _table(found))


def mirror(options: argparse.Namespace, report: StageReport) -> Result:
    """`skull-implant mirror`: the head's other side beside the implant of a result folder."""
    use_threads(options.threads)
    side = mirrored_side_of(options.result, report)
    output = options.output or options.result
    data = side.as_json()
    stl, facts = MIRROR_FILES
    with staged_folder(output, MIRROR_FILES) as folder:
        if side.mesh is not None:
            write_stl(side.mesh, folder / stl)
        with atomic_path(folder / facts) as temporary:
            temporary.write_text(json.dumps(data, indent=2, allow_nan=False) + "\n")
    return Result(data, _told(side, output))


def _told(side: MirroredSide, folder: Path) -> str:
    lines = [side.sentence] if side.sentence else []
    one = side.together
    if one.mean_mm is not None and side.mesh is not None:
        lines += [
            f"The implant's outer face lies {one.mean_mm:.1f} mm from the other side on average, "
            f"95 % of it under {one.most95_mm:.1f} mm, at most {one.most_mm:.1f} mm; no head is "
            "symmetric.",
            f"The other side was written to {folder / MIRROR_FILES[0]}.",
        ]
    return "\n".join(lines)


def _table(found: Comparison) -> str:
    """Return the table as text; an asterisk marks rows that differ."""
    lines = _row(" ", "", [Path(name).name for name in found.names])
    for group, rows in groupby(found.rows, key=lambda row: row.group):
        lines.append(group.upper())
        for row in rows:
            lines += _row("*" if row.differs else " ", row.name, row.values)
    for name, apart in zip(found.names[1:], found.apart):
        lines.append(
            f"{Path(name).name} against {Path(found.names[0]).name}: Dice {apart.dice:.3f}; 95 % "
            f"of both surfaces within {apart.surface95_mm:.2f} mm, of the outer faces within "
            f"{apart.outer95_mm:.2f} mm (at most {apart.outer_most_mm:.2f} mm)."
        )
    return "\n".join([*lines, "* differs", *(f"Note: {note}" for note in found.notes)])


def _row(sign: str, name: str, values: "list[str] | tuple[str, ...]") -> list[str]:
    """Return the lines of a row, whose cells are as wide as columns, longer ones wrapped."""
    cells = [
        textwrap.wrap(text, width - 1) or [""]
        for text, width in zip([name, *values], [NAME_COLUMN, *[COLUMN] * len(values)])
    ]
    height = max(map(len, cells))
    lines = []
    for number in range(height):
        parts = [cell[number] if number < len(cell) else "" for cell in cells]
        text = "".join(part.ljust(COLUMN) for part in parts)
        lines.append(f"{sign if number == 0 else ' '} {text}".rstrip())
    return lines
