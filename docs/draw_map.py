"""Draw the map of the library: its packages by floors, and the arrows of their imports.

    python docs/draw_map.py -o docs/reference/architecture.svg

The graph is that of grimp, which comes with import-linter. An arrow is drawn unless a longer way
leads there, too: 30 arrows, say, instead of 90. All of them are in the picture's metadata, by
which a test knows whether the picture is of today. The layout is that of Sugiyama, Tagawa and Toda
(1981): floors by the longest way, order by barycentres, long arrows bent at each floor.
"""

import argparse
import json
from collections import defaultdict
from html import escape
from itertools import pairwise
from pathlib import Path

import grimp
from scipy.optimize import isotonic_regression

LIBRARY = "SkullImplantLib"
Arrow = tuple[str, str]
# A place in the drawing: a package, or where a long arrow passes a floor.
Place = str | tuple[str, str, int]

BOX_WIDTH, BOX_HEIGHT, FLOOR_HEIGHT, MARGIN, HEADING = 138.0, 44.0, 86.0, 36.0, 70.0
GAP_OF_BOXES, GAP_OF_ARROWS, TIP = 26.0, 58.0, 7.0
SWEEPS = 40
# The sentence's own packages; the path that tells it; and all others.
SENTENCE = {"reading", "skull", "geometry", "completion", "implant", "export"}
PATH = {"design", "designing"}
FILLS = {"sentence": "#dcebfa", "path": "#1f5f99", "other": "#f3f4f6"}
STROKES = {"sentence": "#6ea4d6", "path": "#1f5f99", "other": "#b6bcc4"}
INK, PALE, ARROW = "#1d2733", "#66707c", "#7d8792"
FONT = "'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif"


def arrows_of_library() -> dict[Arrow, int]:
    """Return how many imports lead from one package (or file at the top) to another."""
    graph = grimp.build_graph(LIBRARY)
    arrows: dict[Arrow, int] = defaultdict(int)
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            ends = [name.split(".")[1:2] for name in (module, imported)]
            if all(ends) and ends[0] != ends[1]:
                arrows[ends[0][0], ends[1][0]] += 1
    return dict(sorted(arrows.items()))


def files_of_packages() -> dict[str, int]:
    """Return the number of files with code in each package; 0 for a file at the top."""
    graph = grimp.build_graph(LIBRARY)
    names = [name.split(".")[1:] for name in graph.modules if name != LIBRARY]
    return {n[0]: sum(m[0] == n[0] and len(m) > 1 for m in names) for n in sorted(names)}


def recorded_arrows(picture: Path) -> set[Arrow]:
    """Return the arrows that a picture was drawn from."""
    text = picture.read_text(encoding="utf-8")
    start, end = text.index("<metadata>") + len("<metadata>"), text.index("</metadata>")
    return {(a, b) for a, b in json.loads(text[start:end])["arrows"]}


def _reached(start: str, after: dict[str, set[str]]) -> set[str]:
    """Return all packages below `start`."""
    direct = after.get(start, set())
    return direct.union(*(_reached(name, after) for name in direct))


def _shortened(arrows: set[Arrow]) -> set[Arrow]:
    """Return the arrows to which no longer way leads (the transitive reduction)."""
    after: dict[str, set[str]] = defaultdict(set)
    for a, b in arrows:
        after[a].add(b)
    return {
        (a, b) for a, b in arrows if not any(b in _reached(c, after) for c in after[a] if c != b)
    }


def _floors(arrows: set[Arrow]) -> dict[str, int]:
    """Return each package's floor, from 0: the longest way down from it."""
    floors: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in floors:
            floors[name] = max((floor(b) + 1 for a, b in arrows if a == name), default=0)
        return floors[name]

    for arrow in arrows:
        floor(arrow[0])
    return floors


def _ways(arrows: set[Arrow], floors: dict[str, int]) -> dict[Arrow, list[Place]]:
    """Return the places that each arrow passes, one a floor."""
    return {
        (a, b): [a, *((a, b, f) for f in range(floors[a] - 1, floors[b], -1)), b]
        for a, b in sorted(arrows)
    }


def _crossings(rows: list[list[Place]], steps: set[tuple[Place, Place]]) -> int:
    """Return how often the arrows between neighbouring floors cross."""
    at = {place: index for row in rows for index, place in enumerate(row)}
    floor = {place: index for index, row in enumerate(rows) for place in row}
    ends = [(floor[a], at[a], at[b]) for a, b in steps]
    return sum(
        f == g and (a - c) * (b - d) < 0
        for i, (f, a, b) in enumerate(ends)
        for g, c, d in ends[i + 1 :]
    )


