"""Cases on several machines: the tables' same bytes as on one, whoever is killed in between."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import quick_trial
from data_set_layouts import KINDS
from quick_trial import DeadlyTrial, QuickTrial, lay_out_heads
from SkullImplantLib.errors import Cancelled, SkullImplantError
from SkullImplantLib.evaluation.evaluation_options import RunOptions
from SkullImplantLib.evaluation.judging import Trial
from SkullImplantLib.evaluation.shards import Shard, read_shard
from SkullImplantLib.evaluation.suite import evaluate_cohort
from SkullImplantLib.evaluation.suite_cases import CohortCase

TABLES = ("table.md", "table.csv")
PATIENCE_S = 120.0
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # on Windows the latter ends a process at once


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SkullBreak of three tiny heads with five defects each."""
    return lay_out_heads(tmp_path_factory.mktemp("heads"), KINDS)


@pytest.fixture(scope="module")
def plain(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], Any]:
    """The tables of a plain run on this machine, and its data."""
    output = tmp_path_factory.mktemp("plain")
    data, _ = evaluate_cohort(heads, QuickTrial(output))
    return tables_in(output), data


def tables_in(output: Path) -> dict[str, bytes]:
    return {name: (output / name).read_bytes() for name in TABLES}


def kept_in(output: Path) -> list[str]:
    return sorted(path.name for path in (output / "cases").glob("*.json"))


def wait_until(is_so: Callable[[], Any]) -> None:
    give_up = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < give_up
        time.sleep(0.02)


def start_shard(heads: Path, output: Path, share: str) -> "subprocess.Popen[str]":
    command = [sys.executable, quick_trial.__file__, str(heads), str(output), share]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_three_shards_of_which_one_is_killed_and_run_again(
    heads: Path, plain: tuple[dict[str, bytes], Any], tmp_path: Path
) -> None:
    shards = [start_shard(heads, tmp_path, f"{number}/3") for number in (1, 2, 3)]
    second = "*skullbreak-test-001-*.json"
    wait_until(lambda: list((tmp_path / "cases").glob(second)))
    shards[1].kill()
    for shard in shards:
        shard.communicate(timeout=PATIENCE_S)
    assert [shard.returncode == 0 for shard in shards] == [True, False, True]
    assert 10 < len(kept_in(tmp_path)) < 15
    # What is there by now is told, and how much is to come.
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert f"So far {len(kept_in(tmp_path))} of 15 cases" in table
    again = start_shard(heads, tmp_path, "2/3")
    assert again.communicate(timeout=PATIENCE_S)[0].strip() == "15" and again.returncode == 0
    assert tables_in(tmp_path) == plain[0]
    # A call without a shard finds all there, and writes the same.
    data, _ = evaluate_cohort(heads, QuickTrial(tmp_path))
    assert tables_in(tmp_path) == plain[0] and "to_come" not in data
    assert (tmp_path / "times.csv").read_text() != ""


def test_the_tables_have_no_times(plain: tuple[dict[str, bytes], Any]) -> None:
    assert b"seconds" not in plain[0]["table.csv"] and b"peak_memory" not in plain[0]["table.csv"]
    assert {"seconds", "peak_memory_gib"} <= set(plain[1]["cases"][0])


def test_local_processes_give_the_same_bytes(
    heads: Path, plain: tuple[dict[str, bytes], Any], tmp_path: Path
) -> None:
    told: list[str] = []

    def report(stage: str, fraction: float, message: str = "", device: str | None = None) -> None:
        told.append(message)

    evaluate_cohort(heads, QuickTrial(tmp_path), run=RunOptions(jobs=2), report=report)
    assert tables_in(tmp_path) == plain[0]
    assert told[0] == "SkullBreak, told by its file names; test: 15 cases of 3 skulls."
    assert any("of 15, mean Dice 0." in message and " left; " in message for message in told)


def test_the_table_grows_after_every_case(heads: Path, tmp_path: Path) -> None:
    seen: list[str] = []

    def report(stage: str, fraction: float, message: str = "", device: str | None = None) -> None:
        if (tmp_path / "table.md").exists():
            seen.append((tmp_path / "table.md").read_text(encoding="utf-8").splitlines()[0])
        if len(set(seen)) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        evaluate_cohort(heads, QuickTrial(tmp_path), report=report)
    assert list(dict.fromkeys(seen)) == [f"**So far {n} of 15 cases.**" for n in (1, 2, 3)]
    assert len(kept_in(tmp_path)) == 3


def test_shards_are_all_cases_each_once() -> None:
    def case(skull: str, kind: str) -> CohortCase:
        return CohortCase(Path("a"), None, skull, kind)

    cases = [case(skull, kind) for kind in KINDS for skull in "abcdefg"]
    for count in (1, 2, 3, 7, 8, 40):
        parts = [Shard(number, count).of(cases) for number in range(1, count + 1)]
        found = [one for part in parts for one in part]
        assert len(found) == len(cases) and set(found) == set(cases)
        if count <= 7:  # a skull is read on one machine
            skulls = [{one.skull for one in part} for part in parts]
            assert sum(map(len, skulls)) == 7


