"""A procedural thorax: a CT by formulas, with labels of aorta, heart, trachea and oesophagus.

For tests and training of organ segmentation (`organs`), where no data may be passed on. The four
organs touch and branch as real ones do and fill of a grid of 512 x 512 x Z voxels what those of
SegTHOR fill (Lambert et al. 2020; shares by Li et al. 2023, table S1). Around them lie lungs with
vessels, spine, ribs, fat, muscle, liver and other vessels; then come partial volume and noise.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from ..core.images import image_like
from ..core.progress import Progress, silent
from ..core.threads import worker_count
from .mask_flaws import smooth_noise
from .thorax_anatomy import Anatomy, chest_at, random_anatomy
from .thorax_shapes import (
    STEP_MM,
    BodyLattice,
    Floats,
    ShapeField,
    Singles,
    Tube,
    depth_on,
    ellipsoid_field,
    lattice_over,
    lattice_shape,
    of_volume,
    tube_field,
    union,
)

# Labels as SegTHOR has them.
OESOPHAGUS, HEART, TRACHEA, AORTA = 1, 2, 3, 4
ORGANS = {"oesophagus": OESOPHAGUS, "heart": HEART, "trachea": TRACHEA, "aorta": AORTA}
# Of the grid, by Li et al. (2023), table S1; of `FIELD_MM` it is 225, 889, 45 and 56 cm^3.
OCCUPANCY = {"aorta": 0.0020, "heart": 0.0079, "trachea": 0.0004, "oesophagus": 0.0005}
FIELD_MM = (500.0, 500.0, 450.0)
VARIES = 0.08  # standard deviation of an organ's volume between subjects
# Smooth displacement of all there is, so that no curve is a formula's.
WARP_MM, WARP_SCALE_MM = 3.0, 90.0
SLAB_SLICES = 16
# Hounsfield units at 120 kV (ranges as in radiology textbooks).
AIR_HU, LUNG_HU, FAT_HU, MUSCLE_HU, LIVER_HU = -1000.0, -840.0, -100.0, 52.0, 62.0
WALL_HU, MYOCARDIUM_HU, CANAL_HU = 42.0, 70.0, 25.0
TRABECULAR_HU, CORTICAL_HU, DISC_HU = 190.0, 520.0, 90.0
BLOOD_HU = (45.0, 450.0)  # without contrast, and as in angiography
# The trachea's mask holds its wall, as SegTHOR's does; the oesophagus is empty or holds air.
TRACHEA_WALL_MM, OESOPHAGUS_WALL_MM = 1.6, 3.4
AORTA_WALL_MM, HEART_WALL_MM, RIB_WALL_MM = 1.5, 4.0, 1.8
GROOVE_MM = 14.0  # between the chambers of the heart, filled with fat and muscle
VERTEBRA_MM = 25.0  # with its disc
# How wide the spots of fat, muscle and marrow are, and the meshes of the lungs' vessels.
TEXTURE_MM, VESSEL_MM = 25.0, 13.0


@dataclass(frozen=True)
class ThoraxOptions:
    """Size of the grid in voxels (x, y, z) over `FIELD_MM`; noise in HU; the warp's size in mm."""

    size: tuple[int, int, int] = (512, 512, 180)
    noise_hu: float = 16.0
    warp_mm: float = WARP_MM


@dataclass(frozen=True)
class ThoraxSubject:
    """`ct` (int16, HU) and `labels` (uint8, `ORGANS`) on one grid, LPS in mm."""

    ct: sitk.Image
    labels: sitk.Image


