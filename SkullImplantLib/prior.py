"""The completed skull by geometry alone: a Gaussian process on the radial maps of the vault.

Seen from the middle of the vault the bone is two maps over directions, outer radius and thickness.
Where directions lack bone there is the hole; there both maps are predicted by kriging (Gaussian
process regression, Rasmussen and Williams 2006, chapter 2). What is expected beforehand is the
population's mean and covariance, errors of pose and size, and smooth departures, which both sides
of a head partly share. The intact rim anchors the prediction, and the posterior tells how sure it
is. The maps describe the vault only: nothing is said below `FLOOR_RAD`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk
import torch
from scipy import linalg, ndimage

from . import radial
from .images import image_like, index_to_lps_mm
from .population import OUTER, THICKNESS, Population, shipped_population
from .progress import Progress, silent

if TYPE_CHECKING:
    from .symmetry import Pose

RAY_MM = 1.0  # spacing at which rays are cast: as fine as the maps need
PIXEL_RAD = 2 * radial.POLAR_MAX_RAD / radial.SIZE
PIXEL_MM = PIXEL_RAD * radial.MEAN_RADIUS_MM
MOST_STRETCH = 2.3  # sideways, of the map at its edge

# Where a hole can be recognised and where it can be filled, by polar angle.
VAULT_RAD = np.deg2rad(99.0)
FLOOR_RAD = np.deg2rad(112.0)
USUAL_SHARE, POSSIBLE_SHARE = 0.9, 0.5  # of the population that has bone there
SMALLEST_HOLE_CM2 = 4.0  # pinholes of temple and vertex, burr holes of drains and sutures are less
NARROWEST_HOLE_MM = 6.0  # sutures and cracks are narrower
RIM_MM = 4.5  # bone this close to a hole may be bevelled and is predicted as well
ODD_MM = 12.0  # bone this far from where it is expected is not the vault's
VIEW_SLACK_MM = 10.0  # an image may end this close within the expected outer surface
RIM_BLEND_MM = 5.0  # prediction passes into the observed bone over this distance from the rim

DEEPEST_MM = 8.0  # depths are clipped to this
BLOCK = 8  # voxels; blocks that cannot touch the shell are skipped
CHUNK_BLOCKS = 2048


# Thickness is modelled on a logarithmic scale, in mm at the usual thickness: it varies in
# proportion, and stays positive.
USUAL_THICKNESS_MM, THINNEST_MM = 5.0, 0.5


@dataclass(frozen=True)
class Departure:
    """A smooth departure from the expected maps: a squared exponential covariance.

    `mirrored` is the share of it that both sides of the head have in common.
    """

    deviation_mm: float
    length_mm: float
    mirrored: float


# Departures of the outer radius and of the thickness; set by hand on a development set of BrainWeb
# and CT skulls, where results changed little within a factor of 1.5.
DEPARTURES: tuple[tuple[Departure, ...], tuple[Departure, ...]] = (
    (Departure(1.5, 45.0, 0.6), Departure(0.7, 14.0, 0.3)),
    (Departure(0.8, 45.0, 0.7), Departure(0.6, 14.0, 0.4)),
)
NOISE_MM = (0.3, 0.35)
SHIFT_MM, TURN_RAD, STRETCH = 1.0, np.deg2rad(1.5), 0.04  # errors of pose, departures of size
THICKER_MM = 1.0  # standard deviation of a skull's overall thickness, at the usual thickness
ROUGH_PIXELS = 4.0  # wide against a pixel, narrow against the finest departure
NEAR_MM = 16.0
NEAR_COUNT, FAR_COUNT, MIRROR_COUNT = 650, 450, 350  # observations used
DEVIATION_STEP = 3  # pixels between those where the posterior deviation is computed


@dataclass(frozen=True)
class Prior:
    """The vault completed on radial maps (SIZE, SIZE); see `radial.py` for their layout.

    `outer_mm`, `inner_mm`: radii of the two tables, observed or, within a hole, predicted.
    `covered`: where these are known. `hole`: directions where bone is missing.
    `deviation_mm` (2, SIZE, SIZE): posterior standard deviation of outer radius and thickness,
    zero outside the hole. `notes`: one-sentence warnings for the user.
    """

    pose: "Pose"
    outer_mm: np.ndarray
    inner_mm: np.ndarray
    covered: np.ndarray
    hole: np.ndarray
    deviation_mm: np.ndarray
    hole_area_cm2: float
    notes: tuple[str, ...] = ()

    def depth_on(self, grid: sitk.Image) -> sitk.Image:
        """Return the depth within the completed vault on `grid` (float32, mm).

        min(r - inner radius, outer radius - r): positive within bone, observed or predicted;
        clipped to +-8; -8 where the maps say nothing.
        """
        return self._on(grid, self.covered)

    def hole_depth_on(self, grid: sitk.Image) -> sitk.Image:
        """Return the depth (float32, mm) as `depth_on` does, but -8 where no bone is missing."""
        return self._on(grid, self.hole)

    def hole_on(self, grid: sitk.Image) -> sitk.Image:
        """Return the predicted bone of the hole on `grid` (uint8), as a mask of its directions.

        It fills the shell between the predicted tables, where bone is missing.
        """
        return self._on(grid, self.hole, as_mask=True)

    def _on(self, grid: sitk.Image, where: np.ndarray, as_mask: bool = False) -> sitk.Image:
        """Return the depth of the shell in the directions `where`, or the mask of where it is."""
        layers = torch.from_numpy(
            np.stack([self.outer_mm, self.inner_mm, where.astype(float)]).astype(np.float32)
        )
        shape = grid.GetSize()[::-1]
        blocks = [-(-n // BLOCK) for n in shape]
        padded = [b * BLOCK for b in blocks]
        out = np.zeros(padded, np.uint8) if as_mask else np.full(padded, -DEEPEST_MM, np.float32)
        view = out.reshape(blocks[0], BLOCK, blocks[1], BLOCK, blocks[2], BLOCK)
        frame = index_to_lps_mm(grid)
        rotation, centre = self.pose.rotation, self.pose.centre_mm
        to_standard = torch.from_numpy((rotation.T @ frame[:3, :3]).astype(np.float32))
        start = torch.from_numpy((rotation.T @ (frame[:3, 3] - centre)).astype(np.float32))
        ticks = torch.arange(BLOCK, dtype=torch.float32)
        local = torch.stack(torch.meshgrid(ticks, ticks, ticks, indexing="ij")[::-1], dim=-1)
        local_mm = local.reshape(-1, 3) @ to_standard.T
        for chosen in self._blocks_near_the_shell(blocks, to_standard, start, where):
            corners = torch.from_numpy(chosen[:, ::-1].astype(np.float32) * BLOCK)
            points = (corners @ to_standard.T + start)[:, None, :] + local_mm
            depth = _depth(layers, points).reshape(-1, BLOCK, BLOCK, BLOCK)
            values = (depth > 0).numpy() if as_mask else depth.numpy()
            view[chosen[:, 0], :, chosen[:, 1], :, chosen[:, 2], :] = values
        return image_like(np.ascontiguousarray(out[: shape[0], : shape[1], : shape[2]]), grid)

    def _blocks_near_the_shell(
        self, blocks: list[int], to_standard: torch.Tensor, start: torch.Tensor, where: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yield, in chunks, the indices (n, 3) of the blocks that may touch the shell `where`."""
        if not where.any():
            return
        matrix = to_standard.numpy().astype(float)
        half_mm = np.linalg.norm(matrix, axis=0).sum() * BLOCK / 2
        low = self.inner_mm[where].min() - DEEPEST_MM - half_mm
        high = self.outer_mm[where].max() + DEEPEST_MM + half_mm
        index = np.argwhere(np.ones(blocks, bool))
        middle = ((index[:, ::-1] + 0.5) * BLOCK - 0.5) @ matrix.T + start.numpy()
        rows, columns, radius = radial.to_map(middle)
        # Half a block's width as an angle, and how far, at least, the shell's directions are away.
        half_rad = half_mm / np.maximum(radius, half_mm)
        away = radial.look_up(ndimage.distance_transform_edt(~where), rows, columns)
        away_rad = (away - 2) * PIXEL_RAD / MOST_STRETCH
        polar = np.hypot(rows + 0.5 - radial.SIZE / 2, columns + 0.5 - radial.SIZE / 2) * PIXEL_RAD
        near = (radius > low) & (radius < high)
        index = index[near & (away_rad < half_rad) & (polar < radial.POLAR_MAX_RAD + half_rad)]
        for first in range(0, len(index), CHUNK_BLOCKS):
            yield index[first : first + CHUNK_BLOCKS]


