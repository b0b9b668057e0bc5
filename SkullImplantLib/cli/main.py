"""The command line `skull-implant`: its words and options, and how it ends."""

import argparse
import json
import logging
import platform
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from types import FrameType

from .. import __version__
from ..core.memory_need import require_room_to_load
from ..core.staging import trace_remover
from ..core.threads import processor_count, thread_variables
from ..core.torchrun import launched
from ..errors import Cancelled, DiskError, SkullImplantError, expected
from ..options import DEFECT_KINDS, DesignOptions, DrillOptions
from .arguments import (
    Verbs,
    add_changes,
    add_input,
    add_output,
    add_run,
    add_smoother,
    add_verb,
    flag,
    hole_choice,
    not_negative,
    seed,
    three_numbers,
    with_values_joined,
)
from .compare_arguments import add_compare, add_mirror
from .evaluation_arguments import add_benchmark, add_evaluate
from .export_arguments import add_export
from .fit_arguments import add_fit
from .holes_arguments import add_holes
from .organs_arguments import add_organs
from .printable import printable
from .result import say
from .superres_arguments import add_superres
from .terminal import JsonLines, ProgressBar, Quiet, showing_log
from .training_arguments import add_train
from .watch import ending_with_the_starter
from .wording import sentence_of

log = logging.getLogger(__name__)

OK, BUG, USER_ERROR, CANCELLED = 0, 1, 2, 130

# Where each verb is found: module and function. Modules are imported when they are used, so that
# help comes at once, and what needs no torch runs without it.
VERBS = {
    "demo": (".commands", "demo"),
    "sample": (".commands", "sample"),
    "design": (".commands", "design"),
    "update": (".commands", "update"),
    "report": (".commands", "report"),
    "export": (".export_command", "export"),
    "compare": (".compare_command", "compare"),
    "mirror": (".compare_command", "mirror"),
    "defect": (".commands", "defect"),
    "devices": (".commands", "devices"),
    "holes": (".holes_command", "holes"),
    "fit": (".fit_command", "fit"),
    "superres": (".superres_command", "superres"),
    "organs": (".organs_command", "organs"),
    "evaluate": (".evaluation_commands", "evaluate"),
    "train": (".training_commands", "train_network"),
    "benchmark": (".evaluation_commands", "benchmark"),
}

DESIGN_EXAMPLES = """examples:
  skull-implant design ct-folder -o implant            a DICOM folder
  skull-implant design head.nrrd -o implant --clearance-mm 0.3
  skull-implant design skull.nii.gz -o implant --input skull --model prior
  skull-implant design head.nrrd -o implant --leave-out plates.nrrd
  skull-implant design head.nrrd -o implant --cut-out resection.mrk.json
  skull-implant design head.nrrd -o implant --hole 2 --limit-to curve.mrk.json
  skull-implant design head.nrrd -o implant --reference ct-before-the-operation
  skull-implant design head.nrrd -o implant --reference flap.nrrd
  skull-implant design head.nrrd -o implant --json | jq .checks"""
UPDATE_EXAMPLES = """examples:
  skull-implant update implant -o implant              implant/implant.nrrd was edited by hand
  skull-implant update implant -o edited --input head.nrrd --clearance-mm 0.3"""
REPORT_EXAMPLES = """examples:
  skull-implant report implant --input head.nrrd       implant was designed with --no-report
  skull-implant report implant --previous before       colors how far the outer face moved
  skull-implant report implant -o pictures"""
DEFECT_EXAMPLES = """examples:
  skull-implant defect head.nrrd -o case --kind bilateral --seed 3
  skull-implant design case/defective.nrrd -o implant
  skull-implant evaluate --implant implant/implant.nrrd --truth case/implant.nrrd \\
                         --defective implant/skull.nrrd"""


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
    add_holes(verbs)
    _add_update(verbs)
    _add_report(verbs)
    add_export(verbs)
    add_compare(verbs)
    add_mirror(verbs)
    _add_defect(verbs)
    _add_devices(verbs)
    add_fit(verbs)
    add_superres(verbs)
    add_organs(verbs)
    add_evaluate(verbs)
    add_train(verbs)
    add_benchmark(verbs)
    return parser


