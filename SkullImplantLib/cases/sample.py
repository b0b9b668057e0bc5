"""The sample patient: a head CT made by formulas, with a craniectomy whose answer is known.

It serves the demo, the tests and the Slicer module's sample data, so that nobody needs to download
or share a patient. It is no real anatomy and no evidence of accuracy. The head frame is the
project's standard frame (origin in the vault's centre, x left, y posterior, z superior, mm); the
patient lies with a small tilt in the scanner, whose axes are LPS.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import image_like
from ..core.progress import Progress, part, silent
from ..core.threads import worker_count
from .defects import Defect, apply_to_ct, make_defect

Floats = NDArray[np.floating]
Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Hounsfield units of head CT at 120 kV (Hounsfield scale; ranges as in radiology textbooks).
AIR_HU, FAT_HU, MUSCLE_HU, BRAIN_HU, CSF_HU = -1000.0, -90.0, 50.0, 36.0, 8.0
TABLE_BONE_HU, DIPLOE_HU, BASE_BONE_HU = 1350.0, 520.0, 900.0
FOAM_HU, SHELL_HU = -920.0, 140.0
# Slices painted at a time; enough for numpy, and small enough for memory.
SLAB_SLICES = 16
# A bump falls to a quarter 24 degrees from its middle.
BUMP_NARROWNESS = 12.0
# The left of the head is flatter, as after lying on it as a child (mild positional plagiocephaly),
# so that no side is the other's mirror image. Direction in the head frame: left, posterior, up.
FLAT_DIRECTION, FLATTENING_MM = (0.86, 0.20, 0.46), 6.0


@dataclass(frozen=True)
class SampleOptions:
    """What the sample patient looks like; the defaults are those of a modern head CT."""

    spacing_mm: tuple[float, float, float] = (0.55, 0.55, 0.625)
    noise_hu: float = 14.0
    tilt_degrees: float = 7.0
    defect_kind: str = "parietotemporal"
    defect_area_cm2: float = 70.0


@dataclass(frozen=True)
class SamplePatient:
    """The sample patient and the answer.

    `ct`: the CT with the craniectomy (int16 HU). `complete`, `defective`, `implant`: `uint8` masks
    of the bone by formula before the craniectomy, after it, and of the piece taken out.
    """

    ct: sitk.Image
    complete: sitk.Image
    defective: sitk.Image
    implant: sitk.Image


@dataclass(frozen=True)
class _FormulaPose:
    """The head's true pose in the scanner: patient = rotation @ standard + centre_mm."""

    rotation: Floats
    centre_mm: Floats
    fit_mm: float = 0.0

    def to_patient(self, points: Floats) -> Floats:
        patient_mm: Floats = points @ self.rotation.T + self.centre_mm
        return patient_mm

    def to_standard(self, points: Floats) -> Floats:
        standard_mm: Floats = (points - self.centre_mm) @ self.rotation
        return standard_mm


@dataclass(frozen=True)
class _HeadShape:
    """Numbers that make this head its own: semi-axes in mm and smooth bumps of the outer table."""

    half_width_mm: float
    half_length_mm: float
    height_mm: float
    thickness_mm: float
    bump_directions: Floats
    bump_heights_mm: Floats


def make_sample_patient(
    seed: int = 0, options: SampleOptions = SampleOptions(), progress: Progress = silent
) -> SamplePatient:
    """Return the sample patient of `seed`: scalp, bone with diploe, brain, air, headrest, noise."""
    rng = np.random.default_rng(seed)
    head = _HeadShape(
        half_width_mm=rng.normal(73.0, 2.5),
        half_length_mm=rng.normal(92.0, 3.0),
        height_mm=rng.normal(86.0, 2.5),
        thickness_mm=rng.normal(6.6, 0.6),
        bump_directions=_unit(rng.normal(size=(10, 3))),
        bump_heights_mm=rng.normal(0.0, 1.0, size=10),
    )
    pose = _random_pose(options.tilt_degrees, rng)
    grid = _scanner_grid(options.spacing_mm)
    progress(0.0, "building the sample patient")
    hu, bone = _paint(grid, pose, head, rng, part(progress, 0.0, 0.6))
    hu += _scanner_noise(hu.shape, options.noise_hu, rng)
    ct = image_like(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), grid)
    del hu
    complete = image_like(bone, grid)
    progress(0.7, "cutting the craniectomy")
    defect: Defect = make_defect(
        complete, options.defect_kind, rng, area_cm2=options.defect_area_cm2, pose=pose
    )
    ct = apply_to_ct(ct, defect, rng)
    progress(1.0, "sample patient ready")
    return SamplePatient(ct, complete, defect.defective, defect.implant)


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _random_pose(tilt_degrees: float, rng: np.random.Generator) -> _FormulaPose:
    """A small rotation about a random axis: nobody lies quite straight in a scanner."""
    transform = sitk.VersorTransform(_unit(rng.normal(size=3)).tolist(), np.deg2rad(tilt_degrees))
    rotation = np.reshape(transform.GetMatrix(), (3, 3))
    return _FormulaPose(rotation, rng.normal(0.0, 2.0, size=3))


