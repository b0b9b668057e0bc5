"""Holes that are hard to fit: an overhang, a re-entrant notch, burr holes joined by saw cuts, and
a CT of thick slices.

A cut is an array (z, y, x) of signed distances in mm, less than 0 in what is taken out. Skulls are
masks whose axes are LPS, z upwards (as the heads of this benchmark are).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from bone_facets import Grid
from facets import Floats
from numpy.typing import NDArray
from scipy import ndimage

DEEPER_MM = 25.0  # the cut goes on so far within the outer surface, past any inner table
TOP_MM = 80.0  # the vault's centre lies so far below its top
OVERHANG_AXIS, OVERHANG_RADIUS_MM, OVERHANG_DEG = (0.75, 0.25, 0.61), 28.0, 30.0
NOTCH_AXIS, NOTCH_HOLE_RADIUS_MM, BEVEL_DEG = (-0.8, 0.1, 0.6), 26.0, -4.0
NOTCH_NECK_MM, NOTCH_WIDE_MM, NOTCH_DEPTH_MM = 10.0, 20.0, 16.0
BURR_AXIS, BURRS, BURR_RADIUS_MM = (0.85, 0.05, 0.53), 5, 7.0  # burr holes of 14 mm
BURR_RING_MM = 32.0  # from the middle to the burr holes' centres
SAW_MM = 1.5  # a craniotome's cut is so wide
SOFT_HU, SOFT_NOISE_HU = 40.0, 10.0
EDGE_MM = 1.0  # over so much the CT goes from bone to what fills the hole


@dataclass(frozen=True)
class Chart:
    """A skull seen along an axis through its vault: places (z, y, x) of the skull's grid in mm."""

    along: Floats  # height along the axis
    first: Floats  # across it
    second: Floats
    top: float  # height of the outer surface on the axis

    @property
    def radius(self) -> Floats:
        return np.hypot(self.first, self.second)


def chart_of(skull: sitk.Image, axis: tuple[float, float, float]) -> Chart:
    """Lay an axis from the vault's centre through a skull's mask."""
    grid = Grid.of(skull)
    bone = sitk.GetArrayFromImage(skull) != 0
    places = grid.lps_mm(np.argwhere(bone)[:, ::-1].astype(float))
    top = places[:, 2].max()
    vault = places[places[:, 2] > top - TOP_MM]
    centre = (vault.min(0) + vault.max(0)) / 2
    centre[2] = top - TOP_MM
    third = np.array(axis) / np.linalg.norm(axis)
    first = np.cross((0.0, 0.0, 1.0), third)
    first /= np.linalg.norm(first)
    turn = np.stack([first, np.cross(third, first), third])
    z, y, x = np.indices(bone.shape, dtype=np.float32)
    matrix, shift = turn @ grid.matrix, turn @ (grid.origin - centre)
    across, up, along = (
        row[0] * x + row[1] * y + row[2] * z + offset for row, offset in zip(matrix, shift)
    )
    on_axis = bone & (np.hypot(across, up) < 3) & (along > 0)
    return Chart(along, across, up, float(along[on_axis].max()))


def overhanging_cut(skull: sitk.Image) -> NDArray[np.float32]:
    """A round hole whose walls overhang by 30°: it is wider inside than outside."""
    chart = chart_of(skull, OVERHANG_AXIS)
    widening = np.tan(np.radians(OVERHANG_DEG)) * (chart.top - chart.along)
    return np.maximum(chart.radius - OVERHANG_RADIUS_MM - widening, _floor(chart, 50.0))


def notched_cut(skull: sitk.Image) -> NDArray[np.float32]:
    """A round hole with a dovetail: a notch whose neck is narrower than its end. It goes in along
    the axis and along nothing else.
    """
    chart = chart_of(skull, NOTCH_AXIS)
    bevel = np.tan(np.radians(BEVEL_DEG)) * (chart.top - chart.along)
    hole = chart.radius - NOTCH_HOLE_RADIUS_MM - bevel
    beyond = chart.first - (NOTCH_HOLE_RADIUS_MM - 4.0)  # the notch begins within the hole
    share = np.clip((beyond - 4.0) / NOTCH_DEPTH_MM, 0.0, 1.0)
    half = (NOTCH_NECK_MM + share * (NOTCH_WIDE_MM - NOTCH_NECK_MM)) / 2 + bevel
    notch = np.maximum(np.abs(chart.second) - half, np.abs(beyond - 10.0) - 10.0 - bevel)
    return np.maximum(np.minimum(hole, notch), _floor(chart, 40.0))


