"""Completion as published: the papers' auto-encoder alone, trained on endless shapes of few skulls.

`ch1` and `ch2` see the skull and nothing else: no prior, no mirror image. Grids are called as in
the papers, whose 64, 128, 256 and 512 are 4, 2, 1 and 0.5 mm here. From the project's folder:

    python Testing/Benchmarks/published.py TRAINING_SKULLS TEST_SKULLS \\
        -o Testing/Benchmarks/published --rows ch1-64 ch1-128

trains what is not trained (run again to resume), measures, and writes `published.md`.
Trainings go to `--work`, which may be thrown away afterwards. `--weights` measures weight files as
they are.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from published_levels import completed, level_counts, level_table
from published_table import CTS, GROUPS, KEPT_FROM, table_of

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.core.files import atomic_path
from SkullImplantLib.core.images import array_of, fraction_on
from SkullImplantLib.core.threads import use_threads
from SkullImplantLib.evaluation.evaluation_options import EXACT, RunOptions, SuiteOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.suite import evaluate_suite
from SkullImplantLib.evaluation.suite_cases import CompleteSkull, SuiteCase, suite_cases
from SkullImplantLib.geometry.frame import standard_grid
from SkullImplantLib.networks.autoencoder import Configuration
from SkullImplantLib.networks.weights import load_weights, save_weights
from SkullImplantLib.training.endless import case_without_prior, held_back_cases
from SkullImplantLib.training.log import read_log
from SkullImplantLib.training.losses import JUDGED_MM, dice_of
from SkullImplantLib.training.model_card import write_model_card
from SkullImplantLib.training.prepared import TrainingCase
from SkullImplantLib.training.standard_skulls import load_standard_skull
from SkullImplantLib.training.train import LOG, train
from SkullImplantLib.training.training_options import TrainOptions

ALONE = TrainOptions(
    network="ch1",
    channels=("skull",),
    residual=False,
    hole_weight=0.0,
    shapes="registered",
    leave_out=("average-19y",),
    cases_per_skull=24,
    keep_from=0.1,
    learning_rate=8e-3,
    precision="bfloat16",
    validate_every=300,
    provenance=(
        "The BrainWeb skulls come from MRI, their inner table rebuilt (McGill University; "
        "Aubert-Broche et al. 2006); the Visible Human male (US National Library of Medicine, free "
        "since 2019) and the VisMale teaching volume come from CT."
    ),
)
CHOSEN_BY = 6  # defects in each skull held back, by which one of them is chosen


@dataclass(frozen=True)
class Row:
    """A row of the table: its name, and how it is trained; `start` names another row."""

    name: str
    options: TrainOptions


CH1_128 = replace(ALONE, spacing_mm=2.0, iterations=2100, patience=1)
ROWS = (
    Row("ch1-64", replace(ALONE, spacing_mm=4.0, iterations=900)),
    Row("ch1-128", CH1_128),
    Row(
        "ch2-64",
        replace(
            ALONE,
            network="ch2",
            spacing_mm=4.0,
            learning_rate=4e-3,
            iterations=400,
            validate_every=100,
        ),
    ),
    Row("ch2-128", replace(ALONE, network="ch2", spacing_mm=2.0, iterations=2100)),
    Row("ch1-256", replace(ALONE, spacing_mm=1.0, iterations=2100)),
    # Goes on from `ch1-128`, beyond the papers' loss: with candidates in the hole that are no bone.
    Row(
        "ch1-128-hole",
        replace(
            CH1_128,
            start="ch1-128",
            hole_weight=2.0,
            keep_in_training=0.1,
            learning_rate=4e-3,
            iterations=900,
            patience=None,
        ),
    ),
)


@dataclass(frozen=True)
class GridScore:
    """What a network makes of one test case on its own grid.

    error: voxels that differ from the true skull, as a share of the true skull's.
    """

    group: str
    skull_dice: float
    error: float
    implant_dice: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("training", type=Path, help="folder with the skulls to learn from")
    parser.add_argument("test", type=Path, help="folder with the skulls and CTs to measure on")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where the table goes")
    parser.add_argument("--work", type=Path, default=Path("published-work"), help="the trainings")
    parser.add_argument("--rows", nargs="+", choices=[r.name for r in ROWS], metavar="ROW")
    parser.add_argument("--weights", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument(
        "--folders", type=Path, nargs="+", default=[], help="trainings to measure as they stand"
    )
    parser.add_argument("--defects", type=int, default=1, help="of each kind in each skull")
    parser.add_argument("--only-grid", action="store_true", help="without designs")
    parser.add_argument(
        "--population",
        type=Path,
        default=Path("Testing/Benchmarks/accuracy/population.npz"),
        help="the shape statistics, without the test skulls",
    )
    options = parser.parse_args()
    use_threads(1, torch=True)
    trained = [_trained(row, options) for row in ROWS if row.name in (options.rows or ())]
    cases = suite_cases([options.test], SuiteOptions(defects=options.defects), options.population)
    trained += [_pruned_best(folder, options.work) for folder in options.folders]
    for weights in [*trained, *options.weights]:
        print(f"{weights.stem}: measuring", flush=True)
        found = _on_grids(weights, cases)
        _keep(found, options)
        if not options.only_grid:
            _keep(found | {"designs": _designs(weights, options)}, options)


def _trained(row: Row, options: argparse.Namespace) -> Path:
    """Return the weights of a row, trained on as far as they are not."""

    def told(fraction: float, message: str = "") -> None:
        if "00, loss" in message or not message.startswith("iteration"):
            print(f"{row.name}: {message}", flush=True)

    recipe = replace(row.options, population=str(options.population))
    if recipe.start:
        recipe = replace(recipe, start=str(options.work / f"{recipe.start}.npz"))
    folder = options.work / row.name
    train(skulls_in(options.training), folder, recipe, True, options.work / "cases", told)
    return _pruned_best(folder, options.work)


def _pruned_best(folder: Path, work: Path) -> Path:
    """Return the weights of a training, named as its folder, with the `keep_from` among `KEPT_FROM`
    that fills the holes of the skulls held back best.
    """
    weights = load_weights(folder / "weights.npz")
    assert isinstance(weights.configuration, Configuration)
    told = weights.metadata["options"]
    held_back = [
        load_standard_skull(path, name, told["spacing_mm"])
        for name in weights.metadata["validated_on"]
        for path in (work / "cases").glob(f"{name}-standard-*")
    ]
    cases = list(held_back_cases(held_back, told["spacing_mm"], CHOSEN_BY))
    found = {}
    for keep_from in KEPT_FROM:
        configuration = replace(weights.configuration, keep_from=keep_from)
        made = [completed(replace(weights, configuration=configuration), case) for case in cases]
        scores = [_score(m, case, _free(case), "") for m, case in zip(made, cases)]
        names = {"network_dice": "implant_dice", "skull_dice": "skull_dice"}
        found[keep_from] = {key: round(_mean(scores, name), 4) for key, name in names.items()}
        print(f"{folder.name}: keeps from {keep_from:g}, held back {found[keep_from]}", flush=True)
    best = max(found, key=lambda keep_from: found[keep_from]["network_dice"])
    metadata = weights.metadata | {
        "options": {**told, "keep_from": best},
        "validation": {**found[best], "prior_dice": None},
    }
    named = work / f"{folder.name}.npz"
    configuration = replace(weights.configuration, keep_from=best)
    save_weights(named, configuration, weights.state, metadata)
    write_model_card(named, metadata, read_log(folder / LOG))
    return named


def _free(case: TrainingCase) -> np.ndarray:
    """Return where an implant might be: near the missing bone, and where no bone is left."""
    free: np.ndarray = (case.view.from_hole_mm() <= JUDGED_MM) & (case.view.skull < 0.5)
    return free


def _keep(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Keep what was measured of weights, and write the table of all that is kept."""
    folder = options.work / "measured"
    for each in (folder, options.output):
        each.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder / f"{found['name']}.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")
    stored = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    # For `papers_report.py`.
    with atomic_path(options.output / "published.json") as temporary:
        temporary.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")
    with atomic_path(options.output / "published.md") as temporary:
        temporary.write_text(table_of(stored), encoding="utf-8")


