"""What makes voxels smooth best? Four smoothers and none, on true pieces at three voxel sizes.

From the project's folder:

    python Testing/Benchmarks/fit/smoothers.py               five cases; writes smoothers.md

A true piece, whose surface is known between the voxels, is laid on a grid of 0.5, 1 and 2 mm, and a
smoother has to find it again, with its clearance of 0.5 mm from bone:

- `field`: the piece's depth, a number for each voxel, interpolated; cut by the fit.
- `rearrangement`: its voxels, smoothed by voxel rearrangement; cut by the fit.
- `windowed sinc`, `surface nets`: the voxels that keep the clearance, smoothed as meshes by VTK.
- `none`: their surface as it is (marching cubes).
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from facets import Facets, Floats, inside_lattice
from fit_cases import all_cases, make_case
from scipy.spatial import cKDTree
from side_walls import walls_of
from vtkmodules.util.numpy_support import numpy_to_vtk
from vtkmodules.vtkCommonDataModel import vtkDataObject, vtkImageData, vtkPolyData
from vtkmodules.vtkCommonExecutionModel import vtkAlgorithm
from vtkmodules.vtkFiltersCore import (
    vtkFlyingEdges3D,
    vtkSurfaceNets3D,
    vtkTriangleFilter,
    vtkWindowedSincPolyDataFilter,
)

from mutations import cut_of

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
sys.path.append(str(ROOT / "Testing" / "Library"))

from SkullImplantLib.completion.sub_voxel import sub_voxel_depth  # noqa: E402
from SkullImplantLib.core.images import (  # noqa: E402
    array_of,
    image_like,
    index_to_lps_mm,
    resample,
)
from SkullImplantLib.implant.lattice import lattice_over  # noqa: E402
from SkullImplantLib.implant.meshes import arrays_of  # noqa: E402
from true_piece import LATTICE_MM, TruePiece  # noqa: E402

CASES = (
    "visible-human-female-ct-bilateral",
    "visible-human-female-ct-parietotemporal",
    "unc-cthead-ct-parietotemporal",
    "brainweb-49-bilateral",
    "brainweb-50-parietotemporal",
)
VOXELS_MM = (0.5, 1.0, 2.0)
CLEARANCE_MM = 0.5
# As implants are usually smoothed: vtkWindowedSincPolyDataFilter's own advice for masks.
SINC_ROUNDS, PASS_BAND = 20, 0.1
ROUGH_WITHIN_MM, NEAR_MM = 3.0, 3.0
OUTSIDE_MM = -3.0
COLUMNS = (
    "voxels mm",
    "smoother",
    "surface off, mean / 95 % mm",
    "rough mm",
    "Dice",
    "gap 5 / 50 / 95 %",
)
READING = """\
Surface off: how far points of the found surface lie from the true one. Rough: how much that varies
within 3 mm on both faces (standard deviation). Gap: of the side walls to bone, mm.

