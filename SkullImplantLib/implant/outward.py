"""Which way is out of the head, where its pose is known and where it is not. Points are LPS, mm."""

import numpy as np
from numpy.typing import NDArray

from .bone_surface import BoneSurface

Floats = NDArray[np.floating]

# So many points are enough for a sphere; bone beside the implant helps where that is small.
SPHERE_POINTS, SPHERE_MARGIN_MM, LEAST_DEPTH_MM = 5_000, 20.0, 40.0


def mean_outward(points_mm: Floats, head_centre_mm: Floats) -> NDArray[np.float64]:
    """Return the mean (3,), of length 1, of the directions from a place in the head to points."""
    outward = points_mm - head_centre_mm
    normal = (outward / np.linalg.norm(outward, axis=1, keepdims=True)).mean(axis=0)
    return np.asarray(normal / np.linalg.norm(normal))


def head_middle_mm(points_mm: Floats, bone: BoneSurface) -> NDArray[np.float64]:
    """Return a place (3,) within the head: the middle of the sphere that lies best in an implant,
    its points (n, 3), and the bone around it, the vault's radius at least under the implant.
    """
    around = bone.points_mm[:: 1 + len(bone.points_mm) // SPHERE_POINTS]
    own = points_mm[:: 1 + len(points_mm) // SPHERE_POINTS]
    near = np.linalg.norm(around - own.mean(axis=0), axis=1)
    reach = np.linalg.norm(own - own.mean(axis=0), axis=1).max() + SPHERE_MARGIN_MM
    places = np.concatenate([own, around[near < reach]])
    middle = places.mean(axis=0)
    local = places - middle
    # |p|² = 2 c.p + rest is linear in the middle c.
    terms = np.column_stack([2.0 * local, np.ones(len(local))])
    towards = np.linalg.lstsq(terms, (local**2).sum(axis=1), rcond=None)[0][:3]
    length = max(float(np.linalg.norm(towards)), 1e-9)
    return np.asarray(middle + towards * max(1.0, LEAST_DEPTH_MM / length))
