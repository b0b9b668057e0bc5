"""Where a skull lies: its standard pose, found from the outer surface of the vault.

The outermost bone along rays from the middle of the head is fitted, robustly and from many
starting tilts, to the mean vault of the population (Gauss-Newton with Geman-McClure weights, head
length, width and height as nuisances). The mid-sagittal plane is then refined by mirroring the
skull's own outer surface. Holes give no rays and a half missing vault still leaves enough.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ..core.images import array_of, index_to_lps_mm
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from . import radial
from .frame import Pose
from .shape_statistics import OUTER, Population

Floats = NDArray[np.floating]
Vectors = NDArray[np.float64]  # (n, 3)

COARSE_MM = 2.5  # pose needs no more, and a 512x512x512 mask becomes small
COARSE_LEVEL = 0.4  # share of bone in a coarse voxel; below one half so that thin bone counts
LEAST_BONE = 500  # coarse voxels, 8 cm³: a vault has twenty times as many
RAYS = 3000
RADII_MM = np.arange(30.0, 152.0, 2.0)
LEAST_RAYS_FOUND = 0.05  # of the rays: fewer points say nothing of a vault
START_TILTS_DEG = (-24.0, 0.0, 24.0)
START_ROUNDS = ((300, 9), (700, 3), (700, 1))  # rays cast, and how many of the fits go on
START_POINTS = 20_000  # of the bone, from which a start takes its size and place
MOST_START_LOG_SIZE = 0.2  # a start is no more than so much larger or smaller than the mean
SIZE_SPREAD = 0.08  # a priori standard deviation of the log of head size
SHAPE_SPREAD = 0.04  # the same of length, width and height, each relative to size
RESIDUAL_SPREAD_MM = 2.0  # how far a normal vault departs from the scaled mean
FIT_SPREADS_MM = (8.0, 5.0, 4.0, 3.0, 2.0, 2.0, 2.0)  # robustness is tightened as the fit closes in
RAYS_PER_INDEPENDENT = 10  # neighbouring rays depart together; one in ten counts
# A step goes no further than where the first order holds: about the tilts between two starts'
# halves, a tenth of a head, and the largest head's size.
MOST_TURN_RAD, MOST_SHIFT_MM, MOST_LOG_SIZE = 0.15, 15.0, 0.3
GRADIENT_STEP_MM = 1.0
FLATTEST = 0.5  # gradients of the distance are near 1; below, the map's own noise tells
SINGULAR = 1e-9  # of the normal matrix' trace, added to its diagonal
# A fit is judged by the vault that lies so near the template, and by its median distance where
# the template is trusted so much. The a priori spreads count little beside the bone: they part
# fits that are equally good.
COVERED_MM, JUDGED_TRUST, A_PRIORI_WEIGHT = 8.0, 0.3, 0.005
WORST_FIT_MM = 4.0  # skulls fit to 0.6 - 1.5 mm
LEAST_COVERAGE = 0.45  # share of the vault that must be there; 120 cm² missing leaves 0.8
MIRROR_SIZE = 64  # of the small map on which the mid-sagittal plane is refined
MIRROR_ROUNDS = 5
MIRRORED_TRUST, MIRRORED_MM = 0.05, 15.0  # what is mirrored: vault, so near the template
LEAST_MIRRORED = 300  # pixels of it that must be known on both sides
MIRROR_STEP_MM = 3.0  # for gradients: about a pixel of the small map
MIRROR_SPREADS, LEAST_SPREAD_MM = 1.5, 0.5  # of the weights: so many median asymmetries, at least
MIRROR_RIDGE = (1e-3, 1.0, 1.0)  # keeps shift and turns apart where little of the vault is known
MOST_MIRROR_MOVE = (5.0, 0.1, 0.1)  # of a round: mm, radians, radians
MOST_FILLED = 0.25  # a skull's inside is empty
HOLLOW_RAYS, HOLLOW_RADII_MM = 500, np.arange(0.0, 45.0, 3.0)


def estimate_pose(skull: sitk.Image, population: Population, progress: Progress = silent) -> Pose:
    """Return the standard pose of a skull mask (uint8 0/1), which may have holes in its vault.

    The image's LPS axes must agree with the patient's to about 30 degrees. Deterministic. Raises
    `SkullImplantError` where the mask does not look like a skull.
    """
    progress(0.0, "Finding the standard pose")
    coarse = radial.share_of_bone(skull, COARSE_MM)
    bone = np.argwhere(array_of(coarse) >= COARSE_LEVEL)[:, ::-1]
    if len(bone) < LEAST_BONE:
        raise _not_a_skull("there is hardly any bone in it")
    frame = index_to_lps_mm(coarse)
    bone_mm = bone[:: max(len(bone) // START_POINTS, 1)] @ frame[:3, :3].T + frame[:3, 3]
    template = _Template(population)

    starts = [_start(bone_mm, rotation, template) for rotation in _start_rotations()]
    for rays, keep in START_ROUNDS:
        fits = [_fit(coarse, template, start, rays, rounds=1) for start in starts]
        starts = sorted(fits, key=lambda fit: fit.cost)[:keep]
    best = _fit(coarse, template, starts[0], RAYS, rounds=3)
    if best.coverage < LEAST_COVERAGE:
        raise _not_a_skull("too little of a cranial vault is in it")
    if best.median_mm > WORST_FIT_MM:
        raise _not_a_skull(f"its vault is {best.median_mm:.0f} mm off any usual shape")
    _require_hollow(coarse, best)
    rotation, centre = _mirror_plane(coarse, template, best)
    progress(1.0, "Standard pose found")
    return Pose(rotation=rotation, centre_mm=centre, fit_mm=best.median_mm)


def _not_a_skull(why: str) -> SkullImplantError:
    return SkullImplantError(
        f"This does not look like a skull ({why}); give a head CT or skull mask with most of the "
        "cranial vault in it and the patient's axes within 30 degrees of the scanner's."
    )


def _sphere(count: int) -> Vectors:
    """Return `count` directions spread evenly over the sphere (Fibonacci lattice)."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.arange(count) * np.pi * (3 - np.sqrt(5))
    level = np.sqrt(1 - height**2)
    return np.stack([level * np.cos(turn), level * np.sin(turn), height], axis=-1)


