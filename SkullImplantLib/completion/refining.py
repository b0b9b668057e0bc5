"""Whether and how a design brings its skull to a finer grid first, told before long work."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import SimpleITK as sitk

from ..core.finer_grid import finer_grid
from ..core.progress import Progress, silent
from ..errors import Remedy, SkullImplantError
from ..models import SUPERRES, require_torch

if TYPE_CHECKING:
    from ..networks.weights import Weights
    from .super_resolution import Finer


@dataclass(frozen=True)
class Refining:
    """What refines a skull: the new voxels' side, the network's weights, its device and engine."""

    to_mm: float
    weights: "Weights"
    device: str
    engine: str

    def refined(self, mask: sitk.Image, progress: Progress = silent) -> "Finer":
        """Return a mask (uint8 0/1) on its finer grid.

        Raises `SkullImplantError` where it is empty.
        """
        from .network import NetworkPlace
        from .super_resolution import super_resolve

        place = NetworkPlace(self.device, self.engine)
        return super_resolve(mask, self.to_mm, self.weights, place, progress)


def find_refining(
    to_mm: float | None, grid: sitk.Image, device: str = "auto", engine: str = "torch"
) -> Refining | None:
    """Return what refines a mask on `grid` to voxels of `to_mm`; None where that is None.

    Raises `SkullImplantError` where PyTorch, the weights, the device or the engine is missing, and
    where the grid is as fine as that already.
    """
    if to_mm is None:
        return None
    require_torch("Super-resolution", Remedy.LEAVE_COARSE)
    from ..networks.weights import shipped_beside
    from .network import choose_device
    from .super_resolution import network_of

    try:
        finer_grid(grid, to_mm)
        weights = shipped_beside(SUPERRES)
    except SkullImplantError as error:
        raise SkullImplantError(str(error), Remedy.LEAVE_COARSE) from error
    network_of(weights, engine)
    return Refining(to_mm, weights, choose_device(device).type, engine)
