"""Which way a head lies in an image: found among all rotations, from its bone alone.

The bone is compared with the mean skull (`mean_skull.py`), vault, base and face, by a matched
filter: bone in a voxel votes with the logarithm of how much likelier it is there than elsewhere
near a skull. All places and rotations are tried on a coarse grid, rotations spread evenly by
super-Fibonacci spirals (Alexa, CVPR 2022), and the best of them, if they are not neighbours, are
moved, turned and scaled until they fit. A hole takes its part from the score of every rotation.
Left and right cannot be told: the mean skull is symmetric.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import fft, ndimage, optimize
from scipy.spatial.transform import Rotation

from ..core.images import array_of
from .mean_skull import GRID_MM, LOW_MM, SIZE_XYZ, MeanSkull, blurred_bone

Floats = NDArray[np.floating]
Vector = NDArray[np.float64]  # (3,)
Matrix = NDArray[np.float64]  # (3, 3)

COARSE_STEP = 2.0  # of the grid on which all rotations are tried, in steps of the mean skull's
COARSE_BLUR = 0.7  # of both before, in the same: nothing finer than the coarse grid is left
ROTATIONS = 300  # about 28 degrees apart; beside the 24 that take axes to axes
SPIRAL = (np.sqrt(2.0), 1.533751168755204288118041)  # the constants of Alexa's two spirals
# A voxel size may be wrong: heads of these sizes are looked for too, along the axes.
OTHER_SIZES = (0.8, 1.25)
TRIED, APART_DEG = 8, 35.0  # of the rotations, so many are fitted, the best that are so far apart
UPRIGHT_TRIED = 3  # and the best so many of those that are upright, so that none is missed
FIT_STEPS = 20
SCALE = 1000.0  # of the losses: what the optimiser takes for flat is then flat
# Of the votes, one in so many is heard first; more where the best other rotation comes near.
EVERY, CLOSER_EVERY, NEAR = 6, 2, 0.9
ARM_MM = 90.0  # a turn, or a change of size, moves the vault, so far out, by that times its angle
# A priori: standard deviations of the logs of size and of each side to size, and what they weigh
# beside a score of 1.
SIZE_SPREAD, SHAPE_SPREAD, A_PRIORI_WEIGHT = 0.12, 0.06, 0.01
MOST_TILT_DEG = 45.0  # nearer, no other naming of the axes comes nearer
LEAST_SCORE = 0.25  # below: no head that is known


@dataclass(frozen=True)
class Lie:
    """How a head lies in an image.

    rotation, centre_mm: patient_lps = rotation @ standard + centre_mm, as in `Pose`. score: how
    well the mean skull fits there, at most 1. upright_score: how well it fits at best where the
    patient's axes are within `MOST_TILT_DEG` of the image's LPS. shown: how much of the bone that
    the mean skull has is there, at most 1; a whole vault without base and face has less than a
    half, a head with base and face, and with a large hole, more than 0.6.
    """

    rotation: Matrix
    centre_mm: Vector
    score: float
    upright_score: float
    shown: float

    @property
    def tilt_deg(self) -> float:
        """By how much the patient's axes are turned against the image's LPS."""
        return turn_deg(self.rotation)


@dataclass(frozen=True)
class _Fit:
    """log_size: of the head along the standard axes, to the mean skull's."""

    rotation: Matrix
    centre_mm: Vector
    score: float
    log_size: Vector

    @property
    def upright(self) -> bool:
        return turn_deg(self.rotation) <= MOST_TILT_DEG


def turn_deg(rotation: Matrix) -> float:
    """Return the angle of a rotation."""
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1.0, 1.0))))


def axis_rotations() -> list[Matrix]:
    """Return the 24 rotations that take axes to axes."""
    return list(Rotation.create_group("O").as_matrix())


