"""Heads with a hole, and what is done to them: wrong axes, turns, scales, a cut to a cap.

All of it is plain numpy and scipy; of the library only the hole and the skull's own tilt are taken.
Arrays are (z, y, x); rotations take LPS to LPS.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations, product
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SkullImplantLib.cases.defects import apply_to_ct, make_defect
from SkullImplantLib.cases.skull_folder import SkullFile
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.shape_statistics import shipped_population

GRID_MM = 1.5  # of all heads here
AIR_HU = -1000.0
ANGLES_DEG = (20, 30, 45, 60, 90, 120, 180)
SCALES = (0.8, 1.25)
CAPS_MM = (0, 20, 40)  # a cap ends so far below the vault's centre
BACKWARDS = np.diag([-1.0, -1.0, 1.0])
UPSIDE_DOWN = np.diag([1.0, -1.0, -1.0])
ON_ITS_SIDE = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
KINDS = ("bilateral", "frontoorbital", "parietotemporal")

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Head:
    """A head with a hole on a grid along LPS of equal sides, the piece that fills the hole, the
    patient's own turn against LPS, and the vault's centre (mm from the first voxel, x, y, z).
    """

    kind: str
    image: Array
    truth: Array
    spacing_mm: tuple[float, float, float]
    turn: Array
    centre_mm: Array

    def as_image(self, values: Array) -> sitk.Image:
        """Return one of the arrays under a plain header, the axes along LPS."""
        image = sitk.GetImageFromArray(np.ascontiguousarray(values))
        image.SetSpacing(self.spacing_mm)
        return image


@dataclass(frozen=True)
class Change:
    """What is done to a head: cut to a cap or left whole, scaled, and turned; `relabelled` moves
    voxels without interpolation, as a script does that forgets the header.
    """

    group: str
    name: str
    rotation: Array
    relabelled: bool = False
    scale: float = 1.0
    cap_mm: float | None = None

    @property
    def straight(self) -> "Change":
        """The same part of the same head as it was."""
        return Change("straight", f"straight{self._part}", np.eye(3), True, 1.0, self.cap_mm)

    @property
    def _part(self) -> str:
        return "" if self.cap_mm is None else f"-cap{self.cap_mm:g}"

    def made(self, head: Head) -> Head:
        """Return the head so changed."""
        if self.cap_mm is not None:
            head = _cut(head, self.cap_mm)
        if not self.relabelled:
            head = _turned(head, self.rotation)
        elif not np.allclose(self.rotation, np.eye(3)):
            head = _relabelled(head, self.rotation)
        return replace(head, spacing_mm=tuple(self.scale * s for s in head.spacing_mm))


def changes(seed: int) -> list[Change]:
    """Return all that is done to a head; axes of turns are drawn by the seed."""
    made = [Change("axes", f"axes-{k:02}", r, True) for k, r in enumerate(cube_rotations()) if k]
    rng = np.random.default_rng(seed)
    for degrees in ANGLES_DEG:
        turn = _random_turn(degrees, rng)
        made.append(Change("turned", f"turned-{degrees}", turn))
    for scale in SCALES:
        made.append(Change("scaled", f"scaled-{scale:g}", np.eye(3), True, scale))
        name = f"scaled-{scale:g}-backwards"
        made.append(Change("scaled and backwards", name, BACKWARDS, True, scale))
    for cap_mm in CAPS_MM:
        ways = {"backwards": BACKWARDS, "upside-down": UPSIDE_DOWN, "on-its-side": ON_ITS_SIDE}
        for name, turn in ways.items():
            made.append(Change("cap", f"cap{cap_mm}-{name}", turn, True, cap_mm=cap_mm))
        for degrees in ANGLES_DEG[::2]:
            turn = _random_turn(degrees, rng)
            made.append(Change("cap", f"cap{cap_mm}-turned-{degrees}", turn, cap_mm=cap_mm))
    return made


def cube_rotations() -> list[Array]:
    """Return the 24 rotations that take axes to axes, the one that does nothing first."""
    found = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        matrix = np.zeros((3, 3))
        matrix[list(order), range(3)] = signs
        if np.linalg.det(matrix) > 0:
            found.append(matrix)
    return sorted(found, key=lambda matrix: -np.trace(matrix))


@lru_cache(maxsize=1)
def head_in(path: Path, number: int) -> Head:
    """Return the head in a file with its hole, the kind of it and its place by the number."""
    source, mask = SkullFile(path.name.split(".")[0], path).read()
    pose = estimate_pose(mask, shipped_population())
    rng = np.random.default_rng([number, 14])
    defect = make_defect(mask, KINDS[number % len(KINDS)], rng, pose=pose, area_cm2=60.0)
    image = defect.defective
    if source.kind == "ct":
        image = apply_to_ct(source.image, defect, rng)
    corner = np.array(image.GetOrigin())
    zoom = np.array(image.GetSpacing()[::-1]) / GRID_MM
    values = _coarser(sitk.GetArrayFromImage(image).astype(np.float32), zoom)
    truth = _coarser(sitk.GetArrayFromImage(defect.implant).astype(np.float32), zoom)
    return Head(
        source.kind,
        values.astype(np.int16) if source.kind == "ct" else (values > 0.5).astype(np.uint8),
        (truth > 0.5).astype(np.uint8),
        (GRID_MM,) * 3,
        pose.rotation,
        pose.centre_mm - corner,
    )


def _coarser(values: Array, zoom: Array) -> Array:
    """Return values on another grid with the same first voxel, averaged where it is coarser."""
    smooth = ndimage.gaussian_filter(values, 0.4 * np.maximum(1.0 / zoom - 1.0, 0.0))
    shape = [int((n - 1) * z) + 1 for n, z in zip(values.shape, zoom)]
    return np.asarray(ndimage.affine_transform(smooth, 1.0 / zoom, 0.0, tuple(shape), order=1))


def _random_turn(degrees: float, rng: np.random.Generator) -> Array:
    axis = rng.standard_normal(3)
    return np.asarray(
        Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis)).as_matrix()
    )


def _cut(head: Head, below_mm: float) -> Head:
    """Return the part of a head above a plane so far below the vault's centre."""
    lowest = max(int((head.centre_mm[2] - below_mm) / head.spacing_mm[2]), 0)
    return replace(head, image=head.image[lowest:], truth=head.truth[lowest:])


