"""Where a skull lies: its standard pose, found from the outer surface of the vault.

The outermost bone along rays from the middle of the head is fitted, robustly and from many
starting tilts, to the mean vault of the population (Gauss-Newton with Geman-McClure weights, head
length, width and height as nuisances). The mid-sagittal plane is then refined by mirroring the
skull's own outer surface. Holes give no rays and a half missing vault still leaves enough.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from ..core.images import array_of, index_to_lps_mm
from ..core.progress import Progress, silent
from ..errors import SkullImplantError
from . import radial
from .frame import Pose
from .shape_statistics import OUTER, Population, shipped_population

COARSE_MM = 2.5  # pose needs no more, and a 512x512x512 mask becomes small
COARSE_LEVEL = 0.4  # share of bone in a coarse voxel; below one half so that thin bone counts
RAYS = 3000
RADII_MM = np.arange(30.0, 152.0, 2.0)
START_TILTS_DEG = (-24.0, 0.0, 24.0)
START_ROUNDS = ((300, 9), (700, 3), (700, 1))  # rays cast, and how many of the fits go on
SIZE_SPREAD = 0.08  # a priori standard deviation of the log of head size
SHAPE_SPREAD = 0.04  # the same of length, width and height, each relative to size
RESIDUAL_SPREAD_MM = 2.0  # how far a normal vault departs from the scaled mean
FIT_SPREADS_MM = (8.0, 5.0, 4.0, 3.0, 2.0, 2.0, 2.0)  # robustness is tightened as the fit closes in
WORST_FIT_MM = 4.0  # skulls fit to 0.6 - 1.5 mm
LEAST_COVERAGE = 0.45  # share of the vault that must be there; 120 cm² missing leaves 0.8
MIRROR_SIZE = 64  # of the small map on which the mid-sagittal plane is refined
MIRROR_ROUNDS = 5
LEAST_MIRRORED = 300  # pixels of it that must be known on both sides
MOST_FILLED = 0.25  # a skull's inside is empty


def estimate_pose(
    skull: sitk.Image, progress: Progress = silent, population: Population | None = None
) -> Pose:
    """Return the standard pose of a skull mask (uint8 0/1), which may have holes in its vault.

    The image's LPS axes must agree with the patient's to about 30 degrees. `population` replaces
    the shipped one. Deterministic. Raises `SkullImplantError` where the mask does not look like a
    skull.
    """
    progress(0.0, "Finding the standard pose")
    pose = fit_pose(skull, population or shipped_population())
    progress(1.0, "Standard pose found")
    return pose


def fit_pose(skull: sitk.Image, population: Population) -> Pose:
    """As `estimate_pose`, with the `population` given."""
    coarse = radial.share_of_bone(skull, COARSE_MM)
    bone = np.argwhere(array_of(coarse) >= COARSE_LEVEL)[:, ::-1]
    if len(bone) < 500:
        raise _not_a_skull("there is hardly any bone in it")
    frame = index_to_lps_mm(coarse)
    bone_mm = bone[:: max(len(bone) // 20000, 1)] @ frame[:3, :3].T + frame[:3, 3]
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
    return Pose(rotation=rotation, centre_mm=centre, fit_mm=best.median_mm)


def _not_a_skull(why: str) -> SkullImplantError:
    return SkullImplantError(
        f"This does not look like a skull ({why}); give a head CT or skull mask with most of the "
        "cranial vault in it and the patient's axes within 30 degrees of the scanner's."
    )


def _sphere(count: int) -> np.ndarray:
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

    def off(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return |q| - radius(direction of q) of points (n, 3), and the trust there."""
        rows, columns, reach = radial.to_map(points)
        return (
            reach - radial.look_up(self.radius_mm, rows, columns),
            radial.look_up(self.trust, rows, columns),
        )

    def distance(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the signed distance (first order), its gradient (n, 3) and the trust."""
        off, trust = self.off(points)
        step = 1.0
        gradient = np.stack(
            [
                (self.off(points + step * axis)[0] - self.off(points - step * axis)[0]) / (2 * step)
                for axis in np.eye(3)
            ],
            axis=-1,
        )
        steep = np.maximum(np.linalg.norm(gradient, axis=1), 0.5)
        return off / steep, gradient / steep[:, None], trust


@dataclass(frozen=True)
class _Fit:
    """A fit of the scaled template: patient = rotation @ (scale * template) + centre."""

    rotation: np.ndarray
    centre_mm: np.ndarray
    log_scale: np.ndarray
    cost: float = np.inf
    coverage: float = 0.0
    median_mm: float = np.inf


def _start_rotations() -> list[np.ndarray]:
    return [
        Rotation.from_euler("zyx", [yaw, roll, pitch], degrees=True).as_matrix()
        for yaw in START_TILTS_DEG
        for roll in START_TILTS_DEG
        for pitch in START_TILTS_DEG
    ]


def _start(bone_mm: np.ndarray, rotation: np.ndarray, template: _Template) -> _Fit:
    """Return a start with the given rotation: size and place from the top 90 mm of the bone."""
    turned = bone_mm @ rotation
    top = np.percentile(turned[:, 2], 99.9)
    cap = turned[turned[:, 2] > top - template.top_mm]
    low, high = np.percentile(cap[:, :2], [1, 99], axis=0)
    log_size = float(np.clip(np.log((high[1] - low[1]) / template.length_mm), -0.2, 0.2))
    middle = np.array([*(low + high) / 2, top - template.top_mm * np.exp(log_size)])
    return _Fit(rotation, rotation @ middle, np.full(3, log_size))


def _outer_points(
    coarse: sitk.Image, centre_mm: np.ndarray, directions: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
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
        if len(points) < 0.05 * rays:
            return fit
        for spread in FIT_SPREADS_MM:
            fit = _step(points, template, fit, spread)
    return _judge(points, template, fit, rays)


def _step(points: np.ndarray, template: _Template, fit: _Fit, spread_mm: float) -> _Fit:
    """Return `fit` after one Gauss-Newton step with Geman-McClure weights of width `spread_mm`."""
    scale = np.exp(fit.log_scale)
    turned = (points - fit.centre_mm) @ fit.rotation
    distance, gradient, trust = template.distance(turned / scale)
    weight = trust / (1 + (distance / (2 * spread_mm)) ** 2) ** 2 / RESIDUAL_SPREAD_MM**2
    per_mm = gradient / scale
    jacobian = np.concatenate(
        [-np.cross(turned, per_mm), -per_mm, -gradient * turned / scale], axis=1
    )
    # Neighbouring rays depart together; one in ten counts as independent.
    normal = jacobian.T @ (jacobian * weight[:, None]) / 10
    right = -jacobian.T @ (distance * weight) / 10
    shape = np.eye(3) - 1 / 3
    prior = shape / SHAPE_SPREAD**2 + np.full((3, 3), 1 / 9) / SIZE_SPREAD**2
    normal[6:, 6:] += prior
    right[6:] -= prior @ fit.log_scale
    move = np.linalg.solve(normal + 1e-9 * np.trace(normal) * np.eye(9), right)
    move[:3] = np.clip(move[:3], -0.15, 0.15)
    return _Fit(
        rotation=fit.rotation @ Rotation.from_rotvec(move[:3]).as_matrix(),
        centre_mm=fit.centre_mm + fit.rotation @ np.clip(move[3:6], -15, 15),
        log_scale=np.clip(fit.log_scale + move[6:], -0.3, 0.3),
    )


def _judge(points: np.ndarray, template: _Template, fit: _Fit, rays: int) -> _Fit:
    """Return `fit` with its cost, its coverage of the vault and its median distance."""
    turned = (points - fit.centre_mm) @ fit.rotation
    distance, _, trust = template.distance(turned / np.exp(fit.log_scale))
    squared = (distance / RESIDUAL_SPREAD_MM) ** 2
    # Rays are even in solid angle, so a direction without bone is a ray lost at full cost.
    vault = template.solid_angle / (4 * np.pi) * rays
    cost = 1 - float((trust / (1 + squared / 4)).sum() / vault)
    near = trust * (np.abs(distance) < 8.0)
    vault_distance = np.abs(distance[trust > 0.3])
    deviation = fit.log_scale - fit.log_scale.mean()
    penalty = (fit.log_scale.mean() / SIZE_SPREAD) ** 2 + (deviation**2).sum() / SHAPE_SPREAD**2
    return _Fit(
        fit.rotation,
        fit.centre_mm,
        fit.log_scale,
        cost=cost + 0.005 * float(penalty),
        coverage=float(near.sum() / vault),
        median_mm=float(np.median(vault_distance)) if vault_distance.size else np.inf,
    )


def _require_hollow(coarse: sitk.Image, fit: _Fit) -> None:
    """Raise where the inside of the vault is full of 'bone'."""
    values = radial.cast_rays(coarse, fit.centre_mm, _sphere(500), np.arange(0.0, 45.0, 3.0))
    if float(values.mean()) > MOST_FILLED:
        raise _not_a_skull("it is solid inside")


def _mirror_plane(
    coarse: sitk.Image, template: _Template, fit: _Fit
) -> tuple[np.ndarray, np.ndarray]:
    """Return (rotation, centre) with the plane x = 0 moved so that the vault mirrors best.

    Yaw, roll and the shift across the plane are free; the rest stays as the template put it.
    """
    rotation, centre = fit.rotation, fit.centre_mm
    directions, polar = radial.map_directions(MIRROR_SIZE)
    disc = polar <= radial.POLAR_MAX_RAD
    for _ in range(MIRROR_ROUNDS):
        points, found = _outer_points(coarse, centre, directions[disc] @ rotation.T)
        standard = (points - centre) @ rotation
        offset, trust = template.off(standard / np.exp(fit.log_scale))
        vault = (trust > 0.05) & (np.abs(offset) < 15.0)
        own = np.zeros(disc.shape)
        known = np.zeros(disc.shape, dtype=bool)
        where = tuple(index[found[vault]] for index in np.nonzero(disc))
        own[where] = np.linalg.norm(standard[vault], axis=1)
        known[where] = True
        move = _mirror_step(own, known, directions)
        centre = centre + rotation @ np.array([move[0], 0.0, 0.0])
        rotation = rotation @ Rotation.from_rotvec([0.0, move[1], move[2]]).as_matrix()
    return rotation, centre


def _mirror_step(own: np.ndarray, known: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Return (shift in mm, turn about y, turn about z in radians) that reduces the asymmetry.

    `own` is the outer radius on the map `directions`, known where `known`. When the frame shifts
    by t along x and turns by w about y and z, the mirrored surface point m moves, relative to the
    surface, by 2 t - 2 m x w.
    """
    both = known & known[:, ::-1]
    if both.sum() < LEAST_MIRRORED:
        return np.zeros(3)
    filled = radial.fill_nearest(own, known)
    mirrored = directions[both] * own[:, ::-1][both][:, None]

    def off(points: np.ndarray) -> np.ndarray:
        rows, columns, reach = radial.to_map(points)
        zoom = len(own) / radial.SIZE
        return reach - radial.look_up(
            filled, (rows + 0.5) * zoom - 0.5, (columns + 0.5) * zoom - 0.5
        )

    step = 3.0
    gradient = np.stack(
        [(off(mirrored + step * e) - off(mirrored - step * e)) / (2 * step) for e in np.eye(3)],
        axis=-1,
    )
    steep = np.maximum(np.linalg.norm(gradient, axis=1), 0.5)
    distance = off(mirrored) / steep
    gradient /= steep[:, None]
    jacobian = 2 * np.concatenate([gradient[:, :1], -np.cross(gradient, mirrored)[:, 1:]], axis=1)
    spread = max(1.5 * float(np.median(np.abs(distance))), 0.5)
    weight = 1 / (1 + (distance / (2 * spread)) ** 2) ** 2
    # The map is denser towards its edge; weigh by solid angle.
    weight *= np.sinc(np.arccos(directions[both][:, 2]) / np.pi)
    normal = jacobian.T @ (jacobian * weight[:, None])
    normal += np.diag([1e-3, 1.0, 1.0]) * weight.sum()
    move = -np.linalg.solve(normal, jacobian.T @ (distance * weight))
    return np.clip(move, [-5, -0.1, -0.1], [5, 0.1, 0.1])
