"""Other people's brows and orbits, brought onto this skull around a low frontal hole.

Across the midline a head has no other side. There a few other skulls, as they are and turned over,
registered affinely and then smoothly to the intact bone (`surface_registration.py`), say by a
median what is likely: how thick a brow, how a sinus lies. Arrays are (z, y, x) on the standard grid
of `brought_bone.GRID_MM`; points (n, 3) are (x, y, z) in its frame, mm.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..core.progress import Progress, silent
from .brought_bone import (
    GRID_MM,
    Box,
    BroughtBone,
    Flags,
    Rim,
    Surroundings,
    brought,
    depth_map,
    joined,
)
from .brow import BROW_LEVELS, FRONT_HIGH_MM, FRONT_LOW_MM, Brow, front_box
from .frame import BOX_LOW_MM
from .surface_registration import IntactSurface, Points, Stiffness

EDGE_MM = 2.0  # what is kept ends here: nothing is said so near its border
# Two people's faces depart by more than two sides of one.
PEOPLE = Stiffness(((3.5, 35.0), (1.5, 15.0)))
POINTS = 1000  # of the rim: a few skulls are registered in the time that one other side takes
VOTE_MM = 2.0  # depths are cut to this before their median or mean is taken: a vote
# Others are asked where the other side is not heard over so much of the hole, below this height,
# in the standard frame: higher up the prior knows better.
LEAST_UNHEARD, BROW_MM = 0.05, 10.0
HALF_HEARD = 0.5


def others_bone(
    around: Surroundings,
    mirrored: BroughtBone | None,
    brows: Sequence[Brow],
    progress: Progress = silent,
) -> BroughtBone | None:
    """Return the median of other skulls around the holes that the other side leaves unanswered at
    the brow; None where there is no such hole, or no skull is like this one there.
    """
    asked = [rim for rim in around.rims if _is_unanswered(rim, around.box, mirrored)]
    found = []
    for number, rim in enumerate(asked if brows else ()):
        progress(number / len(asked), "looking at other skulls")
        votes = [
            _brought(np.ascontiguousarray(levels), rim)
            for brow in brows
            for levels in (brow.levels, brow.levels[..., ::-1])
        ]
        told = [vote for vote in votes if vote is not None]
        if told:
            found.append(_voted(told))
    progress(1.0)
    return joined(found, around.box)


def _is_unanswered(rim: Rim, box: Box, mirrored: BroughtBone | None) -> bool:
    """Say whether the other side leaves enough of a hole's low front unanswered."""
    shell = rim.shell[box].copy()
    top = round((BROW_MM - BOX_LOW_MM[2]) / GRID_MM) - box[0].start
    shell[max(top, 0) :] = False
    _, y, _ = front_box()
    shell[:, max(y.stop - box[1].start, 0) :] = False
    if mirrored is None:
        return bool(shell.any())
    unheard = np.count_nonzero(shell & (mirrored.heard < HALF_HEARD))
    return bool(unheard > LEAST_UNHEARD * np.count_nonzero(rim.shell))


def _brought(levels: NDArray[np.uint8], rim: Rim) -> BroughtBone | None:
    bone = depth_map(levels.astype(np.float32) / np.float32(BROW_LEVELS), front_box())
    count = len(rim.points.places)
    some = np.linspace(0, count - 1, min(count, POINTS)).astype(int)
    few = IntactSurface(rim.points.places[some], rim.points.normals[some])
    return brought(
        bone,
        Rim(rim.shell, few),
        lambda at: ~_is_kept(at),
        lambda at: _is_kept(at).astype(np.float32),
        PEOPLE,
        affine=True,
    )


def _is_kept(at: Points) -> Flags:
    low, high = FRONT_LOW_MM + EDGE_MM, FRONT_HIGH_MM - EDGE_MM
    return np.asarray(np.all((at > low) & (at < high), axis=1))


def _voted(votes: Sequence[BroughtBone]) -> BroughtBone:
    """Return the median of what several skulls say of one hole."""
    depths = [np.clip(vote.depth_mm, -VOTE_MM, VOTE_MM) for vote in votes]
    return replace(
        votes[0],
        depth_mm=np.median(depths, axis=0).astype(np.float32),
        heard=np.min([vote.heard for vote in votes], axis=0),
        apart_mm2=np.mean([vote.apart_mm2 for vote in votes], axis=0),
    )