def _on_grids(path: Path, cases: Sequence[SuiteCase]) -> dict[str, Any]:
    """Return, as JSON, all that is measured of one weight file on its own grid."""
    weights = load_weights(path)
    assert isinstance(weights.configuration, Configuration)
    seen = [_seen(case, float(weights.metadata["spacing_mm"])) for case in cases]
    free = [_free(case) for case in seen]
    groups = [_group(case.skull) for case in cases]
    made, counts = zip(*(level_counts(weights, case) for case in seen))
    scores = [_score(*each) for each in zip(made, seen, free, groups)]
    kept = []
    for keep_from in KEPT_FROM:
        other = replace(weights, configuration=replace(weights.configuration, keep_from=keep_from))
        made = [completed(other, case) for case in seen]
        some = [_score(*each) for each in zip(made, seen, free, groups)]
        kept.append([keep_from, *(_mean(some, n) for n in ("skull_dice", "implant_dice"))])
    told = weights.metadata
    return {
        "name": path.stem,
        "spacing_mm": told["spacing_mm"],
        "hole_weight": told["options"]["hole_weight"],
        "iteration": told["iteration"],
        "cases": len(cases),
        "grid": {group: _means(scores, group) for group in GROUPS},
        "keep_from": weights.configuration.keep_from,
        "kept_from": kept,
        "levels": level_table(counts),
        "designs": {},
    }


