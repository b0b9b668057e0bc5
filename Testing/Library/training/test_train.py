"""Training: the loss falls, a resumed run ends where an uninterrupted one does."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.cli.main import build_parser, main
from SkullImplantLib.cli.training_commands import chosen
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry.view import NOWHERE_MM, View
from SkullImplantLib.networks.autoencoder import Decoded, Level
from SkullImplantLib.networks.inputs import starting_logit, whole_head
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.training.average import KEPT, RunningAverage
from SkullImplantLib.training.case_source import augmented
from SkullImplantLib.training.configuration import read_configuration
from SkullImplantLib.training.log import LogRow, read_log
from SkullImplantLib.training.losses import autoencoder_loss, refiner_loss
from SkullImplantLib.training.precision import Precision
from SkullImplantLib.training.prepared import load_case
from SkullImplantLib.training.schedule import WARM_UP, pace
from SkullImplantLib.training.train import _Run, train
from SkullImplantLib.training.training_options import TrainOptions

QUICK = TrainOptions(
    network="ch1",
    spacing_mm=8.0,
    cases_per_skull=1,
    iterations=8,
    validate_every=4,
    validation_share=0.5,
    flaws=0.0,
)
FINE = replace(QUICK, network="fine", spacing_mm=4.0)


@pytest.fixture(scope="module")
def folder(two_skulls: Path) -> Path:
    return two_skulls


@pytest.fixture(scope="module")
def prepared(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose cases are prepared, to be copied by those who train on them."""
    prepared = tmp_path_factory.mktemp("prepared")
    for options in (QUICK, FINE):
        train(skulls_in(folder), prepared, replace(options, iterations=1))
    return prepared


