"""The command line `skull-implant`: its words and options, and how it ends."""

import argparse
import json
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

from . import __version__
from .errors import Cancelled, SkullImplantError
from .export.folder import trace_remover
from .models import DEFAULT_MODEL, MIRROR, PRIOR, shipped_models
from .options import DEFECT_KINDS, DEVICES, ENGINES, DesignOptions
from .terminal import JsonLines, ProgressBar, Quiet
from .training.options import TrainOptions
from .watch import ending_with_the_starter

OK, BUG, USER_ERROR, CANCELLED = 0, 1, 2, 130

# Where each verb is found: the room and the function. Rooms are opened when they are used, so that
# help comes at once, and what needs no torch runs without it.
VERBS = {
    "demo": (".commands", "demo"),
    "sample": (".commands", "sample"),
    "design": (".commands", "design"),
    "update": (".commands", "update"),
    "defect": (".commands", "defect"),
    "devices": (".commands", "devices"),
    "evaluate": (".evaluation.commands", "evaluate"),
    "train": (".training.commands", "train_network"),
    "benchmark": (".evaluation.commands", "benchmark"),
}

DESIGN_EXAMPLES = """examples:
  skull-implant design ct-folder -o implant            a DICOM folder
  skull-implant design head.nrrd -o implant --clearance-mm 0.3
  skull-implant design skull.nii.gz -o implant --input skull --model prior
  skull-implant design head.nrrd -o implant --leave-out plates.nrrd
  skull-implant design head.nrrd -o implant --json | jq .checks"""
UPDATE_EXAMPLES = """examples:
  skull-implant update implant -o implant              implant/implant.nrrd was edited by hand
  skull-implant update implant -o edited --input head.nrrd --clearance-mm 0.3"""
DEFECT_EXAMPLES = """examples:
  skull-implant defect head.nrrd -o case --kind bilateral --seed 3
  skull-implant design case/defective.nrrd -o implant
  skull-implant evaluate --implant implant/implant.nrrd --truth case/implant.nrrd \\
                         --defective implant/skull.nrrd"""
EVALUATE_EXAMPLES = """examples:
  skull-implant evaluate --implant a.nrrd --truth b.nrrd --defective c.nrrd --json
  skull-implant evaluate --cohort SkullBreak/test --json
  skull-implant evaluate --suite skulls -o results --kinds parietotemporal random_1
  skull-implant evaluate --suite skulls -o results --skulls anna --jobs 4 --pictures"""
BENCHMARK_EXAMPLES = """examples:
  skull-implant benchmark engine --json
  skull-implant benchmark robustness --suite skulls -o results --model prior"""