def _depth(layers: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Return the clipped depth at standard-frame points (blocks, n, 3) from the map layers."""
    x, y, z = points.unbind(-1)
    level = torch.sqrt(x * x + y * y)
    radius = torch.sqrt(level * level + z * z)
    scale = torch.atan2(level, z) / (radial.POLAR_MAX_RAD * level.clamp(min=1e-6))
    at = torch.stack([x * scale, y * scale], dim=-1)
    outer, inner, where = torch.nn.functional.grid_sample(
        layers[None], at[None], align_corners=False, padding_mode="border"
    )[0]
    depth = torch.minimum(radius - inner, outer - radius).clamp(-DEEPEST_MM, DEEPEST_MM)
    inside = (where > 0.5) & (scale * level <= 1.0)
    return torch.where(inside, depth, torch.full_like(depth, -DEEPEST_MM))


def complete_by_prior(
    skull: sitk.Image,
    pose: "Pose",
    progress: Progress = silent,
    population: Population | None = None,
) -> Prior:
    """Return the vault of a skull mask (uint8 0/1) with its holes filled by prediction.

    A skull without a hole of more than `SMALLEST_HOLE_CM2` gives `hole_area_cm2` 0.
    `population` replaces the shipped one.
    """
    progress(0.0, "Looking at the vault")
    outer, inner, bone = radial.shell_of(
        radial.share_of_bone(skull, RAY_MM), pose.rotation, pose.centre_mm
    )
    known_shapes = population or shipped_population()
    model = _expectation(known_shapes)
    maps = np.stack([outer, _log_thickness(outer - inner)])
    expected = _rough_fit(maps, bone & (radial.POLAR_RAD < VAULT_RAD), model)
    bone &= np.abs(outer - expected[OUTER]) < ODD_MM
    seen = _within_view(skull, pose, expected[OUTER] - VIEW_SLACK_MM)
    hole = _find_holes(bone, seen, known_shapes.share(), expected[OUTER])
    progress(0.4, "Predicting the missing bone")
    reliable = seen & (radial.POLAR_RAD < FLOOR_RAD)
    filled = (_away_mm(hole) <= RIM_MM) & reliable
    complete, deviation = _completed(maps, bone, filled, model)
    thickness = USUAL_THICKNESS_MM * np.exp(complete[THICKNESS] / USUAL_THICKNESS_MM)
    deviation[THICKNESS] *= thickness / USUAL_THICKNESS_MM
    notes = []
    if (ndimage.binary_dilation(hole, iterations=2) & ~seen).any():
        notes.append(
            "The defect reaches the edge of the image; it is filled only as far as the image goes."
        )
    progress(1.0, "Vault completed")
    return Prior(
        pose=pose,
        outer_mm=complete[OUTER],
        inner_mm=complete[OUTER] - thickness,
        covered=_closed(bone | filled) & reliable,
        hole=hole,
        deviation_mm=deviation,
        hole_area_cm2=float((radial.STERADIANS * expected[OUTER] ** 2)[hole].sum()) / 100,
        notes=tuple(notes),
    )


@dataclass(frozen=True)
class _Model:
    """What is expected of a vault: `mean` (2, SIZE, SIZE) of outer radius and log thickness;
    `factors` (n, 2, SIZE, SIZE) with F'F the covariance around it; `noise` (2, SIZE, SIZE), the
    standard deviation of what is too fine to be predicted, large at orbits and air cells."""

    mean: np.ndarray
    factors: np.ndarray
    noise: np.ndarray


def _log_thickness(thickness_mm: np.ndarray) -> np.ndarray:
    return USUAL_THICKNESS_MM * np.log(np.maximum(thickness_mm, THINNEST_MM) / USUAL_THICKNESS_MM)


@lru_cache(maxsize=2)
def _expectation(population: Population) -> _Model:
    """Return what the population says, widened by errors of pose and departures of size.

    Moving the surface |q| = radius by a field u changes the radius along a ray by
    gradient(|q| - radius) . u; u is a shift, a turn, or a stretch along an axis.
    """
    known = population.maps_mm.astype(np.float64)
    known[:, THICKNESS] = _log_thickness(known[:, THICKNESS])
    logged = Population(population.names, known, population.bone)
    mean = logged.mean_mm()
    surface = radial.DIRECTIONS * mean[OUTER][..., None]
    smooth = ndimage.gaussian_filter(mean[OUTER], 2)
    step = 2.0

    def off(points: np.ndarray) -> np.ndarray:
        rows, columns, reach = radial.to_map(points)
        return reach - radial.look_up(smooth, rows, columns)

    gradient = np.stack(
        [(off(surface + step * e) - off(surface - step * e)) / (2 * step) for e in np.eye(3)],
        axis=-1,
    )
    moves = [gradient * SHIFT_MM, np.cross(surface, gradient) * TURN_RAD]
    moves.append(gradient * surface * STRETCH)
    radius = np.moveaxis(np.concatenate(moves, axis=-1), -1, 0)
    pose_factors = np.stack([radius, np.zeros_like(radius)], axis=1)
    thicker = np.stack([np.zeros_like(mean[OUTER]), np.full_like(mean[OUTER], THICKER_MM)])[None]
    rough = np.mean([[_roughness(m, radial.DISC) for m in skull] for skull in known], axis=0)
    noise = np.sqrt(np.square(NOISE_MM)[:, None, None] + (rough + rough[..., ::-1]) / 2)
    return _Model(mean, np.concatenate([logged.factors_mm(), pose_factors, thicker]), noise)


def _roughness(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the local mean square departure of a map from its smoothed self."""
    smooth = _local_mean(values, known, ROUGH_PIXELS)
    return _local_mean((values - smooth) ** 2, known, ROUGH_PIXELS / 2)


def _local_mean(values: np.ndarray, known: np.ndarray, width: float) -> np.ndarray:
    """Return the Gaussian mean of the known values around each pixel, zero where there are none."""
    weight = ndimage.gaussian_filter(known.astype(float), width)
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), width)
    return np.where(weight > 1e-6, total / np.maximum(weight, 1e-6), 0.0)


