"""The rows of the memory benchmark as tables, with the slides' numbers beside ours.

The slides are those of the sparse networks' authors (Kroviakov, Li and Egger 2021; Li et al. 2023):
"Memory usage comparison", `nvidia-smi` every 50 ms, so of a whole GPU with the context of CUDA and
the cache of PyTorch, in GB, on MinkowskiEngine. Their batch table was read by eye: the value of
ch1 at batch 6 is lost, and the columns of ch2 beyond the first are a guess.
"""

import math
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
Kind = tuple[str, str, str, str]  # engine, network, mode, memory

# GB by (engine, mode), network ch1, batch 1: at 64, 128, 256 and 512.
SLIDES_RESOLUTIONS = (64, 128, 256, 512)
SLIDES: dict[tuple[str, str], tuple[float | None, ...]] = {
    ("sparse", "train"): (1.5119, 1.6256, 2.7341, 11.3049),
    ("sparse", "test"): (1.4519, 1.5097, 1.8905, 2.7993),
    ("dense", "train"): (1.6543, 1.9043, 4.8145, None),
    ("dense", "test"): (1.6699, 1.8184, 2.6934, None),
}
# GB by network, training of the sparse network at 64, by batch.
SLIDES_BATCHES: dict[str, dict[int, float]] = {
    "ch1": {
        1: 1.5119,
        2: 1.5494,
        3: 1.5780,
        4: 1.6164,
        5: 1.6557,
        7: 1.6867,
        8: 1.7151,
        9: 1.7950,
        10: 1.8459,
        16: 2.1180,
        32: 3.8395,
    },
    "ch2": {1: 1.9071, 2: 2.0054, 8: 2.3729, 9: 2.3232, 10: 2.5116},
}
BESIDE_CPU = (
    "On the processor: peak resident memory above what the process held with network and input in "
    "it. The slides' numbers are of a whole GPU, whose context alone takes about 1.4 GB of them: "
    "compare how they grow."
)
BESIDE_GPU = (
    "On the GPU: used memory of the whole device, polled every 50 ms, as in the slides, and in "
    "brackets the peak of PyTorch's allocator."
)


def slides_gb(row: Row) -> float | None:
    """Return what the slides give for a row, or None."""
    if row["batch"] > 1:
        if (row["engine"], row["mode"], row["resolution"]) != ("sparse", "train", 64):
            return None
        return SLIDES_BATCHES[row["network"]].get(row["batch"])
    if row["network"] == "ch2":
        both = (row["engine"], row["mode"], row["resolution"]) == ("sparse", "train", 64)
        return SLIDES_BATCHES["ch2"][1] if both else None
    numbers = dict(zip(SLIDES_RESOLUTIONS, SLIDES[row["engine"], row["mode"]]))
    return numbers.get(row["resolution"])


