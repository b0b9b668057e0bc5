"""What makes a skull or its CT worse than it could be: thick slices, tilt, cut views, metal, noise.

Each is a `Degradation`: what it does to the grid, which is done to the truth alike, so that the
truth stays where it physically is; what it does to the grey levels, which leaves the truth alone;
and by how much the bone threshold is off. Arrays are (z, y, x).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import SimpleITK as sitk
from scipy import ndimage, sparse

from ..core.distances import signed_distance_mm
from ..core.images import array_of, bounding_box, image_like, index_to_lps_mm
from ..skull.head import COARSE_MM, find_head

# Head turned about the patient's left-right (x) or front-back (y) axis, as far as gantries are
# tilted and heads lie askew.
TILTS_DEG = ((0, -20.0), (0, -10.0), (0, 10.0), (0, 20.0), (1, 15.0))
THRESHOLDS_HU = (-100.0, -50.0, 50.0, 100.0)
SLICES_MM = (0.5, 1.0, 2.0, 3.0)
BASE_CUTS_MM = (0.0, 20.0, 40.0)  # above the floor of the cranial cavity
VERTEX_CUTS_MM = (3.0, 8.0)
NOISES_HU = (40.0, 80.0)  # beside some 10 HU of a usual head CT
NOISE_BLUR_MM = 0.6  # in the slice, as a soft reconstruction kernel leaves it

METAL_HU = 3000.0  # where scanners saturate
PLATE_RADIUS_MM, PLATE_MM = 7.0, 1.5  # a titanium plate with its screws, on the outer table
PLATE_RIM_MM = 3.0  # screwed so near the cut edge
RAY_OUT_MM = 15.0  # thicker is no vault
VIEWS = 180  # of the simulated scan of a slice
STREAK_HU, STREAK_REACH_MM = 150.0, 20.0  # standard deviation of the streaks so near the metal
BEYOND_MM = 1e6  # from slice to slice: streaks do not leave theirs
# A scan is wrong behind metal by the noise of photon starvation, which grows with the way through
# it, and by beam hardening, which goes with its square and makes dark bands between two plates.
HARDENING_PER_MM = 0.05

Change = Callable[[sitk.Image, "Landmarks", float], sitk.Image | None]
Spoil = Callable[[sitk.Image, sitk.Image, sitk.Image, "Landmarks", np.random.Generator], sitk.Image]


@dataclass(frozen=True)
class Landmarks:
    """LPS points in mm of the complete skull: the head's centre, the point of the cranial cavity's
    floor below it, and the point at the height of the vertex above it.
    """

    centre_mm: np.ndarray
    floor_mm: np.ndarray
    vertex_mm: np.ndarray


@dataclass(frozen=True)
class Degradation:
    """One degradation; `name` serves as a file's name too.

    change: takes an image, the landmarks and the value outside; returns the image on the grid of a
    worse scan of the same head, None where the image is no better than that already.
    spoil: takes CT, implant, defective skull, landmarks and a generator; returns the spoilt CT.
    threshold_hu: by how much the bone threshold is off. inputs: what it can be done to.
    """

    name: str
    title: str
    change: Change | None = None
    spoil: Spoil | None = None
    threshold_hu: float = 0.0
    inputs: tuple[str, ...] = ("ct", "skull")


def all_degradations() -> list[Degradation]:
    """Return the degradations of the robustness table in its order; the first does nothing."""
    some = [Degradation("none", "none")]
    for shift in THRESHOLDS_HU:
        title = f"bone threshold {shift:+.0f} HU"
        name = f"threshold{shift:+.0f}"
        some.append(Degradation(name, title, threshold_hu=shift, inputs=("ct",)))
    change: Change
    for thickness in SLICES_MM:
        change = partial(_thick_slices, thickness)
        some.append(Degradation(f"slices-{thickness:g}mm", f"slices of {thickness:g} mm", change))
    for axis, degrees in TILTS_DEG:
        about = "xyz"[axis]
        for name, title, change in (
            ("axes", "oblique axes", partial(_turned_axes, axis, degrees)),
            ("head", "head in the scanner", partial(_turned_head, axis, degrees)),
        ):
            some.append(
                Degradation(
                    f"tilt-{about}{degrees:+.0f}-{name}",
                    f"tilt {degrees:+.0f}° about {about}, {title}",
                    change,
                )
            )
    for height in BASE_CUTS_MM:
        change = partial(_cut_below, height)
        title = f"view ends {height:g} mm above the cavity's floor"
        some.append(Degradation(f"base-cut-{height:g}mm", title, change))
    for depth in VERTEX_CUTS_MM:
        change = partial(_cut_above, depth)
        title = f"view ends {depth:g} mm below the vertex"
        some.append(Degradation(f"vertex-cut-{depth:g}mm", title, change))
    some.append(
        Degradation("metal", "two metal plates at the rim", spoil=with_metal, inputs=("ct",))
    )
    for noise in NOISES_HU:
        spoil = partial(_with_noise, noise)
        some.append(
            Degradation(f"noise-{noise:.0f}hu", f"noise of {noise:.0f} HU", None, spoil, 0, ("ct",))
        )
    return some


def landmarks_of(skull: sitk.Image) -> Landmarks:
    """Return the landmarks of a complete skull mask (uint8 0/1)."""
    head = find_head(skull)
    lowest = head.origin_mm[2] + COARSE_MM * float(np.argwhere(head.cavity)[0, 0])
    axis, step = slice_axis(skull)
    centre = skull.TransformPhysicalPointToContinuousIndex(head.centre_mm.tolist())
    top = bounding_box(array_of(skull))[2 - axis]
    index = list(centre)
    index[axis] = float(top.stop - 1 if step > 0 else top.start)
    vertex = np.array(skull.TransformContinuousIndexToPhysicalPoint(index))
    return Landmarks(head.centre_mm, np.array([*head.centre_mm[:2], lowest]), vertex)


def slice_axis(image: sitk.Image) -> tuple[int, int]:
    """Return the axis (of x, y, z) whose direction is nearest to +S, and its sign."""
    along_s = np.reshape(image.GetDirection(), (3, 3))[2]
    axis = int(np.abs(along_s).argmax())
    return axis, 1 if along_s[axis] > 0 else -1


def changed_mask(mask: sitk.Image, change: Change, landmarks: Landmarks) -> sitk.Image | None:
    """Return a mask (uint8 0/1) changed as the grid is: a voxel is in it that it fills by half."""
    changed = change(sitk.Cast(mask, sitk.sitkFloat32), landmarks, 0.0)
    return None if changed is None else changed >= 0.5


def changed_ct(ct: sitk.Image, change: Change, landmarks: Landmarks) -> sitk.Image | None:
    """Return a CT changed as the grid is, with air outside and the pixel type kept."""
    air = float(array_of(ct).min())
    changed = change(sitk.Cast(ct, sitk.sitkFloat32), landmarks, air)
    if changed is None:
        return None
    integer = "integer" in ct.GetPixelIDTypeAsString()
    kept: sitk.Image = sitk.Cast(sitk.Round(changed) if integer else changed, ct.GetPixelID())
    return kept


# --- the grid ---------------------------------------------------------------------------------


def _thick_slices(
    thickness_mm: float, image: sitk.Image, landmarks: Landmarks, outside: float
) -> sitk.Image | None:
    """Average over slices of that thickness along the head, as a scanner does; exact for any
    ratio to the slices there are.
    """
    axis, _ = slice_axis(image)
    old_mm, count = image.GetSpacing()[axis], image.GetSize()[axis]
    if thickness_mm <= old_mm + 1e-3:
        return None
    made = max(int(count * old_mm / thickness_mm), 1)
    edges = np.arange(made)[:, None] * thickness_mm
    slabs = np.arange(count)[None] * old_mm
    overlap = np.minimum(edges + thickness_mm, slabs + old_mm) - np.maximum(edges, slabs)
    weights = sparse.csr_matrix(np.maximum(overlap, 0.0) / thickness_mm)
    layers = np.moveaxis(array_of(image), 2 - axis, 0)
    thick = (weights @ layers.reshape(count, -1)).reshape(made, *layers.shape[1:])
    out = sitk.GetImageFromArray(np.moveaxis(thick, 0, 2 - axis).astype(np.float32))
    spacing, first = list(image.GetSpacing()), [0.0, 0.0, 0.0]
    spacing[axis], first[axis] = thickness_mm, (thickness_mm / old_mm - 1) / 2
    out.SetSpacing(spacing)
    out.SetDirection(image.GetDirection())
    out.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(first))
    return out


def _rotation(axis: int, degrees: float) -> np.ndarray:
    versor = sitk.VersorTransform(np.eye(3)[axis].tolist(), float(np.deg2rad(degrees)))
    return np.reshape(versor.GetMatrix(), (3, 3))


def _turned_axes(
    axis: int, degrees: float, image: sitk.Image, landmarks: Landmarks, outside: float
) -> sitk.Image:
    """Turn image and head together about the head's centre: only the header tells."""
    turn = _rotation(axis, degrees)
    turned = sitk.Image(image)
    turned.SetDirection((turn @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    away = np.array(image.GetOrigin()) - landmarks.centre_mm
    turned.SetOrigin((turn @ away + landmarks.centre_mm).tolist())
    return turned


def _turned_head(
    axis: int, degrees: float, image: sitk.Image, landmarks: Landmarks, outside: float
) -> sitk.Image:
    """Turn the head about its centre and scan it on axes as they were; nothing is cut off."""
    turned = _turned_axes(axis, degrees, image, landmarks, outside)
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in image.GetSize()])).reshape(3, -1)
    corners = index_to_lps_mm(turned) @ np.vstack([ends, np.ones(8)])
    index = (np.linalg.inv(index_to_lps_mm(image)) @ corners)[:3]
    low, high = np.floor(index.min(axis=1)), np.ceil(index.max(axis=1))
    grid = sitk.Image([int(n) for n in high - low + 1], sitk.sitkUInt8)
    grid.SetSpacing(image.GetSpacing())
    grid.SetDirection(image.GetDirection())
    grid.SetOrigin(image.TransformContinuousIndexToPhysicalPoint(low.tolist()))
    return sitk.Resample(turned, grid, sitk.Transform(), sitk.sitkLinear, outside)


