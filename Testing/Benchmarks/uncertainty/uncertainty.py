"""How well the uncertainty of a completed surface foretells its error, place by place.

    python Testing/Benchmarks/uncertainty/uncertainty.py DATA [-o FILE.md]

Cuts one defect of each of four kinds into each skull and CT of the folder DATA, completes it by the
geometric model, with the skull itself left out of the population, and compares each place of the
completed surface in the hole with the truth: its distance to the truth's surface against what
`completion.uncertainty` says there. The defect is cut into the mask; a CT is not segmented again.
"""

import argparse
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from SkullImplantLib.completion import Choice, complete, uncertainty_of
from SkullImplantLib.core.images import array_of, crop, index_to_lps_mm
from SkullImplantLib.core.interpolation import values_at
from SkullImplantLib.errors import NoPlaceForDefect
from SkullImplantLib.evaluation.evaluation_options import SuiteOptions
from SkullImplantLib.evaluation.suite_cases import SuiteCase, suite_cases
from SkullImplantLib.geometry import complete_by_prior, estimate_pose, find_hole, radial
from SkullImplantLib.geometry.shape_statistics import shipped_population
from SkullImplantLib.implant.bone_surface import bone_surface
from SkullImplantLib.implant.level_set import surface_at_zero
from SkullImplantLib.implant.mesh_distance import MeshDistance
from SkullImplantLib.implant.meshes import facet_middles, facet_vectors

KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random_1")
AROUND_HOLE_MM = 24.0
FACE_COSINE = 0.7  # what is turned farther from the radius is the hole's edge
PLACES = 4000  # of each case count for all together
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Row:
    """A case: at each place of its surface what was said, and how far it was off, mm."""

    name: str
    said_mm: np.ndarray
    off_mm: np.ndarray
    inner: np.ndarray


def row_of(case: SuiteCase) -> Row | None:
    """Return the case completed and compared; None where the skull has no place for it."""
    try:
        _, defect, _ = case.cut()
    except NoPlaceForDefect:
        return None
    population = shipped_population()
    shapes = population.without(population.skulls_like(case.skull))
    skull = defect.defective
    pose = estimate_pose(skull, shapes)
    prior = complete_by_prior(skull, pose, shapes)
    if not prior.hole.any():
        return None
    hole = find_hole(skull, prior, AROUND_HOLE_MM)
    completed = complete(skull, prior, hole, Choice("prior"), brows=shapes.brows)
    index, triangles = surface_at_zero(array_of(completed.depth_mm))
    to_lps = index_to_lps_mm(completed.depth_mm)
    points = index @ to_lps[:3, :3].T + to_lps[:3, 3]
    places, normals = facet_middles(points, triangles), facet_vectors(points, triangles)
    outward = places - pose.centre_mm
    lengths = np.linalg.norm(normals, axis=1) * np.linalg.norm(outward, axis=1)
    up = np.einsum("ij,ij->i", normals, outward) / np.maximum(lengths, 1e-12)
    rows, columns, _ = radial.to_map(outward @ pose.rotation)
    in_hole = radial.look_up(prior.hole.astype(float), rows, columns) > 0.5
    to_index = np.linalg.inv(index_to_lps_mm(defect.region))
    at = places @ to_index[:3, :3].T + to_index[:3, 3]
    in_hole &= values_at(array_of(defect.region).astype(np.float32), list(at.T[::-1])) > 0.5
    chosen = in_hole & (np.abs(up) > FACE_COSINE)
    truth = bone_surface(crop(case.complete().mask, hole.box))
    off = MeshDistance(truth.points_mm, truth.triangles).unsigned_mm(places[chosen])
    inner = up[chosen] < 0.0
    uncertainty = uncertainty_of(prior, completed)
    assert uncertainty is not None
    return Row(case.name, uncertainty.at(places[chosen], inner), off, inner)


def told(title: str, said: np.ndarray, off: np.ndarray, rank: float) -> str:
    """Return a line of the table."""
    once, twice = np.mean(off < said), np.mean(off < 2.0 * said)
    return (
        f"| {title} | {np.median(said):.2f} | {np.median(off):.2f} | {np.percentile(off, 95):.2f} "
        f"| {100 * once:.0f} % | {100 * twice:.0f} % | {rank:.2f} |"
    )


def table(rows: list[Row]) -> str:
    """Return all of it as Markdown."""
    lines = [
        "# The uncertainty of a completed surface, against the truth",
        "",
        "Made by `python Testing/Benchmarks/uncertainty/uncertainty.py DATA`; what is compared "
        "stands in that file. Millimetres; *rank* is Spearman's correlation of what is said and "
        "how far it was off, of all places of a case, and for several the mean of theirs.",
        "",
        "| | said, median | off, median | off, 95 % | less than said | less than twice | rank |",
        "|---|---|---|---|---|---|---|",
    ]
    ranks = [float(spearmanr(row.said_mm, row.off_mm)[0]) for row in rows]
    for row, rank in zip(rows, ranks):
        lines.append(told(row.name, row.said_mm, row.off_mm, rank))
    rng = np.random.default_rng(0)
    for title, faces in (("outer face", (False,)), ("inner face", (True,)), ("all", (False, True))):
        parts, some = [], []
        for row in rows:
            on = np.flatnonzero(np.isin(row.inner, faces))
            some.append(float(spearmanr(row.said_mm[on], row.off_mm[on])[0]))
            drawn = rng.choice(on, PLACES)
            parts.append((row.said_mm[drawn], row.off_mm[drawn]))
        said, off = (np.concatenate(values) for values in zip(*parts))
        lines.append(told(f"**{title}**", said, off, float(np.mean(some))))
    lines += [
        "",
        "| of all, by what is said | said | off, median | off, 90 % |",
        "|---|---|---|---|",
    ]
    ends = np.quantile(said, FIFTHS)
    for number, (low, high) in enumerate(pairwise(ends), 1):
        there = (said >= low) & (said <= high)
        lines.append(
            f"| fifth {number} | {low:.2f} to {high:.2f} | {np.median(off[there]):.2f} "
            f"| {np.percentile(off[there], 90):.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".md"))
    options = parser.parse_args()
    cases = suite_cases([options.data], SuiteOptions(kinds=KINDS, defects=1))
    rows = [row for row in map(row_of, cases) if row is not None]
    options.output.write_text(table(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
