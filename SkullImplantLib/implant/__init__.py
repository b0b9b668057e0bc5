"""The difference is the implant: fitted, smoothed, meshed and checked."""

from .checks import Check, CheckOptions, check_implant
from .fit import Implant, make_implant
from .surface import SurfaceOptions, surface_of

__all__ = [
    "Check",
    "CheckOptions",
    "Implant",
    "SurfaceOptions",
    "check_implant",
    "make_implant",
    "surface_of",
]
