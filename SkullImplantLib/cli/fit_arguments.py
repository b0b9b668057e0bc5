"""The words and options of `skull-implant fit`."""

from pathlib import Path

from ..options import DesignOptions
from .arguments import Verbs, add_input, add_verb, not_negative, three_numbers

FIT_EXAMPLES = """examples:
  skull-implant fit implant/implant.stl head.nrrd
  skull-implant fit other.stl ct-folder --threshold 300 --clearance-mm 0.3
  skull-implant fit edited.stl skull.nii.gz --insertion-direction 0.8,-0.2,0.5
  skull-implant fit implant.stl head.nrrd --json | jq '.checks[] | select(.passed | not)'"""


def add_fit(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "fit",
        "measure how any implant fits into a head: gap, contact, way in, steps, walls",
        FIT_EXAMPLES,
    )
    parser.add_argument(
        "implant", type=Path, metavar="IMPLANT", help="STL file, binary or text, LPS mm"
    )
    add_input(parser)
    parser.add_argument(
        "--threshold",
        dest="bone_threshold",
        type=float,
        metavar="HU",
        help="the same as --bone-threshold",
    )
    parser.add_argument(
        "--clearance-mm",
        type=not_negative,
        default=DesignOptions.clearance_mm,
        metavar="MM",
        help="gap that the implant was made with (default: %(default)s)",
    )
    parser.add_argument(
        "--insertion-direction",
        type=three_numbers,
        metavar="X,Y,Z",
        help="along which it comes out (LPS; default: the best is looked for)",
    )