def memory_gib(row: Row) -> float | None:
    """Return a row's memory: of the device on a GPU, else above the start; None if it was not run.

    The device's memory is that of the allocator where it was not polled.
    """
    value: float | None = row.get("device_peak_gib", row.get("peak_over_start_gib"))
    return value


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the exponent e of memory ~ size^e, by least squares of the logarithms.

    `points`: (size, memory); those without memory are left out. None for fewer than two.
    """
    logs = [(math.log(size), math.log(value)) for size, value in points if value > 0.0]
    if len({x for x, _ in logs}) < 2:
        return None
    x_mean = sum(x for x, _ in logs) / len(logs)
    y_mean = sum(y for _, y in logs) / len(logs)
    above = sum((x - x_mean) * (y - y_mean) for x, y in logs)
    return above / sum((x - x_mean) ** 2 for x, _ in logs)


def kind_of(row: Row) -> Kind:
    """Return what rows of other sizes share with this one."""
    return row["engine"], row["network"], row["mode"], row["memory"]


def kinds(rows: Sequence[Row]) -> list[Kind]:
    """Return the kinds of the rows, in the order of the tables."""
    found = {kind_of(row) for row in rows}
    order = {"sparse": 0, "dense": 1, "ch1": 0, "ch2": 1, "train": 0, "test": 1, "plain": 0}
    return sorted(found, key=lambda k: tuple(order.get(v, 2) for v in (k[1], k[0], k[2], k[3])))


def called(kind: Kind) -> str:
    """Return a kind in words."""
    engine, network, mode, memory = kind
    return f"{network} {engine} {mode}" + ("" if memory == "plain" else f", {memory}")


def memory_table(rows: Sequence[Row], note: str = "") -> str:
    """Return the tables as Markdown: by resolution, by batch, time and arithmetic, refusals."""
    on_gpu = any("device_peak_gib" in row for row in rows)
    single = [row for row in rows if row["batch"] == 1]
    batched = [row for row in rows if row["mode"] == "train" and row["memory"] == "plain"]
    least = min((row["resolution"] for row in batched), default=0)
    batched = [row for row in batched if row["resolution"] == least]
    parts = [
        "# Memory and arithmetic of the papers' networks",
        f"`skull-implant benchmark memory`, on {'a GPU' if on_gpu else 'the CPU'}. {note}".strip(),
        BESIDE_GPU if on_gpu else BESIDE_CPU,
        "## Memory by resolution, batch 1, GiB (slides: GB)",
        *_by(single, "resolution", "growth"),
    ]
    if any(row["batch"] > 1 for row in batched):
        parts += [
            f"## Memory of a training step by batch, at {least}, GiB (slides: GB)",
            *_by(batched, "batch", "growth"),
        ]
    parts += ["## Time and arithmetic of a step, batch 1", *_arithmetic(single)]
    refused = [row for row in rows if "refused" in row]
    if refused:
        lines = [f"- {called(kind_of(r))}, {r['resolution']}: {r['refused']}." for r in refused]
        parts += ["## Not run", "\n".join(lines)]
    return "\n\n".join(parts)


def _by(rows: Sequence[Row], size: str, growth_name: str) -> list[str]:
    """Return a table with a column for every `size`, ours over the slides', and its growth."""
    sizes = sorted({row[size] for row in rows})
    lines = [
        f"| {size} | {' | '.join(map(str, sizes))} | {growth_name} |",
        "|---" * (len(sizes) + 2) + "|",
    ]
    for kind in kinds(rows):
        mine = {row[size]: row for row in rows if kind_of(row) == kind}
        told = [(s, mine[s]) for s in sizes if s in mine]
        points = [(s, memory_gib(row) or 0.0) for s, row in told]
        cells = [_cell(mine.get(s)) for s in sizes]
        lines.append(f"| {called(kind)} | {' | '.join(cells)} | {_power(growth(points))} |")
        theirs = [(s, slides_gb(row) or 0.0) for s, row in told]
        if kind[3] == "plain" and any(value for _, value in theirs):
            by_size = dict(theirs)
            cells = [f"{by_size[s]:.2f}" if by_size.get(s) else "-" for s in sizes]
            lines.append(f"| *slides* | {' | '.join(cells)} | {_power(growth(theirs))} |")
    return ["\n".join(lines)]


def _cell(row: Row | None) -> str:
    if row is None:
        return "-"
    if "refused" in row:
        return "not run"
    value = memory_gib(row)
    inner = row.get("allocator_peak_gib")
    told = "unknown" if value is None else _three_digits(value)
    return told if inner is None else f"{told} ({_three_digits(inner)})"


def _three_digits(value: float) -> str:
    return f"{value:.3f}" if value < 1.0 else f"{value:.2f}"


def _power(exponent: float | None) -> str:
    return "-" if exponent is None else f"{exponent:.1f}"


def _arithmetic(rows: Sequence[Row]) -> list[str]:
    text = (
        "Operations are counted from the layers (`evaluation/arithmetic.py`): those of neighbours "
        "that exist, and those performed, with the zeros that stand for the others. Occupancy is "
        "the share of voxels that are bone."
    )
    lines = [
        "| | resolution | occupancy | step, s | useful GFLOP | performed GFLOP | GFLOP/s |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in kinds(rows):
        some = [row for row in rows if kind_of(row) == kind]
        for row in sorted(some, key=lambda r: r["resolution"]):
            seconds = row.get("step_s")
            speed = "-" if not seconds else f"{row['performed_gflop'] / seconds:.0f}"
            lines.append(
                f"| {called(kind)} | {row['resolution']} | {100 * row['occupancy']:.1f} % |"
                f" {'-' if seconds is None else f'{seconds:.2f}'} | {row['useful_gflop']:.1f} |"
                f" {row['performed_gflop']:.1f} | {speed} |"
            )
    powers = []
    for kind in kinds(rows):
        if kind[3] == "plain":
            points = [(r["resolution"], r["useful_gflop"]) for r in rows if kind_of(r) == kind]
            powers.append(f"{called(kind)} {_power(growth(points))}")
    return [text, "\n".join(lines), f"Useful operations grow with the power: {', '.join(powers)}."]
