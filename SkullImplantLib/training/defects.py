"""Artificial craniectomies: cut a piece of bone, as a surgeon would, out of a complete skull.

The outline of a defect is drawn on the outer surface of the vault, seen from the centre of the
head as a map over directions, and is then cut radially through the full thickness of the bone.
Outlines follow Kodym et al. (2020): a primary ball and a few smaller ones on its border, with a
noisy boundary; some get burr holes at the corners. The five kinds carry the names of SkullBreak.

Frames: arrays are (z, y, x). A *standard* point is (x, y, z) in mm from the centre of the vault,
+x left, +y posterior, +z superior; a `pose` takes a patient's LPS points there.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..errors import SkullImplantError
from ..images import array_of, image_like, index_to_lps_mm

KINDS = ("bilateral", "frontoorbital", "parietotemporal", "random_1", "random_2")
SMALLEST_CM2, LARGEST_CM2 = 20.0, 120.0  # craniectomies in the clinic: median 83, 58 to 120 cm²
AREA_TOLERANCE = 0.12
DRAWS = 40  # draws before giving up; the first one usually does

LOWEST_POLAR_ANGLE = np.deg2rad(125)  # the map reaches well below the orbits and the ears
HEAD_RADIUS_MM = 85.0
RAY_FROM_MM, RAY_TO_MM = 35.0, 135.0
DEEPEST_CUT_MM = 22.0  # thicker than any vault, frontal sinus included
CUT_MARGIN_MM = 1.5  # beyond both tables, so that no skin of bone is left
BONE_SHARE = 0.93  # of the outline's rays must meet bone; MRI skulls have pinholes

# Lower edge of the vault as an elevation seen from the centre: squama and ear, inion.
SIDE_ELEVATION, BACK_ELEVATION = np.deg2rad(-10), np.deg2rad(-20)
RIM_ELEVATION, RIM_SEARCH = np.deg2rad(-12), np.deg2rad(25)  # upper rim of the orbits, +- search
RIM_DROP_MM = 7.0  # the surface falls back by this much where an orbit opens


class Pose(Protocol):
    """What is asked of a head's pose: patient's LPS points (..., 3) in mm to the standard frame."""

    def to_standard(self, points: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True)
class Vault:
    """The outer surface of a skull as a map over directions from the centre of its vault.

    The map is Lambert's azimuthal equal-area one about the vertex: pixel (row, column) looks along
    `direction[row, column]`, rows go posterior and columns go left.
    """

    index_to_standard: np.ndarray  # 4x4: voxel index (x, y, z, 1) to standard mm
    pixel: float  # width of a pixel on the map, in units of the sphere's radius
    direction: np.ndarray  # (n, n, 3) unit vectors, standard frame
    outer_mm: np.ndarray  # (n, n) distance of the outer surface, gaps filled
    inner_mm: np.ndarray  # (n, n) distance of the innermost bone of the wall, gaps filled
    bone: np.ndarray  # (n, n) bool: the ray meets bone
    area_mm2: np.ndarray  # (n, n) outer surface seen through a pixel
    rim: float  # elevation of the upper rim of the orbits, radians

    @property
    def surface(self) -> np.ndarray:
        """Points of the outer surface, (n, n, 3) standard mm."""
        return self.direction * self.outer_mm[..., None]


@dataclass(frozen=True)
class Outline:
    """The border of a defect on a vault's map."""

    inside_mm: np.ndarray  # (n, n) about the distance to the border along the surface, + inside
    bevel: float  # tangent of the angle by which the cut narrows towards the brain
    area_cm2: float


@dataclass(frozen=True)
class Cut:
    """A defect within a box of the skull's array."""

    box: tuple[slice, slice, slice]
    region: np.ndarray  # (z, y, x) bool, the volume taken out
    implant: np.ndarray  # (z, y, x) bool, the bone taken out: the skull within the region
    area_cm2: float


@dataclass(frozen=True)
class Defect:
    """A defect as masks on the skull's grid; `implant` and `defective` together are the skull."""

    region: sitk.Image
    implant: sitk.Image
    defective: sitk.Image
    area_cm2: float  # of the outer surface of the bone taken out
    kind: str