def find_lie(bone: sitk.Image, mean: MeanSkull) -> Lie:
    """Return how the skull lies in a mask (uint8 0/1) of its bone and of whatever else is bright.

    Deterministic. Raises `SkullImplantError` where the mask is empty.
    """
    image = blurred_bone(bone)
    votes = mean.votes()
    some, more = _Filter(image, votes, EVERY), _Filter(image, votes, CLOSER_EVERY)
    fits = [some.fitted(start) for start in _starts(image, votes)]
    fits.sort(key=lambda fit: -fit.score)
    chosen = fits
    if any(fit.upright is not fits[0].upright and fit.score > NEAR * fits[0].score for fit in fits):
        chosen = [
            more.fitted(next(fit for fit in fits if fit.upright is upright))
            for upright in (True, False)
        ]
    best = max(chosen, key=lambda fit: fit.score)
    upright = max((fit.score for fit in chosen if fit.upright), default=0.0)
    return Lie(best.rotation, best.centre_mm, best.score, upright, some.shown(best))


def _starts(image: sitk.Image, votes: NDArray[np.float32]) -> list[_Fit]:
    """Return the best place of each of the rotations worth a fit, some of them upright."""
    coarse_mm = COARSE_STEP * GRID_MM
    values = ndimage.gaussian_filter(array_of(image), COARSE_BLUR)
    fine = ndimage.gaussian_filter(votes, COARSE_BLUR)
    ends = [np.arange(0, n, COARSE_STEP) for n in values.shape]
    values = ndimage.map_coordinates(values, np.meshgrid(*ends, indexing="ij"), order=1)
    cube = int(np.ceil(max(OTHER_SIZES) * np.linalg.norm(SIZE_XYZ) / COARSE_STEP))
    shape = [fft.next_fast_len(n + cube, real=True) for n in values.shape]
    spectrum = fft.rfftn(values, shape)
    tried = [(rotation, 1.0) for rotation in (*axis_rotations(), *_spread_rotations())]
    tried += product(axis_rotations(), OTHER_SIZES)
    found = []
    for rotation, size in tried:
        turned = _turned(fine, size * rotation, cube)
        turned /= np.linalg.norm(turned)
        scores = fft.irfftn(spectrum * np.conj(fft.rfftn(turned, shape)), shape)
        peak = np.array(np.unravel_index(scores.argmax(), scores.shape))
        peak = np.where(peak > np.array(shape) - cube, peak - shape, peak)
        middle = (peak + (cube - 1) / 2)[::-1] * coarse_mm + image.GetOrigin()
        centre = middle - size * rotation @ (LOW_MM + GRID_MM * np.array(SIZE_XYZ) / 2)
        found.append(_Fit(rotation, centre, float(scores.max()), np.full(3, np.log(size))))
    found.sort(key=lambda fit: -fit.score)
    upright = [fit for fit in found if fit.upright][:UPRIGHT_TRIED]
    starts: list[_Fit] = []
    for fit in [upright[0], *found]:
        if all(turn_deg(fit.rotation @ other.rotation.T) > APART_DEG for other in starts):
            starts.append(fit)
    return [*starts[:TRIED], *upright[1:]]


def _spread_rotations() -> NDArray[np.float64]:
    """Return `ROTATIONS` rotations (n, 3, 3), spread evenly."""
    step = np.arange(ROTATIONS) + 0.5
    low, high = np.sqrt(step / ROTATIONS), np.sqrt(1 - step / ROTATIONS)
    a, b = (2 * np.pi * step / constant for constant in SPIRAL)
    quaternions = [low * np.sin(a), low * np.cos(a), high * np.sin(b), high * np.cos(b)]
    return np.asarray(Rotation.from_quat(np.stack(quaternions, axis=1)).as_matrix())


def _turned(votes: NDArray[np.float32], turn: Matrix, cube: int) -> NDArray[np.float32]:
    """Return the votes, turned (and scaled) about their middle, in a cube on the coarse grid."""
    matrix = COARSE_STEP * np.linalg.inv(turn)[::-1, ::-1]  # of (z, y, x), from cube to votes
    middle = (np.array(votes.shape) - 1) / 2
    offset = middle - matrix @ np.full(3, (cube - 1) / 2)
    return np.asarray(ndimage.affine_transform(votes, matrix, offset, (cube,) * 3, order=1))


