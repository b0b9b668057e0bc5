"""Design of patient-specific cranial implants from a head CT.

A CT becomes a skull, the skull is completed, the difference is the implant, the implant is fitted,
smoothed, meshed, checked and exported:

    from SkullImplantLib import DesignOptions, design_implant, read_input, write_design

    design = design_implant(read_input("head.nrrd"), DesignOptions(clearance_mm=0.5))
    write_design(design, "result")

The output is a proposal for review by a qualified person, not a medical device.

read_input      a CT (DICOM folder, NRRD, NIfTI, MetaImage) or a skull mask, read and checked
read_left_out   a mask of bone that is not to count: hardware, fragments, bone to be resected
read_reference  the same patient's own earlier skull or bone flap, which completes the skull
design_implant  the implant for it
find_holes      every hole of it, before anything is designed
read_curve      a closed curve on the skull, which limits a design or cuts a hole out
update_design   the design of a result folder whose implant was edited by hand
write_design    masks, STL, pictures, report and design.json into a folder
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .design import design_implant
    from .designing.found_holes import find_holes
    from .designing.proposal import Design
    from .designing.update import update_design
    from .errors import Cancelled, Remedy, SkullImplantError
    from .export.results import write_design
    from .options import DesignOptions
    from .reading.curve import Curve, read_curve
    from .reading.input import Input, read_input
    from .reading.reference import Reference, read_reference
    from .skull.left_out import LeftOut, read_left_out

__version__ = "0.1.0"
__all__ = [
    "Cancelled",
    "Curve",
    "Design",
    "DesignOptions",
    "Input",
    "LeftOut",
    "Reference",
    "Remedy",
    "SkullImplantError",
    "design_implant",
    "find_holes",
    "read_curve",
    "read_input",
    "read_left_out",
    "read_reference",
    "update_design",
    "write_design",
]
# Where each name is at home. Nothing is imported before it is asked for (PEP 562), so that what
# needs only a version or an error comes at once and without VTK or PyTorch.
HOMES = {
    "Cancelled": ".errors",
    "Curve": ".reading.curve",
    "Design": ".designing.proposal",
    "DesignOptions": ".options",
    "Input": ".reading.input",
    "LeftOut": ".skull.left_out",
    "Reference": ".reading.reference",
    "Remedy": ".errors",
    "SkullImplantError": ".errors",
    "design_implant": ".design",
    "find_holes": ".designing.found_holes",
    "read_curve": ".reading.curve",
    "read_input": ".reading.input",
    "read_left_out": ".skull.left_out",
    "read_reference": ".reading.reference",
    "update_design": ".designing.update",
    "write_design": ".export.results",
}

# A library says nothing unless its user wants to hear it.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(HOMES[name], __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