def make_thorax(
    seed: int = 0, options: ThoraxOptions = ThoraxOptions(), progress: Progress = silent
) -> ThoraxSubject:
    """Return the subject of `seed`: the same body on every grid, but for the noise."""
    rng = np.random.default_rng(seed)
    anatomy = random_anatomy(rng)
    warp = _warp(options.warp_mm, rng)
    lattice = lattice_over(FIELD_MM, warp)
    organs = _organs(anatomy, lattice, rng)
    progress(0.2, "shaping the thorax")
    body = _Thorax(anatomy, lattice, organs, rng)
    grid = _grid(options.size)
    x, y, z = (
        origin + step * np.arange(n)
        for origin, step, n in zip(grid.GetOrigin(), grid.GetSpacing(), grid.GetSize())
    )
    voxel_mm = float(np.mean(grid.GetSpacing()))
    labels = np.zeros(options.size[::-1], np.uint8)
    hu = np.empty(options.size[::-1], np.float32)

    def paint(first: int) -> None:
        rows = slice(first, first + SLAB_SLICES)
        axes = (z[rows], y, x)
        labels[rows] = _labels_on(lattice, organs, axes)
        hu[rows] = body.painted(axes, voxel_mm)

    starts = range(0, len(z), SLAB_SLICES)
    with ThreadPoolExecutor(worker_count()) as painters:
        for done, _ in enumerate(painters.map(paint, starts)):
            progress(0.2 + 0.8 * done / len(starts), "painting the thorax")
    hu += _noise(hu.shape, options.noise_hu, np.random.default_rng([seed, 1]))
    ct = image_like(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), grid)
    return ThoraxSubject(ct, image_like(labels, grid))


def _grid(size: Sequence[int]) -> sitk.Image:
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    spacing = np.divide(FIELD_MM, size)
    grid.SetSpacing(spacing.tolist())
    grid.SetOrigin(((spacing - FIELD_MM) / 2).tolist())
    return grid


def _warp(most_mm: float, rng: np.random.Generator) -> Singles:
    shape, steps = lattice_shape(FIELD_MM), [STEP_MM] * 3
    noise = [smooth_noise(shape, steps, WARP_SCALE_MM, rng) for _ in range(3)]
    return np.stack(noise, axis=-1) * np.float32(most_mm)


def _organs(
    anatomy: Anatomy, lattice: BodyLattice, rng: np.random.Generator
) -> dict[str, ShapeField]:
    """Return the organs' depths, each of a volume of its own."""
    tubes = {"aorta": anatomy.aorta, "trachea": anatomy.trachea}
    fields = {
        name: union(lattice, [tube_field(lattice, part) for part in parts])
        for name, parts in tubes.items()
    }
    heart = [ellipsoid_field(lattice, e, 2 * GROOVE_MM) for e in anatomy.heart]
    fields["heart"] = union(lattice, heart, GROOVE_MM)
    fields["oesophagus"] = tube_field(lattice, anatomy.oesophagus)
    share_mm3 = float(np.prod(FIELD_MM))
    return {
        name: of_volume(
            lattice, fields[name], OCCUPANCY[name] * share_mm3 * rng.normal(1.0, VARIES)
        )
        for name in ORGANS
    }


def _labels_on(
    lattice: BodyLattice, organs: dict[str, ShapeField], axes_mm: Sequence[Floats]
) -> NDArray[np.uint8]:
    """Return the labels on a grid: of organs that overlap, the one that is deeper."""
    labels = np.zeros([len(axis) for axis in axes_mm], np.uint8)
    deepest = np.zeros(labels.shape, np.float32)
    for name, label in ORGANS.items():
        found = depth_on(lattice, organs[name], axes_mm)
        if found is None:
            continue
        box, depth = found
        wins = depth > deepest[box]
        labels[box][wins] = label
        np.maximum(deepest[box], depth, out=deepest[box])
    return labels


@dataclass(frozen=True)
class _Layer:
    """What fills a field: HU, and how much of the smooth texture is added."""

    field: ShapeField
    hu: float
    texture: float = 0.0


