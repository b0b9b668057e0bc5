"""The patient's earlier skull laid onto the skull as it is now, and told from another head.

It is registered on the intact bone away from the hole. What does not agree is refused: an implant
that fits and is another person's is worse than none.
"""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, bounding_box, crop, image_like
from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from ..geometry import radial
from ..geometry.bone_field import SurfacePoints, Vectors, bone_field, surface_points, thinned
from ..geometry.hole import Hole
from ..geometry.prior import Prior
from ..geometry.rigid_registration import (
    STAY,
    Fitted,
    Pairing,
    Scaling,
    Surface,
    fit_rigid,
    moved_image,
)
from ..reading.reference import Reference
from ..skull import Skull, SkullOptions, clean_skull, rough_bone, segment_skull
from .earlier import FIELD_MM, Earlier, best_start, from_hole_mm, moved_skull

# Whole skulls are registered by their surfaces on a grid of about this, on which a millimetre of
# misfit is seen well; a finer mask's shares of bone tell the place between its voxels.
FINER_MM = 0.75
COARSE_MM, COARSE_LEVEL = 3.0, 0.4
TARGET_MM, FITTED_MM = 4.0, 4.0  # points, so far apart
SPREADS_MM = (6.0, 3.0, 1.5, 0.8, 0.5)
# Bone nearer to the hole may be cut, bevelled, plated or remodelled.
FROM_HOLE_MM = 8.0
JUDGED_RAD = np.deg2rad(95.0)  # the vault, from the vertex: base and face may differ

# So near, bone agrees. Of two training skulls, in 154 pairs tried, at most 59 % of a vault do, and
# 64 % where the scale is free.
AGREES_MM, LEAST_AGREEING = 1.0, 0.75
# Scaled along its axes one skull's copy agrees nearly whole. A voxel size may be off by so much
# before the reference is refused, and before that is mended and told.
LEAST_SCALED, MOST_SCALE, TOLD_SCALE = 0.9, 0.035, 0.0075
LEAST_JUDGED = 200  # points; fewer are no vault


def field_of(skull: Skull) -> sitk.Image:
    """Return the field of a whole skull's bone (`bone_field`), of about `FIELD_MM` where it is
    finer.
    """
    margin = [int(np.ceil(3.0 / s)) for s in skull.mask.GetSpacing()[::-1]]
    box = bounding_box(array_of(skull.mask), (margin[0], margin[1], margin[2]))
    mask = crop(skull.mask, box)
    if min(mask.GetSpacing()) < FINER_MM:
        share = radial.share_of_bone(mask, FIELD_MM)
        return image_like(array_of(share) - np.float32(0.5), share)
    grey = None if skull.grey is None else crop(skull.grey, box)
    return bone_field(mask, grey, skull.bone_threshold_hu)


def find_earlier_skull(
    reference: Reference, skull: Skull, prior: Prior, hole: Hole, progress: Progress = silent
) -> Earlier:
    """Return a whole-skull reference laid onto the skull with the hole.

    Raises `SkullImplantError` where it is no skull, of another scale, or another person's.
    """
    progress(0.0, "Finding the reference's pose")
    points = surface_points(field_of(skull), FITTED_MM)
    points = points.at(from_hole_mm(points.places_mm, hole) > FROM_HOLE_MM)
    rough = radial.share_of_bone(rough_bone(reference.image, reference.kind), COARSE_MM)
    target = surface_points(image_like(array_of(rough) - np.float32(COARSE_LEVEL), rough))
    start = best_start(points, target.at(thinned(target.places_mm, TARGET_MM)))
    image = moved_image(reference.image, start.inverse())
    progress(0.3, "Finding the reference's skull")
    found = _skull_in(image, reference.kind, part(progress, 0.3, 0.8))
    progress(0.8, "Registering the reference")
    surface = Surface(surface_points(field_of(found), FIELD_MM))
    pairing = Pairing(points, surface, thicker=True)
    fit = fit_rigid([pairing], STAY, SPREADS_MM)
    judged = _is_vault(points, prior)
    axes = Scaling(np.reshape(image.GetDirection(), (3, 3)), points.places_mm.mean(axis=0))
    scaled = fit_rigid([pairing], fit.motion, SPREADS_MM, axes)
    scale = _scale_of(scaled, judged)
    if scale:
        # The implant must fit this image, whichever of the two is wrong.
        shrink = Shrink(-scaled.log_scale, scaled.motion(axes.middle_mm[None])[0], axes.axes)
        found = _shrunk(found, shrink)
        points_now = replace(surface.points, places_mm=shrink(surface.points.places_mm))
        pairing = replace(pairing, target=Surface(points_now))
        fit = fit_rigid([pairing], scaled.motion, SPREADS_MM)
    apart = np.abs(fit.residuals_mm[0][judged])
    agreeing = float((apart < AGREES_MM).mean())
    if agreeing < LEAST_AGREEING:
        raise SkullImplantError(
            f"The reference is not this patient's skull, or was changed much: only "
            f"{100.0 * agreeing:.0f} % of the intact vault lie within {AGREES_MM:g} mm of it; give "
            "an image of this patient, or design without a reference."
        )
    progress(1.0, "Reference registered")
    return Earlier(
        moved_skull(found, fit.motion.inverse()),
        "skull",
        fit.thicker_mm[0],
        float(np.median(apart)),
        agreeing,
        float(np.percentile(apart, 95.0)),
        scale_off=scale,
    )


