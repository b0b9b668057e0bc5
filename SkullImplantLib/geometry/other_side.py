"""What the other side of the head says against a completion, where the geometric prior is unsure.

Seen from the middle of the vault the bone is two surfaces, and whatever lies between them counts as
bone. Under the brow that is wrong: a ray goes through the roof of the orbit, the air below it and
the face. The other side, where it is there, shows such hollows. Bone is therefore denied where the
prior is unsure and the mirrored skull has none near, and kept where the prior is sure: no head is
symmetric, and mirroring alone is worse than the prior everywhere but at the orbit.

The values were set on training skulls, each left out of the population: 96 defects that reach the
orbit and 86 of the vault, where they changed nothing.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .view import View

MIRRORED_SHARE = 0.4  # of a voxel: thin walls of the orbit fill little of one
# Where the prior's outer radius has this standard deviation or more, bone needs mirrored bone this
# near; where the prior is surer, the bone may be farther away by so many mm for each mm of it.
UNSURE_MM, NEAR_MM, MM_PER_SURE_MM = 1.25, 2.5, 8.0
# The mirror image's own hole, and its rim, say nothing.
SILENT_RIM_MM = 4.5


def where_not_denied(depth_mm: NDArray[np.float32], view: View) -> NDArray[np.float32]:
    """Return the depth (z, y, x), float32, mm, lowered where the other side denies the bone.

    `depth_mm`: within the completed skull's surface, positive in the bone, on the box of `view`.
    """
    mirrored = view.mirror >= MIRRORED_SHARE
    if not mirrored.any():
        return depth_mm
    spacing_mm = view.spacing_mm
    # From the surface, which runs half a voxel before the nearest voxel of bone.
    to_bone_mm = ndimage.distance_transform_edt(~mirrored) * spacing_mm - spacing_mm / 2
    surer_mm = np.maximum(UNSURE_MM - view.deviation_mm[0], 0.0)
    allowed_mm = NEAR_MM + MM_PER_SURE_MM * surer_mm - to_bone_mm
    rim = max(round(SILENT_RIM_MM / spacing_mm), 1)
    silent = ndimage.binary_dilation(view.opposite_hole, iterations=rim)
    return np.where(silent, depth_mm, np.minimum(depth_mm, allowed_mm)).astype(np.float32)