class _Filter:
    """The votes of the mean skull, heard at any place, rotation and size."""

    def __init__(self, image: sitk.Image, votes: NDArray[np.float32], every: int = 1) -> None:
        at = np.argwhere(votes != 0)[::every]
        self._points = LOW_MM + GRID_MM * (at[:, ::-1] + 0.5)
        self._votes = votes[tuple(at.T)].astype(np.float64)
        values = np.asarray(array_of(image), np.float32)
        self._votes *= every / (np.linalg.norm(votes) * np.linalg.norm(values))
        # The value and its slopes along x, y and z.
        self._values = [values, *np.gradient(values)[::-1]]
        self._origin_mm = np.array(image.GetOrigin())

    def fitted(self, start: _Fit) -> _Fit:
        """Return the best fit that is reached from `start`."""
        found = optimize.minimize(
            lambda moves: self._loss(moves, start),
            np.zeros(9),
            jac=True,
            method="BFGS",
            options={"maxiter": FIT_STEPS},
        )
        turn, shift, log_size = found.x[:3] / ARM_MM, found.x[3:6], found.x[6:] / ARM_MM
        rotation = start.rotation @ Rotation.from_rotvec(turn).as_matrix()
        score = -float(found.fun) / SCALE
        return _Fit(rotation, start.centre_mm + shift, score, start.log_size + log_size)

    def shown(self, fit: _Fit) -> float:
        """Return how much of the bone that the mean skull has is there, weighed by its votes."""
        places = self._points * np.exp(fit.log_size) @ fit.rotation.T + fit.centre_mm
        index = ((places - self._origin_mm) / GRID_MM).T[::-1]
        value = ndimage.map_coordinates(self._values[0], index, order=1)
        sure = np.maximum(self._votes, 0.0)
        return float(sure @ value / sure.sum())

    def _loss(self, moves: Vector, start: _Fit) -> tuple[float, Vector]:
        """Return how badly a start that is turned, shifted and scaled fits, and the slopes (9,).

        moves: mm; turns about, and logs of size along, the standard axes are multiplied by ARM_MM.
        """
        turn, shift = moves[:3] / ARM_MM, moves[3:6]
        log_size = start.log_size + moves[6:] / ARM_MM
        rotation = start.rotation @ Rotation.from_rotvec(turn).as_matrix()
        points = self._points * np.exp(log_size)
        places = points @ rotation.T + start.centre_mm + shift
        index = ((places - self._origin_mm) / GRID_MM).T[::-1]
        value, *slopes = (
            ndimage.map_coordinates(values, index, order=1) for values in self._values
        )
        pull = self._votes[:, None] * np.stack(slopes, axis=1) / GRID_MM
        turned = pull @ rotation
        # Of a larger head each point stands for more bone, of which the norm of all rises slower.
        more = np.exp(log_size.sum() / 2)
        heard = more * float(self._votes @ value)
        size = log_size.mean()
        shape = log_size - size
        penalty = (size / SIZE_SPREAD) ** 2 + (shape**2).sum() / SHAPE_SPREAD**2
        by_size = 2 * (size / SIZE_SPREAD**2 / 3 + shape / SHAPE_SPREAD**2)
        by_scale = more * (turned * points).sum(axis=0) + heard / 2
        gain = np.concatenate(
            [
                more * np.cross(points, turned).sum(axis=0) / ARM_MM,
                more * pull.sum(axis=0),
                (by_scale - A_PRIORI_WEIGHT * by_size) / ARM_MM,
            ]
        )
        loss = A_PRIORI_WEIGHT * float(penalty) - heard
        return SCALE * loss, -SCALE * gain
