"""A reference in the patient's space, and what skulls and flaps need alike to come there."""

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import distance_mm
from ..core.images import array_of, crop, image_like
from ..core.interpolation import values_at
from ..geometry.bone_field import SurfacePoints, Vectors, bone_field, surface_points, thinned
from ..geometry.hole import Hole
from ..geometry.rigid_registration import (
    Motion,
    Pairing,
    Surface,
    fit_rigid,
    moved_image,
    rotations_within,
    search_starts,
)
from ..skull import Skull

# Whole bones are looked at on a grid of about this, where they need not be seen finer.
FIELD_MM = 1.0
# Points of a surface from which a start is found, so far apart.
SEARCHED_MM, STARTED_MM = 6.0, 9.0
# Rotations tried first, and, where these end no nearer than so, all of them.
USUAL_TURN_RAD, ANY_TURN_RAD = np.deg2rad(60.0), np.pi
START_SPREADS_MM, START_COST_MM, GOOD_COST = (12.0, 8.0, 5.0, 3.0), 3.0, 0.25


@dataclass(frozen=True)
class Earlier:
    """A reference in the patient's space.

    bone: its skull or flap, its grid moved there. shows: `skull` or `flap`. thicker_mm: how much
    its bone is thicker everywhere. residual_mm: how far its surface lies from the patient's intact
    bone, half of it less, once that is taken off; residual_most_mm: 95 % of it less. agreeing: the
    share of that bone nearer than a millimetre. kerf_mm: the gap between flap and rim; None of a
    skull. scale_off: by which share it was larger along the worst of its axes, before that was
    mended.
    """

    bone: Skull
    shows: str
    thicker_mm: float
    residual_mm: float
    agreeing: float
    residual_most_mm: float
    kerf_mm: float | None = None
    scale_off: float = 0.0

    @property
    def note(self) -> str:
        """What was done, and how well the reference lies, in one sentence."""
        where = "flap was laid into the hole" if self.shows == "flap" else "skull was registered"
        kerf = "" if self.kerf_mm is None else f", with a kerf of {self.kerf_mm:.1f} mm"
        return (
            f"The earlier {where} and completes the design: half of the intact bone lies within "
            f"{self.residual_mm:.2f} mm of it, {100.0 * self.agreeing:.0f} % within 1 mm{kerf}."
        )


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


def hole_box_points(skull: Skull, hole: Hole, reach_mm: float, apart_mm: float) -> SurfacePoints:
    """Return points of the bone within reach of the hole, by the finest that is known of it."""
    box = hole.around(skull.mask, reach_mm)
    grey = None if skull.grey is None else crop(skull.grey, box)
    field = bone_field(crop(skull.mask, box), grey, skull.bone_threshold_hu)
    points = surface_points(field, apart_mm)
    return points.at(from_hole_mm(points.places_mm, hole) < reach_mm)


def moved_skull(skull: Skull, motion: Motion) -> Skull:
    """Return a skull with its grid moved."""
    grey = None if skull.grey is None else moved_image(skull.grey, motion)
    return replace(skull, mask=moved_image(skull.mask, motion), grey=grey)


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
