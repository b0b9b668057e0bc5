"""What the verbs of the command line have in common: the frame of a verb, and shared options."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from ..models import DEFAULT_MODEL, MIRROR, PRIOR, shipped_models
from ..options import DEVICES, ENGINES, SMOOTHERS, DesignOptions

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

# Options whose value is a place or a direction, and may begin with a minus.
PLACES = ("--insertion-direction", "--hole")


def add_verb(
    verbs: Verbs,
    name: str,
    text: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=text,
        description=text[0].upper() + text[1:] + ".",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object and nothing else"
    )
    parser.add_argument(
        "--progress",
        choices=("bar", "json", "none"),
        default="bar",
        help="how progress is shown on standard error (default: bar)",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="tell on standard error what is found and decided, without patient data",
    )
    parser.add_argument("--threads", type=positive, metavar="N", help="processor threads to use")
    return parser


def add_output(parser: argparse.ArgumentParser, text: str, default: str | None = None) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=default is None,
        default=default,
        metavar="FOLDER",
        help=text,
    )


def add_network_place(parser: argparse.ArgumentParser) -> None:
    """Add where, and with what, a network runs."""
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="torch",
        help="sparse engine (default: torch, our own; minkowski needs `make minkowski`)",
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    add_network_place(parser)
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|FILE",
        help=f"shipped weights by name ({', '.join(shipped_models())}), a weight file of your own, "
        f"`{PRIOR}` for the geometric completion alone, or `{MIRROR}` for the other side turned "
        f"over, to compare with (default: {DEFAULT_MODEL}, which is {PRIOR}: no network "
        "gains on it)",
    )


def add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="DICOM folder, or NRRD, NIfTI or MHA file"
    )
    parser.add_argument(
        "--input",
        dest="kind_of_input",
        choices=("auto", "ct", "skull"),
        default="auto",
        help="a CT in HU or a binary skull; by default told from the content",
    )
    parser.add_argument(
        "--label",
        type=positive,
        metavar="N",
        help="the skull's label, where the mask has several",
    )
    parser.add_argument(
        "--segment",
        metavar="NAME",
        help="the skull's segment, where the segmentation has several",
    )
    parser.add_argument(
        "--orientation",
        metavar="CODE",
        help="where the voxel axes really go to, three letters such as RAS, where the file says it "
        "wrongly",
    )
    parser.add_argument(
        "--coarser",
        action="count",
        default=0,
        help="average voxels and work at half the resolution, given twice at a quarter, to save "
        "memory; the results lie on that grid",
    )
    add_series(parser)
    parser.add_argument(
        "--bone-threshold",
        type=float,
        metavar="HU",
        help="bone threshold in HU (default: found from the image)",
    )


def add_series(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--series", metavar="UID", help="the DICOM series, where there are several")


def add_changes(parser: argparse.ArgumentParser) -> None:
    """Add what changes the skull that was found, and what of its holes counts."""
    parser.add_argument(
        "--leave-out",
        type=Path,
        metavar="FILE",
        help="a mask: bone inside it counts as removed (hardware, loose fragments, bone to resect)",
    )
    parser.add_argument(
        "--leave-out-metal",
        action="store_true",
        help="metal on the vault of a CT (above 2800 HU) counts as removed: a plate or mesh that "
        "closes the hole",
    )
    parser.add_argument(
        "--cut-out",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a closed curve on the skull (Slicer's .mrk.json): its inside is a hole, whatever is "
        "seen there, and bone in it counts as removed (a resection that is planned, a hole that "
        "was not found); may be given again",
    )
    parser.add_argument(
        "--limit-to",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a closed curve on the skull (Slicer's .mrk.json): only what of the missing bone lies "
        "inside gets an implant, which ends at the curve where that crosses a hole; may be given "
        "again",
    )
    add_reference(parser)
    parser.add_argument(
        "--refine-mm",
        type=not_negative,
        metavar="MM",
        help="bring the skull to voxels of this side first, by super-resolution; needs PyTorch "
        "(default: as it came)",
    )


def add_smoother(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--smoother",
        choices=SMOOTHERS,
        default=DesignOptions.smoother,
        help="what makes the completion smooth: its own depth, or voxel rearrangement "
        "(default: %(default)s)",
    )


def add_reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FILE|FOLDER",
        help="the same patient's own earlier bone, which then completes the skull: a head CT or "
        "skull mask from before the operation, a CT or mask of the bone flap, or the folder of an "
        "earlier design; in any pose, from any scanner",
    )
    parser.add_argument(
        "--reference-is",
        choices=("auto", "skull", "flap"),
        default="auto",
        help="a whole skull or the flap alone; by default told from its bone",
    )


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def seed(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def not_negative(text: str) -> float:
    number = float(text)
    if not 0.0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def three_numbers(text: str) -> tuple[float, float, float]:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError("must be three numbers X,Y,Z") from error
    return x, y, z


def hole_choice(text: str) -> int | tuple[float, float, float]:
    return three_numbers(text) if "," in text else positive(text)


def with_values_joined(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with `--option -1,2,3` as `--option=-1,2,3`, as argparse takes what
    begins with a dash for an option.
    """
    joined: list[str] = []
    for argument in arguments:
        if joined and joined[-1] in PLACES and argument.startswith("-"):
            joined[-1] += "=" + argument
        else:
            joined.append(argument)
    return joined