class _Template:
    """The mean vault as a function of direction: its radius, and how far it can be trusted."""

    def __init__(self, population: Population) -> None:
        self.radius_mm = population.mean_mm()[OUTER].astype(np.float64)
        usual = np.clip(population.share() * 2 - 1, 0, 1)
        variation = (population.spread_mm() / RESIDUAL_SPREAD_MM) ** 2
        self.trust = np.where(radial.DISC, usual / (1 + variation), 0.0)
        self.solid_angle = float((self.trust * radial.STERADIANS).sum())
        surface = radial.DIRECTIONS * self.radius_mm[..., None]
        self.top_mm = float(surface[..., 2].max())
        self.length_mm = float(np.ptp(surface[self.trust > 0.2][:, 1]))

    def above_mm(self, points: Vectors) -> Floats:
        """Return |q| - radius(direction of q) of points q (..., 3)."""
        rows, columns, radius = radial.to_map(points)
        return radius - radial.look_up(self.radius_mm, rows, columns)

    def trust_at(self, points: Vectors) -> Floats:
        """Return the trust in the template in the directions of points (n, 3)."""
        rows, columns, _ = radial.to_map(points)
        return radial.look_up(self.trust, rows, columns)

    def distance(self, points: Vectors) -> tuple[Floats, Floats, Floats]:
        """Return the signed distance (first order), its gradient (n, 3) and the trust."""
        distance, gradient = _first_order(self.above_mm, points, GRADIENT_STEP_MM)
        return distance, gradient, self.trust_at(points)


def _first_order(
    above_mm: Callable[[Vectors], Floats], points: Vectors, step_mm: float
) -> tuple[Floats, Floats]:
    """Return the signed distance (n,) from the surface where `above_mm` is 0, and its gradient
    (n, 3): to first order, by dividing through the gradient of `above_mm`.
    """
    above, gradient = radial.with_gradient(above_mm, points, step_mm)
    steep = np.maximum(np.linalg.norm(gradient, axis=1), FLATTEST)
    return above / steep, gradient / steep[:, None]


@dataclass(frozen=True)
class _Fit:
    """A fit of the scaled template: patient = rotation @ (scale * template) + centre."""

    rotation: NDArray[np.float64]
    centre_mm: NDArray[np.float64]
    log_scale: NDArray[np.float64]
    cost: float = np.inf
    coverage: float = 0.0
    median_mm: float = np.inf


def _start_rotations() -> list[NDArray[np.float64]]:
    return [
        Rotation.from_euler("zyx", [yaw, roll, pitch], degrees=True).as_matrix()
        for yaw in START_TILTS_DEG
        for roll in START_TILTS_DEG
        for pitch in START_TILTS_DEG
    ]


