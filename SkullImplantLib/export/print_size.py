"""How large a printer's bed has to be: an implant's box as it lies in its file, and the least."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull
from vtkmodules.vtkCommonDataModel import vtkPolyData

from ..implant.meshes import MM3_PER_CM3, arrays_of, enclosed_volume_mm3

# Sides of the hull that look the same way within about six degrees are tried once.
STEPS_OF_NORMAL = 10


@dataclass(frozen=True)
class PrintSize:
    """Volume and boxes of one implant: `size_mm` along the file's axes (x, y, z), and `least_mm` of
    the least box, its longest side first, in which it lies on a side of its convex hull.
    """

    volume_cm3: float
    size_mm: tuple[float, float, float]
    least_mm: tuple[float, float, float]

    def as_json(self) -> dict[str, Any]:
        """Return the numbers, rounded to a tenth."""
        return {
            "volume_cm3": round(self.volume_cm3, 1),
            "size_mm_xyz": [round(side, 1) for side in self.size_mm],
            "least_box_mm": [round(side, 1) for side in self.least_mm],
        }


def print_size(mesh: vtkPolyData) -> PrintSize:
    """Return how large a mesh (LPS mm, closed) is to a printer.

    The least box has one side on a side of the convex hull, as the part can lie on the plate; its
    other sides are those of the least rectangle around what is seen from there (Freeman and Shapira
    1975). The least of all boxes can be smaller by some per cent (O'Rourke 1985).
    Raises `ValueError` for a mesh without volume.
    """
    points, triangles = arrays_of(mesh)
    if len(triangles) == 0:
        raise ValueError("the mesh is empty")
    try:
        hull = ConvexHull(points)
    except Exception as error:  # qhull's own, which is no ValueError
        raise ValueError("the mesh is flat") from error
    corners = points[hull.vertices]
    sides = hull.equations[:, :3]
    # From above and from below a box is the same.
    sides = sides * np.sign(sides[np.arange(len(sides)), np.abs(sides).argmax(axis=1)])[:, None]
    _, one_of_each = np.unique(np.round(STEPS_OF_NORMAL * sides), axis=0, return_index=True)
    boxes = np.array([_box_on(corners, side) for side in sides[one_of_each]])
    least = np.sort(boxes[np.argmin(boxes.prod(axis=1))])[::-1]
    x, y, z = (float(side) for side in np.ptp(points, axis=0))
    length, width, height = (float(side) for side in least)
    volume_cm3 = enclosed_volume_mm3(points, triangles) / MM3_PER_CM3
    return PrintSize(volume_cm3, (x, y, z), (length, width, height))


def _box_on(corners: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Return the sides (3) of the least box that stands on a plane of this normal."""
    across = np.linalg.svd(normal[None])[2][1:]  # (2, 3), at right angles to the normal
    flat = corners @ across.T
    outline = flat[ConvexHull(flat).vertices]
    edges = np.roll(outline, -1, axis=0) - outline
    along = edges / np.linalg.norm(edges, axis=1, keepdims=True)
    turned = np.stack([along, np.stack([-along[:, 1], along[:, 0]], axis=1)], axis=1)
    spans = np.ptp(turned @ outline.T, axis=2)  # (edges, 2)
    best = spans[np.argmin(spans.prod(axis=1))]
    return np.append(best, np.ptp(corners @ normal))
