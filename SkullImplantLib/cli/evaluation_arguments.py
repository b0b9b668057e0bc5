"""The words and options of `skull-implant evaluate` and `benchmark`."""

import argparse
from pathlib import Path

from ..cases.data_sets import DATA_SET_NAMES
from ..options import COHORT_PARTS, DEFECT_KINDS
from .arguments import Verbs, add_output, add_run, add_verb, not_negative, positive, seed
from .benchmark_arguments import add_network_benchmarks

EVALUATE_EXAMPLES = """examples:
  skull-implant evaluate --implant a.nrrd --truth b.nrrd --defective c.nrrd --json
  skull-implant evaluate --cohort SkullBreak -o skullbreak
  skull-implant evaluate --cohort SkullBreak -o skullbreak --shard 3/20
  skull-implant evaluate --cohort SkullFix -o skullfix --part test --cluster tcp://head:8786
  skull-implant evaluate --cohort SegTHOR -o organs --organs-superres superres/weights.npz
  skull-implant evaluate --suite skulls -o results --kinds parietotemporal random_1
  skull-implant evaluate --suite skulls -o results --skulls anna --jobs 4 --pictures
  skull-implant evaluate --suite skulls -o large --areas-cm2 120 150"""
BENCHMARK_EXAMPLES = """examples:
  skull-implant benchmark engine --json
  skull-implant benchmark memory -o memory --resolutions 64 128 256
  skull-implant benchmark robustness --suite skulls -o results --model prior"""


def add_evaluate(verbs: Verbs) -> None:
    parser = add_verb(verbs, "evaluate", "measure how good implants are", EVALUATE_EXAMPLES)
    case = parser.add_argument_group("one case")
    case.add_argument("--implant", type=Path, metavar="FILE", help="the implant to judge")
    case.add_argument("--truth", type=Path, metavar="FILE", help="the piece that was taken out")
    case.add_argument("--defective", type=Path, metavar="FILE", help="the skull without it")
    many = parser.add_argument_group("many cases")
    many.add_argument(
        "--cohort",
        type=Path,
        metavar="FOLDER",
        help="a public data set as it is unpacked: SkullBreak, SkullFix, MUG500+, SciData; or "
        "SegTHOR, of which organs are judged",
    )
    many.add_argument(
        "--dataset",
        metavar="NAME",
        choices=DATA_SET_NAMES,
        help=f"of the cohort, where its files do not tell: {', '.join(DATA_SET_NAMES)}",
    )
    many.add_argument(
        "--part",
        choices=COHORT_PARTS,
        help="of the cohort (default: the test part where its truth is there, else all with truth)",
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
    many.add_argument("--kinds", nargs="+", metavar="KIND", help="of defects (default: all)")
    many.add_argument(
        "--defects",
        type=positive,
        default=2,
        metavar="N",
        help="of each kind in each skull of the suite (default: %(default)s)",
    )
    many.add_argument("--seed", type=seed, default=0, help="another seed is other defects")
    many.add_argument(
        "--areas-cm2",
        type=not_negative,
        nargs=2,
        metavar=("LEAST", "MOST"),
        help="of the defects of the suite (default: 20 120)",
    )
    _add_population(many)
    for what, text in (("segmentation", "the dense"), ("superres", "the sparse")):
        many.add_argument(
            f"--organs-{what}",
            type=Path,
            metavar="FILE",
            help=f"for SegTHOR: the weights of {text} network, as `train --cohort` leaves them "
            "(default: the shipped ones)",
        )
    many.add_argument(
        "--jobs",
        type=positive,
        metavar="J",
        help="cases at a time, which share the threads (default: as many as threads)",
    )
    many.add_argument(
        "--pictures", action="store_true", help="draw the best, median and worst case of each kind"
    )
    many.add_argument(
        "--shard",
        metavar="I/N",
        help="make only the I-th of N equal shares of the cases, as others make theirs, all with "
        "one folder of output",
    )
    many.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="the Dask scheduler whose workers make the cases (tcp://HOST:PORT, or its file)",
    )
    add_output(parser, "where the tables of many cases go; run again to resume", "evaluation")
    add_run(parser)


def add_benchmark(verbs: Verbs) -> None:
    parser = add_verb(
        verbs,
        "benchmark",
        "measure the sparse engines' speed and memory, the memory and arithmetic of the papers' "
        "networks, or how accuracy bears a worse input",
        BENCHMARK_EXAMPLES,
    )
    parser.add_argument("what", choices=("engine", "memory", "robustness"))
    add_network_benchmarks(parser)
    many = parser.add_argument_group("robustness")
    many.add_argument(
        "--suite", type=Path, metavar="FOLDER", help="complete skulls or CTs, to cut defects into"
    )
    many.add_argument("--skulls", nargs="+", metavar="NAME", help="only these (default: all)")
    many.add_argument("--kinds", nargs="+", choices=DEFECT_KINDS, metavar="KIND")
    many.add_argument("--defects", type=positive, default=1, metavar="N", help="a kind and skull")
    many.add_argument("--seed", type=seed, default=0)
    _add_population(many)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="where the table goes; run again to resume (default: memory or robustness)",
    )
    add_run(parser)


def _add_population(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--population",
        type=Path,
        metavar="FILE",
        help="shape statistics (.npz) instead of the shipped ones; a skull that is in them is left "
        "out for its own cases",
    )
