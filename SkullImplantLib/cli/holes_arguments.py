"""The words and options of the verb `holes`."""

from ..options import DesignOptions
from .arguments import (
    Verbs,
    add_changes,
    add_input,
    add_output,
    add_run,
    add_smoother,
    add_verb,
    not_negative,
)

EXAMPLES = """examples:
  skull-implant holes head.nrrd -o found               then design --hole N
  skull-implant holes head.nrrd -o found --leave-out-metal
  skull-implant holes head.nrrd -o found --json | jq .holes"""


def add_holes(verbs: Verbs) -> None:
    """Add the verb, with those of the options of `design` on which holes depend."""
    parser = add_verb(
        verbs,
        "holes",
        "find the skull and list every hole in it, with the numbers that `design --hole` takes",
        EXAMPLES,
    )
    add_input(parser)
    add_output(parser, "where to write skull.nrrd, holes.nrrd (labels 1 to N) and holes.json")
    add_changes(parser)
    parser.add_argument(
        "--clearance-mm",
        type=not_negative,
        default=DesignOptions.clearance_mm,
        metavar="MM",
        help="that of the design, which may part a hole in two (default: %(default)s)",
    )
    add_smoother(parser)
    add_run(parser)
