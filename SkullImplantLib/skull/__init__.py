"""What in a CT or a mask is the skull."""

from .bone_flap import find_flap, rough_bone, shows_flap
from .head_box import head_in
from .left_out import LeftOut, leave_out, metal_cm3, read_left_out, with_metal
from .loose_matter import loose_matter
from .segmentation import Skull, SkullOptions, bright_in, clean_skull, segment_skull

__all__ = [
    "LeftOut",
    "Skull",
    "SkullOptions",
    "bright_in",
    "clean_skull",
    "find_flap",
    "head_in",
    "leave_out",
    "loose_matter",
    "metal_cm3",
    "read_left_out",
    "rough_bone",
    "segment_skull",
    "shows_flap",
    "with_metal",
]