So a completion that comes with its depth keeps it (`--smoother field`, the default), and what comes
as voxels (an auto-encoder's occupancy, an edited implant, a coarse mask) is rearranged: at 0.5 mm
that is no nearer to the truth than the meshes' smoothers, at 1 and 2 mm it is. Its gap is as
asked for."""


def main(arguments: list[str] | None = None) -> int:
    """Smooth, measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cases", nargs="+", default=list(CASES), metavar="NAME")
    add("--work", type=Path, default=ROOT / "build" / "fit", help="kept cases")
    add("--data", type=Path, default=ROOT / "../shared/data/test", help="the heads")
    add("--command", type=Path, default=ROOT / ".venv/bin/skull-implant")
    add("-o", "--output", type=Path, default=HERE / "smoothers.md", metavar="FILE")
    options = parser.parse_args(arguments)
    rows: dict[tuple[float, str], list[Floats]] = {}
    for case in all_cases(options.work):
        if case.name not in options.cases:
            continue
        make_case(case, options.data, [str(options.command)])
        piece = TruePiece(cut_of(case))
        for voxel_mm in VOXELS_MM:
            for name, found in smoothed(piece, voxel_mm):
                row = measured(found, piece)
                rows.setdefault((voxel_mm, name), []).append(row)
                print(case.name, voxel_mm, name, np.round(row, 3), flush=True)
    lines = ["# What makes voxels smooth", "", __doc__.split("\n\n", 2)[2].rstrip(), ""]
    lines += [f"Means of {len(options.cases)} true pieces.", ""]
    lines += [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for (voxel_mm, name), found in rows.items():
        off, far, rough, dice, least, middle, most = np.mean(found, axis=0)
        lines.append(
            f"| {voxel_mm:g} | {name} | {off:.2f} / {far:.2f} | {rough:.3f} | {dice:.3f} "
            f"| {least:.2f} / {middle:.2f} / {most:.2f} |"
        )
    lines += ["", READING]
    options.output.write_text("\n".join(lines) + "\n")
    return 0


def smoothed(piece: TruePiece, voxel_mm: float) -> Iterator[tuple[str, Facets]]:
    """Yield each smoother's name and the surface that it finds of the piece's voxels."""
    grid = lattice_over(piece.lattice, voxel_mm)
    room = piece.away.values_mm - np.float32(CLEARANCE_MM)
    depth = resample(image_like(piece.depth, piece.lattice), grid, outside=OUTSIDE_MM)
    kept = resample(image_like(true_field(piece), piece.lattice), grid, outside=OUTSIDE_MM)
    voxels = image_like((array_of(depth) > 0.0).astype(np.uint8), grid)

    def cut(found: sitk.Image) -> Facets:
        values = array_of(resample(found, piece.lattice, outside=OUTSIDE_MM))
        return facets_of(piece.mesh(np.minimum(values, room).astype(np.float32)))

    yield "field", cut(depth)
    yield "rearrangement", cut(sub_voxel_depth(voxels, piece.bone.field))
    mask = (array_of(kept) > 0.0).astype(np.uint8)
    for name, of_mask in (("windowed sinc", _sinc), ("surface nets", _nets), ("none", _cubes)):
        yield name, placed(of_mask, mask, grid)


def true_field(piece: TruePiece) -> np.ndarray:
    """The piece with its clearance, (z, y, x) on its lattice."""
    return np.minimum(piece.depth, piece.away.values_mm - np.float32(CLEARANCE_MM))


def facets_of(mesh: vtkPolyData) -> Facets:
    points, triangles = arrays_of(mesh)
    return Facets(points.astype(float), triangles.astype(np.int64))


def placed(
    of_mask: Callable[[vtkImageData], vtkPolyData], mask: np.ndarray, grid: sitk.Image
) -> Facets:
    """The surface that VTK finds of a mask (z, y, x), from the grid's voxels into LPS mm."""
    padded = np.pad(mask, 1)
    image = vtkImageData()
    image.SetDimensions(*padded.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(padded).ravel(), deep=1))
    points, triangles = arrays_of(_of(vtkTriangleFilter(), of_mask(image)))
    frame = index_to_lps_mm(grid)
    points = (points - 1.0) @ frame[:3, :3].T + frame[:3, 3]
    found = Facets(points, triangles.astype(np.int64))
    return found if found.volume_mm3 > 0.0 else Facets(found.points, found.triangles[:, ::-1])


def _of(algorithm: vtkAlgorithm, data: vtkDataObject) -> vtkPolyData:
    """What an algorithm of VTK makes of data."""
    algorithm.SetInputData(data)
    algorithm.Update()
    return algorithm.GetOutput()


def _cubes(image: vtkImageData) -> vtkPolyData:
    edges = vtkFlyingEdges3D()
    edges.SetValue(0, 0.5)
    edges.ComputeNormalsOff()
    return _of(edges, image)


def _sinc(image: vtkImageData) -> vtkPolyData:
    smoother = vtkWindowedSincPolyDataFilter()
    smoother.SetNumberOfIterations(SINC_ROUNDS)
    smoother.SetPassBand(PASS_BAND)
    smoother.NonManifoldSmoothingOn()
    smoother.NormalizeCoordinatesOn()
    return _of(smoother, _cubes(image))


def _nets(image: vtkImageData) -> vtkPolyData:
    nets = vtkSurfaceNets3D()
    nets.SetValue(0, 1)
    nets.SmoothingOn()
    return _of(nets, image)


def measured(found: Facets, piece: TruePiece) -> Floats:
    """Surface error (mean, 95 %), roughness, Dice, and the gap to bone (5, 50, 95 %)."""
    true = facets_of(piece.mesh(true_field(piece)))
    walls = walls_of(found, piece.sphere_middle, np.random.default_rng(0))
    off = true.signed_distances(walls.places)
    faces = walls.places[~walls.sides]
    heights = off[~walls.sides]
    around = cKDTree(faces).query_ball_point(faces[::10], ROUGH_WITHIN_MM)
    rough = np.sqrt(np.mean([np.var(heights[some]) for some in around]))
    low = np.minimum(true.points.min(0), found.points.min(0)) - LATTICE_MM
    high = np.maximum(true.points.max(0), found.points.max(0)) + LATTICE_MM
    shape = np.ceil((high - low) / LATTICE_MM).astype(int)
    one, other = (inside_lattice(each, low, shape, LATTICE_MM) for each in (true, found))
    dice = 2.0 * np.count_nonzero(one & other) / (one.sum() + other.sum())
    bone = Facets(piece.bone.points_mm, piece.bone.triangles)
    gap = bone.signed_distances(walls.places[walls.sides])
    gap = gap[np.abs(gap) < NEAR_MM]
    off = np.abs(off)
    return np.array(
        [off.mean(), np.percentile(off, 95), rough, dice, *np.percentile(gap, [5, 50, 95])]
    )


if __name__ == "__main__":
    sys.exit(main())
