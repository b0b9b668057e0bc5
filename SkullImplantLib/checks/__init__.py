"""Is this implant fit for review? Every criterion as a number, measured on its mesh."""

from .check import Check
from .check_implant import CheckedImplant, check_implant
from .check_options import CheckOptions
from .surface_maps import SurfaceMaps, surface_maps

__all__ = [
    "Check",
    "CheckOptions",
    "CheckedImplant",
    "SurfaceMaps",
    "check_implant",
    "surface_maps",
]