@pytest.fixture
def run_folder(prepared: Path, tmp_path: Path) -> Path:
    """A folder to train in, the cases there already."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "cases").symlink_to(prepared / "cases")
    return tmp_path / "run"


@pytest.mark.slow
def test_augmentation_depends_on_its_generator_alone_and_mirrors(prepared: Path) -> None:
    case = load_case(next((prepared / "cases").glob("*defect*")))
    turned = 0
    for seed in range(8):
        one, two = (augmented(case, np.random.default_rng(seed)) for _ in range(2))
        np.testing.assert_array_equal(one.view.depth_mm, two.view.depth_mm)
        np.testing.assert_array_equal(one.view.mirror, two.view.mirror)
        assert one.view.hole.dtype == case.view.hole.dtype
        turned += one.view.low_mm != case.view.low_mm
        # Bone stays where its truth is.
        assert (one.target[one.view.skull > 0.9] > 0.7).mean() > 0.98
    assert 0 < turned < 8


@pytest.mark.slow
@pytest.mark.parametrize("options", [QUICK, FINE], ids=["auto-encoder", "fine"])
def test_resumed_training_ends_like_an_uninterrupted_one(
    folder: Path, run_folder: Path, tmp_path: Path, options: TrainOptions
) -> None:
    skulls = skulls_in(folder)
    whole = train(skulls, run_folder, options)
    log = read_log(run_folder / "log.csv")

    class PowerCut(Exception):
        pass

    def until_iteration_4(fraction: float, message: str = "") -> None:
        if message.startswith("iteration 5"):
            raise PowerCut

    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "cases").symlink_to(run_folder / "cases")
    with pytest.raises(PowerCut):
        train(skulls, tmp_path / "cut", options, progress=until_iteration_4)
    resumed = train(skulls, tmp_path / "cut", options, resume=True)
    one, two = load_weights(whole), load_weights(resumed)
    assert one.metadata["iteration"] == two.metadata["iteration"]
    for name, value in one.state.items():
        assert torch.equal(value, two.state[name]), name
    again = read_log(tmp_path / "cut" / "log.csv")
    # As text: what is not a number equals nothing.
    assert [str(replace(r, minutes=0)) for r in again] == [str(replace(r, minutes=0)) for r in log]
    assert [row.iteration for row in log] == [4, 8]


@pytest.mark.slow
def test_leaner_training_makes_the_same_weights(
    folder: Path, prepared: Path, tmp_path: Path
) -> None:
    states = {}
    for memory in ("plain", "packed", "recomputed"):
        options = replace(QUICK, memory=memory, iterations=2, surplus=0.5)
        path = train(skulls_in(folder), tmp_path / memory, options, cases=prepared / "cases")
        states[memory] = load_weights(path).state
    for name, value in states["plain"].items():
        assert torch.equal(value, states["recomputed"][name]), name
        torch.testing.assert_close(value, states["packed"][name], rtol=0.02, atol=2e-3)


@pytest.mark.slow
def test_resuming_with_other_options_is_refused(folder: Path, run_folder: Path) -> None:
    train(skulls_in(folder), run_folder, replace(QUICK, iterations=4))
    with pytest.raises(SkullImplantError, match="skip"):
        train(skulls_in(folder), run_folder, replace(QUICK, skip="none"), resume=True)
    # How long and from where is not what was learnt.
    longer = replace(QUICK, iterations=5, patience=9, provenance="Made for this test.")
    train(skulls_in(folder), run_folder, longer, resume=True)
    assert len(read_log(run_folder / "log.csv")) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [QUICK, replace(FINE, learning_rate=5e-3)], ids=["auto-encoder", "fine"]
)
def test_the_loss_falls_and_the_folder_tells(
    folder: Path, run_folder: Path, options: TrainOptions
) -> None:
    options = replace(options, iterations=60, validate_every=20)
    path = train(skulls_in(folder), run_folder, options)
    losses = [row.loss for row in read_log(run_folder / "log.csv")]
    assert losses[-1] < losses[0]
    card, weights = path.with_suffix(".md").read_text(), load_weights(path)
    assert "head-0" in card and weights.sha256 in card
    assert weights.sha256 in path.with_suffix(".npz.sha256").read_text()
    assert weights.metadata["spacing_mm"] == options.spacing_mm
    assert Image.open(run_folder / "learning-curve.png").size[0] > 600
    assert TrainOptions(**read_configuration(run_folder / "configuration.json")) == options


@pytest.mark.slow
def test_skulls_may_be_left_out(folder: Path, run_folder: Path) -> None:
    with pytest.raises(SkullImplantError, match="at least two skulls"):
        train(skulls_in(folder), run_folder, replace(QUICK, leave_out=("head-1",)))
    with pytest.raises(SkullImplantError, match="no skull named nobody"):
        train(skulls_in(folder), run_folder, replace(QUICK, leave_out=("nobody",)))


@pytest.mark.slow
def test_without_skulls_held_back_all_are_learnt_from(folder: Path, run_folder: Path) -> None:
    options = replace(FINE, validation_share=0.0)
    path = train(skulls_in(folder), run_folder, options)
    weights, card = load_weights(path), path.with_suffix(".md").read_text()
    assert weights.metadata["trained_on"] == ["head-0", "head-1"]
    assert weights.metadata["iteration"] == options.iterations
    assert weights.metadata["validation"] is None
    assert "No skull was held back" in card and "best of" not in card and "| nan" not in card
    assert Image.open(run_folder / "learning-curve.png").size[0] > 600
    with pytest.raises(SkullImplantError, match="lose patience"):
        train(skulls_in(folder), run_folder, replace(options, patience=2))


@pytest.mark.slow
def test_a_training_may_start_from_weights_and_tells_of_their_skulls(
    folder: Path, run_folder: Path, tmp_path: Path
) -> None:
    first = train(skulls_in(folder), run_folder, FINE)
    options = replace(
        FINE, start=str(first), iterations=1, validation_share=0.0, learning_rate=1e-9
    )
    only_one = skulls_in(folder)[:1]
    second = train(only_one, tmp_path / "on", options, cases=run_folder / "cases")
    one, two = load_weights(first), load_weights(second)
    # The average after one iteration is nearly all of it; weights of steps this small are the same.
    for name, value in one.state.items():
        if name.endswith("kernel"):
            assert torch.allclose(value, two.state[name], atol=1e-6), name
    assert two.metadata["trained_on"] == ["head-0"]
    assert set(two.skulls()) == {"head-0", "head-1"}
    card = second.with_suffix(".md").read_text()
    assert one.sha256[:12] in card and "head-1" in card
    with pytest.raises(SkullImplantError, match="of another network"):
        train(only_one, tmp_path / "other", replace(options, channels=("skull", "prior")))
    with pytest.raises(SkullImplantError, match=r"no weight file nowhere\.npz"):
        train(only_one, tmp_path / "none", replace(options, start=str(tmp_path / "nowhere.npz")))


def test_the_average_is_what_is_kept_and_leaves_training_as_it_was() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.BatchNorm1d(1))
    average = RunningAverage(network)
    values = torch.linspace(-1.0, 3.0, 4000)
    for iteration, value in enumerate(values):
        network[0].weight.data.fill_(value)
        network[1].running_mean.fill_(-value)
        network[1].num_batches_tracked.fill_(iteration)
        average.update(network, iteration)
    # A ramp's average lags behind by the mean age of what it remembers, KEPT / (1 - KEPT).
    lag = (values[1] - values[0]) * KEPT / (1.0 - KEPT)
    assert float(average.state["0.weight"]) == pytest.approx(float(values[-1] - lag), abs=0.01)
    with average.instead_of(network):
        assert network[0].weight.item() == pytest.approx(float(values[-1] - lag), abs=0.01)
        assert float(network[1].running_mean) == pytest.approx(float(lag - values[-1]), abs=0.01)
        assert int(network[1].num_batches_tracked) == 3999
    assert network[0].weight.item() == 3.0


def some_run(options: TrainOptions) -> _Run:
    run = _Run.__new__(_Run)
    run.options, run.rows, run.iteration = options, [], 0
    return run


@pytest.mark.parametrize(
    ("dice", "patience", "stops"),
    [
        ([0.5, 0.6, 0.6, 0.59], 2, True),
        ([0.5, 0.6, 0.6, 0.61], 2, False),
        ([0.5, 0.4], 2, False),
        ([0.9, 0.1, 0.1, 0.1], None, False),
    ],
)
def test_patience_ends_after_so_many_validations_that_are_no_better(
    dice: list[float], patience: int | None, stops: bool
) -> None:
    run = some_run(replace(QUICK, patience=patience))
    run.rows = [LogRow(k, 1.0, d, 0.5, 1.0) for k, d in enumerate(dice)]
    assert run.out_of_patience() == stops


def test_the_pace_rises_shortly_and_falls_long() -> None:
    paces = [pace(iteration, 1000) for iteration in range(1000)]
    assert paces[0] < 0.03 and np.argmax(paces) in (WARM_UP - 2, WARM_UP - 1) and max(paces) > 0.98
    assert (np.diff(paces[WARM_UP:]) <= 0).all() and paces[-1] == pytest.approx(0.01)


@pytest.mark.slow
def test_bfloat16_learns_what_float32_does(folder: Path, run_folder: Path, tmp_path: Path) -> None:
    plain = train(skulls_in(folder), run_folder, replace(FINE, iterations=4))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "cases").symlink_to(run_folder / "cases")
    half = train(
        skulls_in(folder), tmp_path / "half", replace(FINE, iterations=4, precision="bfloat16")
    )
    one, two = load_weights(plain), load_weights(half)
    assert two.metadata["precision"] == "bfloat16"
    assert any(not torch.equal(one.state[name], value) for name, value in two.state.items())
    for name, value in two.state.items():
        assert value.dtype == one.state[name].dtype
    losses = [read_log(path / "log.csv")[0].loss for path in (run_folder, tmp_path / "half")]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_auto_is_float32_without_a_gpu() -> None:
    assert Precision("auto", "cpu").name == "float32"


def given(*arguments: str) -> Namespace:
    return build_parser().parse_args(["train", "skulls", "-o", "out", *arguments])


def test_the_command_line_overrules_the_file_and_the_file_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"seed": 5, "iterations": 700, "channels": ["skull", "prior"]}))
    options = chosen(given("--configuration", str(path), "--seed", "6"))
    assert options == TrainOptions(
        seed=6, iterations=700, channels=("skull", "prior"), device="auto"
    )
    assert chosen(given("--channels", "skull")).channels == ("skull",)
    assert chosen(given()) == TrainOptions(device="auto")


def test_a_configuration_can_be_written_without_training(tmp_path: Path) -> None:
    path = tmp_path / "new.json"
    words = ["train", "nowhere", "-o", str(tmp_path / "out"), "--write-configuration", str(path)]
    assert main([*words, "--network", "ch2", "--minutes", "3"]) == 0
    read = read_configuration(path)
    assert (read["network"], read["minutes"], read["spacing_mm"]) == ("ch2", 3.0, 2.0)
    assert not (tmp_path / "out").exists()


def test_the_papers_loss_is_the_plain_sum_of_the_levels() -> None:
    logits = torch.tensor([2.0, -1.0])
    places = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 2]], dtype=torch.int32)
    coarse = Level(2, places, logits, torch.tensor([True, False]))
    fine = Level(1, places, logits, torch.tensor([True, False]))
    fraction = torch.zeros(1, 2, 2, 4)
    fraction[0, 0, 0, 0] = 1.0
    loss = autoencoder_loss(Decoded([coarse, fine]), fraction, fraction > 2.0, 0.0)
    once = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert float(loss) == pytest.approx(2 * once, rel=1e-6)


def test_the_fine_stage_pays_for_wrong_depths_and_not_for_deeper_ones() -> None:
    true_mm = torch.tensor([3.0, 1.0, -1.0, -8.0])
    fraction = torch.tensor([1.0, 1.0, 0.0, 0.0])
    right = refiner_loss(torch.tensor([6.0, 1.0, -1.0, -4.0]), true_mm, fraction)
    wrong = refiner_loss(torch.tensor([6.0, -1.0, 1.0, -4.0]), true_mm, fraction)
    assert float(right) < 0.2 < 1.0 < float(wrong)


def test_the_network_starts_from_skull_and_prior() -> None:
    shape = (4, 4, 4)
    skull = np.zeros(shape, np.float32)
    skull[0] = 1.0
    depth_mm = np.full(shape, -8.0, np.float32)
    depth_mm[1], depth_mm[2] = 1.0, -0.5
    view = View(
        skull=skull,
        mirror=np.zeros(shape, np.float32),
        depth_mm=depth_mm,
        hole=depth_mm > -NOWHERE_MM,
        opposite_hole=np.zeros(shape, bool),
        deviation_mm=np.ones((2, *shape), np.float32),
        spacing_mm=2.0,
        low_mm=(0.0, 0.0, 0.0),
    )
    belief = starting_logit(view)
    assert (belief[0] > 3.0).all() and (belief[1] > 3.0).all() and (belief[3] < -3.0).all()
    np.testing.assert_allclose(belief[2], np.log(0.25 / 0.75), rtol=1e-5)
    coordinates, features = whole_head(view, ("skull", "prior", "hole"))
    assert len(coordinates) == 48  # the skull, the prior, and the margin offered beside it
    np.testing.assert_allclose(features[coordinates[:, 1] == 1], [[0.0, 0.25, 1.0]] * 16)
    np.testing.assert_allclose(features[coordinates[:, 1] == 0][:, 0], 1.0)
