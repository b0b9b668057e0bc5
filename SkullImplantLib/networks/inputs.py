"""What the completion network sees: the skull, and the geometric prior's guess of the missing part.

Training and use share this file, so that both show the network the same thing.
"""

from collections.abc import Sequence

import numpy as np

# The channels a network may be trained on, in the order of its features.
CHANNELS = ("skull", "prior", "hole")
# Thin temporal bone fills only part of a coarse voxel; it is still bone to the network.
THINNEST_FRACTION = 0.3
# Depth at and below which the prior says nothing; it clips its depths just beyond.
NOWHERE_MM = 7.9
# The surest a voxel starts: a logit of +-4, which the network can still talk out of it.
SUREST = 0.98
# Voxels this far outside the prior's bone are offered too, so that the network can thicken it.
OFFERED_MARGIN_VOXELS = 1.0


def network_input(
    skull: np.ndarray, depth_mm: np.ndarray, spacing_mm: float, channels: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the active voxels and their features.

    `skull`: the part of each voxel that bone fills, 0 to 1, shape (z, y, x), on the standard grid.
    `depth_mm`: of the same shape, how deep each voxel lies within the bone that the prior expects
    in the hole: negative outside the bone, -`NOWHERE_MM` or less outside the hole.
    Returns int32 coordinates (n, 4) as (batch = 0, z, y, x) in lexicographic order, and float32
    features (n, len(channels)).
    """
    hole = depth_mm > -NOWHERE_MM
    active = skull >= THINNEST_FRACTION
    if set(channels) - {"skull"}:
        active |= depth_mm > -OFFERED_MARGIN_VOXELS * spacing_mm
    expected = np.clip(depth_mm / (2.0 * spacing_mm), -1.0, 1.0) * hole
    by_name = dict(zip(CHANNELS, (skull, expected, hole)))
    coordinates = np.argwhere(active).astype(np.int32)
    picked = [by_name[name][active].astype(np.float32) for name in channels]
    batch = np.zeros((len(coordinates), 1), np.int32)
    return np.hstack([batch, coordinates]), np.stack(picked, axis=1)


def starting_logit(skull: np.ndarray, depth_mm: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Return what is believed of each voxel before the network speaks, as a logit (z, y, x).

    The skull that is there, and in the hole the prior's bone, whose share of a voxel falls from 1
    to 0 as its surface passes through. The network's finest level adds to it, and so starts from
    the prior instead of having to learn to copy it.
    """
    share = np.maximum(skull, np.clip(depth_mm / spacing_mm + 0.5, 0.0, 1.0))
    share = np.clip(share, 1.0 - SUREST, SUREST)
    return np.log(share / (1.0 - share)).astype(np.float32)
