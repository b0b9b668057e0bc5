"""Low frontal craniectomies of clinical shapes: the brow and what is above it, of one side, to the
midline and across it, with and without the rim and roof of the orbit.

Each is bounded by four smooth lines on the outer surface: below by the orbits' rim (or a line above
it), above, laterally at the temple, and medially; a saw's waves on all of them.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from SkullImplantLib.cases.defects import Defect, cut_along, index_to_standard, vault_of
from SkullImplantLib.cases.outlines import PIXEL_MM, Outline, Vault
from SkullImplantLib.core.images import array_of, image_like
from SkullImplantLib.errors import NoPlaceForDefect
from SkullImplantLib.geometry.frame import Pose
from SkullImplantLib.geometry.radial import DIRECTIONS, DISC, MEAN_RADIUS_MM

# From straight ahead to the side of the hole, degrees; negative is across the midline.
MEDIAL_DEG = {"unilateral": 8.0, "midline": 0.0, "across": -22.0}
LATERAL_DEG = (48.0, 60.0)  # the temporal line
HEIGHT_MM = (35.0, 55.0)  # above the rim of the orbits
# Above the rim: the bar of the brow stays, or the roof of the orbit goes too.
LOWER_DEG = {"bar": 4.0, "roof": -3.0}
BEVEL_DEG = 12.0
ROUNDED_MM = 5.0  # corners
WAVES_MM = ((9.0, 1.5), (3.0, 0.4))  # length and amplitude of the edge's waves
NAMES = tuple(f"{side}-{lower}" for side in MEDIAL_DEG for lower in LOWER_DEG)


@dataclass(frozen=True)
class LowFrontal:
    """One of `NAMES`, on the left (1) or the right (-1) side."""

    name: str
    side: int

    def outline(self, vault: Vault, rng: np.random.Generator) -> Outline:
        """Return the border on a vault's maps."""
        across, lower = self.name.split("-")
        height = vault.height_mm(vault.rim + np.deg2rad(LOWER_DEG[lower]))
        top = rng.uniform(*HEIGHT_MM) - vault.height_mm(vault.rim)
        x, y = DIRECTIONS[..., 0] * self.side, -DIRECTIONS[..., 1]
        around = np.rad2deg(np.arctan2(x, y))
        mm = MEAN_RADIUS_MM * np.hypot(x, y) * np.deg2rad(1.0)
        lateral = (rng.uniform(*LATERAL_DEG) - around) * mm
        medial = (around - MEDIAL_DEG[across]) * mm
        lines = [height, top, lateral, medial]
        inside = -ROUNDED_MM * np.logaddexp.reduce([-line / ROUNDED_MM for line in lines])
        for wave_mm, amplitude_mm in WAVES_MM:
            noise = ndimage.gaussian_filter(rng.standard_normal(inside.shape), wave_mm / PIXEL_MM)
            inside += noise * (amplitude_mm / noise.std())
        taken = ndimage.binary_fill_holes(_largest((inside > 0) & DISC))
        depth = np.where(taken, np.maximum(inside, 0.1), np.clip(inside, -20.0, -0.1))
        return Outline(depth, float(vault.area_mm2[taken].sum()) / 100)


def low_frontal_defect(
    skull: sitk.Image, pose: Pose, shape: LowFrontal, rng: np.random.Generator
) -> Defect:
    """Cut the defect out of a complete skull's mask (uint8).

    Raises `NoPlaceForDefect` where it is not one piece of bone.
    """
    vault = vault_of(skull, pose)
    outline = shape.outline(vault, rng)
    bone = array_of(skull) != 0
    cut = cut_along(bone, index_to_standard(skull, pose), vault, outline, BEVEL_DEG)
    if cut is None:
        raise NoPlaceForDefect(f"The {shape.name} cut is not one piece of bone.")
    implant, region = (np.zeros(bone.shape, np.uint8) for _ in range(2))
    implant[cut.box], region[cut.box] = cut.implant, cut.region
    return Defect(
        region=image_like(region, skull),
        implant=image_like(implant, skull),
        defective=image_like(bone & (implant == 0), skull),
        area_cm2=cut.area_cm2,
        kind=shape.name,
    )


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    largest: NDArray[np.bool_] = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    return largest
