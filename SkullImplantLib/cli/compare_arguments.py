"""The words and options of `skull-implant compare` and `mirror`."""

from pathlib import Path

from .arguments import Verbs, add_verb

COMPARE_EXAMPLES = """examples:
  skull-implant compare implant mirrored               two result folders of one head
  skull-implant compare implant even mirrored --json | jq '.rows[] | select(.differs)'"""
MIRROR_EXAMPLES = """examples:
  skull-implant mirror implant                         writes implant/mirror.stl
  skull-implant mirror implant -o somewhere --json | jq .most95_mm"""


def add_compare(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "compare",
        "put designs of one head side by side: what each was made with, its checks, how far they "
        "lie apart",
        COMPARE_EXAMPLES,
    )
    text = "a folder that `design` or `update` wrote"
    parser.add_argument("first", type=Path, metavar="RESULT", help=text)
    parser.add_argument("others", type=Path, nargs="+", metavar="OTHER", help="the same, another")


def add_mirror(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "mirror",
        "write the head's other side, brought onto the bone around the hole, to compare with",
        MIRROR_EXAMPLES,
    )
    parser.add_argument(
        "result", type=Path, metavar="RESULT", help="a folder that `design` or `update` wrote"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where mirror.stl and mirror.json go (default: RESULT)",
    )
