"""How do implants fit? Cases, designs and numbers from outside: `make fit`.

From the project's folder:

    python Testing/Benchmarks/fit/judge.py                      all cases at all clearances
    python Testing/Benchmarks/fit/judge.py --cases brainweb-50-bilateral --clearances 0.5

`README.md` beside this file tells what each number means. Run again to resume.
"""

import argparse
import json
import shlex
import sys
from pathlib import Path

from fit_cases import all_cases, make_case
from fit_runs import SLICED_MM, design_folder, draw_design, kept_rows, make_design
from fit_table import SHORT_HEAD, short_line, write_tables

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CLEARANCES_MM = (0.0, 0.3, 0.5, 1.0, 2.0)


def main(arguments: list[str] | None = None) -> int:
    """Make what is missing, measure it, print a line each, and write the tables."""
    options = _parser().parse_args(arguments)
    command = shlex.split(options.command)
    every = all_cases(options.work)
    cases = [case for case in every if not options.cases or case.name in options.cases]
    unknown = set(options.cases) - {case.name for case in every}
    if unknown:
        names = ", ".join(case.name for case in every)
        print(f"There is no case {', '.join(sorted(unknown))}; there are {names}.", file=sys.stderr)
        return 2
    rows = []
    print(SHORT_HEAD)
    for case in cases:
        try:
            make_case(case, options.data, command)
        except (OSError, RuntimeError) as error:
            print(f"{case.name} | no case: {error}", file=sys.stderr)
            continue
        for clearance in options.clearances:
            folder = design_folder(options.work, options.run, case, clearance)
            if not options.no_design:
                make_design(case, clearance, folder, command, again=options.again)
            found = kept_rows(case, clearance, folder, options.again or options.measure_again)
            rows += found
            for row in found:
                print(short_line(row), flush=True)
    if options.output:
        before = json.loads(options.before.read_text()) if options.before else None
        write_tables(rows, options.output, before)
    if options.pictures:
        for case in cases:
            folder = design_folder(options.work, options.run, case, SLICED_MM)
            draw_design(case, folder, options.pictures / f"{case.name}.png")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--cases", nargs="+", default=[], metavar="NAME", help="default: all 24")
    add("--clearances", nargs="+", type=float, default=CLEARANCES_MM, metavar="MM")
    add("--command", default=str(ROOT / ".venv/bin/skull-implant"), help="the program to judge")
    add("--run", default="now", metavar="NAME", help="keeps designs apart: before, now (default)")
    add("--no-design", action="store_true", help="measure what is there")
    add("--again", action="store_true", help="design and measure anew")
    add("--measure-again", action="store_true", help="measure anew")
    add("--work", type=Path, default=ROOT / "build" / "fit", help="kept cases and designs")
    add("--data", type=Path, default=ROOT / "../shared/data/test", help="the heads")
    add("-o", "--output", type=Path, metavar="FOLDER", help="write fit.json and fit.md there")
    add("--pictures", type=Path, metavar="FOLDER", help="draw the designs of 0.5 mm there")
    add("--before", type=Path, metavar="FIT.JSON", help="an earlier run's, to compare with")
    add("--jobs", type=int, default=1, choices=(1,), help="one design after the other")
    return parser


if __name__ == "__main__":
    sys.exit(main())
