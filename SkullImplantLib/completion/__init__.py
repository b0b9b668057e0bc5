"""The skull is completed around its hole, and how far that is to be trusted. Needs no PyTorch
unless a network completes.
"""

from .complete import Choice, Completed, complete, find_weights
from .earlier import Earlier
from .no_defect import no_defect
from .reference_depth import complete_by_reference
from .refining import Refining, find_refining
from .registering import find_earlier
from .trust import Confidence, assess, assess_reference, between_slices, lying_unsurely
from .uncertainty import Uncertainty, uncertainty_of

__all__ = [
    "Choice",
    "Completed",
    "Confidence",
    "Earlier",
    "Refining",
    "Uncertainty",
    "assess",
    "assess_reference",
    "between_slices",
    "complete",
    "complete_by_reference",
    "find_earlier",
    "find_refining",
    "find_weights",
    "lying_unsurely",
    "no_defect",
    "uncertainty_of",
]
