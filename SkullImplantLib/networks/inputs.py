"""What the completion networks see: the skull, its mirror image and the geometric prior's guess.

Training and use share this file, so that both show the networks the same thing. Arrays are
(z, y, x) on a box of the standard grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

# What a network may be trained on, in the order of its features, and how many features each has.
CHANNELS = {"skull": 1, "mirror": 2, "prior": 1, "hole": 1, "deviation": 2, "place": 3}
# Thin temporal bone fills only part of a coarse voxel; it is still bone to the networks.
THINNEST_FRACTION = 0.3
# Depth at and below which the prior says nothing; it clips its depths just beyond.
NOWHERE_MM = 7.9
# The surest a voxel starts: a logit of +-4, which the network can still talk out of it.
SUREST = 0.98
# Voxels this far outside the prior's bone are offered too, so that the network can thicken it.
OFFERED_MARGIN_VOXELS = 1.0
# The fine stage corrects the prior this far outside its surface, this far around the missing bone,
# and looks at the bone that is there this far around it.
CORRECTED_MM, AROUND_MM, CONTEXT_MM = 4.5, 8.0, 16.0
# Scales that bring features to about one: bone's thickness, a usual deviation, a head's size.
DEPTH_MM, DEVIATION_MM, HEAD_MM = 4.0, 2.0, 100.0


@dataclass(frozen=True)
class View:
    """One head on a box of the standard grid, as the networks see it; float32 (z, y, x).

    `skull`, `mirror`: the part of each voxel that bone fills, and that of the head turned over.
    `depth_mm`: how deep a voxel lies within the vault that the prior expects, hole filled; negative
    outside the bone, -`NOWHERE_MM` or less where it says nothing. `hole`: bool, in the directions
    in which bone is missing; `opposite_hole`: where it is missing in the mirror image, which then
    says nothing. `deviation_mm` (2, z, y, x): standard deviation of the prior's outer
    radius and thickness there. `low_mm`: of the first voxel in the standard frame, (z, y, x).
    """

    skull: np.ndarray
    mirror: np.ndarray
    depth_mm: np.ndarray
    hole: np.ndarray
    opposite_hole: np.ndarray
    deviation_mm: np.ndarray
    spacing_mm: float
    low_mm: tuple[float, float, float]

    @property
    def hole_depth_mm(self) -> np.ndarray:
        """The depth within the bone expected in the hole; -8 in other directions."""
        return np.where(self.hole, self.depth_mm, np.float32(-8.0))

    def from_hole_mm(self) -> np.ndarray:
        """Return each voxel's distance to the bone that the prior expects in the hole."""
        missing = self.hole & (self.depth_mm > 0.0)
        if not missing.any():
            return np.full(missing.shape, np.inf)
        return ndimage.distance_transform_edt(~missing) * self.spacing_mm


def view_of(
    skull: np.ndarray,
    fields: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    spacing_mm: float,
    low_mm: tuple[float, float, float],
    box: tuple[slice, slice, slice] = (slice(None),) * 3,
) -> View:
    """Return the view of a box of the standard grid.

    `skull`: the bone's part of each voxel of the whole standard grid, whose first voxel lies at
    `low_mm` (z, y, x); its axis x runs across the mid-sagittal plane in its middle. `fields`: the
    prior's (`Prior.fields_on`) on the box.
    """
    depth_mm, hole, opposite_hole, deviation_mm = fields
    z, y, x = (low + (s.start or 0) * spacing_mm for low, s in zip(low_mm, box))
    return View(
        skull=np.ascontiguousarray(skull[box], np.float32),
        mirror=np.ascontiguousarray(skull[..., ::-1][box], np.float32),
        depth_mm=depth_mm,
        hole=hole,
        opposite_hole=opposite_hole,
        deviation_mm=deviation_mm,
        spacing_mm=spacing_mm,
        low_mm=(z, y, x),
    )


def whole_head(view: View, channels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
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


def around_the_hole(view: View, channels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the sites of the fine stage and their features, as `whole_head` does.

    What the prior expects around the hole with a margin, what mirroring puts there, and the bone
    around.
    """
    from_hole_mm = view.from_hole_mm()
    bone = (view.skull >= THINNEST_FRACTION) & (from_hole_mm <= CONTEXT_MM)
    offered = (view.depth_mm > -CORRECTED_MM) | (view.mirror >= THINNEST_FRACTION)
    return _picked(view, bone | (offered & (from_hole_mm <= AROUND_MM)), channels)


def _picked(
    view: View, active: np.ndarray, channels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coordinates of the active voxels and their features."""
    places = np.argwhere(active).astype(np.int32)
    columns: list[np.ndarray] = []
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


def starting_logit(view: View) -> np.ndarray:
    """Return what is believed of each voxel before the auto-encoder speaks, as a logit (z, y, x).

    The skull that is there, and in the hole the prior's bone, whose share of a voxel falls from 1
    to 0 as its surface passes through. The network's finest level adds to it, and so starts from
    the prior instead of having to learn to copy it.
    """
    expected = np.clip(view.hole_depth_mm / view.spacing_mm + 0.5, 0.0, 1.0)
    share = np.clip(np.maximum(view.skull, expected), 1.0 - SUREST, SUREST)
    return np.log(share / (1.0 - share)).astype(np.float32)