def _ordered(rows: list[list[Place]], steps: set[tuple[Place, Place]]) -> list[list[Place]]:
    """Return the rows in the order with the fewest crossings that sweeps down and up find."""
    near: dict[Place, list[Place]] = defaultdict(list)
    for a, b in sorted(steps, key=str):
        near[a].append(b)
        near[b].append(a)
    best, fewest = rows, _crossings(rows, steps)
    for sweep in range(SWEEPS):
        order = range(len(rows)) if sweep % 2 else range(len(rows) - 1, -1, -1)
        rows = [list(row) for row in rows]
        for index in order:
            at = {place: k / max(len(row) - 1, 1) for row in rows for k, place in enumerate(row)}
            beside = set(rows[index - 1 if sweep % 2 else (index + 1) % len(rows)])
            weights = {}
            for place in rows[index]:
                # Each second pair of sweeps looks both ways.
                found = [at[n] for n in near[place] if n in beside or sweep % 4 > 1]
                weights[place] = sum(found) / len(found) if found else at[place]
            rows[index].sort(key=weights.__getitem__)
        crossings = _crossings(rows, steps)
        if crossings < fewest:
            best, fewest = rows, crossings
    return best


def _half_width(place: Place) -> float:
    return (BOX_WIDTH + GAP_OF_BOXES) / 2 if isinstance(place, str) else GAP_OF_ARROWS / 2


def _columns(rows: list[list[Place]], steps: set[tuple[Place, Place]]) -> dict[Place, float]:
    """Return each place's x: as near to its neighbours' as the widths in its row allow."""
    near: dict[Place, list[Place]] = defaultdict(list)
    for a, b in steps:
        # A long arrow is to be straight.
        weight = 1 + 3 * (not isinstance(a, str)) + 3 * (not isinstance(b, str))
        near[a] += [b] * weight
        near[b] += [a] * weight
    offsets: dict[Place, float] = {}
    for row in rows:
        x = 0.0
        for left, right in pairwise([row[0], *row]):
            x += 0.0 if left is right else _half_width(left) + _half_width(right)
            offsets[right] = x
    columns = {p: offsets[p] - offsets[row[-1]] / 2 for row in rows for p in row}
    for _ in range(SWEEPS):
        for row in (*rows, *reversed(rows)):
            wanted = [sum(columns[n] for n in near[p]) / len(near[p]) - offsets[p] for p in row]
            weights = [float(len(near[p])) for p in row]
            for place, x in zip(row, isotonic_regression(wanted, weights=weights).x):
                columns[place] = float(x) + offsets[place]
    return columns


def _curve(points: list[tuple[float, float]]) -> str:
    """Return an arrow through points, upright at its ends and smooth between (Catmull-Rom)."""
    slopes = [0.0]
    for (x, y), _, (next_x, next_y) in zip(points, points[1:], points[2:]):
        slopes.append((next_x - x) / (next_y - y))
    slopes.append(0.0)
    steps = [f"M{points[0][0]:.1f},{points[0][1]:.1f}"]
    for ((x, y), (end_x, end_y)), (slope, end_slope) in zip(pairwise(points), pairwise(slopes)):
        bend = (end_y - y) * (0.5 if len(points) == 2 else 0.4)
        steps.append(
            f"C{x + bend * slope:.1f},{y + bend:.1f} "
            f"{end_x - bend * end_slope:.1f},{end_y - bend:.1f} {end_x:.1f},{end_y:.1f}"
        )
    x, y = points[-1]
    # Not a marker, which some programs do not draw.
    tip = f"M{x:.1f},{y + TIP:.1f} l{-TIP / 2:.1f},{-TIP:.1f} h{TIP:.1f} z"
    return f'<path d="{" ".join(steps)}"/><path d="{tip}" fill="{ARROW}" stroke="none"/>'


def _ports(ends: list[Place], columns: dict[Place, float], box: Place) -> dict[Place, float]:
    """Return where on a box's edge the arrows from or to `ends` lie, side by side."""
    gap = min(20.0, (BOX_WIDTH - 24.0) / max(len(ends) - 1, 1))
    ranked = sorted(ends, key=lambda end: (columns[end], str(end)))
    return {end: columns[box] + gap * (k - (len(ends) - 1) / 2) for k, end in enumerate(ranked)}