def burr_hole_cut(skull: sitk.Image) -> NDArray[np.float32]:
    """Five burr holes of 14 mm joined by saw cuts, and the flap between them: a scalloped rim."""
    chart = chart_of(skull, BURR_AXIS)
    angles = 2 * np.pi * np.arange(BURRS) / BURRS + 0.3
    centres = BURR_RING_MM * np.stack([np.cos(angles), np.sin(angles)], 1)
    # The flap: the polygon between the burr holes' centres, and half a saw cut.
    halves = []
    for one, other in zip(centres, np.roll(centres, -1, axis=0)):
        out = np.array([(other - one)[1], -(other - one)[0]])
        out /= np.linalg.norm(out)
        halves.append((chart.first - one[0]) * out[0] + (chart.second - one[1]) * out[1])
    cut = np.max(halves, axis=0) - SAW_MM / 2
    for across, up in centres:
        hole = np.hypot(chart.first - across, chart.second - up) - BURR_RADIUS_MM
        cut = np.minimum(cut, hole)
    return np.maximum(cut, _floor(chart, 45.0))


def _floor(chart: Chart, below_mm: float) -> Floats:
    """Less than 0 above a plane so far below the outer surface on the axis."""
    return chart.top - below_mm - chart.along


def write_cut(
    folder: Path, image: sitk.Image, skull: sitk.Image, cut: NDArray[np.float32], ct: bool
) -> None:
    """Write `complete.nrrd`, `implant.nrrd` (masks) and `defective.nrrd` (mask, or a CT in which
    soft tissue fills the cut, with an edge as blurred as a scanner's).
    """
    bone = sitk.GetArrayFromImage(skull) != 0
    taken = cut < 0
    defective = (bone & ~taken).astype(np.uint8)
    masks = {"complete": bone.astype(np.uint8), "implant": (bone & taken).astype(np.uint8)}
    if ct:
        hu = sitk.GetArrayFromImage(image).astype(np.float32)
        noise = np.random.default_rng(3).normal(SOFT_HU, SOFT_NOISE_HU, hu.shape)
        share = np.clip(0.5 - cut / EDGE_MM, 0.0, 1.0)
        # Only where bone was: scalp and brain stay as they are.
        share *= ndimage.binary_dilation(bone, iterations=2)
        filled = np.where(hu > SOFT_HU, share * noise + (1 - share) * hu, hu)
        defective = np.rint(filled).astype(np.int16)
    for name, values in {**masks, "defective": defective}.items():
        result = sitk.GetImageFromArray(values)
        result.CopyInformation(image)
        sitk.WriteImage(result, str(folder / f"{name}.nrrd"), True)


def thick_slices(ct: sitk.Image, slice_mm: float) -> sitk.Image:
    """A CT whose slices along z are averaged over `slice_mm`, as a scanner's thick ones are."""
    values = sitk.GetArrayFromImage(ct).astype(np.float64)
    spacing = ct.GetSpacing()[2]
    count = int(len(values) * spacing // slice_mm)
    # The running sum between slices, looked at where the thick ones begin and end.
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    borders = np.arange(count + 1) * slice_mm / spacing
    low = np.floor(borders).astype(int).clip(0, len(values) - 1)
    share = (borders - low)[:, None, None]
    sums = total[low] * (1 - share) + total[low + 1] * share
    thick = np.diff(sums, axis=0) * spacing / slice_mm
    result = sitk.GetImageFromArray(np.rint(thick).astype(np.int16))
    result.SetSpacing((*ct.GetSpacing()[:2], slice_mm))
    result.SetDirection(ct.GetDirection())
    shift = np.array(ct.GetDirection()).reshape(3, 3)[:, 2] * (slice_mm - spacing) / 2
    result.SetOrigin(tuple(np.array(ct.GetOrigin()) + shift))
    return result
