"""What in a CT or a mask is the skull."""

from .left_out import LeftOut, leave_out, read_left_out
from .segmentation import Skull, SkullOptions, clean_skull, segment_skull

__all__ = [
    "LeftOut",
    "Skull",
    "SkullOptions",
    "clean_skull",
    "leave_out",
    "read_left_out",
    "segment_skull",
]
