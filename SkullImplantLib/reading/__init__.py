"""A CT or a mask, whatever it was written by, checked before it is used."""

from .input import Choices, Input, read_input

__all__ = [
    "Choices",
    "Input",
    "read_input",
]
