"""Whether an image lies where its file's header says, and its voxels are of a plausible size."""

import numpy as np
import SimpleITK as sitk

from ..errors import SkullImplantError
from .header_parts import ImageHeader
from .images import index_to_lps_mm

# Finer than any scanner, and coarser than any head CT from which an implant could be made.
MIN_SPACING_MM, MAX_SPACING_MM = 0.05, 10.0
# Of the place of any corner between the header read here and ITK's reading of it.
CORNER_TOLERANCE_MM = 0.1
# Between two positions in one header, before it is worth a word.
DISAGREEMENT_MM = 1.0


def check_voxel_size(image: sitk.Image) -> None:
    """Raise `SkullImplantError` for a place that is no number, and for impossible voxels."""
    spacing = np.asarray(image.GetSpacing()[:3])
    if not np.isfinite([*image.GetOrigin(), *image.GetDirection(), *spacing]).all():
        raise SkullImplantError(
            "The image's position or orientation is not a finite number; export it again."
        )
    if spacing.min() < MIN_SPACING_MM or spacing.max() > MAX_SPACING_MM:
        told = " x ".join(f"{s:g}" for s in spacing)
        raise SkullImplantError(
            f"The voxel size {told} mm is not plausible for a head CT "
            f"({MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm); check the image's spacing."
        )


def check_place(header: ImageHeader, image: sitk.Image) -> tuple[str, ...]:
    """Check ITK's geometry of an image against what its file's header states.

    Returns a note where the header states two places; raises `SkullImplantError` where ITK's is
    none of those stated.
    """
    contradiction = SkullImplantError(
        "The file's header contradicts itself about the voxel size or the orientation; export "
        "the image again, best as NRRD."
    )
    if not np.allclose(header.spacing_mm[:3], image.GetSpacing(), rtol=1e-3):
        raise contradiction
    last = np.asarray(image.GetSize()) - 1
    corners = np.array([[*(last * bits), 1.0] for bits in np.ndindex(2, 2, 2)]).T
    read = index_to_lps_mm(image)
    apart_mm = [float(np.abs((read - claim) @ corners).max()) for claim in header.claims]
    if apart_mm and min(apart_mm) > CORNER_TOLERANCE_MM:
        raise contradiction
    if apart_mm and max(apart_mm) > DISAGREEMENT_MM:
        return (
            f"The file's header states two positions up to {max(apart_mm):.0f} mm apart; the one "
            "that ITK prefers was used.",
        )
    return ()
