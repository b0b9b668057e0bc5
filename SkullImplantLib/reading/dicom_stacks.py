"""Which slices of a series are one stack: of one orientation and size, each place once.

A series may hold more: scouts, reformats, several scans of the head, copies of files.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..errors import Remedy, SkullImplantError
from .dicom_frames import APART, ORIENTATION_TOLERANCE, Frame
from .dicom_study import AXIAL_COSINE
from .slice_geometry import MAX_GAP_MM, SAME_PLACE_MM

# Pixel spacings are rounded in headers.
SPACING_TOLERANCE = 1e-4

Hounsfield = Callable[[Frame, str], NDArray[np.float32]]


def one_stack(frames: list[Frame]) -> tuple[list[Frame], tuple[str, ...]]:
    """Return the slices that are of one orientation, size and pixel spacing with most others, the
    axial first, in ascending order along their normal; and a note on those that are left out.

    Left out are slices across the stack (scouts, reformats) and those within what it covers (other
    reconstructions). Raises `SkullImplantError` where slices would be lost that go on where the
    stack ends, as where the gantry's tilt or the field of view was changed within the head.
    """
    stacks: list[list[Frame]] = []
    for frame in frames:
        for stack in stacks:
            if _fit(frame, stack[0]):
                stack.append(frame)
                break
        else:
            stacks.append([frame])
    stacks.sort(key=lambda stack: (is_axial(stack[0]), len(stack)), reverse=True)
    most = max(len(stack) for stack in stacks)
    # A lone axial picture is no stack beside a whole one.
    chosen = next(stack for stack in stacks if 2 * len(stack) > most or len(stack) == most)
    if len(chosen) < 2:
        raise _only_one_slice()
    others = [frame for stack in stacks if stack is not chosen for frame in stack]
    normal = chosen[0].normal
    along = [float(frame.centre_mm @ normal) for frame in chosen]
    for frame in others:
        at, leaning = float(frame.centre_mm @ normal), abs(float(frame.normal @ normal))
        inside = min(along) - MAX_GAP_MM <= at <= max(along) + MAX_GAP_MM
        if leaning > AXIAL_COSINE and not inside:
            kinds = len({tuple(np.round(f.orientation.ravel(), 2) + 0.0) for f in frames})
            what = f"{kinds} orientations" if kinds > 1 else "several sizes or pixel spacings"
            raise SkullImplantError(
                f"The CT series mixes slices of {what} that lie one behind the other; separate "
                "them.",
                Remedy.OTHER_SERIES,
            )
    chosen.sort(key=lambda frame: float(frame.position_mm @ normal))
    notes: tuple[str, ...] = ()
    if others:
        notes = (
            f"{len(others)} slice(s) of the CT series were left out, which are of another "
            f"orientation, size or pixel spacing than its {len(chosen)} others (scouts or "
            "reformats).",
        )
    return chosen, notes


def _only_one_slice() -> SkullImplantError:
    return SkullImplantError(
        "The CT series has only one slice; give the folder that holds the whole series."
    )


def _fit(frame: Frame, other: Frame) -> bool:
    """Say whether two slices are of one orientation, size and pixel spacing."""
    return (
        frame.size == other.size
        and bool(np.abs(frame.orientation - other.orientation).max() <= ORIENTATION_TOLERANCE)
        and np.allclose(frame.spacing_mm, other.spacing_mm, rtol=SPACING_TOLERANCE)
    )


def is_axial(frame: Frame) -> bool:
    """Say whether a slice lies across the body rather than along it."""
    return bool(abs(frame.normal[2]) >= AXIAL_COSINE)


def one_scan(frames: list[Frame], hounsfield: Hounsfield) -> tuple[list[Frame], tuple[str, ...]]:
    """Return slices of which no two lie in one place, out of a stack in ascending order; and notes.

    Copies, of the same place and the same values, count once. Where a place was scanned or computed
    several times, the first scan is taken that covers the whole. Raises `SkullImplantError` where
    such scans cannot be told apart. hounsfield: gives a slice's values (y, x).
    """
    places = _places(frames)
    notes: tuple[str, ...] = ()
    kept: list[list[Frame]] = []
    for place in places:
        unique: dict[str, Frame] = {}
        for frame in sorted(place, key=lambda f: (str(f.path), f.index)) if len(place) > 1 else []:
            values = hounsfield(frame, "A slice of the CT series")
            shift = frame.position_mm - place[0].position_mm
            what = values.tobytes() + np.round(shift / SAME_PLACE_MM).tobytes()
            unique.setdefault(hashlib.sha256(what).hexdigest(), frame)
        kept.append(list(unique.values()) or place)
    if copies := len(frames) - sum(map(len, kept)):
        notes += (f"{copies} slice(s) of the series are there twice and count once.",)
    if any(len(place) > 1 for place in kept):
        scan, note = _first_scan(kept)
        return scan, (*notes, note)
    if len(kept) < 2:
        raise _only_one_slice()
    return [frame for (frame,) in kept], notes


def _places(frames: list[Frame]) -> list[list[Frame]]:
    """Return slices in ascending order by the places they share."""
    normal = frames[0].normal
    places: list[list[Frame]] = []
    last = -np.inf
    for frame in frames:
        at = float(frame.position_mm @ normal)
        if at - last >= SAME_PLACE_MM:
            places.append([])
            last = at
        places[-1].append(frame)
    return places


def _first_scan(places: list[list[Frame]]) -> tuple[list[Frame], str]:
    """Return one of several scans of the same places, told apart by what headers say of them."""
    for mark, called in APART.items():
        scans: defaultdict[str, list[Frame]] = defaultdict(list)
        for place in places:
            for frame in place:
                scans[frame.marks[mark]].append(frame)
        whole = [scan for scan in scans.values() if _covers(scan, places)]
        if len(scans) > 1 and whole:
            most = max(len(scan) for scan in whole)
            scan = min((s for s in whole if len(s) == most), key=lambda s: _order(s[0], mark))
            return scan, (
                f"The CT series holds {len(scans)} scans of the same places, which differ in their "
                f"{called}; one of {len(scan)} slices was used."
            )
    doubled = sum(len(place) - 1 for place in places)
    raise SkullImplantError(
        f"{doubled} of the CT series' {sum(map(len, places))} slices lie in the place of another "
        "and have other values (several scans or points in time in one series); separate them."
    )


def _order(frame: Frame, mark: str) -> tuple[float, str]:
    """Order scans by number, where what tells them apart is one."""
    value = frame.marks[mark]
    try:
        return float(value), value
    except ValueError:
        return 0.0, value


def _covers(scan: list[Frame], places: list[list[Frame]]) -> bool:
    """Say whether a scan has no place twice and goes as far as all scans do."""
    normal = scan[0].normal
    along = np.array([float(frame.position_mm @ normal) for frame in scan])
    steps = np.diff(along)
    if len(scan) < 2 or steps.min() < SAME_PLACE_MM:
        return False
    first, last = (float(places[end][0].position_mm @ normal) for end in (0, -1))
    step = float(np.median(steps)) + SAME_PLACE_MM
    return bool(along[0] <= first + step and along[-1] >= last - step)
