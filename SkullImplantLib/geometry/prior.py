"""The completed skull by geometry alone: the holes of the vault found, and filled by prediction.

Seen from the middle of the vault the bone is two maps over directions, outer radius and thickness.
Where directions lack bone there is the hole; there both maps are predicted (`kriging.py`). The maps
describe the vault only: nothing is said below `FLOOR_RAD`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import image_like, index_to_lps_mm
from ..core.interpolation import values_at
from ..core.progress import Progress, silent
from . import radial
from .complete_maps import complete_maps
from .frame import Pose
from .kriging import rough_fit
from .radial import FLOOR_RAD, PIXEL_RAD, VAULT_RAD, Map, distance_mm
from .rim import RIM_MM
from .shape_statistics import OUTER, Population
from .vault_model import INNER, shapes_model

MOST_STRETCH = 2.3  # sideways, of the map at its edge

USUAL_SHARE, POSSIBLE_SHARE = 0.9, 0.5  # of the population that has bone there
SMALLEST_HOLE_CM2 = 4.0  # pinholes of temple and vertex, burr holes of drains and sutures are less
TOLD_HOLE_CM2 = 0.5  # less is a suture or a pore
NARROWEST_HOLE_MM = 6.0  # sutures and cracks are narrower
# Along the lower edge of a head that is askew such strips hold circles of up to 11 mm radius, true
# holes of 20 cm² and more at the brow circles of 15 mm and more (16 skulls of the training folder).
SLIVER_MM = 12.0
ASKEW_MM = 6.0  # the edges of a head's own openings, left and right, differ by less
ODD_MM = 12.0  # bone this far from where it is expected is not the vault's
VIEW_SLACK_MM = 10.0  # an image may end this close within the expected outer surface
VIEW_EDGE_MM = 1.5  # bone whose outermost point is so near the image's border is cut off there

Flags = NDArray[np.bool_]
Depth = NDArray[np.float32]

DEEPEST_MM = 8.0  # depths are clipped to this
BLOCK = 8  # voxels; blocks that cannot touch the shell are skipped
CHUNK_BLOCKS = 2048


@dataclass(frozen=True)
class Unfilled:
    """A bone-free region that is taken for no hole.

    why: `small` (of 4 cm² or less), `low` (no more of it lies where bone is due) or `edge` (a strip
    along the lower edge of what is due). area_cm2: of all of it; due_cm2: of that where bone is
    due, by which a hole is judged. points_mm: its directions on the expected outer surface (n, 3),
    standard frame.
    """

    why: str
    area_cm2: float
    due_cm2: float
    points_mm: NDArray[np.float64]


@dataclass(frozen=True)
class VaultSeen:
    """What is seen of a vault, before it is completed: radial maps (SIZE, SIZE).

    outer_mm, inner_mm: radii of the tables where there is `bone`. seen: where the image reaches as
    far. expected_mm: the outer radius that is due. hole: directions where bone is missing.
    unfilled: the other bone-free regions, the largest first.
    """

    outer_mm: Map
    inner_mm: Map
    bone: Flags
    seen: Flags
    expected_mm: Map
    hole: Flags
    unfilled: tuple[Unfilled, ...]

    @property
    def hole_area_cm2(self) -> float:
        """The area of all holes."""
        return float((radial.STERADIANS * self.expected_mm**2)[self.hole].sum()) / 100

    def regions(self, open_already: Flags) -> list[tuple[Unfilled, float]]:
        """Return each hole as a region, and which share of it is `open_already`."""
        labels, count = ndimage.label(self.hole, np.ones((3, 3)))
        own = [labels == number for number in range(1, count + 1)]
        return [
            (_region("hole", where, self.expected_mm), float(open_already[where].mean()))
            for where in own
        ]


@dataclass(frozen=True)
class Prior:
    """The vault completed on radial maps (SIZE, SIZE); see `radial.py` for their layout.

    `outer_mm`, `inner_mm`: radii of the two tables, observed or, within a hole, predicted.
    `covered`: where these are known. `hole`: directions where bone is missing. `seen`:
    where the image reaches as far as the vault.
    `deviation_mm` (2, SIZE, SIZE): posterior standard deviation of outer radius and thickness,
    zero outside the hole. `ring_error_mm` (2,): root mean square error of outer radius and
    thickness in the ring of intact bone around the hole, were it predicted from beyond; zero
    without a hole. `unfilled`: what is taken for no hole. `notes`: one-sentence warnings for the
    user.
    """

    pose: Pose
    outer_mm: Map
    inner_mm: Map
    covered: Flags
    hole: Flags
    seen: Flags
    deviation_mm: Map
    hole_area_cm2: float
    notes: tuple[str, ...] = ()
    ring_error_mm: tuple[float, float] = (0.0, 0.0)
    unfilled: tuple[Unfilled, ...] = ()

    @property
    def small_cm2(self) -> float:
        """The largest hole that is too small to be one; 0 without any that is told."""
        return max((other.due_cm2 for other in self.unfilled if other.why != "edge"), default=0.0)

    def depth_on(self, grid: sitk.Image) -> sitk.Image:
        """Return the depth within the completed vault on `grid` (float32, mm).

        min(r - inner radius, outer radius - r): positive within bone, observed or predicted;
        clipped to +-`DEEPEST_MM`, whose negative stands where the maps say nothing.
        """
        return self._on(grid, self.covered)

    def hole_depth_on(self, grid: sitk.Image) -> sitk.Image:
        """Return the depth (float32, mm) as `depth_on` does, its least where none is missing."""
        return self._on(grid, self.hole)

    def hole_on(self, grid: sitk.Image) -> sitk.Image:
        """Return the predicted bone of the hole on `grid` (uint8), as a mask of its directions.

        It fills the shell between the predicted tables, where bone is missing.
        """
        return self._on(grid, self.hole, as_mask=True)

    def fields_on(self, grid: sitk.Image) -> tuple[Depth, Flags, Flags, NDArray[np.float32]]:
        """Return what the prior knows of every voxel of `grid`, which need not lie near bone.

        The depth (z, y, x) as `depth_on` gives it; whether bone is missing in the voxel's direction
        (bool), and whether in that of its mirror image; and the standard deviation (2, z, y, x) of
        outer radius and thickness, in mm.
        """
        z, y, x = np.indices(grid.GetSize()[::-1], np.float32)
        frame = index_to_lps_mm(grid)
        to_standard = (self.pose.rotation.T @ frame[:3, :3]).astype(np.float32)
        start = (self.pose.rotation.T @ (frame[:3, 3] - self.pose.centre_mm)).astype(np.float32)
        points = np.stack([x, y, z], axis=-1) @ to_standard.T + start
        layers = np.stack([self.outer_mm, self.inner_mm, self.covered]).astype(np.float32)
        rows, columns, _ = radial.to_map(points)
        hole, opposite, *deviation = (
            values_at(layer.astype(np.float32), (rows, columns))
            for layer in (self.hole, self.hole[:, ::-1], *self.deviation_mm)
        )
        return _depth(layers, points), hole > 0.5, opposite > 0.5, np.stack(deviation)

    def _on(self, grid: sitk.Image, where: Flags, as_mask: bool = False) -> sitk.Image:
        """Return the depth of the shell in the directions `where`, or the mask of where it is."""
        layers = np.stack([self.outer_mm, self.inner_mm, where]).astype(np.float32)
        shape = grid.GetSize()[::-1]
        blocks = [-(-n // BLOCK) for n in shape]
        padded = [b * BLOCK for b in blocks]
        out = np.zeros(padded, np.uint8) if as_mask else np.full(padded, -DEEPEST_MM, np.float32)
        view = out.reshape(blocks[0], BLOCK, blocks[1], BLOCK, blocks[2], BLOCK)
        frame = index_to_lps_mm(grid)
        rotation, centre = self.pose.rotation, self.pose.centre_mm
        to_standard = (rotation.T @ frame[:3, :3]).astype(np.float32)
        start = (rotation.T @ (frame[:3, 3] - centre)).astype(np.float32)
        z, y, x = np.indices((BLOCK,) * 3, np.float32).reshape(3, -1)
        local_mm = np.stack([x, y, z], axis=-1) @ to_standard.T
        for chosen in self._blocks_near_the_shell(blocks, to_standard, start, where):
            corners = chosen[:, ::-1].astype(np.float32) * BLOCK
            points = (corners @ to_standard.T + start)[:, None, :] + local_mm
            depth = _depth(layers, points).reshape(-1, BLOCK, BLOCK, BLOCK)
            values = depth > 0 if as_mask else depth
            view[chosen[:, 0], :, chosen[:, 1], :, chosen[:, 2], :] = values
        return image_like(np.ascontiguousarray(out[: shape[0], : shape[1], : shape[2]]), grid)

    def _blocks_near_the_shell(
        self, blocks: list[int], to_standard: Depth, start: Depth, where: Flags
    ) -> Iterator[NDArray[np.intp]]:
        """Yield, in chunks, the indices (n, 3) of the blocks that may touch the shell `where`."""
        if not where.any():
            return
        matrix = to_standard.astype(float)
        half_mm = np.linalg.norm(matrix, axis=0).sum() * BLOCK / 2
        low = self.inner_mm[where].min() - DEEPEST_MM - half_mm
        high = self.outer_mm[where].max() + DEEPEST_MM + half_mm
        index = np.argwhere(np.ones(blocks, bool))
        middle = ((index[:, ::-1] + 0.5) * BLOCK - 0.5) @ matrix.T + start
        rows, columns, radius = radial.to_map(middle)
        # Half a block's width as an angle, and how far, at least, the shell's directions are away.
        half_rad = half_mm / np.maximum(radius, half_mm)
        pixels = radial.look_up(ndimage.distance_transform_edt(~where), rows, columns)
        apart_rad = (pixels - 2) * PIXEL_RAD / MOST_STRETCH
        polar = np.hypot(rows + 0.5 - radial.SIZE / 2, columns + 0.5 - radial.SIZE / 2) * PIXEL_RAD
        near = (radius > low) & (radius < high)
        index = index[near & (apart_rad < half_rad) & (polar < radial.POLAR_MAX_RAD + half_rad)]
        for first in range(0, len(index), CHUNK_BLOCKS):
            yield index[first : first + CHUNK_BLOCKS]


def _depth(layers: NDArray[np.float32], points: Depth) -> Depth:
    """Return the clipped depth (blocks, n), float32, at standard-frame points from the layers."""
    rows, columns, radius = radial.to_map(points)
    half = radial.SIZE / 2
    inside = np.hypot(rows + 0.5 - half, columns + 0.5 - half) <= half
    inside &= values_at(layers[2], (rows, columns)) > 0.5
    radius, place = radius[inside], (rows[inside], columns[inside])
    outer, inner = (values_at(layer, place) for layer in layers[:2])
    depth = np.full(inside.shape, -DEEPEST_MM, np.float32)
    depth[inside] = np.clip(np.minimum(radius - inner, outer - radius), -DEEPEST_MM, DEEPEST_MM)
    return depth


def complete_by_prior(
    skull: sitk.Image,
    pose: Pose,
    population: Population,
    progress: Progress = silent,
    asked: Flags | None = None,
) -> Prior:
    """Return the vault of a skull mask (uint8 0/1) with its holes filled by prediction.

    asked: directions (SIZE, SIZE) that are a hole, whatever is seen there. A skull without a hole
    of more than `SMALLEST_HOLE_CM2` gives `hole_area_cm2` 0.
    """
    progress(0.0, "Looking at the vault")
    vault = look_at_vault(skull, pose, population, asked)
    hole, seen = vault.hole, vault.seen
    progress(0.4, "Predicting the missing bone")
    reliable = seen & (radial.POLAR_RAD < FLOOR_RAD)
    filled = (distance_mm(hole) <= RIM_MM) & reliable
    maps = np.stack([vault.outer_mm, vault.inner_mm])
    complete = complete_maps(maps, vault.bone, hole, reliable, population)
    notes = _notes_on(vault.unfilled, pose)
    if (ndimage.binary_dilation(hole, iterations=2) & ~seen).any():
        notes.append(
            "The defect reaches the edge of the image; it is filled only as far as the image goes."
        )
    progress(1.0, "Vault completed")
    return Prior(
        pose=pose,
        outer_mm=complete.maps[OUTER],
        inner_mm=complete.maps[INNER],
        covered=_closed(vault.bone | filled) & reliable,
        hole=hole,
        seen=seen,
        deviation_mm=complete.deviation_mm,
        hole_area_cm2=vault.hole_area_cm2,
        notes=tuple(notes),
        ring_error_mm=(float(complete.ring_error_mm[0]), float(complete.ring_error_mm[1])),
        unfilled=vault.unfilled,
    )


def look_at_vault(
    skull: sitk.Image, pose: Pose, population: Population, asked: Flags | None = None
) -> VaultSeen:
    """Return what is seen of the vault of a skull mask (uint8 0/1), and the holes in it.

    asked: as `complete_by_prior` has it.
    """
    outer, inner, bone = radial.shell_of(
        radial.share_of_bone(skull, radial.RAY_MM), pose.rotation, pose.centre_mm
    )
    # Where the view ends in bone its outer surface is not seen, nor is bone missing there.
    ends = bone & ~_within_view(skull, pose, outer + VIEW_EDGE_MM)
    bone &= ~ends
    known = bone & (radial.POLAR_RAD < VAULT_RAD)
    expected = rough_fit(outer[None], known, shapes_model(population))[OUTER]
    bone &= np.abs(outer - expected) < ODD_MM
    seen = _within_view(skull, pose, expected - VIEW_SLACK_MM) & ~ends
    if asked is not None:
        asked = asked & seen & (radial.POLAR_RAD < FLOOR_RAD)
        bone &= ~asked
    hole, unfilled = _find_holes(bone, seen, population.share(), expected, asked)
    return VaultSeen(outer, inner, bone, seen, expected, hole, unfilled)


def _within_view(skull: sitk.Image, pose: Pose, reach_mm: Map) -> Flags:
    """Return the directions in which the image reaches as far as `reach_mm`."""
    points = pose.to_patient(radial.DIRECTIONS * reach_mm[..., None])
    to_index = np.linalg.inv(index_to_lps_mm(skull))
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    return np.all((index >= 0) & (index <= np.array(skull.GetSize()) - 1), axis=-1)


def _closed(mask: Flags) -> Flags:
    """Return `mask` with pinholes filled: a pixel bone-free between bone is no gap in a table."""
    return ndimage.binary_closing(mask, iterations=3) | mask


def _find_holes(
    bone: Flags, seen: Flags, share: Map, outer_mm: Map, asked: Flags | None = None
) -> tuple[Flags, tuple[Unfilled, ...]]:
    """Return the directions of the holes (SIZE, SIZE), and the regions that are taken for none.

    A hole is a wide bone-free region with more than `SMALLEST_HOLE_CM2` of it where bone is due:
    where everybody has it, or where most have it and so has the other side of this head. From there
    it goes on as far down as most people have bone. A sliver is one along the lower edge of what is
    due, beside a hole that goes much deeper in: a head that is askew, or whose pose is, ends there.
    A region with directions that are `asked` for is a hole, however small or low.
    """
    asked = np.zeros_like(bone) if asked is None else asked
    usual = (share >= USUAL_SHARE) & (radial.POLAR_RAD < VAULT_RAD)
    possible = (share >= POSSIBLE_SHARE) & (radial.POLAR_RAD < FLOOR_RAD)
    free = ~bone & seen & (usual | possible)
    # Widths are judged as if the vault went on bone-free where the map ends.
    wide_mm = distance_mm(~free & (usual | possible))
    core = wide_mm > NARROWEST_HOLE_MM / 2
    opened = asked | (free & (distance_mm(core & free) <= NARROWEST_HOLE_MM / 2))
    labels, count = ndimage.label(opened, np.ones((3, 3)))
    due = usual | (possible & (distance_mm(~bone[:, ::-1]) > ASKEW_MM))
    area = radial.STERADIANS * outer_mm**2 / 100 * due
    numbers = np.arange(count + 1)
    areas = ndimage.sum(area, labels, numbers)
    wanted = np.isin(numbers, labels[asked])
    holes = ((areas > SMALLEST_HOLE_CM2) | wanted) & (numbers > 0)
    depth_mm = ndimage.maximum(distance_mm(~(opened & due)), labels, numbers)
    low = np.isin(numbers, labels[ndimage.binary_dilation(~due)])
    deepest_mm = depth_mm[holes].max(initial=0.0)
    slivers = holes & low & (depth_mm < SLIVER_MM) & (depth_mm < deepest_mm / 2) & ~wanted
    found = np.isin(labels, numbers[holes & ~slivers])
    small = (areas >= TOLD_HOLE_CM2) & ~holes & (numbers > 0)
    # Splinters within a hole are none of its rim.
    filled = ndimage.binary_fill_holes(found)
    unfilled = []
    for number in np.flatnonzero(slivers | small):
        region = _region("edge", (labels == number) & ~filled, outer_mm)
        if not slivers[number]:
            why = "small" if region.area_cm2 <= SMALLEST_HOLE_CM2 else "low"
            region = replace(region, why=why)
        region = replace(region, due_cm2=float(areas[number]))
        if region.area_cm2 >= TOLD_HOLE_CM2:
            unfilled.append(region)
    return filled, tuple(sorted(unfilled, key=lambda other: -other.area_cm2))


def _region(why: str, where: Flags, outer_mm: Map) -> Unfilled:
    """Return a region of the map as its area and its points."""
    area_cm2 = float((radial.STERADIANS * outer_mm**2 / 100)[where].sum())
    return Unfilled(why, area_cm2, area_cm2, radial.DIRECTIONS[where] * outer_mm[where][:, None])


def _notes_on(unfilled: tuple[Unfilled, ...], pose: Pose) -> list[str]:
    """Return a sentence on each strip that was taken for no hole."""
    notes = []
    for strip in unfilled:
        if strip.why == "edge":
            x, y, z = pose.to_patient(strip.points_mm.mean(axis=0))
            notes.append(
                f"A strip of {strip.area_cm2:.0f} cm² without bone at the vault's lower edge, near "
                f"({x:.0f}, {y:.0f}, {z:.0f}) mm (LPS), is taken for the head's own edge and not "
                "filled."
            )
    return notes