class _Thorax:
    """All that is painted, from the skin inward and then over one another."""

    def __init__(
        self,
        anatomy: Anatomy,
        lattice: BodyLattice,
        organs: dict[str, ShapeField],
        rng: np.random.Generator,
    ) -> None:
        self.lattice = lattice
        texture = smooth_noise(lattice.shape, [STEP_MM] * 3, TEXTURE_MM, rng)
        self.texture = lattice.whole(texture)
        blood = float(rng.uniform(*BLOOD_HU))
        x, y = lattice.places_mm[..., 0], lattice.places_mm[..., 1]
        z = np.broadcast_to(lattice.axes_mm[0][:, None, None], x.shape)
        skin, chest = _trunk(anatomy, x, y, z)
        dome = _dome(x, y)
        lungs = np.minimum(np.minimum(chest, z - dome), -_middle(organs, x, y, texture))
        bones = _tubes(lattice, anatomy.ribs + anatomy.processes)
        heart, trachea, oesophagus = (organs[n] for n in ("heart", "trachea", "oesophagus"))
        chambers = union(lattice, [ellipsoid_field(lattice, e) for e in anatomy.chambers])
        air = _inner(oesophagus, OESOPHAGUS_WALL_MM)
        some_air = np.minimum(air.depth_mm, 4.0 * (texture[air.box] - np.float32(0.4)))
        self.layers = [
            _Layer(lattice.whole(skin), FAT_HU, 6.0),
            _Layer(lattice.whole(skin - anatomy.fat_mm), MUSCLE_HU, 6.0),
            _Layer(lattice.whole(chest), FAT_HU, 14.0),
            _Layer(lattice.whole(np.minimum(chest, dome - z)), LIVER_HU, 5.0),
            _Layer(lattice.whole(lungs), LUNG_HU, 22.0),
            _Layer(lattice.whole(_lung_vessels(lattice, lungs, rng)), 0.8 * blood),
            _Layer(bones, CORTICAL_HU),
            _Layer(_inner(bones, RIB_WALL_MM), TRABECULAR_HU, 20.0),
            *_spine(anatomy, lattice),
            _Layer(_tubes(lattice, anatomy.other_vessels), 0.9 * blood + 0.1 * WALL_HU),
            _Layer(heart, MYOCARDIUM_HU, 5.0),
            _Layer(organs["aorta"], WALL_HU),
            _Layer(_within(chambers, heart, HEART_WALL_MM), blood),
            _Layer(_inner(organs["aorta"], AORTA_WALL_MM), blood),
            _Layer(oesophagus, WALL_HU, 5.0),
            _Layer(ShapeField(air.box, some_air), AIR_HU),
            _Layer(trachea, WALL_HU),
            _Layer(_inner(trachea, TRACHEA_WALL_MM), AIR_HU),
        ]

    def painted(self, axes_mm: Sequence[Floats], voxel_mm: float) -> Singles:
        """Return HU on a grid, each layer with an edge one voxel soft (partial volume)."""
        hu = np.full([len(axis) for axis in axes_mm], np.float32(AIR_HU))
        everywhere = depth_on(self.lattice, self.texture, axes_mm)
        assert everywhere is not None
        texture = np.zeros_like(hu)
        texture[everywhere[0]] = everywhere[1]
        for layer in self.layers:
            found = depth_on(self.lattice, layer.field, axes_mm)
            if found is None:
                continue
            box, share = found
            share /= np.float32(voxel_mm)
            share += np.float32(0.5)
            np.clip(share, 0.0, 1.0, out=share)
            filled = np.float32(layer.hu) - hu[box]
            if layer.texture:
                filled += np.float32(layer.texture) * texture[box]
            hu[box] += share * filled
        return hu


def _tubes(lattice: BodyLattice, tubes: Sequence[Tube]) -> ShapeField:
    return union(lattice, [tube_field(lattice, each) for each in tubes])


def _lung_vessels(lattice: BodyLattice, lungs: Singles, rng: np.random.Generator) -> Singles:
    """Return the depth in the lungs' vessels: the lines along which two smooth noises are 0."""
    rough, other = (smooth_noise(lattice.shape, [STEP_MM] * 3, VESSEL_MM, rng) for _ in range(2))
    across = np.abs(lattice.axes_mm[2]).astype(np.float32)
    radius = np.clip(3.4 - across / 45.0, 0.7, 3.0)  # thick near the middle of the body
    lines = radius - VESSEL_MM / 2.6 * np.hypot(rough, other)  # by the noises' slopes
    return np.minimum(lungs, lines)