def _relabelled(head: Head, rotation: Array) -> Head:
    """Return a head whose voxels are moved by a rotation of the cube, its header left as it was."""
    order = [int(np.argmax(np.abs(row))) for row in rotation]  # which old axis each new one is
    signs = [int(np.sign(row[k])) for row, k in zip(rotation, order)]
    view = tuple(slice(None, None, s) for s in signs)
    return replace(
        head,
        **{name: getattr(head, name).T.transpose(order)[view].T for name in ("image", "truth")},
        turn=rotation @ head.turn,
    )


def _turned(head: Head, rotation: Array) -> Head:
    """Return a head turned about the middle of its image and interpolated, with nothing cut off."""
    size = np.array(head.image.shape[::-1])
    new = np.ceil(np.abs(rotation) @ size).astype(int)
    back = rotation.T
    offset = (size - 1) / 2 - back @ ((new - 1) / 2)
    outside = AIR_HU if head.kind == "ct" else 0.0

    def there(values: Array, cval: float) -> Array:
        moved = ndimage.affine_transform(
            values.T.astype(np.float32), back, offset, tuple(new), order=1, cval=cval
        )
        return np.asarray(moved.T)

    image, truth = there(head.image, outside), there(head.truth, 0.0)
    return replace(
        head,
        image=image.astype(np.int16) if head.kind == "ct" else (image > 0.5).astype(np.uint8),
        truth=(truth > 0.5).astype(np.uint8),
        turn=rotation @ head.turn,
    )
