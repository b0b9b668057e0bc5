"""The standard frame of a patient, which `pose.py` finds, and the grid that goes with it."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

# The box of the standard frame, mm: the whole vault with margin, and of the base and face what
# a head CT usually holds.
BOX_LOW_MM = np.array([-96.0, -120.0, -88.0])
BOX_HIGH_MM = np.array([96.0, 120.0, 104.0])


@dataclass(frozen=True)
class Pose:
    """The standard frame of a patient: patient_lps = rotation @ standard + centre_mm.

    Standard frame: origin in the middle of the vault, +x Left, +y Posterior, +z Superior, mm;
    the plane x = 0 is mid-sagittal. `fit_mm` is the robust residual (median distance of the outer
    surface from the scaled mean vault).
    """

    rotation: NDArray[np.float64]
    centre_mm: NDArray[np.float64]
    fit_mm: float

    def to_patient(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Take standard-frame points (..., 3) to LPS mm."""
        return points @ self.rotation.T + self.centre_mm

    def to_standard(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Take LPS points (..., 3) in mm to the standard frame."""
        return (points - self.centre_mm) @ self.rotation


def standard_grid(pose: Pose, spacing_mm: float) -> sitk.Image:
    """Return an empty uint8 image in patient space whose axes are the standard frame's.

    Its voxel edges cover the fixed box `BOX_LOW_MM` to `BOX_HIGH_MM`, so that going to the
    standard pose and back is resampling between this grid and the patient's.
    """
    size = np.ceil((BOX_HIGH_MM - BOX_LOW_MM) / spacing_mm - 1e-6).astype(int)
    grid = sitk.Image([int(n) for n in size], sitk.sitkUInt8)
    grid.SetSpacing([float(spacing_mm)] * 3)
    grid.SetDirection(pose.rotation.ravel().tolist())
    grid.SetOrigin(pose.to_patient(BOX_LOW_MM + spacing_mm / 2).tolist())
    return grid