def _start(bone_mm: Vectors, rotation: NDArray[np.float64], template: _Template) -> _Fit:
    """Return a start with the given rotation: size and place from the bone above the centre."""
    turned = bone_mm @ rotation
    top = np.percentile(turned[:, 2], 99.9)
    cap = turned[turned[:, 2] > top - template.top_mm]
    low, high = np.percentile(cap[:, :2], [1, 99], axis=0)
    log_size = np.log((high[1] - low[1]) / template.length_mm)
    log_size = float(np.clip(log_size, -MOST_START_LOG_SIZE, MOST_START_LOG_SIZE))
    middle = np.array([*(low + high) / 2, top - template.top_mm * np.exp(log_size)])
    return _Fit(rotation, rotation @ middle, np.full(3, log_size))


def _outer_points(
    coarse: sitk.Image, centre_mm: NDArray[np.float64], directions: Vectors
) -> tuple[Vectors, NDArray[np.intp]]:
    """Return the outermost bone along rays, (n, 3) in LPS, and which rays (n,) found any.

    Bone at the edge of the image is left out: its true surface may lie beyond.
    """
    values = radial.cast_rays(coarse, centre_mm, directions, RADII_MM)
    bone = values >= COARSE_LEVEL
    found = np.flatnonzero(bone.any(axis=1) & ~bone[:, -1])
    last = bone.shape[1] - 1 - bone[found, ::-1].argmax(axis=1)
    inside, beyond = values[found, last], values[found, last + 1]
    share = (inside - COARSE_LEVEL) / np.maximum(inside - beyond, 1e-6)
    reach = RADII_MM[last] + share * (RADII_MM[1] - RADII_MM[0])
    points = centre_mm + reach[:, None] * directions[found]
    to_index = np.linalg.inv(index_to_lps_mm(coarse))
    index = points @ to_index[:3, :3].T + to_index[:3, 3]
    whole = ((index > 0.5) & (index < np.array(coarse.GetSize()) - 1.5)).all(axis=1)
    return points[whole], found[whole]


def _fit(coarse: sitk.Image, template: _Template, start: _Fit, rays: int, rounds: int) -> _Fit:
    """Return the fit reached from `start`; each round casts new rays from the new centre."""
    fit = start
    directions = _sphere(rays)
    for _ in range(rounds):
        points, _ = _outer_points(coarse, fit.centre_mm, directions)
        if len(points) < LEAST_RAYS_FOUND * rays:
            return fit
        for spread in FIT_SPREADS_MM:
            fit = _step(points, template, fit, spread)
    return _judge(points, template, fit, rays)


def _step(points: Vectors, template: _Template, fit: _Fit, spread_mm: float) -> _Fit:
    """Return `fit` after one Gauss-Newton step with Geman-McClure weights of width `spread_mm`."""
    scale = np.exp(fit.log_scale)
    turned = (points - fit.centre_mm) @ fit.rotation
    distance, gradient, trust = template.distance(turned / scale)
    weight = trust / (1 + (distance / (2 * spread_mm)) ** 2) ** 2 / RESIDUAL_SPREAD_MM**2
    per_mm = gradient / scale
    jacobian = np.concatenate(
        [-np.cross(turned, per_mm), -per_mm, -gradient * turned / scale], axis=1
    )
    normal = jacobian.T @ (jacobian * weight[:, None]) / RAYS_PER_INDEPENDENT
    right = -jacobian.T @ (distance * weight) / RAYS_PER_INDEPENDENT
    shape = np.eye(3) - 1 / 3
    prior = shape / SHAPE_SPREAD**2 + np.full((3, 3), 1 / 9) / SIZE_SPREAD**2
    normal[6:, 6:] += prior
    right[6:] -= prior @ fit.log_scale
    move = np.linalg.solve(normal + SINGULAR * np.trace(normal) * np.eye(9), right)
    move[:3] = np.clip(move[:3], -MOST_TURN_RAD, MOST_TURN_RAD)
    move[3:6] = np.clip(move[3:6], -MOST_SHIFT_MM, MOST_SHIFT_MM)
    return _Fit(
        rotation=fit.rotation @ Rotation.from_rotvec(move[:3]).as_matrix(),
        centre_mm=fit.centre_mm + fit.rotation @ move[3:6],
        log_scale=np.clip(fit.log_scale + move[6:], -MOST_LOG_SIZE, MOST_LOG_SIZE),
    )