OUT_OF_MEMORY = "Not enough memory for this image; close other programs or crop the CT to the head."
TRAIN_EXAMPLES = """examples:
  skull-implant train skulls -o training --minutes 60
  skull-implant train skulls -o training --resume
  skull-implant train skulls -o quick --spacing-mm 4 --cases-per-skull 5 --iterations 200
  skull-implant train skulls -o again --configuration training/configuration.json --seed 1"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="skull-implant",
        description="From a head CT with a hole in the skull to a printable implant. The result is "
        "a proposal for review by a qualified person, not a medical device.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_demo(verbs)
    _add_sample(verbs)
    _add_design(verbs)
    _add_update(verbs)
    _add_defect(verbs)
    _add_devices(verbs)
    _add_evaluate(verbs)
    _add_train(verbs)
    _add_benchmark(verbs)
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
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
    parser.add_argument("--threads", type=_positive, metavar="N", help="processor threads to use")
    return parser


def _add_output(parser: argparse.ArgumentParser, text: str, default: str | None = None) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=default is None,
        default=default,
        metavar="FOLDER",
        help=text,
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: auto")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="torch",
        help="sparse engine (default: torch, our own; minkowski needs `make minkowski`)",
    )
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|FILE",
        help=f"shipped weights by name ({', '.join(shipped_models())}), a weight file of your own, "
        f"`{PRIOR}` for the geometric completion alone, or `{MIRROR}` for the other side turned "
        f"over, to compare with (default: {DEFAULT_MODEL})",
    )


def _add_input(parser: argparse.ArgumentParser) -> None:
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
    parser.add_argument("--series", metavar="UID", help="the DICOM series, where there are several")
    parser.add_argument(
        "--bone-threshold",
        type=float,
        metavar="HU",
        help="bone threshold in HU (default: found from the image)",
    )


def _add_demo(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "demo",
        "design an implant for the built-in sample patient, and compare it with the answer",
        "examples:\n  skull-implant demo\n  skull-implant demo -o somewhere --seed 7",
    )
    _add_output(parser, "where to write (default: demo-output)", "demo-output")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another patient")
    _add_run(parser)


def _add_sample(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "sample",
        "write the CT of the built-in sample patient, and the answer",
        "examples:\n  skull-implant sample -o sample\n  skull-implant sample -o sample --seed 7",
    )
    _add_output(parser, "where to write sample-ct.nrrd and sample-answer.nrrd")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another patient")


def _add_design(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "design",
        "complete the skull of a head CT and write the implant as a printable STL",
        DESIGN_EXAMPLES,
    )
    _add_input(parser)
    _add_output(parser, "where to write skull, completed skull, implant, pictures and report")
    parser.add_argument(
        "--leave-out",
        type=Path,
        metavar="FILE",
        help="a mask: bone inside it counts as removed (hardware, loose fragments, bone to resect)",
    )
    for name, text in (
        ("clearance_mm", "gap between implant and bone"),
        ("rim_slack_mm", "how far the rim may reach over the edge of the bone"),
        ("spur_mm", "spurs of the implant thinner than this are removed"),
    ):
        parser.add_argument(
            _flag(name),
            type=_not_negative,
            default=getattr(DesignOptions, name),
            metavar="MM",
            help=f"{text} (default: %(default)s)",
        )
    _add_run(parser)
    _add_no_report(parser)


def _add_no_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-report", action="store_true", help="no pictures and report, only masks, STL and JSON"
    )


def _add_update(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "update",
        "mesh and check an implant anew that was edited by hand",
        UPDATE_EXAMPLES,
    )
    parser.add_argument(
        "result",
        type=Path,
        metavar="RESULT",
        help="a folder that `design` wrote, with implant.nrrd as edited",
    )
    _add_output(parser, "where to write the result; may be the same folder")
    parser.add_argument(
        "--input", type=Path, metavar="CT", help="the CT it was designed for, for the pictures"
    )
    parser.add_argument(
        "--clearance-mm",
        type=_not_negative,
        metavar="MM",
        help="gap that the checks allow (default: what the design was made with)",
    )
    _add_no_report(parser)


def _add_devices(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _verb(
        verbs,
        "devices",
        "list where a network can run on this machine",
        "examples:\n  skull-implant devices --json",
    )


def _add_defect(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs, "defect", "cut a craniectomy into a complete skull or its CT", DEFECT_EXAMPLES
    )
    _add_input(parser)
    _add_output(parser, "where to write defective.nrrd, implant.nrrd and complete.nrrd")
    parser.add_argument("--kind", choices=DEFECT_KINDS, default="random")
    parser.add_argument("--seed", type=int, default=0, help="another seed is another defect")
    parser.add_argument(
        "--area-cm2",
        type=_not_negative,
        metavar="CM2",
        help="outer area (default: 20 to 120, drawn)",
    )


def _add_evaluate(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(verbs, "evaluate", "measure how good implants are", EVALUATE_EXAMPLES)
    case = parser.add_argument_group("one case")
    case.add_argument("--implant", type=Path, metavar="FILE", help="the implant to judge")
    case.add_argument("--truth", type=Path, metavar="FILE", help="the piece that was taken out")
    case.add_argument("--defective", type=Path, metavar="FILE", help="the skull without it")
    many = parser.add_argument_group("many cases")
    many.add_argument(
        "--cohort", type=Path, metavar="FOLDER", help="SkullBreak or SkullFix, in its own layout"
    )
    many.add_argument(
        "--suite",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="complete skulls or CTs, to cut defects into",
    )
    many.add_argument(
        "--skulls", nargs="+", metavar="NAME", help="of the suite, only these (default: all)"
    )
    many.add_argument("--kinds", nargs="+", choices=DEFECT_KINDS, metavar="KIND")
    many.add_argument(
        "--defects",
        type=_positive,
        default=2,
        metavar="N",
        help="of each kind in each skull of the suite (default: %(default)s)",
    )
    many.add_argument("--seed", type=int, default=0, help="another seed is other defects")
    many.add_argument(
        "--population",
        type=Path,
        metavar="FILE",
        help="shape statistics (.npz) instead of the shipped ones; a skull that is in them is left "
        "out for its own cases",
    )
    many.add_argument(
        "--jobs",
        type=_positive,
        metavar="J",
        help="cases at a time, which share the threads (default: as many as threads)",
    )
    many.add_argument(
        "--pictures", action="store_true", help="draw the best, median and worst case of each kind"
    )
    _add_output(parser, "where the tables of many cases go; run again to resume", "evaluation")
    _add_run(parser)


def _add_train(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs, "train", "train the completion network on folders of skulls", TRAIN_EXAMPLES
    )
    parser.add_argument(
        "skulls", type=Path, nargs="+", metavar="FOLDER", help="complete skulls: masks or CTs"
    )
    _add_output(parser, "where cases, log, checkpoint, weights and model card go")
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
        shown = " ".join(default) if isinstance(default, tuple) else default
        given = "" if shown in (None, "") else f" (default: {shown})"
        parser.add_argument(_flag(name), default=argparse.SUPPRESS, help=f"{text}{given}", **how)

    add("network", "what is trained", choices=("fine", "ch1", "ch2"))
    add("channels", "what it sees", nargs="+", choices=defaults.channels, metavar="CHANNEL")
    add("spacing_mm", "grid; default: 1.5 for fine, 2 for ch1 and ch2", type=_not_negative)
    add("skip", "skip connections of ch1 and ch2", choices=("none", "add"))
    add("activation", "activation of ch1 and ch2", choices=("relu", "elu"))
    add("hole_weight", "weight of the Dice term of ch1 and ch2", type=_not_negative)
    add("leave_out", "skulls of the folders that are not used", nargs="+", metavar="NAME")
    add("population", "shape statistics for the prior; default: the shipped ones", metavar="FILE")
    add("provenance", "for the model card: where the skulls come from, and their terms")
    add("cases_per_skull", "defects cut into each skull", type=_positive)
    add("flaws", "share of cases with flaws of patients and scanners", type=_not_negative)
    add("validation_share", "share of the skulls held back; 0 learns from all", type=_not_negative)
    add("iterations", "one case each", type=_positive)
    add("minutes", "stop after so long at the latest", type=_not_negative)
    add("patience", "stop after so many validations that are no better", type=_positive)
    add("validate_every", "so many iterations", type=_positive)
    add("learning_rate", "at its highest", type=_not_negative)
    add("precision", "of the products", choices=("auto", "float32", "bfloat16", "float16"))
    add("seed", "another seed is another training", type=int)
    add("jobs", "skulls prepared at the same time", type=_positive)
    parser.add_argument(
        "--device", choices=DEVICES, default=argparse.SUPPRESS, help="default: auto"
    )


def _add_benchmark(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "benchmark",
        "measure the sparse engines' speed and memory, or how accuracy bears a worse input",
        BENCHMARK_EXAMPLES,
    )
    parser.add_argument("what", choices=("engine", "robustness"))
    many = parser.add_argument_group("robustness")
    many.add_argument(
        "--suite", type=Path, metavar="FOLDER", help="complete skulls or CTs, to cut defects into"
    )
    many.add_argument("--skulls", nargs="+", metavar="NAME", help="only these (default: all)")
    many.add_argument("--kinds", nargs="+", choices=DEFECT_KINDS, metavar="KIND")
    many.add_argument("--defects", type=_positive, default=1, metavar="N", help="a kind and skull")
    many.add_argument("--seed", type=int, default=0)
    _add_output(parser, "where the table goes; run again to resume", "robustness")
    _add_run(parser)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _not_negative(text: str) -> float:
    number = float(text)
    if not 0.0 <= number < float("inf"):
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    options = build_parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    show = {"bar": ProgressBar, "json": JsonLines, "none": Quiet}[options.progress]()
    watching: AbstractContextManager[None] = nullcontext()
    if options.progress == "json":
        # Asked before the run makes anything: what is not there now may go again.
        watching = ending_with_the_starter(trace_remover(getattr(options, "output", None)))
    with watching:
        try:
            show.begin()
            return _run(options, show)
        except SkullImplantError as error:
            return _fail(options, show, str(error), USER_ERROR)
        except (KeyboardInterrupt, Cancelled):
            return _fail(options, show, "Cancelled.", CANCELLED)
        except Exception as error:
            if _is_out_of_memory(error):
                return _fail(options, show, OUT_OF_MEMORY, USER_ERROR)
            traceback.print_exc()
            sentence = f"Internal error: {type(error).__name__}: {' '.join(str(error).split())}"
            return _fail(options, show, sentence, BUG)


def _run(options: argparse.Namespace, show: Quiet) -> int:
    room, function = VERBS[options.verb]
    result = getattr(import_module(room, __package__), function)(options, show)
    show.close()
    print(json.dumps(result.data, indent=2, allow_nan=False) if options.json else result.text)
    sys.stdout.flush()
    show.end()
    return OK


def _fail(options: argparse.Namespace, show: Quiet, sentence: str, code: int) -> int:
    show.close()
    if options.json:
        print(json.dumps({"error": sentence}), flush=True)
    show.fail(sentence, code)
    return code


def _is_out_of_memory(error: Exception) -> bool:
    """Say whether memory ran out; ITK and torch tell it in words alone."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and "allocate memory" in str(error).lower()
    )


def _stop(number: int, frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C, so that nothing half-written is left."""
    raise KeyboardInterrupt
