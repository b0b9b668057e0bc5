"""What training and use of the papers' networks take in memory, time and arithmetic.

Sparse and dense, at several resolutions and batch sizes, as in the slides that the project follows
(their numbers are in `memory_table`). Every row runs in a fresh process; a row that would not fit
into the machine's memory is refused beforehand, with a reason. The rows are in one file,
`memory.json`, that a later call goes on from, with a table and a picture beside it.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..core.files import atomic_path
from ..core.kept_json import read_json
from ..core.memory import BYTES_PER_GIB
from ..core.stages import StageReport, no_report
from ..errors import SkullImplantError
from . import memory_run
from .device_memory import SHARE_OF_MEMORY, available_bytes
from .memory_case import make_case, needed_bytes, operations, read_case
from .memory_options import MemoryOptions, MemoryRun
from .memory_plot import draw_memory
from .memory_table import memory_table

ROWS, TABLE, PICTURE = "memory.json", "memory.md", "memory.png"
GIGA = 1e9


def benchmark_memory(
    folder: Path, options: MemoryOptions, note: str = "", report: StageReport = no_report
) -> tuple[dict[str, Any], str]:
    """Measure the rows that are not in `folder` yet; return all of them, and their table.

    `note` is a sentence for the table, on the machine.

    Raises:
        SkullImplantError: `memory.json` is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = _read_rows(folder / ROWS)
    runs = list(options.runs())
    with tempfile.TemporaryDirectory() as name:
        for number, run in enumerate(runs):
            key = asdict(run)
            if any(_is_of(row, key) and "refused" not in row for row in rows):
                continue
            report("memory", min(number / len(runs), 0.999), _told(run))
            case_folder = Path(name) / str(run.resolution)
            if not case_folder.exists():
                case_folder.mkdir()
                make_case(run.resolution, case_folder)
            row = _row(run, case_folder)
            rows = [other for other in rows if not _is_of(other, key)] + [row]
            with atomic_path(folder / ROWS) as temporary:
                temporary.write_text(_written({"note": note, "rows": rows}), encoding="utf-8")
    table = memory_table(rows, note)
    with atomic_path(folder / TABLE) as temporary:
        temporary.write_text(table + "\n", encoding="utf-8")
    draw_memory(rows, folder / PICTURE)
    report("memory", 1.0, f"{len(rows)} rows")
    return {"rows": rows}, table


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    try:
        rows: list[dict[str, Any]] = read_json(path)["rows"]
        return rows
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SkullImplantError(
            f"The rows in {path.name} are damaged; remove the file to measure anew."
        ) from error


def _written(data: dict[str, Any]) -> str:
    """Return JSON with one row a line."""
    rows = ",\n".join(json.dumps(row) for row in data["rows"])
    return f'{{"note": {json.dumps(data["note"])}, "rows": [\n{rows}\n]}}\n'


def _is_of(row: dict[str, Any], key: dict[str, Any]) -> bool:
    return all(row.get(name) == value for name, value in key.items())


def _told(run: MemoryRun) -> str:
    return f"{run.engine} {run.network} {run.mode} {run.memory}, {run.resolution}, {run.batch}"


def _row(run: MemoryRun, folder: Path) -> dict[str, Any]:
    """Return a row: what it is about, its arithmetic, and what it took or why it was not run."""
    case = read_case(folder)
    counted = operations(run, case)
    row = asdict(run) | {
        "active_voxels": case["active_voxels"],
        "occupancy": case["occupancy"],
        "useful_gflop": round(counted.useful / GIGA, 3),
        "performed_gflop": round(counted.performed / GIGA, 3),
        "torch": torch.__version__,
    }
    needed, free = needed_bytes(run, case), available_bytes(run.device)
    if free is not None and needed > SHARE_OF_MEMORY * free:
        needs, has = needed / BYTES_PER_GIB, free / BYTES_PER_GIB
        return row | {"refused": f"needs about {needs:.1f} GiB, of which {has:.1f} GiB are free"}
    return row | _in_a_process(run, folder)


def _in_a_process(run: MemoryRun, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", memory_run.__name__, json.dumps(asdict(run)), str(folder)]
    # Threads that spin while they wait would measure the machine's other work (see `__main__`).
    environment = {"OMP_WAIT_POLICY": "passive", **os.environ}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        last = (result.stderr.strip().splitlines() or ["it was ended, for want of memory"])[-1]
        return {"refused": f"failed: {last}"}
    taken: dict[str, Any] = json.loads(result.stdout)
    return taken