def make_defect(
    skull: sitk.Image,
    kind: str,
    rng: np.random.Generator,
    pose: Pose,
    area_cm2: float | None = None,
) -> Defect:
    """Cut a defect of one of `KINDS` out of a complete skull (`uint8` mask).

    `area_cm2` of outer surface is drawn log-uniformly between 20 and 120 cm² unless given, and is
    met within 12 %. Raises `SkullImplantError` where the skull offers no place for such a defect.
    """
    array = array_of(skull) > 0
    vault = vault_of(array, index_to_standard(skull, pose))
    cut = cut_defect(array, vault, kind, rng, area_cm2)
    region, implant = np.zeros(array.shape, bool), np.zeros(array.shape, bool)
    region[cut.box], implant[cut.box] = cut.region, cut.implant
    return Defect(
        region=image_like(region, skull),
        implant=image_like(implant, skull),
        defective=image_like(array & ~implant, skull),
        area_cm2=cut.area_cm2,
        kind=kind,
    )


def index_to_standard(image: sitk.Image, pose: Pose) -> np.ndarray:
    """Return the 4x4 matrix from a voxel index (x, y, z, 1) of `image` to standard mm."""
    corners = np.vstack([np.zeros(3), np.eye(3)])
    lps = index_to_lps_mm(image)
    points = np.asarray(pose.to_standard(corners @ lps[:3, :3].T + lps[:3, 3]))
    matrix = np.eye(4)
    matrix[:3, :3] = (points[1:] - points[0]).T
    matrix[:3, 3] = points[0]
    return matrix


def vault_of(skull: np.ndarray, index_to_standard: np.ndarray) -> Vault:
    """Look at a skull's mask (z, y, x) from the centre of its vault, along a map of directions.

    Raises `SkullImplantError` where there is no vault to see.
    """
    voxel_mm = float(np.linalg.norm(index_to_standard[:3, :3], axis=0).min())
    pixel = float(np.clip(voxel_mm, 1.7, 3.0) / HEAD_RADIUS_MM)
    half = int(np.ceil(2 * np.sin(LOWEST_POLAR_ANGLE / 2) / pixel))
    v, u = np.mgrid[-half : half + 1, -half : half + 1] * pixel
    squared = np.minimum(u**2 + v**2, 4.0)
    side = np.sqrt(1 - squared / 4)
    direction = np.stack([u * side, v * side, 1 - squared / 2], axis=-1)
    seen = direction[..., 2] >= np.cos(LOWEST_POLAR_ANGLE)

    outer, inner = np.full(seen.shape, np.nan), np.full(seen.shape, np.nan)
    outer[seen], inner[seen] = _cast_rays(skull, index_to_standard, direction[seen], voxel_mm)
    bone = np.isfinite(outer)
    upper = direction[..., 2] > 0
    if not bone[upper].mean() > 0.5:
        raise SkullImplantError(
            "No cranial vault is found in the skull; check the orientation of the image and that "
            "the top of the head is inside it."
        )
    rim = _rim_elevation(outer, direction, pixel)
    nearest = ndimage.distance_transform_edt(~bone, return_distances=False, return_indices=True)
    outer, inner = outer[tuple(nearest)], inner[tuple(nearest)]
    # A pixel or two of smoothing: single rays catch sutures, vessels and voxel corners.
    outer = ndimage.gaussian_filter(ndimage.median_filter(outer, 5), 1.0)
    inner = ndimage.minimum_filter(inner, 3)
    surface = direction * outer[..., None]
    along_v, along_u = np.gradient(surface, axis=(0, 1))
    area = np.linalg.norm(np.cross(along_u, along_v), axis=-1)
    return Vault(index_to_standard, pixel, direction, outer, inner, bone, area, rim)


def cut_defect(
    skull: np.ndarray,
    vault: Vault,
    kind: str,
    rng: np.random.Generator,
    area_cm2: float | None = None,
) -> Cut:
    """Cut a defect out of a skull's mask (z, y, x) whose `vault` is known: the fast core.

    Draws again where the drawn outline misses bone or does not come out in one piece, and raises
    `SkullImplantError` where no draw is good.
    """
    if kind not in KINDS:
        raise SkullImplantError(f"There is no kind of defect '{kind}'; choose {', '.join(KINDS)}.")
    if area_cm2 is None:
        area_cm2 = float(np.exp(rng.uniform(np.log(SMALLEST_CM2), np.log(LARGEST_CM2))))
    for _ in range(DRAWS):
        outline = draw_outline(vault, kind, area_cm2, rng)
        if outline is None:
            continue
        cut = cut_along(skull, vault, outline)
        if cut is not None:
            return cut
    raise SkullImplantError(
        f"No {kind} defect of {area_cm2:.0f} cm² fits on this skull; try another seed, kind or area, "
        "and check that the skull is complete."
    )