def _add_demo(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "demo",
        "design an implant for the built-in sample patient, and compare it with the answer",
        "examples:\n  skull-implant demo\n  skull-implant demo -o somewhere --seed 7",
    )
    add_output(parser, "where to write (default: demo-output)", "demo-output")
    parser.add_argument("--seed", type=seed, default=0, help="another seed is another patient")
    add_run(parser)


def _add_sample(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "sample",
        "write the CT of the built-in sample patient, and the answer",
        "examples:\n  skull-implant sample -o sample\n  skull-implant sample -o sample --seed 7",
    )
    add_output(parser, "where to write sample-ct.nrrd and sample-answer.nrrd")
    parser.add_argument("--seed", type=seed, default=0, help="another seed is another patient")


def _add_design(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "design",
        "complete the skull of a head CT and write the implant as a printable STL",
        DESIGN_EXAMPLES,
    )
    add_input(parser)
    add_output(parser, "where to write skull, completed skull, implant, pictures and report")
    add_changes(parser)
    for name, text in (
        ("clearance_mm", "gap between implant and bone, in place and on the way in"),
        ("thickness_mm", "one thickness for all of it (default: as the bone that is missing)"),
        ("least_wall_mm", "nothing is thinner; edges are rounded by half of it"),
        ("split_gap_mm", "make each implant in two pieces, so far apart (default: one piece)"),
        ("bevel_mm", "cut the outer edge beside bone off at 45 degrees (default: rounded only)"),
    ):
        default = getattr(DesignOptions, name)
        parser.add_argument(
            flag(name),
            type=not_negative,
            default=default,
            metavar="MM",
            help=text if default is None else f"{text} (default: %(default)s)",
        )
    _add_direction(parser, "the one on which least is lost")
    parser.add_argument(
        "--hole",
        action="append",
        type=hole_choice,
        default=[],
        metavar="N|X,Y,Z",
        help="only this hole: its number (1 is the largest), or a place in it (LPS, mm); may be "
        "given again (default: every hole of 4 cm² and more)",
    )
    _add_drill(parser)
    add_smoother(parser)
    add_run(parser)
    _add_no_report(parser)


def _add_drill(parser: argparse.ArgumentParser) -> None:
    for name, text in (
        ("perforation_mm", "drill perforations so wide, along the way in (needs manifold3d)"),
        ("perforation_pitch_mm", "from the middle of one to that of the next"),
        ("perforation_from_rim_mm", "from the rim to the edge of a perforation, at least"),
        ("suture_hole_mm", "how wide the suture holes are"),
        ("suture_from_rim_mm", "from the rim to the edge of a suture hole"),
    ):
        default = getattr(DrillOptions, name)
        parser.add_argument(
            flag(name),
            type=not_negative,
            default=default,
            metavar="MM",
            help=f"{text} (default: {'none' if default is None else f'{default:g}'})",
        )
    parser.add_argument(
        "--suture-holes",
        type=int,
        default=0,
        metavar="N",
        help="drill so many holes along the rim, for sutures (needs manifold3d; default: none)",
    )


def _add_direction(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--insertion-direction",
        type=three_numbers,
        metavar="X,Y,Z",
        help=f"along which the implant comes out (LPS; default: {default})",
    )


def _add_no_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-report", action="store_true", help="no pictures and report, only masks, STL and JSON"
    )


def _add_update(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "update",
        "fit, mesh and check an implant anew that was edited by hand",
        UPDATE_EXAMPLES,
    )
    parser.add_argument(
        "result",
        type=Path,
        metavar="RESULT",
        help="a folder that `design` wrote, with implant.nrrd as edited",
    )
    add_output(parser, "where to write the result; may be the same folder")
    parser.add_argument(
        "--input", type=Path, metavar="CT", help="the CT it was designed for, for the pictures"
    )
    parser.add_argument(
        "--clearance-mm",
        type=not_negative,
        metavar="MM",
        help="gap between implant and bone (default: what the design was made with)",
    )
    _add_direction(parser, "what the design was made with")
    _add_no_report(parser)


