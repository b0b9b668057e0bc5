"""The skull is completed around its hole, and how far that is to be trusted. Needs no PyTorch
unless a network completes.
"""

from .complete import Choice, Completed, complete, find_weights
from .trust import Confidence, assess

__all__ = [
    "Choice",
    "Completed",
    "Confidence",
    "assess",
    "complete",
    "find_weights",
]