def _cut_at(image: sitk.Image, point_mm: np.ndarray, keep_above: bool) -> sitk.Image:
    """Return the slices of `image` whose middle is not below (or above) a point."""
    axis, step = slice_axis(image)
    at = image.TransformPhysicalPointToContinuousIndex(point_mm.tolist())[axis]
    size, start = list(image.GetSize()), [0, 0, 0]
    if keep_above == (step > 0):
        start[axis] = int(np.clip(np.ceil(at), 0, size[axis] - 1))
        size[axis] -= start[axis]
    else:
        size[axis] = int(np.clip(np.floor(at) + 1, 1, size[axis]))
    cut: sitk.Image = sitk.RegionOfInterest(image, size, start)
    return cut


def _cut_below(
    height_mm: float, image: sitk.Image, landmarks: Landmarks, outside: float
) -> sitk.Image:
    return _cut_at(image, landmarks.floor_mm + [0.0, 0.0, height_mm], keep_above=True)


def _cut_above(
    depth_mm: float, image: sitk.Image, landmarks: Landmarks, outside: float
) -> sitk.Image:
    return _cut_at(image, landmarks.vertex_mm - [0.0, 0.0, depth_mm], keep_above=False)


# --- the grey levels --------------------------------------------------------------------------


def _like(hu: np.ndarray, ct: sitk.Image) -> sitk.Image:
    """Return HU as an image like `ct`, pixel type included."""
    old = array_of(ct)
    if np.issubdtype(old.dtype, np.integer):
        limits = np.iinfo(old.dtype)
        hu = np.clip(np.rint(hu), limits.min, limits.max)
    return image_like(hu.astype(old.dtype), ct)