def _add_report(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "report", "draw the pictures and write the report of a design", REPORT_EXAMPLES
    )
    parser.add_argument(
        "result", type=Path, metavar="RESULT", help="a folder that `design` or `update` wrote"
    )
    parser.add_argument(
        "--input", type=Path, metavar="CT", help="the CT it was designed for, for the pictures"
    )
    parser.add_argument(
        "--previous",
        type=Path,
        metavar="OTHER",
        help="a result folder of the same head: the report shows how far the outer faces differ",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where preview.png and report.html go (default: RESULT)",
    )


def _add_devices(verbs: Verbs) -> None:
    add_verb(
        verbs,
        "devices",
        "list where a network can run on this machine",
        "examples:\n  skull-implant devices --json",
    )


def _add_defect(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "defect", "cut a craniectomy into a complete skull or its CT", DEFECT_EXAMPLES
    )
    add_input(parser)
    add_output(parser, "where to write defective.nrrd, implant.nrrd and complete.nrrd")
    parser.add_argument("--kind", choices=DEFECT_KINDS, default="random")
    parser.add_argument("--seed", type=seed, default=0, help="another seed is another defect")
    parser.add_argument(
        "--area-cm2",
        type=not_negative,
        metavar="CM2",
        help="outer area (default: 20 to 120, drawn)",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    options = build_parser().parse_args(with_values_joined(given))
    signal.signal(signal.SIGTERM, _stop)
    # The first of several processes that train together speaks for all.
    place = launched() if options.verb == "train" else None
    speaks = place is None or place.rank == 0
    if not speaks:
        options.progress, options.json = "none", False
    show = {"bar": ProgressBar, "json": JsonLines, "none": Quiet}[options.progress]()
    watching: AbstractContextManager[None] = nullcontext()
    if options.progress == "json":
        # Asked before the run makes anything: what is not there now may go again.
        watching = ending_with_the_starter(trace_remover(getattr(options, "output", None)))
    with thread_variables(options.threads), showing_log(show, options.verbose), watching:
        try:
            show.begin()
            return _run(options, show, speaks)
        except (KeyboardInterrupt, Cancelled):
            return _fail(options, show, SkullImplantError("Cancelled."), CANCELLED)
        except Exception as error:
            if told := expected(error):
                return _fail(options, show, told, USER_ERROR)
            traceback.print_exc()
            sentence = f"Internal error: {type(error).__name__}: {' '.join(str(error).split())}"
            return _fail(options, show, SkullImplantError(sentence), BUG)


def _run(options: argparse.Namespace, show: Quiet, speaks: bool) -> int:
    log.info("%s of version %s", options.verb, __version__)
    log.info("Python %s on %s", platform.python_version(), platform.platform())
    log.info("threads: %s; processor cores: %d", options.threads or "all", processor_count())
    require_room_to_load(min(options.threads or processor_count(), processor_count()))
    module, function = VERBS[options.verb]
    result = getattr(import_module(module, __package__), function)(options, show)
    show.close()
    if speaks:
        say(
            json.dumps(result.data, indent=2, allow_nan=False)
            if options.json
            else printable(result.text)
        )
    show.end()
    return OK


def _fail(options: argparse.Namespace, show: Quiet, error: SkullImplantError, code: int) -> int:
    """Tell of an error and return the exit code."""
    show.close()
    if options.json:
        with suppress(DiskError):
            say(json.dumps({"error": sentence_of(error)}))
    show.fail(error, code)
    return code


def _stop(number: int, frame: FrameType | None) -> None:
    """End on SIGTERM as on Ctrl-C, so that nothing half-written is left."""
    raise KeyboardInterrupt
