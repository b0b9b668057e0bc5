"""The words and options of `skull-implant superres`."""

from ..models import SUPERRES
from .arguments import Verbs, add_input, add_network_place, add_output, add_verb, not_negative

TO_MM = 0.5  # about that of a head CT at full resolution
EXAMPLES = """examples:
  skull-implant superres thick-slices.nrrd -o fine
  skull-implant superres completed-4mm.nii.gz -o fine --to-mm 1
  skull-implant design fine/superres.nrrd -o implant"""


def add_superres(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "superres",
        "bring a coarse skull mask, or one of thick slices, to a finer grid",
        EXAMPLES,
    )
    add_input(parser)
    add_output(parser, "where to write superres.nrrd, a picture of it, and what was done")
    parser.add_argument(
        "--to-mm",
        type=not_negative,
        default=TO_MM,
        metavar="MM",
        help="the new voxels' sides; an axis that is finer already keeps its own "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default=SUPERRES,
        metavar="NAME|FILE",
        help="the shipped weights, or a file that `train --network superres` wrote "
        "(default: %(default)s)",
    )
    add_network_place(parser)
