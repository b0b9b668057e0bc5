"""A CT or a mask, whatever it was written by, checked before it is used."""

from .input import Input, read_input

__all__ = [
    "Input",
    "read_input",
]
