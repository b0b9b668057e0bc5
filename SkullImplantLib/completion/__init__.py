"""The skull is completed around its hole, and how far that is to be trusted. Needs no PyTorch
unless a network completes.
"""

from .complete import Choice, Completed, complete, find_weights
from .refining import Refining, find_refining
from .trust import Confidence, assess

__all__ = [
    "Choice",
    "Completed",
    "Confidence",
    "Refining",
    "assess",
    "complete",
    "find_refining",
    "find_weights",
]
