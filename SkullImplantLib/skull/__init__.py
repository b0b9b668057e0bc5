"""What in a CT or a mask is the skull."""

from .left_out import LeftOut, leave_out, read_left_out
from .loose_matter import loose_matter
from .segmentation import Skull, SkullOptions, clean_skull, segment_skull

__all__ = [
    "LeftOut",
    "Skull",
    "SkullOptions",
    "clean_skull",
    "leave_out",
    "loose_matter",
    "read_left_out",
    "segment_skull",
]