def draw(arrows: dict[Arrow, int], files: dict[str, int]) -> str:
    """Return the picture as SVG."""
    floors, shown = _floors(set(arrows)), _shortened(set(arrows))
    ways = _ways(shown, floors)
    steps = {step for way in ways.values() for step in pairwise(way)}
    top = max(floors.values())
    rows: list[list[Place]] = [[] for _ in range(top + 1)]
    for name, floor in sorted(floors.items()):
        rows[top - floor].append(name)
    for way in ways.values():
        for place in way[1:-1]:
            rows[top - place[2]].append(place)  # type: ignore[operator]
    rows = _ordered(rows, steps)
    columns = _columns(rows, steps)
    left = min(columns[p] - _half_width(p) for p in columns)
    columns = {place: x - left + MARGIN for place, x in columns.items()}
    width = max(columns[p] + _half_width(p) for p in columns) + MARGIN
    heights = {p: HEADING + MARGIN + k * FLOOR_HEIGHT for k, row in enumerate(rows) for p in row}
    height = HEADING + 2 * MARGIN + top * FLOOR_HEIGHT + BOX_HEIGHT

    lines = []
    starts = {n: _ports([w[1] for w in ways.values() if w[0] == n], columns, n) for n in floors}
    stops = {n: _ports([w[-2] for w in ways.values() if w[-1] == n], columns, n) for n in floors}
    for way in ways.values():
        points = [(starts[str(way[0])][way[1]], heights[way[0]] + BOX_HEIGHT)]
        points += [(columns[place], heights[place] + BOX_HEIGHT / 2) for place in way[1:-1]]
        points.append((stops[str(way[-1])][way[-2]], heights[way[-1]] - TIP))
        lines.append(_curve(points))
    boxes = [_box(name, files[name], columns[name], heights[name]) for name in sorted(floors)]
    meta = json.dumps({"arrows": [list(arrow) for arrow in sorted(arrows)]})
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" \
width="{width:.0f}" height="{height:.0f}" font-family="{FONT}">
<title>The packages of {LIBRARY} and the arrows of their imports</title>
<metadata>{escape(meta, quote=False)}</metadata>
<rect width="{width:.0f}" height="{height:.0f}" rx="10" fill="#ffffff"/>
<text x="{MARGIN}" y="38" font-size="17" font-weight="bold" fill="{INK}">{LIBRARY}</text>
<text x="{MARGIN}" y="60" font-size="12" fill="{PALE}">An arrow is an import; it runs downward \
only. Not drawn: imports that a longer way of arrows reaches, too.</text>
<text x="{MARGIN}" y="78" font-size="12" fill="{PALE}">Dark: where the way from a CT to an implant \
is told. Blue: its stages.</text>
<g fill="none" stroke="{ARROW}" stroke-width="1.3">
{chr(10).join(lines)}
</g>
{chr(10).join(boxes)}
</svg>
"""


def _box(name: str, files: int, x: float, y: float) -> str:
    """Return a package's box, or that of a file at the top of the library."""
    kind = "sentence" if name in SENTENCE else "path" if name in PATH else "other"
    ink, pale = ("#ffffff", "#d5e4f2") if kind == "path" else (INK, PALE)
    title, below = (
        (name, f"{files} files" if files > 1 else "1 file") if files else (f"{name}.py", "")
    )
    text = (
        f'<text x="{x:.1f}" y="{y + (20.0 if below else 27.0):.1f}" text-anchor="middle" '
        f'font-size="14" font-weight="bold" fill="{ink}">{title}</text>'
    )
    if below:
        text += (
            f'<text x="{x:.1f}" y="{y + 35.0:.1f}" text-anchor="middle" font-size="11" '
            f'fill="{pale}">{below}</text>'
        )
    return (
        f'<g><rect x="{x - BOX_WIDTH / 2:.1f}" y="{y:.1f}" width="{BOX_WIDTH}" '
        f'height="{BOX_HEIGHT}" rx="7" fill="{FILLS[kind]}" stroke="{STROKES[kind]}"/>{text}</g>'
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Draw the map of the library's packages.")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the SVG to write")
    drawn = draw(arrows_of_library(), files_of_packages())
    parser.parse_args().output.write_text(drawn, encoding="utf-8", newline="\n")