def _designs(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return, as JSON, how well skulls are designed with one weight file."""
    data, _ = evaluate_suite(
        [options.test],
        Trial(
            options.work / "designs" / path.stem,
            replace(EXACT, model=str(path)),
            options.population,
        ),
        SuiteOptions(defects=options.defects),
        RunOptions(),
    )
    return {
        group: _design_means([row for row in data["cases"] if _group(row["skull"]) == group])
        for group in GROUPS
    }


def _group(skull: str) -> str:
    return GROUPS[skull in CTS]


def _seen(case: SuiteCase, spacing_mm: float) -> TrainingCase:
    """Return a test case on the network's grid, in the pose of the complete skull."""
    complete: CompleteSkull = case.complete()
    _, defect, _ = case.cut()
    grid = standard_grid(complete.pose, spacing_mm)
    target, skull = (array_of(fraction_on(m, grid)) for m in (complete.mask, defect.defective))
    hole = array_of(fraction_on(defect.region, grid)) > 0
    return case_without_prior(case.name, target, skull, hole, spacing_mm)


def _score(made: np.ndarray, case: TrainingCase, free: np.ndarray, group: str) -> GridScore:
    """Return how well a skull was completed; `free` is where bone might be added."""
    truth = case.target >= 0.5
    return GridScore(
        group,
        dice_of(made, truth),
        int((made ^ truth).sum()) / int(truth.sum()),
        dice_of(made & free, truth & free),
    )


def _means(scores: Sequence[GridScore], group: str) -> dict[str, float]:
    mine = [s for s in scores if s.group == group]
    means = {name: _mean(mine, name) for name in ("skull_dice", "error", "implant_dice")}
    return means | {"worst_implant_dice": min(s.implant_dice for s in mine)}


def _mean(scores: Sequence[GridScore], name: str) -> float:
    return float(np.mean([getattr(score, name) for score in scores]))


def _design_means(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    dice = [row["dice"] for row in rows if "dice" in row]
    far = [row["hd95_mm"] for row in rows if row.get("hd95_mm") is not None]
    return {
        "cases": len(dice),
        "dice": float(np.mean(dice)),
        "border_dice": float(np.mean([r["border_dice_10mm"] for r in rows if "dice" in r])),
        "hd95_mm": float(np.mean(far)) if far else float("nan"),
        "under_0.60": sum(d < 0.6 for d in dice),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
