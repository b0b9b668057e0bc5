"""The table of what a result can be exported as; a format is one entry.

To be had in a moment, for menus and help: what writes a format is imported when it is written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.result_names import maps_name, stl_names

REPORT, PICTURE, ACCOUNT = "report.html", "preview.png", "design.json"
SKULL, COMPLETED, IMPLANT = MASK_FILES = ("skull.nrrd", "completed.nrrd", "implant.nrrd")


@dataclass(frozen=True)
class Format:
    """One way to export a result.

    name: what it is asked for by. title: what it is called for people. sentence: what it writes.
    reads: which files of a result folder, of so many implants, it needs beside `design.json`
    (`report.html` is made where it is missing). endings: of the files that it writes, which begin
    with the case's name. writer: module of this package, and the function in it that writes them
    (see `format_writers.Exported`). needs: modules that must be installed for it, beside those of
    every design. needs_series: it needs the DICOM series that the design came from. takes_long:
    some seconds for a whole head, by itself: it is begun before others. shows_skull: with the same
    surface of the skull as a report, for which it waits where one is drawn. alone: it is written
    while no other is, as its library changes what is the whole process's. tells_patient: its files
    carry the patient's identity; those of the others tell none. engraved: a label that is asked for
    is in its files.
    """

    name: str
    title: str
    sentence: str
    reads: Callable[[int], tuple[str, ...]]
    endings: Callable[[int], tuple[str, ...]]
    writer: tuple[str, str]
    needs: tuple[str, ...] = ()
    needs_series: bool = False
    takes_long: bool = False
    shows_skull: bool = False
    alone: bool = False
    tells_patient: bool = False
    engraved: bool = False

    def files(self, case: str, implants: int) -> tuple[str, ...]:
        """Return the names of the files that it writes for a case with so many implants."""
        return tuple(file_name(case, ending) for ending in self.endings(implants))


def file_name(case: str, ending: str) -> str:
    """Return the name of a case's file."""
    return f"{case}-{ending}"


def implants_of(account: Mapping[str, Any]) -> int:
    """Return how many implants a design has, by the contents of its `design.json`."""
    return len(account.get("implants", [])) or 1


def mould_names(count: int) -> tuple[str, ...]:
    """Return the names of the files of the moulds of so many implants, the upper half first."""
    numbers = [""] if count == 1 else [f"-{number}" for number in range(1, count + 1)]
    return tuple(f"mould{k}-{half}.stl" for k in numbers for half in ("upper", "lower"))


def _ending_in(ending: str, *more: str) -> Callable[[int], tuple[str, ...]]:
    return lambda count: (*(name.replace(".stl", ending) for name in stl_names(count)), *more)


def _with_maps(*more: str) -> Callable[[int], tuple[str, ...]]:
    return lambda count: (*map(maps_name, stl_names(count)), *more)


def _these(*names: str) -> Callable[[int], tuple[str, ...]]:
    return lambda _count: names


FORMATS = (
    Format(
        "stl",
        "Implant STL",
        "The surface of each implant for the printer, in LPS millimetres.",
        stl_names,
        stl_names,
        (".format_writers", "write_implants"),
        engraved=True,
    ),
    Format(
        "skull-stl",
        "Skull STL",
        "The surface of the skull with its hole, closed, at the full resolution of its mask, in "
        "LPS millimetres.",
        _these(SKULL),
        _these("skull.stl"),
        (".format_writers", "write_skull"),
        takes_long=True,
    ),
    Format(
        "completed-stl",
        "Completed STL",
        "The surface of the completed skull, closed, at the full resolution of its mask, in LPS "
        "millimetres.",
        _these(COMPLETED),
        _these("completed.stl"),
        (".format_writers", "write_completed"),
        takes_long=True,
    ),
    Format(
        "masks",
        "Masks",
        "The voxels of skull, completed skull and implants as NRRD.",
        _these(*MASK_FILES),
        _these(*MASK_FILES),
        (".format_writers", "write_masks"),
    ),
    Format(
        "report",
        "Report",
        "Pictures, checks and all data of the design in one file, which a browser opens.",
        _these(REPORT),
        _these(REPORT),
        (".format_writers", "write_page"),
    ),
    Format(
        "picture",
        "Picture",
        "The picture of the report, as PNG.",
        _these(REPORT),
        _these(PICTURE),
        (".format_writers", "write_picture"),
    ),
    Format(
        "3mf",
        "3MF",
        "All implants in one file that states its unit, turned to lie on the printer's plate.",
        stl_names,
        _these("implant.3mf"),
        (".manufacturing", "write_printable"),
        ("lib3mf",),
        alone=True,
        engraved=True,
    ),
    Format(
        "mould",
        "Mould",
        "A mould of two halves for each implant, to cast it of PMMA, 0.3 % larger for shrinkage.",
        stl_names,
        mould_names,
        (".manufacturing", "write_mould"),
        ("manifold3d",),
        engraved=True,
    ),
    Format(
        "try-in",
        "Try-in model",
        "The bone within 25 mm of the implant, cut flat, to be printed to try the implant in.",
        lambda count: (SKULL, *stl_names(count)),
        _these("try-in.stl"),
        (".manufacturing", "write_try_in"),
        ("manifold3d",),
        takes_long=True,
    ),
    Format(
        "ply",
        "PLY",
        "The surface of each implant with its thickness as colors, in LPS millimetres.",
        _with_maps(),
        _ending_in(".ply"),
        (".colored_files", "write_ply"),
    ),
    Format(
        "glb",
        "GLB",
        "Skull and implants, these with their thickness as colors, for viewers of 3-D.",
        _with_maps(SKULL),
        _these("implant.glb"),
        (".colored_files", "write_glb"),
        ("trimesh",),
        takes_long=True,
        shows_skull=True,
    ),
    Format(
        "dicom",
        "DICOM",
        "Encapsulated STL and Segmentation for the archive, with the patient's name in them.",
        lambda count: (*stl_names(count), *MASK_FILES),
        _ending_in(".dcm", "segmentation.dcm"),
        (".dicom_files", "write_dicom"),
        ("highdicom",),
        needs_series=True,
        takes_long=True,
        tells_patient=True,
        engraved=True,
    ),
    Format(
        "json",
        "Design data",
        "All data of the design for other programs, as design.json has it.",
        _these(),
        _these(ACCOUNT),
        (".format_writers", "write_account"),
    ),
)
BY_NAME = {format.name: format for format in FORMATS}
