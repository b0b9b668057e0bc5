"""Where voxels lie, without the voxels: for what is kept as a part of a larger image."""

from dataclasses import dataclass

import SimpleITK as sitk


@dataclass(frozen=True)
class Grid:
    """Size (voxels along x, y, z), spacing (mm), origin (LPS, mm) and direction of an image."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image) -> "Grid":
        """Return the grid of an image."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    def holding(self, part: sitk.Image) -> sitk.Image:
        """Return an image (of the type of `part`) on this grid with the voxels of `part`, which
        lies on a box of it, and 0 around them; `part` itself where it is all of the grid.
        """
        if part.GetSize() == self.size:
            return part
        whole = sitk.Image(self.size, part.GetPixelID())
        whole.SetSpacing(self.spacing)
        whole.SetOrigin(self.origin)
        whole.SetDirection(self.direction)
        return pasted(whole, part)


def pasted(whole: sitk.Image, part: sitk.Image) -> sitk.Image:
    """Return `whole` with the voxels of `part`, which lies on a box of its grid, in their place."""
    start = whole.TransformPhysicalPointToIndex(part.GetOrigin())
    both: sitk.Image = sitk.Paste(whole, part, part.GetSize(), [0, 0, 0], start)
    return both