def _judge(points: Vectors, template: _Template, fit: _Fit, rays: int) -> _Fit:
    """Return `fit` with its cost, its coverage of the vault and its median distance."""
    turned = (points - fit.centre_mm) @ fit.rotation
    distance, _, trust = template.distance(turned / np.exp(fit.log_scale))
    squared = (distance / RESIDUAL_SPREAD_MM) ** 2
    # Rays are even in solid angle, so a direction without bone is a ray lost at full cost.
    vault = template.solid_angle / (4 * np.pi) * rays
    cost = 1 - float((trust / (1 + squared / 4)).sum() / vault)
    near = trust * (np.abs(distance) < COVERED_MM)
    vault_distance = np.abs(distance[trust > JUDGED_TRUST])
    deviation = fit.log_scale - fit.log_scale.mean()
    penalty = (fit.log_scale.mean() / SIZE_SPREAD) ** 2 + (deviation**2).sum() / SHAPE_SPREAD**2
    return _Fit(
        fit.rotation,
        fit.centre_mm,
        fit.log_scale,
        cost=cost + A_PRIORI_WEIGHT * float(penalty),
        coverage=float(near.sum() / vault),
        median_mm=float(np.median(vault_distance)) if vault_distance.size else np.inf,
    )


def _require_hollow(coarse: sitk.Image, fit: _Fit) -> None:
    """Raise where the inside of the vault is full of 'bone'."""
    values = radial.cast_rays(coarse, fit.centre_mm, _sphere(HOLLOW_RAYS), HOLLOW_RADII_MM)
    if float(values.mean()) > MOST_FILLED:
        raise _not_a_skull("it is solid inside")


def _mirror_plane(
    coarse: sitk.Image, template: _Template, fit: _Fit
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (rotation, centre) with the plane x = 0 moved so that the vault mirrors best.

    Yaw, roll and the shift across the plane are free; the rest stays as the template put it.
    """
    rotation, centre = fit.rotation, fit.centre_mm
    directions, polar = radial.map_directions(MIRROR_SIZE)
    disc = polar <= radial.POLAR_MAX_RAD
    for _ in range(MIRROR_ROUNDS):
        points, found = _outer_points(coarse, centre, directions[disc] @ rotation.T)
        standard = (points - centre) @ rotation
        scaled = standard / np.exp(fit.log_scale)
        vault = template.trust_at(scaled) > MIRRORED_TRUST
        vault &= np.abs(template.above_mm(scaled)) < MIRRORED_MM
        radius_mm = np.zeros(disc.shape)
        known = np.zeros(disc.shape, dtype=bool)
        where = tuple(index[found[vault]] for index in np.nonzero(disc))
        radius_mm[where] = np.linalg.norm(standard[vault], axis=1)
        known[where] = True
        move = _mirror_step(radius_mm, known, directions)
        centre = centre + rotation @ np.array([move[0], 0.0, 0.0])
        rotation = rotation @ Rotation.from_rotvec([0.0, move[1], move[2]]).as_matrix()
    return rotation, centre


def _mirror_step(
    radius_mm: NDArray[np.float64], known: NDArray[np.bool_], directions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (shift in mm, turn about y, turn about z in radians) that reduces the asymmetry.

    `radius_mm` is the outer radius on the map `directions`, known where `known`. When the frame
    shifts by t along x and turns by w about y and z, the mirrored surface point m moves, relative
    to the surface, by 2 t - 2 m x w.
    """
    both = known & known[:, ::-1]
    if both.sum() < LEAST_MIRRORED:
        return np.zeros(3)
    filled = radial.fill_nearest(radius_mm, known)
    mirrored = directions[both] * radius_mm[:, ::-1][both][:, None]
    zoom = len(radius_mm) / radial.SIZE

    def above_mm(points: Vectors) -> Floats:
        rows, columns, radius = radial.to_map(points)
        rows, columns = (rows + 0.5) * zoom - 0.5, (columns + 0.5) * zoom - 0.5
        return radius - radial.look_up(filled, rows, columns)

    distance, gradient = _first_order(above_mm, mirrored, MIRROR_STEP_MM)
    jacobian = 2 * np.concatenate([gradient[:, :1], -np.cross(gradient, mirrored)[:, 1:]], axis=1)
    spread = max(MIRROR_SPREADS * float(np.median(np.abs(distance))), LEAST_SPREAD_MM)
    weight = 1 / (1 + (distance / (2 * spread)) ** 2) ** 2
    # The map is denser towards its edge; weigh by solid angle.
    weight *= np.sinc(np.arccos(directions[both][:, 2]) / np.pi)
    normal = jacobian.T @ (jacobian * weight[:, None])
    normal += np.diag(MIRROR_RIDGE) * weight.sum()
    move = -np.linalg.solve(normal, jacobian.T @ (distance * weight))
    return np.clip(move, -np.array(MOST_MIRROR_MOVE), MOST_MIRROR_MOVE)