def _scanner_grid(spacing_mm: tuple[float, float, float]) -> sitk.Image:
    """An axial field of view from the upper jaw to above the vertex, with room for the headrest."""
    low, high = np.array([-98.0, -118.0, -78.0]), np.array([98.0, 132.0, 104.0])
    size = np.ceil((high - low) / np.asarray(spacing_mm)).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing(spacing_mm)
    grid.SetOrigin(low.tolist())
    return grid


def _paint(
    grid: sitk.Image,
    pose: _FormulaPose,
    head: _HeadShape,
    rng: np.random.Generator,
    progress: Progress,
) -> tuple[Singles, Mask]:
    """Return HU (float32) and the bone mask (bool), both (z, y, x), a few slices at a time."""
    nx, ny, nz = grid.GetSize()
    spacing, origin = np.asarray(grid.GetSpacing()), np.asarray(grid.GetOrigin())
    x = (origin[0] + spacing[0] * np.arange(nx)).astype(np.float32)[None, None, :]
    y = (origin[1] + spacing[1] * np.arange(ny)).astype(np.float32)[None, :, None]
    hu = np.empty((nz, ny, nx), np.float32)
    bone = np.empty((nz, ny, nx), bool)
    trabeculae = _trabeculae((nz, ny, nx), rng)
    turn = pose.rotation.astype(np.float32)
    cx, cy, cz = pose.centre_mm.astype(np.float32)
    blur_mm = float(spacing.mean())

    def paint(k: int) -> None:
        z = origin[2] + spacing[2] * np.arange(k, min(k + SLAB_SLICES, nz))
        z = z.astype(np.float32)[:, None, None]
        # The head frame's coordinates, each a sum of three terms that vary along one axis only.
        point = [(x - cx) * r[0] + (y - cy) * r[1] + (z - cz) * r[2] for r in turn.T]
        rows = slice(k, k + len(z))
        hu[rows], bone[rows] = _paint_slab(point, (x, y), head, trabeculae[rows], blur_mm)

    with ThreadPoolExecutor(worker_count()) as painters:
        for done, _ in enumerate(painters.map(paint, range(0, nz, SLAB_SLICES))):
            progress(min((done + 1) * SLAB_SLICES, nz) / nz, "building the sample patient")
    return hu, bone


def _paint_slab(
    point: list[Floats],
    scanner_xy: tuple[Floats, Floats],
    head: _HeadShape,
    trabeculae: Floats,
    blur_mm: float,
) -> tuple[Singles, Mask]:
    """Paint the materials over one another, each with an edge one voxel soft (partial volume)."""
    x, y, z = point
    outside, thickness, base = _skull_distances(x, y, z, head)
    inside = np.minimum(-(outside + thickness), base - 4.5)  # > 0 in the cranial cavity
    vault = np.maximum(outside, -base)
    orbits = np.hypot(np.hypot(np.abs(x) - 33.0, (y + 77.0) * 0.75), z + 47.0) - 18.0
    nose = np.maximum(np.abs(x) - 13.0, np.maximum(np.abs(y + 78.0) - 22.0, z + 40.0))
    canal = np.hypot(x, y - 22.0) - 15.0  # the foramen magnum and the spinal canal
    face = np.maximum.reduce([outside + 6.0, y + 52.0, base, np.abs(x) - 52.0])
    spine = np.maximum(np.hypot(x, y - 22.0) - 24.0, base + 3.0)
    bone_distance = np.minimum(np.maximum(vault, inside), np.minimum(face, spine))
    bone_distance = np.maximum.reduce(
        [bone_distance, -orbits, -nose, np.where(z < -40, -canal, -99)]
    )
    sinus = np.hypot(np.hypot(np.abs(x) - 11.0, (y + 84.0) * 1.6), z + 24.0) - 8.0

    value = np.full(x.shape, AIR_HU, np.float32)

    def paint(distance: Floats, material_hu: Floats | float) -> None:
        share = np.clip(0.5 - distance / blur_mm, 0.0, 1.0)
        np.copyto(value, value + share * (material_hu - value))

    cradle = np.hypot(scanner_xy[0], scanner_xy[1] - 12.0)
    in_cradle = np.where(scanner_xy[1] > 45.0, 0.0, 99.0)
    paint(np.maximum(np.abs(cradle - 112.0) - 5.0, in_cradle), FOAM_HU)
    paint(np.maximum(np.abs(cradle - 115.5) - 1.2, in_cradle), SHELL_HU)
    scalp = outside - 5.5
    paint(scalp, MUSCLE_HU)
    paint(np.maximum(scalp + 1.6, -(outside - 1.6)), FAT_HU)
    paint(bone_distance, BASE_BONE_HU)
    # In the vault: two tables of compact bone about 1.6 mm thick with diploe between them.
    table_mm = np.minimum(1.6, 0.42 * thickness)
    in_vault = (outside < 1.0) & (outside > -thickness - 1.0) & (base > -1.0)
    paint(np.where(in_vault, bone_distance, 99.0), TABLE_BONE_HU)
    diploe = np.maximum(outside + table_mm, -(outside + thickness - table_mm))
    paint(np.where(in_vault, diploe, 99.0), DIPLOE_HU + 260.0 * trabeculae)
    paint(-inside, CSF_HU)
    paint(-(inside - 2.0), BRAIN_HU + 5.0 * trabeculae)
    ventricles = np.hypot(np.hypot((np.abs(x) - 12.0) / 0.5, (y - 8.0) / 1.9), z / 0.7) - 14.0
    paint(ventricles, CSF_HU)
    paint(np.maximum(sinus, outside + 3.0), AIR_HU)
    paint(np.maximum(nose + 2.0, scalp + 8.0), AIR_HU)
    bone = (bone_distance < 0.0) & ~(np.maximum(sinus, outside + 3.0) < 0.0)
    return value, bone