@pytest.mark.parametrize("text", ["", "0/3", "4/3", "1", "1/0", "-1/3", "a/b", "1/2/3"])
def test_what_is_no_share_is_told(text: str) -> None:
    with pytest.raises(SkullImplantError, match=r"is no share; write I/N"):
        read_shard(text)


def test_another_shard_is_not_robbed_of_what_it_writes(heads: Path, tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    begun, old = (tmp_path / "cases" / f".partial-{name}.json" for name in ("begun", "old"))
    begun.touch()
    old.touch()
    os.utime(old, (0, 0))
    evaluate_cohort(heads, QuickTrial(tmp_path), run=RunOptions(shard=Shard(1, 15)))
    assert begun.exists() and not old.exists()


class TestDask:
    """A cluster of real worker processes on this machine."""

    @pytest.fixture
    def cluster(self) -> Iterator[Any]:
        distributed = pytest.importorskip("distributed")
        with distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            yield cluster

    def test_three_workers_of_which_one_is_killed(
        self,
        cluster: Any,
        heads: Path,
        plain: tuple[dict[str, bytes], Any],
        tmp_path: Path,
    ) -> None:
        killed: list[int] = []
        started = {nanny.pid for nanny in cluster.workers.values()}

        def report(
            stage: str, fraction: float, message: str = "", device: str | None = None
        ) -> None:
            if len(kept_in(tmp_path)) >= 4 and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], KILL)

        run = RunOptions(cluster=cluster.scheduler_address)
        evaluate_cohort(heads, QuickTrial(tmp_path), run=run, report=report)
        assert tables_in(tmp_path) == plain[0]
        assert killed and killed[0] in started
        assert not list((tmp_path / "cases").glob(".partial-*"))

    def test_a_case_that_ends_its_workers_is_told(self, heads: Path, tmp_path: Path) -> None:
        distributed, dask = pytest.importorskip("distributed"), pytest.importorskip("dask")
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            distributed.LocalCluster(
                n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None
            ) as cluster,
            pytest.raises(SkullImplantError, match="ended several workers of the cluster"),
        ):
            run = RunOptions(cluster=cluster.scheduler_address)
            evaluate_cohort(heads, DeadlyTrial(tmp_path), run=run)

    def test_a_scheduler_that_is_lost_is_told_and_the_run_goes_on(
        self, heads: Path, plain: tuple[dict[str, bytes], Any], tmp_path: Path
    ) -> None:
        pytest.importorskip("distributed")
        file = tmp_path / "scheduler.json"
        paths = os.pathsep.join(path for path in sys.path if path)
        begun = [
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "distributed.cli.dask_" + what,
                    "--scheduler-file",
                    str(file),
                ]
                + more,
                env={**os.environ, "PYTHONPATH": paths},
                stderr=subprocess.DEVNULL,
            )
            for what, more in (
                ("scheduler", ["--port", "0", "--no-dashboard"]),
                ("worker", ["--nworkers", "2", "--nthreads", "1", "--no-dashboard"]),
            )
        ]

        def report(
            stage: str, fraction: float, message: str = "", device: str | None = None
        ) -> None:
            if len(kept_in(tmp_path)) >= 2:
                begun[0].kill()

        try:
            wait_until(file.exists)
            run = RunOptions(cluster=str(file))
            with pytest.raises(
                SkullImplantError, match="was lost; start it and run the same again"
            ):
                evaluate_cohort(heads, QuickTrial(tmp_path), run=run, report=report)
        finally:
            for process in begun:
                process.kill()
                process.wait()
        assert 2 <= len(kept_in(tmp_path)) < 15
        evaluate_cohort(heads, QuickTrial(tmp_path), run=RunOptions(jobs=2))
        assert tables_in(tmp_path) == plain[0]

    def test_a_worker_that_sees_other_files_is_told(
        self, cluster: Any, heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # As this process sees them, cases depend on what no worker knows.
        real = Trial.made_with
        monkeypatch.setattr(Trial, "made_with", lambda self, case: {**real(self, case), "x": 1})
        run = RunOptions(cluster=cluster.scheduler_address)
        with pytest.raises(SkullImplantError, match="sees other files for skullbreak-test-"):
            evaluate_cohort(heads, QuickTrial(tmp_path), run=run)
        assert kept_in(tmp_path) == []


def test_no_scheduler_is_one_sentence(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("SkullImplantLib.evaluation.cluster.CONNECT_S", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense"):
        with pytest.raises(SkullImplantError, match="There is no Dask scheduler at"):
            evaluate_cohort(heads, QuickTrial(tmp_path), run=RunOptions(cluster=address))


def test_dask_is_asked_for_where_it_is_missing(
    heads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SkullImplantError, match="needs Dask, which is not installed; install"):
        evaluate_cohort(heads, QuickTrial(tmp_path), run=RunOptions(cluster="tcp://head:8786"))
