"""What the completion networks see: the skull, its mirror image and the geometric prior's guess.

Training and use share this file, so that both show the networks the same thing. Arrays are
(z, y, x) on a box of the standard grid.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.view import AROUND_MM, CONTEXT_MM, View

Singles = NDArray[np.float32]

# What a network may be trained on, in the order of its features, and how many features each has.
CHANNELS = {"skull": 1, "mirror": 2, "prior": 1, "hole": 1, "deviation": 2, "place": 3}
# Thin temporal bone fills only part of a coarse voxel; it is still bone to the networks.
THINNEST_FRACTION = 0.3
# The surest a voxel starts: a logit of +-4, which the network can still talk out of it.
SUREST = 0.98
# Voxels this far outside the prior's bone are offered too, so that the network can thicken it.
OFFERED_MARGIN_VOXELS = 1.0
# The fine stage corrects the prior this far outside its surface.
CORRECTED_MM = 4.5
# Scales that bring features to about one: bone's thickness, a usual deviation, a head's size.
DEPTH_MM, DEVIATION_MM, HEAD_MM = 4.0, 2.0, 100.0


def whole_head(view: View, channels: Sequence[str]) -> tuple[NDArray[np.int32], Singles]:
    """Return the active voxels of the coarse auto-encoder and their features.

    Bone, and, where the channels tell of them, the prior's bone in the hole with a margin and the
    mirrored bone around it. Returns int32 coordinates (n, 4) as (batch = 0, z, y, x) in
    lexicographic order, and float32 features (n, as many as the channels have).
    """
    active = view.skull >= THINNEST_FRACTION
    if "prior" in channels or "hole" in channels:
        active |= view.hole_depth_mm > -OFFERED_MARGIN_VOXELS * view.spacing_mm
    if "mirror" in channels:
        active |= view.mirror >= THINNEST_FRACTION
    return _picked(view, active, channels)


def around_the_hole(view: View, channels: Sequence[str]) -> tuple[NDArray[np.int32], Singles]:
    """Return the sites of the fine stage and their features, as `whole_head` does.

    What the prior expects around the hole with a margin, what mirroring puts there, and the bone
    around.
    """
    from_hole_mm = view.from_hole_mm()
    bone = (view.skull >= THINNEST_FRACTION) & (from_hole_mm <= CONTEXT_MM)
    offered = (view.depth_mm > -CORRECTED_MM) | (view.mirror >= THINNEST_FRACTION)
    return _picked(view, bone | (offered & (from_hole_mm <= AROUND_MM)), channels)


def _picked(
    view: View, active: NDArray[np.bool_], channels: Sequence[str]
) -> tuple[NDArray[np.int32], Singles]:
    """Return the coordinates of the active voxels and their features."""
    places = np.argwhere(active).astype(np.int32)
    columns: list[NDArray[Any]] = []
    for name in channels:
        if name == "skull":
            columns.append(view.skull[active])
        elif name == "mirror":
            columns += [view.mirror[active], view.opposite_hole[active]]
        elif name == "prior":
            columns.append(np.clip(view.depth_mm[active] / DEPTH_MM, -1.0, 1.0))
        elif name == "hole":
            columns.append(view.hole[active])
        elif name == "deviation":
            columns += [deviation[active] / DEVIATION_MM for deviation in view.deviation_mm]
        elif name == "place":
            standard_mm = places * view.spacing_mm + np.asarray(view.low_mm)
            columns += list((standard_mm / HEAD_MM).T)
    batch = np.zeros((len(places), 1), np.int32)
    features = np.stack([np.asarray(c, np.float32) for c in columns], axis=1)
    return np.hstack([batch, places]), features


def starting_logit(view: View) -> Singles:
    """Return what is believed of each voxel before the auto-encoder speaks, as a logit (z, y, x).

    The skull that is there, and in the hole the prior's bone, whose share of a voxel falls from 1
    to 0 as its surface passes through. The network's finest level adds to it, and so starts from
    the prior instead of having to learn to copy it.
    """
    expected = np.clip(view.hole_depth_mm / view.spacing_mm + 0.5, 0.0, 1.0)
    share = np.clip(np.maximum(view.skull, expected), 1.0 - SUREST, SUREST)
    logit: Singles = np.log(share / (1.0 - share)).astype(np.float32)
    return logit
