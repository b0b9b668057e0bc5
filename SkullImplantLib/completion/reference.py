"""The patient's own earlier anatomy, laid onto the skull as it is now, and told from another head.

A whole skull is registered on the intact bone around and away from the hole; a bone flap on the
hole's rim (`flap.py`). What does not agree is refused: a wrong implant that fits is worse than none.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import distance_mm
from ..core.images import array_of, bounding_box, crop, image_like
from ..core.interpolation import values_at
from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from ..geometry import radial
from ..geometry.bone_field import SurfacePoints, Vectors, bone_field, surface_points, thinned
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
    rotations_within,
    search_starts,
)
from ..reading.reference import Reference
from ..skull import Skull, SkullOptions, clean_skull, rough_bone, segment_skull

# Whole skulls are registered by their surfaces on a grid of about this, on which a millimetre of
# misfit is seen well; a finer mask's shares of bone tell the place between its voxels.
FIELD_MM, FINER_MM = 1.0, 0.75
COARSE_MM, COARSE_LEVEL = 3.0, 0.4
SEARCHED_MM, STARTED_MM, TARGET_MM, FITTED_MM = 6.0, 9.0, 4.0, 4.0  # points, so far apart
# Rotations tried first, and, where these end no nearer than so, all of them.
USUAL_TURN_RAD, ANY_TURN_RAD = np.deg2rad(60.0), np.pi
START_SPREADS_MM, START_COST_MM, GOOD_COST = (12.0, 8.0, 5.0, 3.0), 3.0, 0.25
SPREADS_MM = (6.0, 3.0, 1.5, 0.8, 0.5)
# Bone nearer to the hole may be cut, bevelled, plated or remodelled.
FROM_HOLE_MM = 8.0
JUDGED_RAD = np.deg2rad(95.0)  # the vault, from the vertex: base and face may differ

# So near, bone agrees. Of train skulls no other person's agrees in more than half of the vault,
# and copies of the same agree in nine tenths (Testing/Benchmarks/reference).
AGREES_MM, LEAST_AGREEING = 1.0, 0.7
MOST_SCALE, TOLD_SCALE = 0.035, 0.012
LEAST_JUDGED = 200  # points; fewer are no vault


@dataclass(frozen=True)
class Earlier:
    """A reference in the patient's space.

    bone: its skull or flap, its grid moved there. shows: `skull` or `flap`. thicker_mm: how much
    its bone is thicker everywhere. residual_mm: how far its surface lies from the patient's intact
    bone, half of it less, once that is taken off. agreeing: the share of that bone nearer than
    `AGREES_MM`. kerf_mm: the gap between flap and rim; None of a skull. notes: a sentence each.
    """

    bone: Skull
    shows: str
    thicker_mm: float
    residual_mm: float
    agreeing: float
    kerf_mm: float | None = None
    notes: tuple[str, ...] = ()


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


def from_hole_mm(places_mm: Vectors, hole: Hole) -> NDArray[np.float32]:
    """Return how far places (n, 3) lie from the missing bone; infinite beyond the hole's box."""
    return sampled(image_like(distance_mm(hole.mask), hole.mask), places_mm, np.inf)


def sampled(image: sitk.Image, places_mm: Vectors, outside: float) -> NDArray[np.float32]:
    """Return an image's values at places (n, 3; LPS mm), `outside` beyond its voxels."""
    index = (places_mm - np.array(image.GetOrigin())) @ np.reshape(image.GetDirection(), (3, 3))
    index /= image.GetSpacing()
    within = np.all((index >= 0.0) & (index <= np.array(image.GetSize()) - 1.0), axis=1)
    found = np.full(len(places_mm), outside, np.float32)
    found[within] = values_at(array_of(image), list(index[within].T[::-1]))
    return found


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
    back = fit.motion.inverse()
    found = Skull(
        moved_image(found.mask, back),
        found.bone_threshold_hu,
        found.notes,
        None if found.grey is None else moved_image(found.grey, back),
    )
    apart = np.abs(fit.residuals_mm[0][judged])
    progress(1.0, "Reference registered")
    return Earlier(
        found,
        "skull",
        fit.thicker_mm[0],
        float(np.median(apart)),
        float((apart < AGREES_MM).mean()),
        notes=note,
    )


def best_start(points: SurfacePoints, target: SurfacePoints) -> Motion:
    """Return about the motion that lays points on a target surface, from any pose."""
    few = points.at(thinned(points.places_mm, STARTED_MM))
    many = points.places_mm[thinned(points.places_mm, SEARCHED_MM)]
    surface, best = Surface(target), None
    for most_rad in (USUAL_TURN_RAD, ANY_TURN_RAD):
        starts = search_starts(many, target.places_mm, rotations_within(most_rad))
        fits = [fit_rigid([Pairing(few, surface)], start, START_SPREADS_MM) for start in starts]
        found = min(fits, key=lambda fit: fit.cost(START_COST_MM))
        if best is None or found.cost(START_COST_MM) < best.cost(START_COST_MM):
            best = found
        if best.cost(START_COST_MM) < GOOD_COST:
            break
    assert best is not None
    return best.motion


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
