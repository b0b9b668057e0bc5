"""Linear interpolation of arrays at arbitrary places and onto finer lattices, on all threads."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .threads import worker_count

# Enough places to be worth a thread's while, and few enough for its caches.
PLACES_AT_A_TIME = 1 << 17


def values_at(
    values: NDArray[Any], places: Sequence[NDArray[np.floating]], outside: float | None = None
) -> NDArray[np.float32]:
    """Return `values` interpolated linearly, float32.

    places: for each axis of `values` an array of indices, all of one shape; fractions are between
    elements. Beyond the edge elements the edge goes on; or, given `outside`, the values fall to
    that within a step.
    """
    shape = np.shape(places[0])
    flat = [np.reshape(axis, -1) for axis in places]
    found = np.empty(flat[0].size, np.float32)
    mode = "nearest" if outside is None else "grid-constant"

    def look(start: int) -> None:
        some = slice(start, start + PLACES_AT_A_TIME)
        # scipy lets other threads run meanwhile.
        ndimage.map_coordinates(
            values,
            [axis[some] for axis in flat],
            output=found[some],
            order=1,
            mode=mode,
            cval=outside or 0.0,
        )

    starts = range(0, found.size, PLACES_AT_A_TIME)
    if len(starts) == 1:
        look(0)
    else:
        with ThreadPoolExecutor(worker_count()) as threads:
            list(threads.map(look, starts))
    return found.reshape(shape)


def refined(values: NDArray[np.floating], steps: Sequence[int]) -> NDArray[np.float32]:
    """Return `values` (float32) on a lattice so many times finer along each axis, linearly.

    The first and the last elements stay in their place: n elements become (n - 1) * step + 1.
    """
    fine = np.asarray(values, np.float32)
    for axis, step in enumerate(steps):
        # One axis after the other is the same as all at once, and needs no index per element.
        coarse = np.moveaxis(fine, axis, 0)
        fine = np.empty(((len(coarse) - 1) * step + 1, *coarse.shape[1:]), np.float32)
        fine[::step] = coarse
        for part in range(1, step):
            share = np.float32(part / step)
            fine[part::step] = coarse[:-1] + share * (coarse[1:] - coarse[:-1])
        fine = np.moveaxis(fine, 0, axis)
    return fine


def along_axes(
    values: NDArray[np.floating], at: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """Return `values` (float32) interpolated linearly on a lattice along their own axes.

    at: for each axis the places of the lattice as indices, fractions between elements; beyond the
    edge it goes on.
    """
    found = np.asarray(values, np.float32)
    for axis, places in enumerate(at):
        last = found.shape[axis] - 1
        inside = np.clip(places, 0.0, last)
        below = np.minimum(np.floor(inside).astype(np.intp), max(last - 1, 0))
        share = (inside - below).astype(np.float32)
        share = share.reshape([-1 if k == axis else 1 for k in range(found.ndim)])
        low = np.take(found, below, axis)
        high = np.take(found, np.minimum(below + 1, last), axis)
        high -= low
        high *= share
        high += low
        found = high
    return found
