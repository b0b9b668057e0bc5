"""Implants spoilt on purpose, each in one way that a check has to catch.

Each takes a `TruePiece` and its field, and returns a mesh. What is wrong is wrong in the shape
alone where it can be: a piece that stands 2 mm proud keeps its clearance all the same.
"""

from collections.abc import Callable

import numpy as np
from scipy.spatial import cKDTree
from vtkmodules.vtkCommonDataModel import vtkPolyData

from SkullImplantLib.implant.meshes import arrays_of, facet_vectors, mesh_of
from SkullImplantLib.implant.pieces import main_piece
from true_piece import TruePiece

PROUD_MM, STEP_MM, SPIKE_MM, SPIKE_RADIUS_MM = 2.0, 1.5, 2.0, 1.0
HOLE_RADIUS_MM, HOLES = 2.5, 4
DENT_RADIUS_MM, DENT_WALL_MM = 15.0, 1.0
HOOK_MM, HOOK_WALL_MM, HOOK_WIDTH_MM, HOOK_ANGLE = 5.0, 2.5, 10.0, 1.0
RIM_MM = 10.0


def grown_into_contact(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    return piece.mesh(piece.field(clearance_mm=0.0))


def proud(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    return piece.mesh(piece.field(_shifted(piece, PROUD_MM)))


def sunk(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    return piece.mesh(piece.field(_shifted(piece, -PROUD_MM)))


def four_holes(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """Four round holes of 5 mm along the mean normal, off the rim."""
    deep = _far_from_bone(piece, field, 10.0)
    across, along = _plane(piece)
    flat = np.stack([(deep - piece.middle) @ across, (deep - piece.middle) @ along], axis=1)
    spoilt = field.ravel().copy()
    local = piece.places - piece.middle
    for corner in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        aim = np.median(flat, axis=0) + np.array(corner) * 0.4 * flat.std(axis=0)
        middle = flat[np.argmin(((flat - aim) ** 2).sum(axis=1))]
        away = np.hypot(local @ across - middle[0], local @ along - middle[1])
        spoilt = np.minimum(spoilt, away - HOLE_RADIUS_MM)
    return piece.mesh(spoilt.reshape(field.shape).astype(np.float32))


def dent(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """The wall thinned from outside to 1 mm over 7 cm² off the rim."""
    deep = _far_from_bone(piece, field, 8.0)
    middle = deep[np.argmin(np.linalg.norm(deep - np.median(deep, axis=0), axis=1))]
    normal = _normal_at(piece, middle)
    local = piece.places - middle
    height = local @ normal
    away = np.linalg.norm(local - height[:, None] * normal, axis=1)
    # What is more than 1 mm over the inner face goes.
    points, _ = _surface(piece, field)
    facing = (points - middle) @ normal
    aside = np.linalg.norm(points - middle - facing[:, None] * normal, axis=1)
    floor = points[(aside < DENT_RADIUS_MM + 2.0) & (facing < 0.0) & (facing > -15.0)]
    under = cKDTree(floor).query(piece.places, workers=-1)[0]
    inside = (field.ravel() > 0.0) & (away < DENT_RADIUS_MM) & (np.abs(height) < 15.0)
    spoilt = field.ravel().copy()
    spoilt[inside] = np.minimum(spoilt[inside], DENT_WALL_MM - under[inside])
    above = (away < DENT_RADIUS_MM) & (under > DENT_WALL_MM) & (height > -5.0)
    spoilt[above] = np.minimum(spoilt[above], (DENT_WALL_MM - under)[above])
    return piece.mesh(spoilt.reshape(field.shape).astype(np.float32))


def hook(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """A tongue that reaches 5 mm under the bone, with its clearance."""
    points, normals = _surface(piece, field)
    radius = np.linalg.norm(points - piece.sphere_middle, axis=1)
    rim = piece.away.at(points) < 1.0
    walls = rim & (np.abs(np.einsum("ij,ij->i", normals, _out_of_sphere(piece, points))) < 0.7)
    across, along = _plane(piece)
    local = points - piece.middle
    angle = np.arctan2(local @ along, local @ across)
    # The innermost of the rim where it looks the chosen way, or nearest to that.
    aside = np.abs(angle - HOOK_ANGLE)
    here = np.flatnonzero(walls & (aside < aside[walls].min() + 0.1))
    start = points[here[np.argmin(radius[here])]]
    normal = _normal_at(piece, start)
    out = start - piece.middle
    out -= (out @ normal) * normal
    out /= np.linalg.norm(out)
    local = piece.places - start
    height, forth = local @ normal, local @ out
    clear = piece.away.values_mm.ravel() - 0.5
    tongue = np.minimum(clear, HOOK_WALL_MM - clear)
    tongue = np.minimum(tongue, np.minimum(HOOK_MM - forth, forth + HOOK_WALL_MM))
    tongue = np.minimum(tongue, HOOK_WIDTH_MM / 2.0 - np.abs(local @ np.cross(normal, out)))
    over = np.min([piece.away.at(piece.places + way * normal) for way in (2.0, 3.0, 4.0)], axis=0)
    tongue = np.where((over < 0.0) | (forth < 1.0), np.minimum(tongue, 1.5 - height), -1.0)
    grown = np.maximum(field.ravel(), tongue).reshape(field.shape)
    return piece.mesh(main_piece(grown.astype(np.float32), grown > 0.0))


def spike(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """A spike of 2 mm on the outer face."""
    mesh = piece.mesh(field)
    points, triangles = arrays_of(mesh)
    deep = _far_from_bone(piece, field, 8.0)
    middle = deep[np.argmin(np.linalg.norm(deep - np.median(deep, axis=0), axis=1))]
    normal = _normal_at(piece, middle)
    local = points - middle
    height = local @ normal
    aside = np.linalg.norm(local - height[:, None] * normal, axis=1)
    facing = _point_normals(points, triangles) @ normal > 0.5
    near = np.flatnonzero(facing & (aside < 3.0) & (np.abs(height) < 15.0))
    tip = points[near[np.argmin(aside[near])]]
    away = np.linalg.norm(points - tip, axis=1)
    pulled = np.where(facing, np.clip(1.0 - away / SPIKE_RADIUS_MM, 0.0, None), 0.0)
    return mesh_of(points + SPIKE_MM * pulled[:, None] * normal, triangles)


def rim_step(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """The rim 1.5 mm proud along a quarter of its way round."""
    across, along = _plane(piece)
    local = piece.places - piece.middle
    angle = np.arctan2(local @ along, local @ across)
    quarter = np.clip((np.pi / 4.0 - np.abs(angle)) * 10.0, 0.0, 1.0)
    away = piece.away.values_mm.ravel()
    near = np.clip((RIM_MM + 5.0 - away) / 5.0, 0.0, 1.0)
    return piece.mesh(piece.field(_shifted(piece, STEP_MM * quarter * near)))


def left_for_right(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """Mirrored left to right where it is."""
    points, triangles = arrays_of(piece.mesh(field))
    middle = (points[:, 0].min() + points[:, 0].max()) / 2.0
    points[:, 0] = 2.0 * middle - points[:, 0]
    return mesh_of(points, triangles[:, ::-1])


def ras_for_lps(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    """Written in RAS, where x and y have the other sign."""
    points, triangles = arrays_of(piece.mesh(field))
    return mesh_of(points * (-1.0, -1.0, 1.0), triangles)


def metres(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    points, triangles = arrays_of(piece.mesh(field))
    return mesh_of(points / 1000.0, triangles)


def turned_facet(piece: TruePiece, field: np.ndarray) -> vtkPolyData:
    points, triangles = arrays_of(piece.mesh(field))
    triangles = triangles.copy()
    triangles[len(triangles) // 2] = triangles[len(triangles) // 2, ::-1]
    return mesh_of(points, triangles)


Spoiling = Callable[[TruePiece, np.ndarray], vtkPolyData]

SPOILT: dict[str, Spoiling] = {
    "grown into contact": grown_into_contact,
    "2 mm proud": proud,
    "2 mm sunk": sunk,
    "four 5 mm holes": four_holes,
    "dent to 1 mm": dent,
    "hook under the bone": hook,
    "2 mm spike": spike,
    "rim step 1.5 mm on a quarter": rim_step,
    "left for right": left_for_right,
    "RAS for LPS": ras_for_lps,
    "metres": metres,
    "a facet turned": turned_facet,
}


def _shifted(piece: TruePiece, outward_mm: np.ndarray | float) -> np.ndarray:
    """The depth of the piece moved outward along its normals, by so much at each place."""
    inside = piece.places - np.asarray(outward_mm)[..., None] * _out_of_sphere(piece, piece.places)
    return piece.depth_at(inside).reshape(piece.depth.shape)


def _out_of_sphere(piece: TruePiece, places: np.ndarray) -> np.ndarray:
    """Smooth unit normals of the sheet at places (n, 3): away from a sphere's middle."""
    out = places - piece.sphere_middle
    return np.asarray(out / np.linalg.norm(out, axis=1, keepdims=True))


def _normal_at(piece: TruePiece, place: np.ndarray) -> np.ndarray:
    return np.asarray(_out_of_sphere(piece, place[None])[0])


def _plane(piece: TruePiece) -> tuple[np.ndarray, np.ndarray]:
    aside = np.eye(3)[np.argmin(np.abs(piece.normal))]
    across = np.cross(piece.normal, aside)
    across /= np.linalg.norm(across)
    return across, np.cross(piece.normal, across)


def _far_from_bone(piece: TruePiece, field: np.ndarray, rim_mm: float) -> np.ndarray:
    """The places in the implant that are farther than this from its rim's walls."""
    places = piece.places[(field > 0.0).ravel()]
    points, _ = _surface(piece, field)
    rim = points[piece.away.at(points) < 1.0]
    far = cKDTree(rim).query(places, workers=-1)[0] > rim_mm + 5.0
    return places[far]


def _surface(piece: TruePiece, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    points, triangles = arrays_of(piece.mesh(field))
    return points, _point_normals(points, triangles)


def _point_normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    facets = facet_vectors(points, triangles)
    normals = np.zeros_like(points)
    for axis in range(3):
        normals[:, axis] = np.bincount(
            triangles.ravel(), np.repeat(facets[:, axis], 3), minlength=len(points)
        )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