def _skull_in(image: sitk.Image, kind: str, progress: Progress) -> Skull:
    """Return the skull in a reference that was turned upright."""
    try:
        if kind == "ct":
            return segment_skull(image, SkullOptions(), progress)
        return clean_skull(image, progress)
    except SkullImplantError as error:
        # There are two images, and the sentence must say which one is meant.
        raise SkullImplantError(f"The reference's skull was not found: {error}") from error


@dataclass(frozen=True)
class Shrink:
    """Places scaled by exp(`log_scale`) (3,) along axes (3, 3; columns) about a middle."""

    log_scale: Vectors
    middle_mm: Vectors
    axes: Vectors

    def __call__(self, places_mm: Vectors) -> Vectors:
        local = (places_mm - self.middle_mm) @ self.axes * np.exp(self.log_scale)
        return np.asarray(local @ self.axes.T + self.middle_mm)


def _shrunk(skull: Skull, shrink: Shrink) -> Skull:
    """Return a skull with its voxel sizes scaled; the axes are its grid's own."""

    def of(image: sitk.Image) -> sitk.Image:
        changed = sitk.Image(image)
        changed.SetSpacing((np.array(image.GetSpacing()) * np.exp(shrink.log_scale)).tolist())
        changed.SetOrigin(shrink(np.array([image.GetOrigin()]))[0].tolist())
        return changed

    return replace(skull, mask=of(skull.mask), grey=None if skull.grey is None else of(skull.grey))


def _is_vault(points: SurfacePoints, prior: Prior) -> NDArray[np.bool_]:
    """Return which points lie on the vault, by which registrations are judged."""
    standard = prior.pose.to_standard(points.places_mm)
    up = standard[:, 2] / np.maximum(np.linalg.norm(standard, axis=1), 1e-6)
    vault = up > np.cos(JUDGED_RAD)
    if vault.sum() < LEAST_JUDGED:
        raise SkullImplantError(
            "There is too little intact bone to register the reference on; design without it."
        )
    return np.asarray(vault)


def _scale_of(scaled: Fitted, judged: NDArray[np.bool_]) -> float:
    """Return by which share the reference is larger than the skull along the worst of its axes; 0
    where it fits with no scale, and is another's.

    Raises `SkullImplantError` where it is the same skull, and its size is wrong.
    """
    apart = np.abs(scaled.residuals_mm[0][judged])
    if (apart < AGREES_MM).mean() < LEAST_SCALED:
        return 0.0
    # The patient's points were scaled to lie on the reference.
    scale = np.exp(scaled.log_scale) - 1.0
    most = float(scale[np.abs(scale).argmax()])
    if abs(most) > MOST_SCALE:
        size = "larger" if most > 0.0 else "smaller"
        raise SkullImplantError(
            f"The reference is {100.0 * abs(most):.0f} % {size} than this skull along an axis, and "
            "fits it otherwise; check the voxel size of both, and that both are of this patient."
        )
    return most if abs(most) > TOLD_SCALE else 0.0
