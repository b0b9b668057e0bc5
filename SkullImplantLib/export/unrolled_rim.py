"""The rim unrolled: gap and steps along the implant's outline, as a drawing for the report.

The outline is that of the implant's shadow along the way out; it is walked once around, from its
highest place, as the hands of a clock go for who looks at the implant from outside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..implant.drilling import longest_loop
from ..implant.meshes import arrays_of, mesh_of
from ..implant.solids import axes_along
from .map_colours import GAP, STEP, MapScale
from .map_legends import MapLegend
from .parting import PIXEL_MM, parting_of

Floats = NDArray[np.float64]

# Values of so much of the rim are one point of a curve.
BIN_MM = 2.0
# The shadow's outline is smoothed over this before its length is measured, in pixels.
SMOOTHED_PIXELS = 1.5
# Labels beside the curves are so high; nearer ones would lie on one another.
LABEL = 12
WIDTH, PANEL, LEFT, BETWEEN, BOTTOM = 1040, 110, 64, 22, 54
TICK_MM = 50.0
INK, FAINT, LINE, LIMIT = "#22282e", "#66707a", "#0f7f8a", "#a85b00"
# By the axis of LPS, who looks at a place of the rim from the implant's middle looks there.
LETTERS = (("R", "L"), ("A", "P"), ("I", "S"))


@dataclass(frozen=True, eq=False)
class UnrolledRim:
    """Curves along the rim, (n,) each, not a number where nothing is measured.

    along_mm: from the highest place on. gap_mm: half of the wall there is nearer to bone;
    most_gap_mm: the largest there. outer_mm, inner_mm: the largest steps of the two faces, with
    their signs. letters: at which lengths the outline points to which side of the body.
    """

    along_mm: Floats
    length_mm: float
    gap_mm: Floats
    most_gap_mm: Floats
    outer_mm: Floats
    inner_mm: Floats
    letters: tuple[tuple[float, str], ...]


def unrolled_rim(
    mesh: vtkPolyData,
    maps: Mapping[str, NDArray[np.floating]],
    direction: Sequence[float] | NDArray[np.floating],
) -> UnrolledRim | None:
    """Return the curves of an implant (LPS mm, with `gap_mm` and `step_mm` at its points), along
    the outline that is seen along a unit vector (LPS); None where the maps are not there.
    """
    if not {GAP, STEP} <= set(maps):
        return None
    axes = axes_along(np.asarray(direction, np.float64))
    points, triangles = arrays_of(mesh)
    local = points @ axes
    shadow = parting_of(mesh_of(local, triangles), 4.0 * PIXEL_MM)
    loop = longest_loop(gaussian_filter(shadow.inside.astype(float), SMOOTHED_PIXELS), 0.5)
    outline = _from_the_top(loop * PIXEL_MM + shadow.start_mm, axes)
    steps = np.linalg.norm(np.diff(outline, axis=0, append=outline[:1]), axis=1)
    at_mm = np.concatenate([[0.0], np.cumsum(steps)])
    length_mm = float(at_mm[-1])
    nearest = cKDTree(outline).query(local[:, :2])[1]
    count = max(int(length_mm / BIN_MM), 1)
    bins = np.minimum((at_mm[nearest] / length_mm * count).astype(int), count - 1)
    pixel = np.rint((local[:, 1::-1] - shadow.start_mm[::-1]) / PIXEL_MM).astype(int)
    outside = local[:, 2] > shadow.height_mm[pixel[:, 0], pixel[:, 1]]
    step = np.asarray(maps[STEP], np.float64)
    gap = np.asarray(maps[GAP], np.float64)
    return UnrolledRim(
        along_mm=(np.arange(count) + 0.5) * length_mm / count,
        length_mm=length_mm,
        gap_mm=_medians(gap, bins, count),
        most_gap_mm=_largest(gap, bins, count),
        outer_mm=_largest(np.where(outside, step, np.nan), bins, count),
        inner_mm=_largest(np.where(outside, np.nan, step), bins, count),
        letters=_letters(outline, at_mm[:-1], axes),
    )


def _from_the_top(outline: Floats, axes: Floats) -> Floats:
    """Return the outline's points once each, from the highest on, clockwise seen from outside."""
    if np.allclose(outline[0], outline[-1]):
        outline = outline[:-1]
    beside = np.roll(outline, -1, axis=0)
    area = float((outline[:, 0] * beside[:, 1] - beside[:, 0] * outline[:, 1]).sum()) / 2.0
    if area > 0.0:  # against the clock, with the direction towards who looks
        outline = outline[::-1]
    height = outline @ axes[2, :2]
    return np.roll(outline, -int(np.argmax(height)), axis=0)


def _largest(values: Floats, bins: NDArray[np.int64], count: int) -> Floats:
    """Return for each bin the value that is farthest from zero, with its sign."""
    found = np.full(count, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(np.abs(values[known]), kind="stable")]
    found[bins[order]] = values[order]  # the last one written is the largest
    return found