def _with_noise(
    noise_hu: float,
    ct: sitk.Image,
    implant: sitk.Image,
    skull: sitk.Image,
    landmarks: Landmarks,
    rng: np.random.Generator,
) -> sitk.Image:
    """Add noise of that standard deviation, blurred within the slices."""
    axis, _ = slice_axis(ct)
    blur = [NOISE_BLUR_MM / s for s in ct.GetSpacing()]
    blur[axis] = 0.0
    noise = ndimage.gaussian_filter(rng.standard_normal(ct.GetSize()[::-1]), blur[::-1])
    return _like(array_of(ct) + noise * (noise_hu / noise.std()), ct)


def with_metal(
    ct: sitk.Image,
    implant: sitk.Image,
    skull: sitk.Image,
    landmarks: Landmarks,
    rng: np.random.Generator,
) -> sitk.Image:
    """Return the CT with two metal plates on the outer table, across the hole from one another,
    and the streaks that they cast within their slices.
    """
    metal = _plates(implant, skull, landmarks, rng)
    axis, _ = slice_axis(ct)
    layers = np.moveaxis(metal, 2 - axis, 0)
    struck = np.flatnonzero(layers.any(axis=(1, 2)))
    spacing_mm = np.delete(ct.GetSpacing()[::-1], 2 - axis)
    hu = sitk.GetArrayFromImage(ct).astype(np.float32)
    np.moveaxis(hu, 2 - axis, 0)[struck] += _streaks(layers[struck], spacing_mm, rng)
    hu[metal] = METAL_HU
    return _like(np.clip(hu, float(array_of(ct).min()), METAL_HU), ct)


