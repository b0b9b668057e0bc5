"""What is printed, milled or cast: the implants as 3MF, moulds, and the model to try them in."""

import hashlib

from ..core.images import same_grid
from ..core.progress import Progress, part
from ..core.working_axes import as_working
from ..designing.finishing import surface_around
from ..errors import SkullImplantError
from ..implant.solids import axes_along
from ..implant.surface import together
from ..skull import Skull
from .format_writers import Exported
from .formats import SKULL, implants_of, mould_names
from .mould import two_piece_mould
from .stl import write_stl
from .three_mf import Part, write_3mf
from .try_in import reaches, try_in_model
from .undrilled import undrilled

TITLE = "Cranial implant, proposal for review"
OVERHANGS = (
    "So that the mould opens, {:.2f} cm³ under overhangs are filled in it; the casting has that "
    "more than the implant."
)
DRILL_LATER = "The mould casts the implant without its {}; drill after casting."


def write_printable(exported: Exported, progress: Progress) -> None:
    """Write the implants as one 3MF file, each lying on the plate with its way out upwards."""
    ways = exported.ways_out
    several = len(ways) > 1
    parts = [
        Part(f"Implant {k}" if several else "Implant", mesh, axes_along(way).T)
        for k, (mesh, way) in enumerate(zip(exported.implants(), ways), 1)
    ]
    told = {"Title": TITLE, "Description": exported.account["disclaimer"], "Frame": "LPS"}
    sums = {
        f"STL-SHA256-{k + 1}": hashlib.sha256(exported.stl_bytes(k)).hexdigest()
        for k in range(len(parts))
    }
    write_3mf(parts, {**told, **sums}, exported.to("implant.3mf"))


def write_mould(exported: Exported, progress: Progress) -> None:
    """Write the two halves of each implant's mould; holes in it are drilled after casting."""
    names = mould_names(implants_of(exported.account))
    closed, filled_mm3 = 0, 0.0
    for k, (mesh, way) in enumerate(zip(exported.implants(), exported.ways_out)):
        whole, count = undrilled(mesh, way)
        closed += count
        made = two_piece_mould(whole, way)
        filled_mm3 += made.filled_mm3
        for half, name in zip((made.upper, made.lower), names[2 * k : 2 * k + 2]):
            write_stl(half, exported.to(name))
        progress((k + 1) / len(exported.ways_out))
    if filled_mm3:
        exported.notes.append(OVERHANGS.format(filled_mm3 / 1000.0))
    if closed:
        exported.notes.append(DRILL_LATER.format("hole" if closed == 1 else f"{closed} holes"))


def write_try_in(exported: Exported, progress: Progress) -> None:
    """Write the bone around the holes as one closed surface: that of the CT where it is given, as
    the implant was fitted to it, else that of the mask.
    """
    stored = exported.mask(SKULL)
    parameters = exported.account.get("parameters", {})
    grey = None
    if exported.ct is not None and not parameters.get("refine_mm"):
        source = exported.source(part(progress, 0.0, 0.4))
        assert source is not None
        ct = source.image
        if not same_grid(ct, stored):
            raise SkullImplantError(
                "The CT does not lie on the grid of the masks; give the one that the design was "
                "made for."
            )
        grey = as_working(ct)
    skull = Skull(as_working(stored), parameters.get("bone_threshold_hu"), (), grey)
    box = reaches(together(exported.implants()), skull.mask)
    write_stl(try_in_model(surface_around(skull, box)), exported.to("try-in.stl"))
