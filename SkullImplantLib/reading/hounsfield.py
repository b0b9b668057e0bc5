"""Whether the grey values of a CT are Hounsfield units; as such they are kept in 16 bits."""

from collections.abc import Iterator

import numpy as np
import SimpleITK as sitk

from ..core.images import array_of, image_like
from ..core.voxel_data import NOT_FINITE
from ..errors import Remedy, SkullImplantError

# Nothing is thinner than air: what a scanner writes outside its circle becomes this.
OUTSIDE_HU = -1024
# Air outside the head or in the sinuses, and bone; a head CT holds at least this share of each.
AIR_BELOW_HU, BONE_ABOVE_HU = -500.0, 250.0
MIN_SHARE = 1e-3
# Beyond 16 bits no scanner writes, extended scales for metal included.
FARTHEST_HU = 65536.0
# Where the most frequent values of air and of soft tissue lie: -1000 by definition, and brain,
# muscle and water at 0 to 60. Scanners keep to within 10; a kernel for bone widens, not moves them.
AIR_HU, AIR_OFF_HU = -1000.0, 75.0
SOFT_HU = (-60.0, 120.0)
SOFT_BETWEEN_HU = (-400.0, BONE_ABOVE_HU)
BIN_HU = 20.0
# As many voxels, evenly drawn, show a peak as well as all.
DRAWN_VOXELS = 2_000_000


def in_hounsfield_units(image: sitk.Image, forced: bool) -> tuple[sitk.Image, tuple[str, ...]]:
    """Return a CT as int16 HU (float32 where that would lose values), and notes.

    Raises `SkullImplantError` for values that are not Hounsfield units; where `forced` that is a
    note.
    """
    lowest, highest = value_range(image)
    voxels = image.GetNumberOfPixels()
    air = sum(int(np.count_nonzero(s < AIR_BELOW_HU)) for s in slabs_of(image)) / voxels
    bone = sum(int(np.count_nonzero(s > BONE_ABOVE_HU)) for s in slabs_of(image)) / voxels
    plausible = air >= MIN_SHARE and bone >= MIN_SHARE
    plausible &= max(abs(lowest), abs(highest)) <= FARTHEST_HU
    notes = _off_scale(image) if plausible else ()
    if not plausible:
        values = f"The values (from {lowest:g} to {highest:g}) are"
        units = f"Hounsfield units of a head (air near -1000, bone above {BONE_ABOVE_HU:g})"
        lost = ", but for a lost offset of 1024" if lowest >= 0 and highest > 1500 else ""
        if not forced:
            raise SkullImplantError(
                f"{values} neither {units}{lost} nor a mask of two values; export the CT in HU.",
                Remedy.SAY_WHAT_INPUT_IS,
            )
        notes = (f"{values} not {units}; the image was taken as a CT, as it was said to be one.",)
    exact = np.issubdtype(array_of(image).dtype, np.integer)
    if highest > np.iinfo(np.int16).max or not (plausible or exact):
        return sitk.Cast(image, sitk.sitkFloat32), notes
    if image.GetPixelID() != sitk.sitkInt16:
        whole = np.empty(array_of(image).shape, np.int16)
        for z, plane in enumerate(array_of(image)):
            whole[z] = np.maximum(np.rint(plane), OUTSIDE_HU)
        return image_like(whole, image), notes
    if lowest < OUTSIDE_HU:
        image = sitk.Clamp(image, lowerBound=OUTSIDE_HU)
    return image, notes


def _off_scale(ct: sitk.Image) -> tuple[str, ...]:
    """Return a note where air and soft tissue of a CT do not lie where Hounsfield units have them.

    That is so for a wrong slope or offset, and for cone-beam CT, whose values are no such units.
    """
    array = array_of(ct)
    step = max(round((array.size / DRAWN_VOXELS) ** (1 / 3)), 1)
    values = array[::step, ::step, ::step]
    values = values[values > values.min()]  # the lowest is what is written where nothing was seen
    air = _most_frequent(values[values < AIR_BELOW_HU], values.size)
    low, high = SOFT_BETWEEN_HU
    soft = _most_frequent(values[(values > low) & (values < high)], values.size)
    is_off = (air is not None and abs(air - AIR_HU) > AIR_OFF_HU) or (
        soft is not None and not SOFT_HU[0] <= soft <= SOFT_HU[1]
    )
    if not is_off:
        return ()
    seen = [f"{name} at {v:.0f}" for name, v in (("air", air), ("soft tissue", soft)) if v]
    return (
        f"The CT has {' and '.join(seen)}, where Hounsfield units have air at -1000 and soft "
        "tissue at 0 to 60: its scale or offset may be wrong, as of a cone-beam CT; check the "
        "skull that was found.",
    )


def _most_frequent(values: np.ndarray, of: int) -> float | None:
    """Return the most frequent value, to `BIN_HU`; None where there are too few to tell."""
    if values.size < MIN_SHARE * of or not values.size:
        return None
    bins = np.arange(float(values.min()), float(values.max()) + 2 * BIN_HU, BIN_HU)
    counts, edges = np.histogram(values, bins)
    at = int(counts.argmax())
    return float(edges[at : at + 2].mean())


def value_range(image: sitk.Image) -> tuple[float, float]:
    """Return the lowest and highest value.

    Raises `SkullImplantError` for voxels that are no number.
    """
    if any(not np.isfinite(s).all() for s in slabs_of(image) if s.dtype.kind == "f"):
        raise SkullImplantError(NOT_FINITE)
    extremes = [(s.min(), s.max()) for s in slabs_of(image)]
    return float(min(low for low, _ in extremes)), float(max(high for _, high in extremes))


def slabs_of(image: sitk.Image) -> Iterator[np.ndarray]:
    """Yield the voxels (z, y, x) a few slices at a time, so that temporaries stay small."""
    array = array_of(image)
    for start in range(0, len(array), 16):
        yield array[start : start + 16]
