"""What each input of the network is worth: mirror, prior, `ch1` with neither, either and both, and
the fine stage.

Every network is trained on the same defects of the same skulls for the same number of iterations,
and all rows are designed and measured alike (`skull-implant evaluate --suite`, the prior's shape
statistics without the skull at hand). Run again to resume. From the project's folder:

    python Testing/Benchmarks/ablation.py TRAINING_SKULLS TEST_SKULLS -o Testing/Benchmarks/ablation

writes `ablation.md` there. Trainings go to `--work`, which may be thrown away afterwards.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.core.files import atomic_path
from SkullImplantLib.evaluation.evaluation_options import EXACT, RunOptions, SuiteOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.suite import evaluate_suite
from SkullImplantLib.models import MIRROR, PRIOR
from SkullImplantLib.training.train import train
from SkullImplantLib.training.training_options import TrainOptions

# A budget that all rows can share on two cores within an hour and a half.
BUDGET = TrainOptions(
    leave_out=("average-19y",),
    cases_per_skull=8,
    flaws=0.25,
    iterations=600,
    validate_every=200,
)
CH1 = replace(BUDGET, network="ch1")


@dataclass(frozen=True)
class Entry:
    """A row of the table: its name, what it is, and how it is trained, if it is."""

    name: str
    what: str
    options: TrainOptions | None = None


ENTRIES = (
    Entry(MIRROR, "the other side of the head turned over, no learning"),
    Entry(PRIOR, "the geometric prior alone"),
    Entry(
        "ch1-published",
        "`ch1` as published: no skip connections, the papers' loss, input: skull",
        replace(CH1, channels=("skull",), residual=False, skip="none", hole_weight=0.0),
    ),
    Entry(
        "ch1-mirror",
        "`ch1` with skip connections and a Dice term on the hole, inputs: skull and mirrored skull",
        replace(CH1, channels=("skull", "mirror"), residual=False),
    ),
    Entry(
        "ch1-prior",
        "the same with the prior, from which it starts, instead of the mirror",
        replace(CH1, channels=("skull", "prior", "hole", "deviation")),
    ),
    Entry(
        "ch1-both",
        "the same with mirror and prior",
        replace(CH1, channels=("skull", "mirror", "prior", "hole", "deviation")),
    ),
    Entry("fine", "the fine stage, which corrects the prior's depth around the defect", BUDGET),
)
GROUPS = ("calvarial, ct", "calvarial, skull", "frontoorbital, ct", "frontoorbital, skull")
MEASURES = (("dice_mean", 3), ("border_dice_10mm_mean", 3), ("hd95_mm_mean", 2))
HEAD = """# What each input of the network is worth

Made by `Testing/Benchmarks/ablation.py`: one defect of each of five kinds in the two test adults
(`skull`) and the two test CTs (`ct`), no clearance, on each input's own grid. Every network was
trained for {iterations} iterations on the same {cases} defects in each training skull, the best of
{checks} validations kept. Pose and hole are the prior's in every row, and bone is only added where
the prior sees it missing (6 mm around), which is kind to `mirror` and `ch1`.
Cells: mean Dice / border Dice (10 mm) / HD95 in mm; in brackets the cases below a Dice of 0.60.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("training", type=Path, help="folder with the skulls to learn from")
    parser.add_argument("test", type=Path, help="folder with the skulls and CTs to measure on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the table goes")
    parser.add_argument("--work", type=Path, default=Path("ablation-work"), help="the trainings")
    parser.add_argument("--rows", nargs="+", choices=[e.name for e in ENTRIES], metavar="ROW")
    parser.add_argument("--jobs", type=int, default=1, help="cases at a time")
    parser.add_argument(
        "--population",
        type=Path,
        default=Path("Testing/Benchmarks/accuracy/population.npz"),
        help="the prior's shape statistics, without the test skulls",
    )
    parser.add_argument("--only-train", action="store_true", help="measure nothing yet")
    options = parser.parse_args()
    chosen = [e for e in ENTRIES if options.rows is None or e.name in options.rows]
    summaries = {}
    for entry in chosen:
        model = entry.name
        if entry.options:
            recipe = replace(entry.options, population=str(options.population))
            model = str(_trained(entry.name, recipe, options.training, options.work))
        if not options.only_train:
            summaries[entry.name] = _measured(entry.name, model, options)
    if not options.only_train and options.rows is None:
        options.output.mkdir(parents=True, exist_ok=True)
        with atomic_path(options.output / "ablation.md") as temporary:
            temporary.write_text(table_of(summaries), encoding="utf-8")


def _trained(name: str, options: TrainOptions, skulls: Path, work: Path) -> Path:
    """Return the weights of a row, trained on as far as they are not."""

    def told(fraction: float, message: str = "") -> None:
        if "00, loss" in message or not message.startswith("iteration"):
            print(f"{name}: {message}", flush=True)

    train(skulls_in(skulls), work / name, options, True, work / "cases", told)
    named = work / f"{name}.npz"  # an evaluation calls a model as its file
    named.unlink(missing_ok=True)
    named.hardlink_to(work / name / "weights.npz")
    return named


def _measured(name: str, model: str, options: argparse.Namespace) -> dict[str, Any]:
    print(f"{name}: measuring", flush=True)
    data, _ = evaluate_suite(
        [options.test],
        Trial(options.work / "measured" / name, replace(EXACT, model=model), options.population),
        SuiteOptions(defects=1),
        RunOptions(options.jobs),
    )
    groups: dict[str, Any] = data["summary"]["groups"]
    return groups


def table_of(summaries: dict[str, dict[str, Any]]) -> str:
    """Return the table of all rows as Markdown."""
    checks = BUDGET.iterations // BUDGET.validate_every
    text = HEAD.format(iterations=BUDGET.iterations, cases=BUDGET.cases_per_skull, checks=checks)
    lines = [["row", "what it is", *GROUPS], ["---"] * (len(GROUPS) + 2)]
    for entry in ENTRIES:
        cells = [_cell(summaries[entry.name][group]) for group in GROUPS]
        lines.append([f"`{entry.name}`", entry.what, *cells])
    return text + "\n" + _markdown(lines) + "\n"


def _cell(numbers: dict[str, float]) -> str:
    values = " / ".join(f"{numbers[key]:.{digits}f}" for key, digits in MEASURES)
    failures = int(numbers["under_0.60"])
    return values + (f" ({failures})" if failures else "")


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
