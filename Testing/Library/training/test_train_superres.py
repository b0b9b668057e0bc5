"""Training of super-resolution: its cases, its curve, and a run that was broken off."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.cli.main import main
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.superres import TASK
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.training import superres_cases
from SkullImplantLib.training.log import read_log
from SkullImplantLib.training.superres_cases import random_case, solid_skulls
from SkullImplantLib.training.train_superres import train_superres
from SkullImplantLib.training.training_options import TrainOptions

QUICK = TrainOptions(
    network="superres", iterations=6, validate_every=3, validation_share=0.5, learning_rate=2e-3
)


@pytest.fixture(scope="module")
def folder(two_skulls: Path) -> Path:
    return two_skulls


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(superres_cases, "PIECE_VOXELS", 32)


def test_coarse_and_fine_are_one_piece_of_skull(folder: Path, tmp_path: Path) -> None:
    skulls = solid_skulls(skulls_in(folder), tmp_path)
    ratios, dice = set(), []
    for seed in range(30):
        case = random_case(skulls, np.random.default_rng(seed))
        view, truth = case.view, case.fraction >= 0.5
        assert view.depth_mm.shape == case.fraction.shape and truth.any()
        ratio = np.divide(view.mask.spacing_mm, view.fine_mm)
        np.testing.assert_allclose(ratio, np.rint(ratio), rtol=1e-3)
        ratios.add(tuple(np.rint(ratio).astype(int).tolist()))
        made = view.depth_mm > 0.0
        dice.append(2.0 * np.count_nonzero(made & truth) / (made.sum() + truth.sum()))
    # Interpolation alone comes near, so the two lie in one place; nothing is as good as the truth.
    assert 0.8 < np.median(dice) < 0.995
    assert len(ratios) > 5 and any(len(set(ratio)) > 1 for ratio in ratios)


def test_the_same_seed_is_the_same_case(folder: Path, tmp_path: Path) -> None:
    skulls = solid_skulls(skulls_in(folder), tmp_path)
    one, other = (random_case(skulls, np.random.default_rng(5)) for _ in range(2))
    assert one.fraction.tobytes() == other.fraction.tobytes()
    assert one.view.depth_mm.tobytes() == other.view.depth_mm.tobytes()


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(folder: Path, tmp_path: Path) -> None:
    skulls = skulls_in(folder)
    whole = load_weights(train_superres(skulls, tmp_path / "whole", QUICK))
    assert whole.metadata["task"] == TASK and whole.metadata["iteration"] == 6
    rows = read_log(tmp_path / "whole" / "log.csv")
    assert [row.iteration for row in rows] == [3, 6] and all(0 < r.prior_dice < 1 for r in rows)
    card = (tmp_path / "whole" / "weights.md").read_text()
    assert "super-resolution" in card and "head-" in card and str(rows[-1].network_dice)[:4] in card

    class Interrupted(Exception):
        pass

    def stop(fraction: float, message: str = "") -> None:
        if message.startswith("iteration 5"):
            raise Interrupted

    with pytest.raises(Interrupted):
        train_superres(skulls, tmp_path / "parts", QUICK, progress=stop)
    resumed = load_weights(train_superres(skulls, tmp_path / "parts", QUICK, resume=True))
    assert all((resumed.state[name] == value).all() for name, value in whole.state.items())
    with pytest.raises(SkullImplantError, match="learning_rate"):
        train_superres(skulls, tmp_path / "parts", replace(QUICK, learning_rate=1.0), resume=True)


def test_the_command_line_trains_it(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", str(folder), "-o", str(tmp_path), "--network", "superres"]
    more = ["--iterations", "1", "--validation-share", "0", "--progress", "none", "--json"]
    assert main([*command, *more]) == 0
    path = Path(json.loads(capsys.readouterr().out)["weights"])
    weights = load_weights(path)
    assert weights.metadata["task"] == TASK
    assert weights.metadata["trained_on"] == ["head-0", "head-1"]
    assert weights.metadata["validation"] is None