def _medians(values: Floats, bins: NDArray[np.int64], count: int) -> Floats:
    """Return for each bin the median of the values in it."""
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.lexsort((values[known], bins[known]))]
    sizes = np.bincount(bins[known], minlength=count)
    first = np.cumsum(sizes) - sizes
    found = np.full(count, np.nan)
    some = sizes > 0
    found[some] = values[order[first[some] + (sizes[some] - 1) // 2]]
    return found


def _letters(outline: Floats, at_mm: Floats, axes: Floats) -> tuple[tuple[float, str], ...]:
    """Return where the outline lies farthest to each side of the body that it can show."""
    away = outline - outline.mean(axis=0)
    found = []
    for axis, names in enumerate(LETTERS):
        # An axis that points at who looks shows no side.
        if np.linalg.norm(axes[axis, :2]) < np.sqrt(0.5):
            continue
        along = away @ axes[axis, :2]
        for name, place in zip(names, (np.argmin(along), np.argmax(along))):
            found.append((float(at_mm[place]), name))
    return tuple(sorted(found))


def rim_drawing(rim: UnrolledRim, legends: Sequence[MapLegend], title: str) -> str:
    """Return the curves as SVG with their limits, which stands in a page as it is."""
    gap, step = (next(each.scale for each in legends if each.array == a) for a in (GAP, STEP))
    panels = (
        ("Gap, mm (thin: the largest)", (rim.most_gap_mm, rim.gap_mm), gap, (gap.high_mm / 2.0,)),
        (
            "Outer step, mm (the largest)",
            (rim.outer_mm,),
            step,
            (step.low_mm / 2.0, step.high_mm / 2.0),
        ),
        (
            "Inner step, mm (the largest)",
            (rim.inner_mm,),
            step,
            (step.low_mm / 2.0, step.high_mm / 2.0),
        ),
    )
    height = len(panels) * (PANEL + BETWEEN) + BOTTOM
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}" '
        'style="width:100%;height:auto;display:block" font-family="system-ui, sans-serif" '
        f'font-size="12"><title>{escape(title)}</title>'
    ]
    for number, (name, curves, scale, limits) in enumerate(panels):
        top = BETWEEN + number * (PANEL + BETWEEN)
        parts += _panel(rim, name, curves, _reaching(scale, curves), limits, top)
    parts += _axis(rim, len(panels) * (PANEL + BETWEEN))
    return "".join([*parts, "</svg>"])


def _reaching(scale: MapScale, curves: Sequence[Floats]) -> MapScale:
    """Return a scale that reaches to whole millimetres beyond what curves have; no value is cut."""
    values = np.concatenate(curves)
    most = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    if most <= scale.high_mm:
        return scale
    high = float(np.ceil(most))
    return replace(scale, low_mm=-high if scale.diverges else scale.low_mm, high_mm=high)


def _x(rim: UnrolledRim, along_mm: float) -> float:
    return LEFT + (WIDTH - LEFT - 10) * along_mm / rim.length_mm


def _panel(
    rim: UnrolledRim,
    name: str,
    curves: Sequence[Floats],
    scale: MapScale,
    limits: Sequence[float],
    top: float,
) -> list[str]:
    """Return one field of curves; the last is drawn thick, those before it thin."""
    low, high = scale.low_mm, scale.high_mm

    def y(value: float) -> float:
        return top + PANEL * (1.0 - (max(value, low) - low) / (high - low))

    right = WIDTH - 10
    parts = [
        f'<rect x="{LEFT}" y="{top}" width="{right - LEFT}" height="{PANEL}" fill="#f7f9fa" '
        f'stroke="#d9dee3"/><text x="{LEFT}" y="{top - 6}" fill="{INK}" font-weight="600">'
        f"{escape(name)}</text>"
    ]
    labels = {low, high, *limits}
    if all(abs(y(value) - y(0.0)) >= LABEL for value in labels - {0.0}):
        labels.add(0.0)
    for value in sorted(labels):
        told = f"{value:.1f}".replace("-", "\N{MINUS SIGN}")
        parts.append(
            f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" fill="{FAINT}" text-anchor="end">{told}'
            "</text>"
        )
    for value, color, dashes in ((0.0, "#b9c2ca", ""), *((v, LIMIT, "5 4") for v in limits)):
        parts.append(
            f'<line x1="{LEFT}" x2="{right}" y1="{y(value):.1f}" y2="{y(value):.1f}" '
            f'stroke="{color}" stroke-dasharray="{dashes}"/>'
        )
    for number, values in enumerate(curves, 1):
        stroke = 2.0 if number == len(curves) else 0.8
        for run in _runs(values):
            line = " ".join(f"{_x(rim, rim.along_mm[k]):.1f},{y(values[k]):.1f}" for k in run)
            parts.append(
                f'<polyline points="{line}" fill="none" stroke="{LINE}" stroke-width="{stroke}" '
                'stroke-linejoin="round" stroke-linecap="round"/>'
            )
    return parts


def _runs(values: Floats) -> list[NDArray[np.int64]]:
    """Return the indices of stretches without a gap in them."""
    known = np.flatnonzero(np.isfinite(values))
    return [run for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1) if len(run)]


def _axis(rim: UnrolledRim, top: float) -> list[str]:
    parts = []
    for along in np.arange(0.0, rim.length_mm, TICK_MM):
        parts.append(
            f'<text x="{_x(rim, along):.1f}" y="{top + 14}" fill="{FAINT}" text-anchor="middle">'
            f"{along:.0f}</text>"
        )
    parts.append(
        f'<text x="{WIDTH - 10}" y="{top + 48}" fill="{FAINT}" text-anchor="end">mm along the rim, '
        "clockwise from outside</text>"
    )
    for along, letter in rim.letters:
        parts.append(
            f'<text x="{_x(rim, along):.1f}" y="{top + 30}" fill="{INK}" font-weight="600" '
            f'text-anchor="middle">{letter}</text>'
        )
    return parts
