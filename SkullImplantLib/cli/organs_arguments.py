"""The words and options of `skull-implant organs`."""

from pathlib import Path

from ..models import ORGANS_COARSE, ORGANS_FINE
from .arguments import Verbs, add_network_place, add_output, add_series, add_verb

EXAMPLES = """examples:
  skull-implant organs chest-ct-folder -o organs
  skull-implant organs chest.nii.gz -o organs --json
  skull-implant organs chest.nii.gz -o organs --dense trained/segmentation.npz \\
                       --model trained/superres.npz
  skull-implant organs chest.nii.gz -o organs --coarse labels-of-another-program.nii.gz"""


def add_organs(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "organs",
        "find oesophagus, heart, trachea and aorta in a CT of the chest, at its full resolution",
        EXAMPLES,
    )
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="DICOM folder, or NRRD, NIfTI or MHA file"
    )
    add_series(parser)
    add_output(parser, "where to write organs.seg.nrrd, an STL of each organ, and a picture")
    parser.add_argument(
        "--dense",
        default=ORGANS_COARSE,
        metavar="NAME|FILE",
        help="weights of the dense network, which finds the organs on 128 x 128 x 128 voxels: "
        "those that come with the program, or a file (default: %(default)s)",
    )
    parser.add_argument(
        "--model",
        default=ORGANS_FINE,
        metavar="NAME|FILE",
        help="weights of the sparse network, which brings them to the CT's grid, likewise "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--coarse",
        type=Path,
        metavar="LABELS",
        help="do not look for organs, but refine these labels of another program, numbered as in "
        "SegTHOR: 1 oesophagus, 2 heart, 3 trachea, 4 aorta",
    )
    add_network_place(parser)
