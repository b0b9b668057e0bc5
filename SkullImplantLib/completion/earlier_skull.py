"""The patient's earlier skull laid onto the skull as it is now, and told from another head.

It is registered on the intact bone away from the hole. What does not agree is refused: an implant
that fits and is another person's is worse than none.
"""

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.images import array_of, bounding_box, crop, image_like
from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from ..geometry import radial
from ..geometry.bone_field import SurfacePoints, bone_field, surface_points, thinned
from ..geometry.hole import Hole
from ..geometry.prior import Prior
from ..geometry.rigid_registration import (
    Fitted,
    Motion,
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

# So near, bone agrees. Of two training skulls of one size, at most 59 % of a vault do; of a
# re-scanned one 98 % (Testing/Benchmarks/reference).
AGREES_MM, LEAST_AGREEING = 1.0, 0.75
MOST_SCALE, TOLD_SCALE = 0.035, 0.012
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
    finding = part(progress, 0.3, 0.8)
    if reference.kind == "ct":
        found = segment_skull(image, SkullOptions(), finding)
    else:
        found = clean_skull(image, finding)
    progress(0.8, "Registering the reference")
    surface = Surface(surface_points(field_of(found), FIELD_MM))
    pairing = Pairing(points, surface, thicker=True)
    fit = fit_rigid([pairing], Motion(np.eye(3), np.zeros(3)), SPREADS_MM)
    judged = _is_vault(points, prior)
    axes = Scaling(np.reshape(image.GetDirection(), (3, 3)), points.places_mm.mean(axis=0))
    scaled = fit_rigid([pairing], fit.motion, SPREADS_MM, axes)
    note = _checked(fit, scaled, judged)
    apart = np.abs(fit.residuals_mm[0][judged])
    progress(1.0, "Reference registered")
    return Earlier(
        moved_skull(found, fit.motion.inverse()),
        "skull",
        fit.thicker_mm[0],
        float(np.median(apart)),
        float((apart < AGREES_MM).mean()),
        float(np.percentile(apart, 95.0)),
        notes=(*note, *found.notes),
    )


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


def _checked(fit: Fitted, scaled: Fitted, judged: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return a note on a small mismatch of scale; raise where the reference is not the patient's.

    fit, scaled: without and with scales along its axes; judged: which of the points count.
    """
    agreeing, freely = (
        float((np.abs(f.residuals_mm[0][judged]) < AGREES_MM).mean()) for f in (fit, scaled)
    )
    # The patient's points were scaled to lie on the reference.
    scale = np.exp(scaled.log_scale) - 1.0
    most = float(scale[np.abs(scale).argmax()])
    size = "larger" if most > 0.0 else "smaller"
    if freely >= LEAST_AGREEING and abs(most) > MOST_SCALE:
        raise SkullImplantError(
            f"The reference is {100.0 * abs(most):.0f} % {size} than this skull along an axis, and "
            "fits it otherwise; check the voxel size of both, and that both are of this patient."
        )
    if agreeing < LEAST_AGREEING:
        raise SkullImplantError(
            f"The reference is not this patient's skull, or was changed much: only "
            f"{100.0 * agreeing:.0f} % of the intact vault lie within {AGREES_MM:g} mm of it; give "
            "an image of this patient, or design without a reference."
        )
    if freely >= LEAST_AGREEING and abs(most) > TOLD_SCALE:
        return (
            f"Look twice: the reference seems {100.0 * abs(most):.1f} % {size} than this skull "
            "along an axis; check the voxel size of both.",
        )
    return ()
