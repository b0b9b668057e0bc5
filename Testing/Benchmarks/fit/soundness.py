"""What an implant is by itself: wall, pieces, tunnels, spurs, quality of its triangles."""

import numpy as np
import SimpleITK as sitk
from facets import Facets, Floats, inside_lattice
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from side_walls import Walls

THIN_MM = 1.0
SHARP_DEG = 60.0
WALL_REACH_MM = 200.0
BELOW_SURFACE_MM = 1e-3
SPUR_STEP_MM = 0.35
SPUR_BALL_MM = 1.0  # radius
SPUR_LONG_MM = 1.0
SPUR_ROOT_MM = 0.6  # a spur is what stands out further than this and hangs together


def wall_numbers(implant: Facets, walls: Walls) -> dict[str, float]:
    """Thickness along rays inwards from the surface: of the faces, where it is under 1 mm, and
    the least wall: no more than 1 mm² is thinner.
    """
    starts = walls.places - BELOW_SURFACE_MM * walls.normals
    thickness = implant.first_crossings(starts, -walls.normals, WALL_REACH_MM) + BELOW_SURFACE_MM
    faces = thickness[~walls.sides & np.isfinite(thickness)]
    low, middle = np.percentile(faces, [5, 50]) if len(faces) else (np.nan, np.nan)
    rank = min(round(walls.a_mm2), len(thickness) - 1)
    return {
        "thickness_5": float(low),
        "thickness_median": float(middle),
        "least_wall": float(np.partition(thickness, rank)[rank]),
        "wall_under_1mm_mm2": float((thickness < THIN_MM).sum() / walls.a_mm2),
    }


def mesh_numbers(implant: Facets) -> dict[str, float]:
    """Pieces, tunnels (genus, of all pieces together), open or turned edges, edges and shapes."""
    triangles = implant.triangles
    ends = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    count = len(implant.points)
    forward = np.sort(ends[:, 0] * count + ends[:, 1])
    backward = np.sort(ends[:, 1] * count + ends[:, 0])
    # Closed and turned alike: each edge is there once in either direction.
    faults = len(np.setxor1d(forward, backward)) // 2 + int((np.diff(forward) == 0).sum())
    edges = np.unique(np.sort(ends, axis=1), axis=0)
    used = np.unique(triangles)
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    pieces = len(np.unique(connected_components(graph, directed=False)[1][used]))
    genus = pieces - (len(used) - len(edges) + len(triangles)) / 2
    lengths = np.linalg.norm(implant.points[edges[:, 0]] - implant.points[edges[:, 1]], axis=1)
    # The two triangles of each edge, where all is closed: how far the surface turns there.
    owner = np.repeat(np.arange(len(triangles)), 3)
    keys = np.sort(ends, axis=1) @ np.array([count, 1])
    order = np.argsort(keys, kind="stable")
    sharp = 0.0
    if len(keys) == 2 * len(edges):
        one, other = owner[order[::2]], owner[order[1::2]]
        turned = (implant.normals[one] * implant.normals[other]).sum(1)
        sharp = float(lengths[turned < np.cos(np.radians(SHARP_DEG))].sum())
    sides = np.linalg.norm(implant.corners - np.roll(implant.corners, 1, axis=1), axis=2)
    # Longest side by the height over it: 1.15 in an equal-sided triangle.
    aspect = sides.max(1) ** 2 / np.maximum(2 * implant.areas, 1e-12)
    return {
        "triangles": len(triangles),
        "pieces": pieces,
        "genus": float(genus),
        "edge_faults": faults,
        "edge_least": float(lengths.min()),
        "edge_1": float(np.percentile(lengths, 1)),
        "edge_99": float(np.percentile(lengths, 99)),
        "edge_most": float(lengths.max()),
        "sharp_edges_mm": sharp,
        "aspect_most": float(aspect.max()),
        "volume_cm3": implant.volume_mm3 / 1000,
    }


def spur_numbers(implant: Facets) -> dict[str, float]:
    """What an opening with a ball of 1 mm radius takes away and stands out more than 1 mm.

    How far a place stands out is its distance from what the opening leaves. The ball tried is
    smaller by half a step: a lattice finds no place at which it would fit a wall of just 2 mm.
    """
    ball_mm = SPUR_BALL_MM - SPUR_STEP_MM / 2
    low = implant.points.min(0) - 2 * SPUR_STEP_MM
    shape = np.ceil((implant.points.max(0) - low) / SPUR_STEP_MM).astype(int) + 3
    inside = inside_lattice(implant, low, shape, SPUR_STEP_MM)
    deep = -_signed(inside) >= ball_mm
    if not deep.any():
        return {"spurs": 1, "spur_longest": float(np.linalg.norm(np.ptp(implant.points, axis=0)))}
    out = np.where(inside, _signed(deep) - ball_mm, 0.0)
    labels, count = ndimage.label(out > SPUR_ROOT_MM, np.ones((3, 3, 3)))
    lengths = np.zeros(count + 1)
    within = labels > 0
    np.maximum.at(lengths, labels[within], out[within])
    return {
        "spurs": int((lengths > SPUR_LONG_MM).sum()),
        "spur_longest": float(lengths.max(initial=0.0)),
    }


def _signed(mask: np.ndarray) -> Floats:
    """Distances (z, y, x) in mm to a mask's border on the lattice of spurs, less than 0 inside."""
    image = sitk.GetImageFromArray(mask.astype(np.uint8))
    image.SetSpacing((SPUR_STEP_MM,) * 3)
    distance = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
    # The map is 0 at the last voxels within: the border lies half a step further.
    return sitk.GetArrayFromImage(distance) - SPUR_STEP_MM / 2