def _rough_fit(maps: np.ndarray, known: np.ndarray, model: _Model) -> np.ndarray:
    """Return the mean plus the combination of factors that fits the known pixels, robustly."""
    mean, factors = model.mean, model.factors
    rows, columns = np.nonzero(known & _thinned(0.08))
    design = factors[:, OUTER, rows, columns].T
    away = maps[OUTER, rows, columns] - mean[OUTER, rows, columns]
    noise_mm, weight = 2.0, np.ones(len(away))
    for _ in range(8):
        normal = design.T @ (design * weight[:, None]) / 20 + np.eye(len(factors)) * noise_mm**2
        loading = np.linalg.solve(normal, design.T @ (weight * away) / 20)
        weight = 1 / (1 + ((away - design @ loading) / (2 * noise_mm)) ** 2) ** 2
    return mean + np.tensordot(loading, factors, axes=1)


def _thinned(share: float) -> np.ndarray:
    """Return an even choice of about `share` of the pixels, even in solid angle (SIZE, SIZE).

    Ranks pixels by the R2 low-discrepancy sequence (Roberts 2018), so it needs no randomness.
    """
    row, column = np.indices(radial.DISC.shape)
    rank = (row * 0.7548776662466927 + column * 0.5698402909980532) % 1.0
    return rank < share * np.sinc(radial.POLAR_RAD / np.pi)