def _plates(
    implant: sitk.Image, skull: sitk.Image, landmarks: Landmarks, rng: np.random.Generator
) -> np.ndarray:
    """Return the voxels (z, y, x) of two plates on the bone at the rim of the hole."""
    to_hole, to_bone = signed_distance_mm(implant), signed_distance_mm(skull)
    matrix = index_to_lps_mm(skull)
    rim = np.argwhere((array_of(skull) > 0) & (to_hole <= PLATE_RIM_MM))[:, ::-1]
    rim_mm = rim @ matrix[:3, :3].T + matrix[:3, 3]
    first = rim_mm[rng.integers(len(rim_mm))]
    second = rim_mm[np.linalg.norm(rim_mm - first, axis=1).argmax()]
    near = np.argwhere((to_bone > 0) & (to_bone <= PLATE_MM))
    near_mm = near[:, ::-1] @ matrix[:3, :3].T + matrix[:3, 3]
    plates = np.zeros(to_bone.shape, bool)
    to_index = np.linalg.inv(matrix)
    for place in (first, second):
        out = place - landmarks.centre_mm
        out /= np.linalg.norm(out)
        ray = place + np.arange(0.0, RAY_OUT_MM, 0.5)[:, None] * out
        at = (ray @ to_index[:3, :3].T + to_index[:3, 3])[:, ::-1].T
        in_bone = ndimage.map_coordinates(to_bone, at, order=1, mode="nearest") <= 0
        surface = ray[np.flatnonzero(in_bone)[-1] if in_bone.any() else 0]
        away = near_mm - surface
        # The half space keeps the plate off the inner table and out of the cut.
        plate = (np.linalg.norm(away, axis=1) <= PLATE_RADIUS_MM) & (away @ out > -PLATE_MM)
        plates[tuple(near[plate].T)] = True
    return plates & (to_hole > 0)


def _streaks(metal: np.ndarray, spacing_mm: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the HU (slices, rows, columns) that metal adds to its slices, streaks by filtered
    back-projection of what a scan gets wrong behind metal.
    """
    slices, rows, columns = metal.shape
    y, x = np.meshgrid(
        (np.arange(rows) - rows / 2) * spacing_mm[0],
        (np.arange(columns) - columns / 2) * spacing_mm[1],
        indexing="ij",
    )
    bin_mm = float(spacing_mm.min())
    half = int(np.hypot(y, x).max() / bin_mm) + 2
    bins = 2 * half + 2
    ramp = np.abs(np.fft.rfftfreq(2 * bins, bin_mm))
    number, at_y, at_x = np.nonzero(metal)
    streaks = np.zeros(metal.shape, np.float32)
    for angle in np.pi * np.arange(VIEWS) / VIEWS:
        across = (x * np.cos(angle) + y * np.sin(angle)) / bin_mm + half
        ray = np.rint(across[at_y, at_x]).astype(int)
        through = np.bincount(number * bins + ray, minlength=slices * bins) * bin_mm
        through = through.reshape(slices, bins)
        wrong = through * rng.standard_normal(through.shape) - HARDENING_PER_MM * through**2
        filtered = np.fft.irfft(np.fft.rfft(wrong, 2 * bins) * ramp)[:, :bins].astype(np.float32)
        left = across.astype(int)
        share = (across - left).astype(np.float32)
        streaks += filtered[:, left] * (1 - share) + filtered[:, left + 1] * share
    away = ndimage.distance_transform_edt(~metal, (BEYOND_MM, *spacing_mm))
    near = (away > 0) & (away <= STREAK_REACH_MM)
    return streaks * np.float32(STREAK_HU / max(float(streaks[near].std()), 1e-6))
