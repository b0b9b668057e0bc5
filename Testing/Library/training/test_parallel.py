"""Processes that `torchrun` starts train what one does, end together, and go on by any number."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.core.torchrun import VARIABLES
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.training.checkpoint import resume_from
from SkullImplantLib.training.configuration import write_configuration
from SkullImplantLib.training.log import LogRow, read_log
from SkullImplantLib.training.parallel import Processes, joined
from SkullImplantLib.training.train import train
from SkullImplantLib.training.train_superres import train_superres
from SkullImplantLib.training.training_options import TrainOptions

PROJECT = Path(__file__).resolve().parents[3]
AS_ONE = 1e-4  # how far the losses may be from those of one process
WHOLE = TrainOptions(
    network="ch1",
    spacing_mm=8.0,
    cases_per_skull=2,
    iterations=6,
    validate_every=1,
    validation_share=0.5,
    flaws=0.0,
    batch=5,  # two cases and three
    seed=1,
)
FINE = replace(WHOLE, network="fine", spacing_mm=4.0, batch=2)
SUPERRES = TrainOptions(network="superres", iterations=3, validate_every=1, validation_share=0.0)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cases")


def torchrun(skulls: Path, folder: Path, cases: Path, options: TrainOptions) -> list[str]:
    """The command of two processes on this machine."""
    write_configuration(folder.with_suffix(".json"), options)
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "SkullImplantLib", "train", str(skulls), "-o", str(folder), "--device", "cpu"),
        *("--cases", str(cases), "--configuration", str(folder.with_suffix(".json")), "--json"),
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize("options", [WHOLE, FINE, SUPERRES], ids=["ch1", "fine", "superres"])
def test_two_processes_give_the_loss_curve_of_one(
    two_skulls: Path, cases: Path, tmp_path: Path, options: TrainOptions
) -> None:
    learn = train_superres if options is SUPERRES else train
    one = learn(skulls_in(two_skulls), tmp_path / "one", options, cases=cases)
    done = run(torchrun(two_skulls, tmp_path / "two", cases, options))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"weights"') == 1  # one of them speaks
    alone, together = (read_log(tmp_path / name / "log.csv") for name in ("one", "two"))
    assert [row.iteration for row in together] == list(range(1, options.iterations + 1))
    for of_one, of_two in zip(alone, together, strict=True):
        assert of_two.loss == pytest.approx(of_one.loss, abs=AS_ONE)
        assert same_scores(of_one, of_two)
    assert len({round(row.loss, 3) for row in together}) > 1  # a curve and no constant
    first, second = load_weights(one), load_weights(tmp_path / "two" / "weights.npz")
    for name, value in first.state.items():
        if "running" in name:
            np.testing.assert_allclose(second.state[name], value, rtol=0.02, atol=0.02)
        elif name.endswith("tracked"):
            assert second.state[name] == value
    files = {path.name for path in (tmp_path / "two").iterdir()}
    assert files == {path.name for path in (tmp_path / "one").iterdir()}


def same_scores(one: LogRow, two: LogRow) -> bool:
    a, b = ((row.network_dice, row.prior_dice, row.skull_dice) for row in (one, two))
    return bool(np.allclose(a, b, atol=2e-3, equal_nan=True))


@pytest.mark.slow
def test_one_process_goes_on_where_two_stopped(
    two_skulls: Path, cases: Path, tmp_path: Path
) -> None:
    skulls = skulls_in(two_skulls)
    train(skulls, tmp_path / "whole", WHOLE, cases=cases)
    # Out of time after the first iteration, whichever process's clock is behind.
    done = run(torchrun(two_skulls, tmp_path / "parts", cases, replace(WHOLE, minutes=1e-6)))
    assert done.returncode == 0, done.stderr
    assert len(read_log(tmp_path / "parts" / "log.csv")) == 1
    train(skulls, tmp_path / "parts", WHOLE, resume=True, cases=cases)
    whole, parts = (read_log(tmp_path / name / "log.csv") for name in ("whole", "parts"))
    assert [row.loss for row in parts] == pytest.approx([row.loss for row in whole], abs=AS_ONE)


@pytest.mark.slow
def test_a_signal_to_torchrun_ends_all_processes(
    two_skulls: Path, cases: Path, tmp_path: Path
) -> None:
    endless = replace(WHOLE, iterations=100_000, validation_share=0.0)
    command = torchrun(two_skulls, tmp_path / "run", cases, endless)
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment())
    try:
        until = time.monotonic() + 120
        while not (tmp_path / "run" / "checkpoint.npz").exists():
            assert started.poll() is None and time.monotonic() < until
            time.sleep(0.1)
        workers = children_of(started.pid)
        assert len(workers) == 2
        started.send_signal(signal.SIGTERM)
        _, said = started.communicate(timeout=120)
    finally:
        started.kill()
    assert started.returncode != 0 and "skull-implant: " in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert load_weights(tmp_path / "run" / "weights.npz").metadata["iteration"] >= 1
    resume_from(tmp_path / "run", lambda checkpoint: None)  # raises where it is damaged


def children_of(process: int) -> list[int]:
    told = Path(f"/proc/{process}/task/{process}/children")
    if not told.exists():
        pytest.skip("this system does not tell a process's children")
    return [int(child) for child in told.read_text().split()]


@given(batch=st.integers(1, 40), count=st.integers(1, 12))
def test_a_batch_is_split_into_stretches_in_order(batch: int, count: int) -> None:
    if batch < count:
        with pytest.raises(SkullImplantError, match=f"at most {batch}"):
            Processes(0, count).own(batch)
        return
    shares = [list(Processes(rank, count).own(batch)) for rank in range(count)]
    assert [case for share in shares for case in share] == list(range(batch))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_first_case_of_a_batch_is_that_of_a_batch_of_one() -> None:
    """Weights of trainings of before, with one case an iteration, can be made again."""
    drawn = [np.random.default_rng(seed).integers(2**60, size=4) for seed in ([3, 17], [3, 17, 0])]
    np.testing.assert_array_equal(*drawn)


def test_a_torch_that_cannot_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("0", "2", "0", "2", "localhost", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torch.distributed.is_available", lambda: False)
    with pytest.raises(SkullImplantError, match=r"without torch\.distributed"), joined("cpu"):
        pass


def test_without_torchrun_a_process_is_alone() -> None:
    with joined("cpu") as processes:
        assert processes == Processes() and processes.told("word") == "word"
        assert processes.in_turn(lambda: 7) == 7