def _skull_distances(
    x: Floats, y: Floats, z: Floats, head: _HeadShape
) -> tuple[Floats, Floats, Floats]:
    """Return, in mm, the distance outside the outer table, the bone's thickness, and the height
    above the skull base, for points (x, y, z) of the head frame.

    The outer table is a superellipsoid, narrower in front, with a brow and smooth bumps.
    """
    radius = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-3)
    ux, uy, uz = x / radius, y / radius, z / radius
    width = head.half_width_mm * (0.955 + 0.065 * np.tanh((y - 2.0) / 40.0))
    height = np.where(z > 0.0, head.height_mm, 1.35 * head.height_mm)
    # |u|^2.5 as u² sqrt|u|: there are tens of millions of voxels, and powers are slow.
    form = np.zeros(np.broadcast_shapes(x.shape, y.shape, z.shape), np.float32)
    for part_of_axis in (x / width, y / head.half_length_mm, z / height):
        form += part_of_axis * part_of_axis * np.sqrt(np.abs(part_of_axis))
    surface = radius / np.maximum(form, 1e-6) ** 0.4
    for direction, bump_mm in zip(head.bump_directions.astype(np.float32), head.bump_heights_mm):
        cosine = ux * direction[0] + uy * direction[1] + uz * direction[2]
        surface += np.float32(bump_mm) / (1.0 + BUMP_NARROWNESS * (1.0 - cosine)) ** 2
    toward_flat = ux * FLAT_DIRECTION[0] + uy * FLAT_DIRECTION[1] + uz * FLAT_DIRECTION[2]
    # Falls to a half 24 degrees from its middle.
    flat = np.square(np.square(np.square(np.maximum(toward_flat, 0.0))))
    surface = surface - FLATTENING_MM * flat
    brow = np.exp(-(((z + 26.0) / 9.0) ** 2)) * np.clip(-uy, 0.0, 1.0) ** 6
    surface = surface + 4.0 * brow
    temple = np.exp(-(((z + 22.0) / 20.0) ** 2) - ((y + 12.0) / 26.0) ** 2) * np.abs(ux) ** 2
    surface = surface - 2.5 * temple
    thickness = (
        head.thickness_mm
        * (1.0 + 0.22 * np.clip(uy, 0.0, 1.0) + 0.10 * np.clip(uz, 0.0, 1.0) - 0.5 * temple)
        * (1.0 + 0.06 * np.sin(5.0 * ux + 3.0 * uy) * np.cos(4.0 * uz + 2.0 * uy))
    )
    thickness = thickness + 5.0 * brow
    base = z - (-46.0 + 12.0 * np.tanh((-y - 25.0) / 18.0) - 10.0 * np.tanh((y - 8.0) / 20.0))
    return radius - surface, thickness, base


def _trabeculae(shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """Return smooth noise of unit variance, about 1 mm coarse: the spongy texture of diploe."""
    noise = sitk.GetImageFromArray(rng.standard_normal(shape, dtype=np.float32))
    smooth: Singles = sitk.GetArrayFromImage(sitk.RecursiveGaussian(noise, 1.0, direction=0))
    for direction in (1, 2):
        smooth = sitk.GetArrayFromImage(
            sitk.RecursiveGaussian(sitk.GetImageFromArray(smooth), 1.0, direction=direction)
        )
    texture: Singles = smooth / smooth.std()
    return texture


def _scanner_noise(
    shape: tuple[int, int, int], noise_hu: float, rng: np.random.Generator
) -> Floats:
    """Return noise correlated over neighbouring voxels, as a reconstruction kernel leaves it."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    for axis in (1, 2):
        noise = 0.7 * noise + 0.3 * np.roll(noise, 1, axis=axis)
    return noise * np.float32(noise_hu / noise.std())
