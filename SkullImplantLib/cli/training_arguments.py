"""The words and options of `skull-implant train`."""

import argparse
from pathlib import Path
from typing import Any

from ..cases.data_sets import DATA_SET_NAMES
from ..options import DEVICES
from ..training.training_options import ORGAN_NETWORKS, SUPERRES_NETWORKS, TrainOptions
from .arguments import Verbs, add_output, add_verb, flag, not_negative, positive, seed

NETWORKS = ("fine", "ch1", "ch2", *SUPERRES_NETWORKS, *ORGAN_NETWORKS)
TRAIN_EXAMPLES = """examples:
  skull-implant train skulls -o training --minutes 60
  skull-implant train skulls -o training --resume
  skull-implant train --cohort SkullBreak -o skullbreak --minutes 600
  skull-implant train --cohort SegTHOR -o organs --resume
  skull-implant train skulls -o quick --spacing-mm 4 --cases-per-skull 5 --iterations 200
  skull-implant train skulls -o superres --network superres --minutes 60
  skull-implant train skulls -o again --configuration training/configuration.json --seed 1"""


def add_train(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "train", "train the completion network on folders of skulls", TRAIN_EXAMPLES
    )
    parser.add_argument(
        "skulls", type=Path, nargs="*", metavar="FOLDER", help="complete skulls: masks or CTs"
    )
    parser.add_argument(
        "--cohort",
        type=Path,
        metavar="FOLDER",
        help="a public data set as it is unpacked, of which the training part is learnt from; on "
        "SegTHOR the networks of organs are trained, both or --network",
    )
    parser.add_argument(
        "--dataset",
        metavar="NAME",
        choices=DATA_SET_NAMES,
        help=f"of the cohort, where its files do not tell: {', '.join(DATA_SET_NAMES)}",
    )
    add_output(parser, "where cases, log, checkpoint, weights and model card go")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint")
    parser.add_argument(
        "--cases", type=Path, metavar="FOLDER", help="prepared cases, for trainings to share"
    )
    parser.add_argument(
        "--configuration",
        type=Path,
        metavar="FILE",
        help="JSON with any of the options below, with _ for -; a training leaves its own in its "
        "folder. What is given here as well overrules it",
    )
    parser.add_argument(
        "--write-configuration",
        type=Path,
        metavar="FILE",
        help="write all options to a file, and do nothing else",
    )
    defaults = TrainOptions()

    # What is not given stays out of the namespace, so that it does not overrule the file.
    def add(name: str, text: str, **how: Any) -> None:
        default = getattr(defaults, name)
        shown = " ".join(map(_word, default)) if isinstance(default, tuple) else default
        given = "" if shown in (None, "") else f" (default: {shown})"
        parser.add_argument(flag(name), default=argparse.SUPPRESS, help=f"{text}{given}", **how)

    add("network", "what is trained", choices=NETWORKS)
    add("channels", "what it sees", nargs="+", choices=defaults.channels, metavar="CHANNEL")
    add("spacing_mm", "grid; default: 1.5 for fine, 2 for ch1 and ch2", type=not_negative)
    add("skip", "skip connections of ch1 and ch2", choices=("none", "add"))
    add("activation", "activation of ch1 and ch2", choices=("relu", "elu"))
    add("keep_from", "least probability of what coarser levels of ch1 and ch2 keep", type=float)
    add("keep_in_training", "the same while they are trained", type=float)
    add("hole_weight", "weight of the Dice term of ch1 and ch2", type=not_negative)
    parser.add_argument(
        "--no-residual",
        dest="residual",
        action="store_false",
        default=argparse.SUPPRESS,
        help="ch1 and ch2 do not start from the skull and the prior",
    )
    add("shapes", "the skulls as they are, or warped to one another", choices=("own", "registered"))
    add("leave_out", "skulls of the folders that are not used", nargs="+", metavar="NAME")
    add("population", "shape statistics for the prior; default: the shipped ones", metavar="FILE")
    add("provenance", "for the model card: where the skulls come from, and their terms")
    add("cases_per_skull", "defects cut into each skull", type=positive)
    add("areas_cm2", "of the defects", nargs=2, type=not_negative, metavar=("LEAST", "MOST"))
    add("flaws", "share of cases with flaws of patients and scanners", type=not_negative)
    add("validation_share", "share of the skulls held back; 0 learns from all", type=not_negative)
    add("start", "weights to start from instead of from nothing", metavar="FILE")
    add("batch", "cases an iteration", type=positive)
    add("iterations", "one batch each", type=positive)
    add("minutes", "stop after so long at the latest", type=not_negative)
    add("patience", "stop after so many validations that are no better", type=positive)
    add("validate_every", "so many iterations", type=positive)
    add("learning_rate", "at its highest", type=not_negative)
    add("precision", "of the products", choices=("auto", "float32", "bfloat16", "float16"))
    add(
        "memory",
        "what an iteration keeps: a tensor a block, the same in 16 bits, or a tensor a level",
        choices=("plain", "packed", "recomputed"),
    )
    add("surplus", "most candidates of ch1 and ch2 beyond the target, times it", type=not_negative)
    add("seed", "another seed is another training", type=seed)
    add("jobs", "skulls prepared at the same time", type=positive)
    parser.add_argument(
        "--device", choices=DEVICES, default=argparse.SUPPRESS, help="default: auto"
    )


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