def _within_view(skull: sitk.Image, pose: "Pose", reach_mm: np.ndarray) -> np.ndarray:
    """Return the directions in which the image reaches as far as `reach_mm`."""
    points = pose.to_patient(radial.DIRECTIONS * reach_mm[..., None])
    to_index = np.linalg.inv(index_to_lps_mm(skull))
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    return np.all((index >= 0) & (index <= np.array(skull.GetSize()) - 1), axis=-1)


def _away_mm(mask: np.ndarray) -> np.ndarray:
    """Return each pixel's distance in mm from `mask`, about, on the mean sphere."""
    if not mask.any():
        return np.full(mask.shape, np.inf)
    return ndimage.distance_transform_edt(~mask) * PIXEL_MM


def _closed(mask: np.ndarray) -> np.ndarray:
    """Return `mask` with pinholes filled: a pixel bone-free between bone is no gap in a table."""
    return ndimage.binary_closing(mask, iterations=3) | mask


def _find_holes(
    bone: np.ndarray, seen: np.ndarray, share: np.ndarray, outer_mm: np.ndarray
) -> np.ndarray:
    """Return the directions of the holes (SIZE, SIZE).

    A hole is a wide bone-free region with more than `SMALLEST_HOLE_CM2` of it where everybody has
    bone; from there it goes on as far down as most people have bone.
    """
    usual = (share >= USUAL_SHARE) & (radial.POLAR_RAD < VAULT_RAD)
    possible = (share >= POSSIBLE_SHARE) & (radial.POLAR_RAD < FLOOR_RAD)
    free = ~bone & seen & (usual | possible)
    # Widths are judged as if the vault went on bone-free where the map ends.
    wide_mm = ndimage.distance_transform_edt(free | ~(usual | possible)) * PIXEL_MM
    core = wide_mm > NARROWEST_HOLE_MM / 2
    opened = free & (_away_mm(core & free) <= NARROWEST_HOLE_MM / 2)
    labels, count = ndimage.label(opened, np.ones((3, 3)))
    area = radial.STERADIANS * outer_mm**2 / 100 * usual
    areas = ndimage.sum(area, labels, np.arange(count + 1))
    holes = np.isin(labels, np.flatnonzero(areas > SMALLEST_HOLE_CM2)) & (labels > 0)
    return ndimage.binary_fill_holes(holes)  # splinters within a hole