# --- the vault -----------------------------------------------------------------------------------


def _cast_rays(
    skull: np.ndarray, index_to_standard: np.ndarray, direction: np.ndarray, voxel_mm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances (n,) of the outer and inner end of the outermost wall along each ray."""
    to_index = np.linalg.inv(index_to_standard).astype(np.float32)
    step = to_index[:3, :3] @ direction.T.astype(np.float32)
    size = np.array(skull.shape[::-1])[:, None]
    flat = np.ravel(skull)
    outer, inner = np.full((2, len(direction)), np.nan)
    for radius in np.arange(RAY_TO_MM, RAY_FROM_MM, -float(np.clip(voxel_mm, 0.75, 1.5))):
        x, y, z = index = np.rint(step * np.float32(radius) + to_index[:3, 3:]).astype(np.int64)
        inside = ((index >= 0) & (index < size)).all(axis=0)
        at = np.where(inside, (z * size[1] + y) * size[0] + x, 0)
        hit = inside & (flat[at] > 0)
        outer[hit & np.isnan(outer)] = radius
        hit &= radius > outer - DEEPEST_CUT_MM
        inner[hit] = radius
    return outer, inner


def _rim_elevation(outer_mm: np.ndarray, direction: np.ndarray, pixel: float) -> float:
    """Return the elevation (radians) of the orbits' upper rim: where the forehead ends.

    Found on both sides of the nose as the place where the outer surface, followed downwards,
    falls back into the orbit or ends; the usual elevation where none is found nearby.
    """
    azimuth = np.deg2rad(np.concatenate([np.arange(-32, -15, 2), np.arange(16, 33, 2)]))
    elevation = np.arange(RIM_ELEVATION + RIM_SEARCH + 0.2, RIM_ELEVATION - RIM_SEARCH, -pixel / 2)
    looking = _direction(azimuth[:, None], elevation[None, :])
    row, column = np.rint(_pixel_of(looking, pixel, outer_mm.shape[0])).astype(int)
    forehead = outer_mm[row, column]
    before = np.fmax.accumulate(forehead, axis=1)
    open_ = ~(forehead > before - RIM_DROP_MM)
    found = open_.any(axis=1)
    if found.mean() < 0.5:
        return RIM_ELEVATION
    rim = float(np.median(elevation[open_.argmax(axis=1)[found]]))
    return float(np.clip(rim, RIM_ELEVATION - RIM_SEARCH, RIM_ELEVATION + RIM_SEARCH))


def _direction(azimuth: np.ndarray | float, elevation: np.ndarray | float) -> np.ndarray:
    """Return unit vectors; azimuth 0 looks to the front, +90 degrees to the left."""
    across = np.cos(elevation)
    x, y = across * np.sin(azimuth), -across * np.cos(azimuth)
    return np.stack(np.broadcast_arrays(x, y, np.sin(elevation)), axis=-1)


def _pixel_of(direction: np.ndarray, pixel: float, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where unit vectors (..., 3) fall on the map, as fractional (row, column)."""
    stretch = np.sqrt(2 / np.maximum(1 + direction[..., 2], 1e-6)) / pixel
    return direction[..., 1] * stretch + size // 2, direction[..., 0] * stretch + size // 2


def _height_above_base(vault: Vault, front: float) -> np.ndarray:
    """Return how far (mm) each pixel lies above the lower edge of the vault, which is at `front`.

    A rim of the orbits above or below its usual place means a head that is pitched: the edge at
    the back then moves the other way.
    """
    elevation = np.arcsin(np.clip(vault.direction[..., 2], -1, 1))
    forward = -vault.direction[..., 1] / np.maximum(np.cos(elevation), 1e-3)
    pitch = vault.rim - RIM_ELEVATION
    edge = SIDE_ELEVATION + np.where(
        forward > 0,
        (front - SIDE_ELEVATION) * forward**2,
        (BACK_ELEVATION - pitch - SIDE_ELEVATION) * forward**2,
    )
    return (elevation - edge) * HEAD_RADIUS_MM


# --- the outline ---------------------------------------------------------------------------------


def draw_outline(
    vault: Vault, kind: str, area_cm2: float, rng: np.random.Generator
) -> Outline | None:
    """Draw the outline of a defect of `area_cm2` on the vault; None where it does not come out."""
    width_mm = float(np.sqrt(100 * area_cm2 / np.pi))  # radius of the disc of that area
    # The fronto-orbital kind takes the rim of the orbit with it; the others keep off the brow.
    front = vault.rim + np.deg2rad(-2 if kind == "frontoorbital" else 6)
    height = _height_above_base(vault, front)
    centre, stretch = _place(vault, kind, width_mm, height, rng)
    inside = _balls(vault, centre, width_mm, stretch, rng)
    inside = np.minimum(inside, _soft(inside, height, 4.0))
    burrs = int(rng.integers(3, 6)) if rng.random() < 0.4 else 0
    burr_mm = float(rng.uniform(5.5, 7.5))  # perforators are 11 to 14 mm wide
    growth = burrs * 0.5 * np.pi * burr_mm**2
    grown = _grow_to(vault, inside, centre, 100 * area_cm2 - growth)
    if grown is None:
        return None
    if burrs:
        grown = np.maximum(grown, _burr_holes(vault, grown, centre, burrs, burr_mm, rng))
    taken = (grown > 0) & (height > 0)
    area = float(vault.area_mm2[taken].sum()) / 100
    if abs(area / area_cm2 - 1) > AREA_TOLERANCE or vault.bone[taken].mean() < BONE_SHARE:
        return None
    if kind == "bilateral":
        left = vault.area_mm2[taken & (vault.direction[..., 0] > 0)].sum() / 100 / area
        if not 0.25 < left < 0.75:
            return None
    return Outline(grown, bevel=float(np.tan(np.deg2rad(rng.uniform(0, 25)))), area_cm2=area)


def _place(
    vault: Vault, kind: str, width_mm: float, height: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Return the centre of a defect (standard mm) and how much wider than high it is."""
    side = float(rng.choice([-1.0, 1.0]))
    if kind == "bilateral":
        azimuth, polar = rng.normal(0, 0.1), np.deg2rad(rng.uniform(-10, 50))
        looking = _direction(0.0, np.pi / 2 - polar) + np.array([azimuth * 0.5, 0, 0])
        stretch = float(rng.uniform(1.1, 1.6))
    elif kind in ("frontoorbital", "parietotemporal"):
        degrees = (12, 45) if kind == "frontoorbital" else (75, 115)
        azimuth = side * np.deg2rad(rng.uniform(*degrees))
        # Its lower border reaches the orbit or the squama: the centre lies less than a radius above.
        along = _direction(azimuth, np.arange(np.pi / 2, -np.pi / 5, -0.01))
        row, column = np.rint(_pixel_of(along, vault.pixel, len(height))).astype(int)
        wanted = width_mm * rng.uniform(0.6, 0.8)
        looking = along[np.abs(height[row, column] - wanted).argmin()]
        stretch = float(rng.uniform(0.9, 1.4))
    else:
        room = (height > 0.6 * width_mm) & vault.bone
        if not room.any():
            room = vault.bone & (height >= height[vault.bone].max() - 10)
        rows, columns = np.nonzero(room)
        k = int(rng.integers(len(rows)))
        looking = vault.direction[rows[k], columns[k]]
        stretch = float(rng.uniform(0.8, 1.3))
    return _on_surface(vault, looking), stretch


def _on_surface(vault: Vault, looking: np.ndarray) -> np.ndarray:
    """Return the points (..., 3) of the outer surface along `looking`, standard mm."""
    unit = looking / np.linalg.norm(looking, axis=-1, keepdims=True)
    size = len(vault.outer_mm)
    row, column = _pixel_of(unit, vault.pixel, size)
    row = np.clip(np.rint(row).astype(int), 0, size - 1)
    column = np.clip(np.rint(column).astype(int), 0, size - 1)
    return unit * vault.outer_mm[row, column][..., None]


def _tangents(point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit vectors sideways and upwards in the plane that a point's direction is normal to."""
    normal = point / np.linalg.norm(point)
    up = np.array([0.0, 0.0, 1.0]) if normal[2] < 0.8 else np.array([0.0, 1.0, 0.0])
    sideways = np.cross(up, normal)
    sideways /= np.linalg.norm(sideways)
    return sideways, np.cross(normal, sideways)


def _balls(
    vault: Vault, centre: np.ndarray, width_mm: float, stretch: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the depth (mm) of surface points in a primary ellipsoid, some balls and noise."""
    surface = vault.surface
    sideways, upwards = _tangents(centre)
    away = surface - centre
    along, up = away @ sideways, away @ upwards
    normal2 = np.maximum((away**2).sum(-1) - along**2 - up**2, 0)
    radius = width_mm * rng.uniform(0.75, 1.0)
    inside = radius - np.sqrt((along / stretch) ** 2 + (up * stretch) ** 2 + normal2)
    for angle in rng.uniform(0, 2 * np.pi, size=int(rng.integers(0, 5))):
        reach = radius * rng.uniform(0.5, 1.0)
        beside = _on_surface(
            vault, centre + reach * (np.cos(angle) * sideways + np.sin(angle) * upwards)
        )
        ball = width_mm * rng.uniform(0.35, 0.65) - np.linalg.norm(surface - beside, axis=-1)
        inside = -_soft(-inside, -ball, 4.0)
    for wavelength_mm, amplitude_mm in ((18.0, rng.uniform(0.5, 3)), (6.0, rng.uniform(0, 0.7))):
        noise = rng.standard_normal(inside.shape)
        noise = ndimage.gaussian_filter(noise, wavelength_mm / 2 / (vault.pixel * HEAD_RADIUS_MM))
        inside = inside + noise * (amplitude_mm / noise.std())
    return inside


def _soft(a: np.ndarray, b: np.ndarray, width: float) -> np.ndarray:
    """Return the smaller of `a` and `b`, with the corner between them rounded over `width`."""
    return -width * np.logaddexp(-a / width, -b / width)


def _grow_to(
    vault: Vault, inside: np.ndarray, centre: np.ndarray, area_mm2: float
) -> np.ndarray | None:
    """Move the border until the one piece around `centre`, holes filled, has the area asked for.

    Returns the depth map with everything else outside, or None where the piece jumps over it.
    """
    row, column = (int(np.rint(k)) for k in _pixel_of(
        centre / np.linalg.norm(centre), vault.pixel, len(inside)
    ))  # fmt: skip

    def piece(offset: float) -> np.ndarray | None:
        labels, _ = ndimage.label(inside + offset > 0)
        if labels[row, column] == 0:
            return None
        return ndimage.binary_fill_holes(labels == labels[row, column])

    low, high = -40.0, 60.0
    for _ in range(14):
        offset = (low + high) / 2
        taken = piece(offset)
        if taken is None or vault.area_mm2[taken].sum() < area_mm2:
            low = offset
        else:
            high = offset
    taken = piece(high)
    if taken is None:
        return None
    depth = np.where(taken, np.maximum(inside + high, 0.1), np.minimum(inside + high, -0.1))
    return depth


def _burr_holes(
    vault: Vault,
    inside: np.ndarray,
    centre: np.ndarray,
    count: int,
    radius_mm: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the depth (mm) in `count` round holes spread along the border of an outline."""
    taken = inside > 0
    border = np.argwhere(taken & ~ndimage.binary_erosion(taken))
    points = vault.surface[border[:, 0], border[:, 1]]
    sideways, upwards = _tangents(centre)
    angle = np.arctan2((points - centre) @ upwards, (points - centre) @ sideways)
    turns = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(count) / count
    holes = np.full(inside.shape, -np.inf)
    for turn in turns:
        nearest = np.abs(np.angle(np.exp(1j * (angle - turn)))).argmin()
        away = np.linalg.norm(vault.surface - points[nearest], axis=-1)
        holes = np.maximum(holes, radius_mm - away)
    return holes


# --- the cut -------------------------------------------------------------------------------------


def cut_along(skull: np.ndarray, vault: Vault, outline: Outline) -> Cut | None:
    """Cut the bone inside `outline` out of the skull's mask; None where it is not one good piece.

    What the cut leaves behind without a hold on the skull is taken out with the piece.
    """
    box = _box_around(skull.shape, vault, outline)
    bone = np.ascontiguousarray(skull[box]) > 0
    region = _radial_cut(bone.shape, box, vault, outline)
    pieces, count = ndimage.label(bone & region)
    if count == 0:
        return None
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.max() < 0.85 * sizes.sum():
        return None
    implant = pieces == sizes.argmax() + 1
    implant |= _loose(bone & ~implant, implant, box, skull.shape)
    region = (region | implant) & ~(bone & ~implant)
    return Cut(box, region, implant, outline.area_cm2)


def _box_around(
    shape: tuple[int, ...], vault: Vault, outline: Outline
) -> tuple[slice, slice, slice]:
    """Return the box of voxels, slices (z, y, x), that holds the cut with a margin."""
    taken = ndimage.binary_dilation(outline.inside_mm > 0, iterations=2)
    ends = np.concatenate([
        vault.direction[taken] * (radius[taken][:, None] + margin)
        for radius, margin in ((vault.outer_mm, 4.0), (vault.inner_mm, -4.0))
    ])  # fmt: skip
    to_index = np.linalg.inv(vault.index_to_standard)
    index = ends @ to_index[:3, :3].T + to_index[:3, 3]
    size = np.array(shape[::-1])
    low = np.clip(np.floor(index.min(axis=0)).astype(int), 0, size - 1)
    high = np.clip(np.ceil(index.max(axis=0)).astype(int) + 1, low + 1, size)
    x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high))
    return z, y, x


def _radial_cut(
    shape: tuple[int, ...], box: tuple[slice, slice, slice], vault: Vault, outline: Outline
) -> np.ndarray:
    """Return which voxels (z, y, x) of `box` lie within the outline and between the tables."""
    taken = outline.inside_mm > -2
    axis = vault.direction[taken].sum(axis=0)
    axis /= np.linalg.norm(axis)
    narrowest = float((vault.direction[taken] @ axis).min())
    reach = vault.outer_mm[taken].max() + CUT_MARGIN_MM
    nearest = vault.inner_mm[taken].min() - CUT_MARGIN_MM
    maps = np.stack([outline.inside_mm, vault.outer_mm, vault.inner_mm], axis=-1)
    maps = maps.astype(np.float32)

    matrix = vault.index_to_standard.astype(np.float32)
    y, x = np.mgrid[box[1], box[2]].astype(np.float32)
    plane = x[..., None] * matrix[:3, 0] + y[..., None] * matrix[:3, 1] + matrix[:3, 3]
    region = np.zeros(shape, bool)
    for k in range(shape[0]):
        point = plane + np.float32(box[0].start + k) * matrix[:3, 2]
        radius = np.sqrt(np.einsum("...i,...i", point, point))
        near = (radius > nearest) & (radius < reach)
        near &= point @ axis.astype(np.float32) > narrowest * radius
        radius, point = radius[near], point[near]
        inside, outer, inner = _interpolate(maps, point / radius[:, None], vault.pixel).T
        depth = np.clip(outer - radius, 0, DEEPEST_CUT_MM)
        region[k][near] = (
            (inside > outline.bevel * depth)
            & (radius < outer + CUT_MARGIN_MM)
            & (radius > inner - CUT_MARGIN_MM)
        )
    return region


def _interpolate(maps: np.ndarray, direction: np.ndarray, pixel: float) -> np.ndarray:
    """Return maps (n, n, c) read linearly along unit vectors (m, 3), as (m, c)."""
    size = len(maps)
    row, column = _pixel_of(direction, pixel, size)
    row, column = np.clip(row, 0, size - 1.001), np.clip(column, 0, size - 1.001)
    i, j = row.astype(np.int64), column.astype(np.int64)
    a, b = (row - i)[:, None], (column - j)[:, None]
    top = maps[i, j] * (1 - b) + maps[i, j + 1] * b
    bottom = maps[i + 1, j] * (1 - b) + maps[i + 1, j + 1] * b
    return top * (1 - a) + bottom * a


def _loose(
    rest: np.ndarray, implant: np.ndarray, box: tuple[slice, slice, slice], shape: tuple[int, ...]
) -> np.ndarray:
    """Return the parts of `rest` that touch the implant and have no hold on the skull any more.

    A part has a hold where it leaves the box, or where it is the largest part in it.
    """
    labels, count = ndimage.label(rest, np.ones((3, 3, 3)))
    if count < 2:
        return np.zeros(rest.shape, bool)
    held = np.zeros(count + 1, bool)
    held[0] = True
    held[np.bincount(labels.ravel())[1:].argmax() + 1] = True
    for axis in range(3):
        for side, within in ((0, box[axis].start > 0), (-1, box[axis].stop < shape[axis])):
            if within:
                held[np.unique(np.take(labels, side, axis=axis))] = True
    touching = np.zeros(count + 1, bool)
    around = ndimage.binary_dilation(implant)
    touching[np.unique(labels[around])] = True
    return (touching & ~held)[labels]