def _spine(anatomy: Anatomy, lattice: BodyLattice) -> list[_Layer]:
    """Return vertebrae with discs between them, the arches behind, and the canal."""
    bodies, canal = (tube_field(lattice, of) for of in (anatomy.vertebrae, anatomy.canal))
    z = lattice.axes_mm[0][bodies.box[0]]
    from_disc = np.abs((z / VERTEBRA_MM) % 1.0 - 0.5) * VERTEBRA_MM
    disc = (from_disc - 0.4 * VERTEBRA_MM).astype(np.float32)[:, None, None]
    return [
        _Layer(ShapeField(canal.box, canal.depth_mm + np.float32(4.0)), CORTICAL_HU),
        _Layer(bodies, CORTICAL_HU),
        _Layer(_inner(bodies, 2.2), TRABECULAR_HU, 20.0),
        _Layer(ShapeField(bodies.box, np.minimum(bodies.depth_mm, disc)), DISC_HU),
        _Layer(canal, CANAL_HU),
    ]


def _inner(field: ShapeField, wall_mm: float) -> ShapeField:
    return ShapeField(field.box, field.depth_mm - np.float32(wall_mm))


def _within(field: ShapeField, other: ShapeField, margin_mm: float) -> ShapeField:
    """Return the part of a field that lies so deep in another."""
    box = tuple(
        slice(max(a.start, b.start), max(min(a.stop, b.stop), max(a.start, b.start) + 1))
        for a, b in zip(field.box, other.box)
    )
    one, two = (
        f.depth_mm[tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, f.box))]
        for f in (field, other)
    )
    z, y, x = box
    return ShapeField((z, y, x), np.minimum(one, two - np.float32(margin_mm)))


def _trunk(anatomy: Anatomy, x: Floats, y: Floats, z: Floats) -> tuple[Singles, Singles]:
    """Return the depth below the skin, and within the chest."""
    narrow = np.clip((z - 130.0) / 90.0, 0.0, 1.0)
    around = 24.0 + anatomy.fat_mm
    width = anatomy.half_width_mm + around - 95.0 * narrow * narrow
    depth = anatomy.half_depth_mm + around - 45.0 * narrow * narrow
    skin = _superellipse(x / width, (y - 12.0) / depth, np.minimum(width, depth))
    inner = chest_at(z, anatomy.half_width_mm, anatomy.half_depth_mm)
    width, depth = (np.maximum(side, 1.0) for side in inner)
    chest = _superellipse(x / width, (y - 5.0) / depth, np.minimum(width, depth))
    return skin, chest


def _superellipse(u: Floats, v: Floats, scale_mm: Floats) -> Singles:
    power = 2.4
    away = (np.abs(u) ** power + np.abs(v) ** power) ** (1.0 / power)
    depth: Singles = ((1.0 - away) * scale_mm).astype(np.float32)
    return depth


def _dome(x: Floats, y: Floats) -> Floats:
    """Return the height of the diaphragm: a dome on either side, the right one higher."""
    right = np.exp(-(((x + 62.0) / 55.0) ** 2) - ((y + 5.0) / 75.0) ** 2)
    left = np.exp(-(((x - 62.0) / 55.0) ** 2) - ((y + 5.0) / 75.0) ** 2)
    height: Floats = -165.0 + 95.0 * right + 78.0 * left
    return height


def _middle(organs: dict[str, ShapeField], x: Floats, y: Floats, texture: Singles) -> Singles:
    """Return the depth in what lies between the lungs: around the organs, and before the spine."""
    half = 5.0 + 13.0 * np.clip((y + 50.0) / 50.0, 0.0, 1.0) + 2.5 * texture
    middle = (half - np.abs(x)).astype(np.float32)
    middle = np.maximum(middle, np.minimum(24.0 - np.abs(x), y - 42.0)).astype(np.float32)
    for organ in organs.values():
        part = middle[organ.box]
        np.maximum(part, organ.depth_mm + np.float32(2.5), out=part)
    return middle


def _noise(shape: Sequence[int], noise_hu: float, rng: np.random.Generator) -> Singles:
    """Return noise that is smooth over a voxel or so in a slice, as reconstruction leaves it."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    ndimage.gaussian_filter(noise, (0.0, 0.6, 0.6), output=noise)
    return noise * np.float32(noise_hu / float(noise.std()))
