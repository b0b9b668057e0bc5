"""Is this implant fit for review? Every criterion as a number, measured on its mesh."""

from .check import Check
from .check_implant import CheckedImplant, check_implant
from .check_options import CheckOptions

__all__ = ["Check", "CheckOptions", "CheckedImplant", "check_implant"]
