"""The difference is the implant: the field that fits it, and its surface."""

from .bone_surface import BoneSurface, bone_surface
from .drilling import check_library, drilled, holes_for
from .fit import Implant, make_implants, mask_of, refitted
from .insertion import WayIn
from .meshes import mesh_health
from .openings import Drawn, Opening, find_all_openings
from .surface import surface_of, surface_of_mask, together

__all__ = [
    "BoneSurface",
    "Drawn",
    "Implant",
    "Opening",
    "WayIn",
    "bone_surface",
    "check_library",
    "drilled",
    "find_all_openings",
    "holes_for",
    "make_implants",
    "mask_of",
    "mesh_health",
    "refitted",
    "surface_of",
    "surface_of_mask",
    "together",
]