def _covariance(
    one: np.ndarray, other: np.ndarray, departures: tuple[Departure, ...]
) -> np.ndarray:
    """Return the covariance (n, m), float32, of departures at directions (n, 3) and (m, 3)."""
    reach = 2 * radial.MEAN_RADIUS_MM**2
    columns = torch.from_numpy(other.astype(np.float32)).T
    total = torch.zeros((len(one), len(other)))
    for side, mirrored in ((np.ones(3), False), (np.array([-1.0, 1.0, 1.0]), True)):
        rows = torch.from_numpy((one * side * reach).astype(np.float32))
        apart = (rows @ columns).sub_(reach)  # minus the squared distance in mm
        for d in departures:
            variance = d.deviation_mm**2 * (d.mirrored if mirrored else 1.0)
            total.add_(torch.mul(apart, 0.5 / d.length_mm**2).exp_(), alpha=variance)
    return total.numpy()


def _observations(observed: np.ndarray, filled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (rows, columns) of the observed pixels to use: dense at the rim, some everywhere,
    and some more opposite the hole, which tell of its shape by symmetry."""
    away = _away_mm(filled)
    near = observed & (away <= NEAR_MM)
    opposite = observed & filled[:, ::-1] & ~near
    far = observed & ~near & (radial.POLAR_RAD < VAULT_RAD)
    chosen = np.zeros(observed.shape, bool)
    for region, count in ((near, NEAR_COUNT), (far, FAR_COUNT), (opposite, MIRROR_COUNT)):
        weight = np.sinc(radial.POLAR_RAD / np.pi)[region].sum()
        chosen |= region & _thinned(count / max(weight, 1.0))
    rows, columns = np.nonzero(chosen)
    return rows, columns


def _completed(
    maps: np.ndarray, bone: np.ndarray, filled: np.ndarray, model: _Model
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps with the pixels `filled` predicted from the others that have `bone`, and the
    posterior standard deviation there; elsewhere pixels without bone take the nearest value."""
    complete = np.stack([radial.fill_nearest(channel, bone) for channel in maps])
    if not filled.any():
        return complete, np.zeros_like(complete)
    observed = bone & ~filled & (radial.POLAR_RAD < FLOOR_RAD)
    rim = observed & (_away_mm(filled) <= RIM_BLEND_MM)
    predicted, deviation = _predict(complete, observed, filled, rim, model)
    return _blended(complete, predicted, rim, filled), deviation


def _predict(
    maps: np.ndarray, observed: np.ndarray, filled: np.ndarray, rim: np.ndarray, model: _Model
) -> tuple[np.ndarray, np.ndarray]:
    """Return maps predicted in the pixels `filled` and `rim`, and the posterior deviation."""
    mean, factors = model.mean, model.factors
    at = _observations(observed, filled)
    n = len(at[0])
    directions = radial.DIRECTIONS[at]
    shared = factors[:, :, at[0], at[1]].reshape(len(factors), -1)
    covariance = shared.T @ shared
    for c in (OUTER, THICKNESS):
        own = slice(c * n, (c + 1) * n)
        covariance[own, own] += _covariance(directions, directions, DEPARTURES[c])
        rough = _roughness(maps[c], observed)[at]
        covariance[own, own] += np.diag(model.noise[c][at] ** 2 + rough)
    cholesky = linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    away = (maps - mean)[:, at[0], at[1]].ravel()
    weights = linalg.cho_solve((cholesky, True), away, check_finite=False)

    predicted, deviation = maps.copy(), np.zeros_like(maps)
    target = np.nonzero(filled | rim)
    coarse = filled & _every(DEVIATION_STEP)
    coarse_target = np.nonzero(coarse)
    for c in (OUTER, THICKNESS):
        own = slice(c * n, (c + 1) * n)
        loading = shared @ weights
        smooth = _covariance(radial.DIRECTIONS[target], directions, DEPARTURES[c]) @ weights[own]
        here = factors[:, c, target[0], target[1]]
        predicted[c][target] = mean[c][target] + smooth + loading @ here

        here = factors[:, c, coarse_target[0], coarse_target[1]]
        cross = shared.T @ here
        cross[own] += _covariance(directions, radial.DIRECTIONS[coarse_target], DEPARTURES[c])
        told = linalg.solve_triangular(cholesky, cross, lower=True, check_finite=False)
        total = (here**2).sum(axis=0) + sum(d.deviation_mm**2 for d in DEPARTURES[c])
        mirror = radial.DIRECTIONS[coarse_target][:, 0] * radial.MEAN_RADIUS_MM * 2
        for d in DEPARTURES[c]:
            width = -0.5 / d.length_mm**2
            total += d.deviation_mm**2 * d.mirrored * np.exp(mirror**2 * width)
        values = np.zeros(filled.shape)
        values[coarse_target] = np.sqrt(np.maximum(total - (told**2).sum(axis=0), 0.0))
        smooth_values = radial.fill_nearest(values, coarse) if coarse.any() else values
        deviation[c] = ndimage.uniform_filter(smooth_values, DEVIATION_STEP) * filled
    return predicted, deviation


def _every(step: int) -> np.ndarray:
    row, column = np.indices(radial.DISC.shape)
    return (row % step == 0) & (column % step == 0)


def _blended(
    maps: np.ndarray, predicted: np.ndarray, rim: np.ndarray, filled: np.ndarray
) -> np.ndarray:
    """Return `maps` with the pixels `filled` as predicted, but without a step at the rim.

    The prediction smooths over the bone at the `rim`; its misfit there, averaged over a few
    millimetres, is faded out into the hole.
    """
    width = RIM_BLEND_MM / 2 / PIXEL_MM
    fade = np.exp(-_away_mm(rim) / RIM_BLEND_MM)
    complete = maps.copy()
    for c in (OUTER, THICKNESS):
        misfit = _local_mean(maps[c] - predicted[c], rim, width)
        complete[c] = np.where(filled, predicted[c] + misfit * fade, maps[c])
    return complete
