"""The suite: resumed, never with another run's cases, the same in parallel, skulls left out."""

import json
import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from SkullImplantLib.cases.sample import SamplePatient
from SkullImplantLib.cli.main import main
from SkullImplantLib.completion.trust import shipped_trials
from SkullImplantLib.core.image_files import read_mask
from SkullImplantLib.core.images import array_of, write_image
from SkullImplantLib.core.stages import StageReport
from SkullImplantLib.designing.proposal import Design
from SkullImplantLib.errors import Cancelled, OutOfMemory, SkullImplantError
from SkullImplantLib.evaluation import judging
from SkullImplantLib.evaluation.case_pictures import chosen_cases
from SkullImplantLib.evaluation.evaluation_options import EXACT, RunOptions, SuiteOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.suite import evaluate_suite
from SkullImplantLib.evaluation.suite_cases import SuiteCase
from SkullImplantLib.evaluation.workers import _Waiting, run_in_processes
from SkullImplantLib.geometry.shape_statistics import Population, same_skull, shipped_population
from SkullImplantLib.options import DesignOptions
from SkullImplantLib.training.population import save_population

KIND = "parietotemporal"
ONE, TWO = (SuiteOptions((KIND,), defects) for defects in (1, 2))


@pytest.fixture(scope="module")
def skulls(coarse_patient: SamplePatient, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sample patient's complete skull as its only one."""
    folder = tmp_path_factory.mktemp("skulls")
    write_image(coarse_patient.complete, folder / "sample.nrrd")
    return folder


@pytest.fixture(scope="module")
def finished(skulls: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The output folder and the data of a run of two cases, one after the other."""
    output = tmp_path_factory.mktemp("finished")
    data, _ = evaluate_suite([skulls], Trial(output), TWO, RunOptions(pictures=True))
    return output, data


@pytest.fixture
def output(finished: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """A copy of the finished run's folder."""
    (tmp_path / "cases").mkdir()
    for path in (finished[0] / "cases").iterdir():
        (tmp_path / "cases" / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture(scope="module")
def kept() -> dict[Any, Design]:
    """Designs by their input, options and population: the same again takes seconds each time."""
    return {}


@pytest.fixture
def designs(monkeypatch: pytest.MonkeyPatch, kept: dict[Any, Design]) -> list[dict[str, Any]]:
    """What the designs made from here on were called with."""
    calls: list[dict[str, Any]] = []
    real = judging.design_implant

    def noted(source: Any, options: Any, report: Any, **more: Any) -> Any:
        calls.append({"options": options, **more})
        key = (array_of(source.image).tobytes(), options, more["population"].names)
        if key not in kept:
            kept[key] = real(source, options, report, **more)
        return kept[key]

    monkeypatch.setattr(judging, "design_implant", noted)
    return calls


def measures(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without what differs from run to run."""
    differing = ("seconds", "peak_memory_gib", "code")
    return [{k: v for k, v in row.items() if k not in differing} for row in rows]


@pytest.mark.slow
def test_rows_tell_all_of_a_case(finished: tuple[Path, dict[str, Any]]) -> None:
    rows = finished[1]["cases"]
    assert [row["number"] for row in rows] == [0, 1]
    assert rows[0]["area_cm2"] != rows[1]["area_cm2"]
    for row in rows:
        assert row["dice"] > 0.6 and row["outer_error_mm"] < 3.0
        assert row["outer_error_mm"] <= row["outer_error95_mm"]
        assert row["model"] == row["model_source"] == "prior"
        assert {"flagged", "expected_hd95_mm", "reasons", "volume_ratio", "overlap_cm3"} <= set(row)
    assert finished[1]["summary"]["groups"][f"{KIND}, all"]["cases"] == 2
    assert (finished[0] / "table.md").read_text(encoding="utf-8").count("| sample |") == 2


@pytest.mark.slow
def test_a_finished_case_is_not_made_again(
    skulls: Path, output: Path, finished: tuple[Path, dict[str, Any]], designs: list[Any]
) -> None:
    data, _ = evaluate_suite([skulls], Trial(output), TWO)
    assert data["cases"] == finished[1]["cases"] and not designs


@pytest.mark.slow
@pytest.mark.parametrize("gone", [".json", ".implant.nrrd", "torn"])
def test_what_is_missing_is_made(
    skulls: Path,
    output: Path,
    finished: tuple[Path, dict[str, Any]],
    designs: list[Any],
    gone: str,
) -> None:
    case = output / "cases" / f"sample-{KIND}-1-prior"
    if gone == "torn":
        case.with_name(case.name + ".json").write_text('{"row": {')
    else:
        case.with_name(case.name + gone).unlink()
    data, _ = evaluate_suite([skulls], Trial(output), TWO)
    assert len(designs) == 1
    assert measures(data["cases"]) == measures(finished[1]["cases"])


@pytest.mark.slow
def test_what_a_design_says_of_itself_is_judged_anew(
    skulls: Path, output: Path, finished: Any, designs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    timid = replace(shipped_trials(networked=False), threshold_mm=0.1)
    monkeypatch.setattr("SkullImplantLib.completion.trust.shipped_trials", lambda networked: timid)
    data, _ = evaluate_suite([skulls], Trial(output), TWO)
    assert designs == [] and all(row["flagged"] for row in data["cases"])
    assert not any(row["flagged"] for row in finished[1]["cases"])


@pytest.mark.slow
def test_cases_made_otherwise_are_made_anew(
    skulls: Path, output: Path, tmp_path: Path, designs: list[Any]
) -> None:
    other = Trial(output, DesignOptions(clearance_mm=0.5, model="prior"))
    first, _ = evaluate_suite([skulls], other, ONE)
    assert len(designs) == 1 and designs[0]["options"].clearance_mm == 0.5
    seeded, _ = evaluate_suite([skulls], other, replace(ONE, seed=7))
    assert len(designs) == 2
    assert seeded["cases"][0]["area_cm2"] != first["cases"][0]["area_cm2"]
    small, _ = evaluate_suite([skulls], other, replace(ONE, areas_cm2=(10.0, 15.0)))
    assert len(designs) == 3 and 9.0 < small["cases"][0]["area_cm2"] < 17.0
    seeded, _ = evaluate_suite([skulls], other, replace(ONE, seed=7))
    again, _ = evaluate_suite([skulls], other, replace(ONE, seed=7))
    assert len(designs) == 4 and again["cases"] == seeded["cases"]
    evaluate_suite([skulls], Trial(output), ONE)
    assert len(designs) == 5


@pytest.mark.slow
def test_a_skull_is_left_out_of_the_population(
    skulls: Path, tmp_path: Path, designs: list[Any]
) -> None:
    shipped = shipped_population()
    names = ("Sample-ct", *shipped.names[1:])
    save_population(Population(names, shipped.maps_mm, shipped.bone), tmp_path / "people.npz")
    evaluate_suite([skulls], Trial(tmp_path, EXACT, tmp_path / "people.npz"), ONE)
    assert designs[0]["population"].names == shipped.names[1:]
    (path,) = (tmp_path / "cases").glob("*.json")
    assert json.loads(path.read_text())["made_with"]["left_out_of_population"] == ["Sample-ct"]
    # The same cases with the shipped population are others.
    evaluate_suite([skulls], Trial(tmp_path), ONE)
    assert designs[1]["population"].names == shipped.names


def test_names_of_one_skull() -> None:
    assert same_skull("unc-cthead-ct", "unc-cthead") and same_skull("vismale", "VisMale")
    assert not same_skull("brainweb-04", "brainweb-05")
    assert not same_skull("visible-human-male", "visible-human-female-ct")


@pytest.mark.slow
def test_in_parallel_as_one_after_the_other(
    skulls: Path, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    told: list[tuple[float, str]] = []

    def report(stage: str, fraction: float, message: str = "") -> None:
        told.append((fraction, message))

    data, _ = evaluate_suite([skulls], Trial(tmp_path), TWO, RunOptions(2, 2), report)
    assert measures(data["cases"]) == measures(finished[1]["cases"])
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any("implant" in message for _, message in told)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_cancelling_ends_the_workers_and_keeps_what_is_done(skulls: Path, tmp_path: Path) -> None:
    def cancel(stage: str, fraction: float, message: str = "") -> None:
        if fraction > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        evaluate_suite([skulls], Trial(tmp_path), SuiteOptions((KIND,), 3), RunOptions(2), cancel)
    assert not multiprocessing.active_children()
    assert list((tmp_path / "cases").glob("*.json"))
    assert not list((tmp_path / "cases").glob(".partial-*"))


@pytest.mark.slow
def test_a_defect_without_a_place_is_no_case(skulls: Path, tmp_path: Path) -> None:
    vast = replace(ONE, areas_cm2=(900.0, 900.0))
    data, table = evaluate_suite([skulls], Trial(tmp_path), vast)
    (row,) = data["cases"]
    assert "900 cm²" in row["not_made"] and "dice" not in row
    assert data["summary"]["not_made"] == 1 and "1 defects found no place" in table


def refuse(case: SuiteCase, report: StageReport) -> None:
    raise SkullImplantError("This is not a skull; give another.")


def vanish(case: SuiteCase, report: StageReport) -> None:
    os._exit(9)


def stumble(case: SuiteCase, report: StageReport) -> None:
    raise ZeroDivisionError("a bug")


@pytest.mark.parametrize(
    "run, error, sentence",
    [
        (refuse, SkullImplantError, "This is not a skull"),
        (vanish, OutOfMemory, "most likely because memory ran out"),
        (stumble, RuntimeError, "ZeroDivisionError: a bug"),
    ],
)
def test_what_goes_wrong_in_a_worker_is_told(
    run: Callable[..., None], error: type[Exception], sentence: str
) -> None:
    cases = [SuiteCase(Path("a.nrrd"), "a", KIND, number, 0) for number in range(3)]
    with pytest.raises(error, match=sentence):
        run_in_processes(cases, run, lambda message, done: None, 2, 1, "prior")
    assert not multiprocessing.active_children()


def test_a_worker_stays_with_its_skull_and_helps_where_most_is_left() -> None:
    cases = [
        SuiteCase(Path(skull), skull, KIND, number, 0)
        for skull, count in (("a", 2), ("b", 4), ("c", 3))
        for number in range(count)
    ]
    waiting = _Waiting(cases)
    first = [waiting.next_for(None), waiting.next_for(None)]
    assert [case.skull for case in first] == ["a", "b"]
    assert waiting.next_for("a").skull == "a"
    assert waiting.next_for("a").skull == "c"  # that nobody has begun
    assert waiting.next_for("d").skull == "b"  # all are begun: where most is left
    rest = []
    while (case := waiting.next_for("c")) is not None:
        rest.append(case.skull)
    assert rest == ["c", "c", "b", "b"]


@pytest.mark.slow
def test_pictures_show_the_best_the_median_and_the_worst(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    assert finished[1]["pictures"] == [f"{KIND}-prior.png"]
    picture = np.asarray(Image.open(finished[0] / "pictures" / f"{KIND}-prior.png").convert("RGB"))
    assert picture.shape[0] > 900 and picture.std() > 20

    def judged(dice: float, **more: Any) -> tuple[Any, dict[str, Any]]:
        return None, {"kind": KIND, "dice": dice, **more}

    some = [judged(d) for d in (0.5, 0.9, 0.7, 0.8, 0.6)] + [judged(0.0, error="No.")]
    chosen = [(label, one[1]["dice"]) for label, one in chosen_cases(some)[KIND]]
    assert chosen == [("best", 0.9), ("median", 0.7), ("worst", 0.5)]
    assert [label for label, _ in chosen_cases(some[:1])[KIND]] == ["best"]


@pytest.mark.slow
def test_the_kept_implant_is_the_one_measured(
    finished: tuple[Path, dict[str, Any]], skulls: Path
) -> None:
    row = finished[1]["cases"][0]
    case = SuiteCase(skulls / "sample.nrrd", "sample", KIND, 0, 0).load()
    implant = read_mask(finished[0] / "cases" / f"sample-{KIND}-0-prior.implant.nrrd")
    ratio = array_of(implant).sum() / array_of(case.truth).sum()
    assert ratio == pytest.approx(row["volume_ratio"], abs=1e-4)


def test_the_command_line_says_what_is_wrong(
    skulls: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = ["--progress", "none", "-o", str(tmp_path)]
    assert main(["evaluate", "--suite", str(skulls), "--skulls", "anna", *quiet]) == 2
    assert "There is no skull called anna; there are sample." in capsys.readouterr().err
    missing = ["--population", str(tmp_path / "none.npz"), "--jobs", "1"]
    assert main(["evaluate", "--suite", str(skulls), *missing, *quiet]) == 2
    assert "none.npz does not exist; check --population." in capsys.readouterr().err
    assert main(["evaluate", "--suite", str(tmp_path / "empty"), *quiet]) == 2
    assert "There is no folder" in capsys.readouterr().err
