"""Is the cut edge of the bone sharp in the CT, so that the gap there can be trusted?

Bone that grows back or dissolves ends softly: where it ends depends on the threshold. Metal smears.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..core.images import array_of, index_to_lps_mm
from ..core.interpolation import values_at
from ..implant.lattice import to_index
from .check import Check, judged
from .check_options import CheckOptions
from .rim_gap import RimGap

Floats = NDArray[np.floating]

# The grey's slope is taken between so far out of the bone and so far within it.
ACROSS_MM = 1.0
# Above this nothing of a head is bone, which ends at about 2000 HU; so near it smears.
METAL_HU, METAL_MM = 2500.0, 5.0
NOT_SHARP = ("soft", "near metal", "soft or near metal")


def edge_check(rim: RimGap, ct: sitk.Image, options: CheckOptions) -> Check | None:
    """The share of the rim whose bone is soft or near metal in the CT (HU); None without a rim."""
    if len(rim.walls) == 0:
        return None
    soft = _slope_hu_a_mm(rim, ct) < options.softest_hu_a_mm
    metal = _near_metal(rim, ct)
    bad = soft | metal
    share = 100.0 * float(bad.mean())
    found = NOT_SHARP[int(soft.any()) + 2 * int(metal.any()) - 1] if share >= 1.0 else ""
    return judged(
        "cut edge",
        share,
        "%",
        "<=",
        options.soft_edge_percent,
        f"At {share:.0f} % of the rim the edge of the bone is not sharp in the CT ({found}); the "
        "gap there is not to be trusted."
        if found
        else f"At {share:.0f} % of the rim the edge of the bone is not sharp in the CT; the gap "
        "there is not to be trusted.",
        f"this project's: a slope under {options.softest_hu_a_mm:g} HU/mm moves the edge by half a "
        f"millimetre for a tenth of the threshold; metal is over {METAL_HU:g} HU",
        rim.bone_mm[bad].mean(axis=0) if bad.any() else None,
    )


def doubt_of(edge: Check | None) -> str:
    """Return what is said of a gap whose bone's edge is not sharp; nothing where it is."""
    if edge is None or edge.passed:
        return ""
    return (
        f" At {edge.value:.0f} % of the rim it is not to be trusted: the bone's edge is not sharp."
    )


def _slope_hu_a_mm(rim: RimGap, ct: sitk.Image) -> Floats:
    """Return how steeply the grey rises into the bone opposite to the rim's walls (n,)."""
    into = -rim.normals
    values = array_of(ct)
    inner, outer = (
        values_at(values, list(to_index(ct, rim.bone_mm + way * into).T[::-1]))
        for way in (ACROSS_MM, -ACROSS_MM)
    )
    return np.asarray((inner - outer) / (2.0 * ACROSS_MM), float)


def _near_metal(rim: RimGap, ct: sitk.Image) -> NDArray[np.bool_]:
    """Say which of the bone's places opposite to the rim are near metal."""
    index = np.argwhere(array_of(ct) > METAL_HU)
    if len(index) == 0:
        return np.zeros(len(rim.bone_mm), bool)
    frame = index_to_lps_mm(ct)
    metal = index[:, ::-1] @ frame[:3, :3].T + frame[:3, 3]
    away = cKDTree(metal).query(rim.bone_mm, distance_upper_bound=METAL_MM)[0]
    return np.isfinite(away)
