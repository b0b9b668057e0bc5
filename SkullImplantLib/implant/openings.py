"""The holes to be filled: which there are, and how far around each an implant may reach.

The plain difference of completed and defective skull is no implant. Wherever the completed surface
lies a fraction of a millimetre above the real one it leaves a skin on intact bone. A skin is told
from the implant by where it lies, not by how thick it is, so that a thin temple survives:

- The *core* of a hole is the completed bone farther than `SKIN_MM` from bone. Skins have none.
- The implant is the core and what joins it to the bone: the straight way from core to bone. A skin
  that runs out over intact bone leads away from the core.

Everything here is looked for on a coarse lattice: a hole is centimetres wide.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ..core.distances import distance_mm
from ..core.images import array_of, image_like, resample
from ..errors import SkullImplantError
from ..options import HoleChoice, ImplantOptions
from .bone_distance import BoneDistance, rough_distance
from .bone_surface import BoneSurface
from .lattice import lattice_over, places_of, values_on

Field = NDArray[np.float32]
Flags = NDArray[np.bool_]

COARSE_MM = 1.0
# A hole is wider than twice this; the completed surface strays less from intact bone.
SKIN_MM = 2.0
# The rim may reach so far beyond the straight way from core to bone, to fill sharp corners.
RIM_SLACK_MM = 0.5
# The completion counts this far around the bone that is missing (`completion.complete.RIM_MM`).
AROUND_HOLE_MM = 6.0
# The core goes on so far above and below the completed surface, which is the field's to decide.
BEYOND_SURFACE_MM = 1.5
NOWHERE_MM = -8.0
SMALLEST_HOLE_CM2 = 4.0  # less is a burr hole, which nobody gives an implant unasked
SMALLEST_PIECE_CM3 = 0.1  # less is a pinhole or noise, whatever was asked
FARTHEST_CHOICE_MM = 25.0  # a place that was pointed at lies no farther from its hole
# The mean depth within a plate is a quarter of its thickness.
DEPTHS_A_THICKNESS = 4.0


@dataclass(frozen=True)
class Opening:
    """One hole, on the coarse lattice; arrays (z, y, x).

    core: bool. field: the implant as seen on this lattice, positive in it. limit: how far within
    what an implant may reach, mm. missing: bool, the bone that is missing. centre_mm: LPS.
    area_cm2: of the missing sheet, about. asked: whether somebody has drawn around it.
    """

    core: Flags
    field: Field
    limit: Field
    missing: Flags
    centre_mm: tuple[float, float, float]
    area_cm2: float
    asked: bool = False

    @property
    def by_default(self) -> bool:
        """Whether it gets an implant unless holes are chosen."""
        return bool(self.asked or self.area_cm2 >= SMALLEST_HOLE_CM2)

    def from_core(self, lattice: sitk.Image) -> sitk.Image:
        """Return the distance to the core (float32, mm) on the coarse `lattice`."""
        return image_like(distance_mm(image_like(self.core, lattice)), lattice)

    def on(self, fine: sitk.Image, lattice: sitk.Image) -> Flags:
        """Return the core on another lattice: what belongs to this hole and no other."""
        core = image_like(self.core & (self.field > 0.0), lattice)
        found: Flags = array_of(resample(core, fine, sitk.sitkNearestNeighbor)) > 0
        return found


@dataclass(frozen=True)
class Drawn:
    """What was drawn around on the head: each tells how far within (mm, negative outside) the
    voxels of a grid lie, (z, y, x).

    within: the region that implants are limited to. asked: what is a hole because somebody says so.
    """

    within: Callable[[sitk.Image], Field] | None = None
    asked: Callable[[sitk.Image], Field] | None = None


def find_openings(
    depth: sitk.Image,
    far: BoneDistance,
    hole: sitk.Image,
    options: ImplantOptions,
    drawn: Drawn = Drawn(),
) -> tuple[tuple[Opening, ...], tuple[str, ...]]:
    """Return the holes that get an implant, the largest first, and notes on the others.

    Of `all_openings`, those of `SMALLEST_HOLE_CM2` and more and those that were asked for are
    taken, or those chosen in `options.holes`. Raises `SkullImplantError` where there is none.
    """
    found = all_openings(depth, far, hole, options, drawn)
    if not found and drawn.within is not None:
        raise SkullImplantError(
            "Within the curve that limits the design no bone is missing beside bone that an "
            "implant could rest on; draw it across the hole's rim."
        )
    if not found:
        raise SkullImplantError(
            "No defect was found: nowhere does the completed skull fill a hole wider than "
            f"{2 * SKIN_MM:g} mm; check that the skull has one."
        )
    if options.holes:
        chosen = sorted({_choose(found, choice, far.lattice) for choice in options.holes})
    else:
        chosen = [k for k, opening in enumerate(found) if opening.by_default] or [0]
    return tuple(found[k] for k in chosen), _notes_on(found, chosen)


def all_openings(
    depth: sitk.Image,
    far: BoneDistance,
    hole: sitk.Image,
    options: ImplantOptions,
    drawn: Drawn = Drawn(),
) -> list[Opening]:
    """Return all holes, the largest first; the first is hole 1, and so on.

    depth: mm, positive in the completed skull, any grid. far: the distance to bone on the coarse
    lattice. hole: uint8 mask, the bone missing in all holes.
    """
    lattice = far.lattice
    inside = values_on(depth, lattice, NOWHERE_MM)
    around = AROUND_HOLE_MM - distance_mm(resample(hole, lattice, sitk.sitkNearestNeighbor))
    if drawn.within is not None:
        around = np.minimum(around, drawn.within(lattice))
    asked = np.zeros(inside.shape, bool) if drawn.asked is None else drawn.asked(lattice) > 0.0
    core = (inside > 0.0) & (far.values_mm > SKIN_MM) & (around > 0.0)
    core = _attached(core, far)
    together = _opening(core, inside, far, around, options.clearance_mm)
    pieces = array_of(sitk.ConnectedComponent(image_like(together.field > 0.0, lattice)))
    found = []
    for number in np.unique(pieces[core & (pieces > 0)]):
        piece = pieces == number
        if np.count_nonzero(piece) * COARSE_MM**3 / 1000.0 < SMALLEST_PIECE_CM3:
            continue
        opening = _opening(core & piece, inside, far, around, options.clearance_mm)
        found.append(replace(opening, asked=bool((opening.core & asked).any())))
    found.sort(key=lambda opening: -opening.area_cm2)
    return found


def find_all_openings(
    depth: sitk.Image,
    surface: BoneSurface,
    hole: sitk.Image,
    options: ImplantOptions = ImplantOptions(),
    drawn: Drawn = Drawn(),
) -> tuple[list[Opening], sitk.Image]:
    """Return all holes that `make_implants` would find, hole 1 first, and their coarse lattice."""
    far = rough_distance(surface, lattice_over(hole, COARSE_MM))
    return all_openings(depth, far, hole, options, drawn), far.lattice


def _opening(
    core: Flags, inside: Field, far: BoneDistance, around: Field, clearance_mm: float
) -> Opening:
    """Return the hole with this core; `inside` is the depth in the completed skull."""
    lattice, from_bone = far.lattice, far.values_mm
    near_core = distance_mm(image_like(core, lattice)) <= 2.0 * BEYOND_SURFACE_MM
    wider = (inside > -BEYOND_SURFACE_MM) & (from_bone > SKIN_MM) & near_core
    away = distance_mm(image_like(core | wider, lattice))
    # A voxel of the core may lie up to a step behind the core's edge.
    limit = SKIN_MM + RIM_SLACK_MM + COARSE_MM - np.clip(from_bone, 0.0, SKIN_MM) - away
    limit = np.minimum(limit, around).astype(np.float32)
    field = np.minimum(np.minimum(inside, from_bone - np.float32(clearance_mm)), limit)
    counted = np.minimum(np.minimum(inside, from_bone), limit) > 0.0
    centre, area_cm2 = np.zeros(3), 0.0
    if core.any():
        centre = places_of(lattice, np.argwhere(core)).mean(axis=0)
        thickness_mm = DEPTHS_A_THICKNESS * float(inside[core].mean())
        area_cm2 = np.count_nonzero(counted) * COARSE_MM**3 / thickness_mm / 100.0
    return Opening(core, field, limit, counted, (centre[0], centre[1], centre[2]), area_cm2)


def _attached(core: Flags, far: BoneDistance) -> Flags:
    """Return the pieces of the core that reach near bone; others are debris of the completion."""
    labels = array_of(sitk.ConnectedComponent(image_like(core, far.lattice)))
    near = far.values_mm <= SKIN_MM + 2.0 * COARSE_MM
    kept = np.zeros(int(labels.max()) + 1, bool)
    kept[np.unique(labels[near & core])] = True
    kept[0] = False
    return np.asarray(kept[labels])


def _choose(found: list[Opening], choice: HoleChoice, lattice: sitk.Image) -> int:
    """Return the index of the hole that was chosen by number (1 is the largest) or place (LPS)."""
    if isinstance(choice, int):
        if not 1 <= choice <= len(found):
            raise SkullImplantError(
                f"There is no hole {choice}: {len(found)} were found; give 1 to {len(found)}."
            )
        return choice - 1
    apart = [
        float(
            np.linalg.norm(places_of(lattice, np.argwhere(o.core)) - np.array(choice), axis=1).min()
        )
        for o in found
    ]
    nearest = int(np.argmin(apart))
    if not apart[nearest] <= FARTHEST_CHOICE_MM:
        x, y, z = choice
        raise SkullImplantError(
            f"No hole lies near {x:g}, {y:g}, {z:g} (LPS, mm); the nearest is "
            f"{apart[nearest]:.0f} mm away. Point at the middle of the hole."
        )
    return nearest


def _notes_on(found: list[Opening], chosen: list[int]) -> tuple[str, ...]:
    """Return a note on holes that stay open."""
    others = [opening for k, opening in enumerate(found) if k not in chosen]
    others = [opening for opening in others if opening.area_cm2 >= 1.0 or len(found) <= len(chosen)]
    if not others:
        return ()
    sizes = ", ".join(f"{math.ceil(opening.area_cm2)} cm²" for opening in others)
    holes = "One more hole stays" if len(others) == 1 else f"{len(others)} more holes stay"
    return (f"{holes} open ({sizes}); choose it as well to have it filled.",)
