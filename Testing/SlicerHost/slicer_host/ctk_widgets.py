"""The module `ctk`: CTK's widgets on real Qt, as far as panels of Slicer modules use them."""

import sys
import types

from . import ctk_buttons, ctk_fields, ctk_numbers, ctk_ranges


def install_ctk() -> types.ModuleType:
    """Register the module `ctk`; the same one at every call."""
    if "ctk" not in sys.modules:
        ctk = types.ModuleType("ctk", "CTK's widgets, as far as the development host has them.")
        for module in (ctk_buttons, ctk_fields, ctk_numbers, ctk_ranges):
            for name, value in vars(module).items():
                if name.startswith("ctk") and isinstance(value, type):
                    setattr(ctk, name, value)
        sys.modules["ctk"] = ctk
    return sys.modules["ctk"]
