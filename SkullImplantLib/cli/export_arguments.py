"""The words and options of `skull-implant export`."""

import argparse
from pathlib import Path

from ..export.formats import FORMATS
from .arguments import Verbs, add_output, add_verb

DEFAULT_FORMATS = "stl"


def add_export(verbs: Verbs) -> None:
    table = "\n".join(f"  {format.name:<14} {format.sentence}" for format in FORMATS)
    parser = add_verb(
        verbs,
        "export",
        "write a result's files for others: printer, theatre, archive",
        f"formats:\n{table}\n\n"
        "examples:\n"
        "  skull-implant export implant -o usb-stick\n"
        "  skull-implant export implant --as stl,skull-stl,report -o print --name left-parietal\n"
        "  skull-implant export implant --as mould,try-in --input ct-folder -o theatre\n"
        "  skull-implant export implant --as dicom --input ct-folder -o to-archive\n"
        "  skull-implant export implant --as stl,dicom -o to-archive --dry-run",
    )
    parser.add_argument(
        "result", type=Path, metavar="RESULT", help="a folder that `design` or `update` wrote"
    )
    parser.add_argument(
        "--as",
        dest="formats",
        type=_names,
        default=_names(DEFAULT_FORMATS),
        metavar="NAME,...",
        help=f"formats, see below (default: {DEFAULT_FORMATS})",
    )
    add_output(parser, "where to write; other files there stay, those of the same name go")
    parser.add_argument(
        "--name",
        metavar="NAME",
        help="what the names of the files begin with (default: one made of the input's SHA-256, "
        "which tells no patient); a name that is given may",
    )
    parser.add_argument(
        "--input",
        type=Path,
        metavar="CT",
        help="the CT it was designed for, for the try-in model and the report, and for DICOM where "
        "it is the folder of a series",
    )
    parser.add_argument(
        "--dicom-series",
        type=Path,
        metavar="FOLDER",
        help="the folder of the DICOM series that the CT came from, where the design was made of "
        "another file of it; other series may lie beside it (default: --input)",
    )
    parser.add_argument(
        "--engrave",
        metavar="TEXT",
        help="a label for the implants' inner side, in STL, 3MF, mould and DICOM (needs "
        "manifold3d); it may tell the patient",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="list the files, and which of them carry the patient's identity; write none",
    )


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("must be names with commas between them")
    return names
