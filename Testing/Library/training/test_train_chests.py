"""Organs learnt from patients in SegTHOR's layout: split by patient, resumed, shared."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from data_set_layouts import lay_out_segthor, lay_out_skullbreak
from SkullImplantLib.cases.segthor import chests_to_learn_from
from SkullImplantLib.cli.main import main
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.training.organ_options import RECIPES, SUPERRES, OrganOptions
from SkullImplantLib.training.organ_subjects import patients_split
from SkullImplantLib.training.organ_tasks import SegmentationTask

PROJECT = Path(__file__).resolve().parents[3]
AS_ONE = 1e-4  # how far the losses may be from those of one process
QUICK = ["--validate-every", "1", "--validation-share", "0.3", "--device", "cpu", "--json"]
BOTH = ("segmentation", "superres")


def log_of(folder: Path) -> list[list[float]]:
    lines = (folder / "log.csv").read_text().splitlines()
    return [[float(number) for number in line.split(",")] for line in lines[1:]]


def trained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["train", *arguments, *QUICK]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.slow
def test_both_networks_are_learnt_and_gone_on_with(
    three_chests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--cohort", str(three_chests), "--batch", "1"]
    data = trained([*given, "-o", str(tmp_path / "parts"), "--iterations", "1"], capsys)
    assert len(data["trained_on"]) == 2 and len(data["validated_on"]) == 1
    everyone = {*data["trained_on"], *data["validated_on"]}
    assert everyone == {f"segthor-Patient_0{number}" for number in (1, 2, 3)}
    prepared = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts/cases").iterdir()}
    assert len(prepared) == 6
    # The course of the learning rate belongs to the number of iterations: stop by time instead.
    named = [*given, "--dataset", "segthor", "--iterations", "3", "-o"]
    trained([*named, str(tmp_path / "whole"), "--cases", str(tmp_path / "parts/cases")], capsys)
    stopped = [*named, str(tmp_path / "parts")]
    trained([*stopped, "--minutes", "0.00001"], capsys)
    assert len(log_of(tmp_path / "parts/superres")) == 1
    trained([*stopped, "--resume"], capsys)
    for path, changed in prepared.items():
        assert path.stat().st_mtime_ns == changed  # nothing is prepared twice
    for task in BOTH:
        whole, parts = (
            load_weights(tmp_path / f"{run}/{task}/weights.npz") for run in ("whole", "parts")
        )
        assert [row[0] for row in log_of(tmp_path / "parts" / task)] == [1.0, 2.0, 3.0]
        for name, value in whole.state.items():
            assert (parts.state[name] == value).all(), name
        assert set(whole.skulls()) == everyone
        assert whole.metadata["trained_on"] == data["trained_on"]
        card = (tmp_path / "whole" / task / "weights.md").read_text()
        assert "Lambert et al. 2020" in card and data["validated_on"][0] in card


@pytest.mark.slow
@pytest.mark.parametrize("task", BOTH)
def test_two_processes_give_the_loss_curve_of_one(
    three_chests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    arguments = ["--cohort", str(three_chests), "--network", f"organs-{task}"]
    # Three cases: one and two, which differ in size.
    arguments += ["--batch", "3", "--iterations", "3", "--cases", str(tmp_path / "cases"), "-o"]
    trained([*arguments, str(tmp_path / "one")], capsys)
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "SkullImplantLib", "train", *arguments, str(tmp_path / "two"), *QUICK),
    ]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"weights"') == 1  # one of them speaks
    one, two = (log_of(tmp_path / run) for run in ("one", "two"))
    assert [row[0] for row in two] == [1.0, 2.0, 3.0]
    for alone, together in zip(one, two, strict=True):
        assert together[1] == pytest.approx(alone[1], abs=AS_ONE)
        # Dice: a voxel at a boundary may fall to either side.
        assert together[2:6] == pytest.approx(alone[2:6], abs=5e-3, nan_ok=True)
    assert len({round(row[1], 3) for row in two}) > 1  # a curve and no constant
    files = {path.name for path in (tmp_path / "two").iterdir()}
    assert files == {path.name for path in (tmp_path / "one").iterdir()}


def test_what_cannot_be_learnt_from_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chests = str(lay_out_segthor(tmp_path / "chests"))
    skulls = str(lay_out_skullbreak(tmp_path / "skulls"))
    for arguments, sentence in (
        ([skulls, "--cohort", chests], "Chests and skulls train different networks"),
        (["--cohort", chests, "--network", "ch1"], "do not train the network ch1"),
        (["--cohort", skulls, "--network", "organs-superres"], "learnt from chests"),
        ([skulls, "--network", "organs-superres"], "learnt from chests"),
        (["--cohort", chests, "--flaws", "0.3"], "organs has no option flaws"),
        (["--cohort", f"{chests}/test"], "There is no chest to learn from"),
        (["--cohort", chests, "--leave-out", "Patient_09"], "no patient named Patient_09"),
        (["--cohort", chests, "--write-configuration", f"{tmp_path}/c"], "choose one: --network"),
    ):
        assert main(["train", *arguments, "-o", str(tmp_path / "out")]) == 2
        told = capsys.readouterr().err
        assert sentence in told and told.count("\n") == 1, told


def test_a_configuration_is_written_and_read(tmp_path: Path) -> None:
    chests, file = str(lay_out_segthor(tmp_path / "chests")), tmp_path / "c.json"
    start = ["train", "--cohort", chests, "-o", str(tmp_path / "out")]
    assert main([*start, "--network", "organs-superres", "--write-configuration", str(file)]) == 0
    said = json.loads(file.read_text())
    assert said["iterations"] == RECIPES[SUPERRES].iterations
    assert said["network"] == "organs-superres"
    again = ["--configuration", str(file), "--seed", "3", "--write-configuration", str(file)]
    assert main([*start, *again]) == 0
    assert json.loads(file.read_text()) == said | {"seed": 3}


def test_patients_are_in_one_part_alone(tmp_path: Path) -> None:
    chests = chests_to_learn_from(lay_out_segthor(tmp_path))
    split = patients_split(chests, 0.5, 0)
    assert [one.name for one in (*split.learnt, *split.held_back)] in (
        ["segthor-Patient_01", "segthor-Patient_02"],
        ["segthor-Patient_02", "segthor-Patient_01"],
    )
    with pytest.raises(SkullImplantError, match="at least two patients with labels"):
        patients_split(chests, 0.5, 0, ["Patient_01"])


@pytest.mark.slow
def test_labels_off_the_grid_name_the_patient(three_chests: Path, tmp_path: Path) -> None:
    chests = chests_to_learn_from(three_chests)
    other = chests_to_learn_from(lay_out_segthor(tmp_path / "other"))
    wrong = type(chests[0])("Patient_01", chests[0].ct, other[0].labels, "train")
    with pytest.raises(SkullImplantError, match=r"Patient_01: The labels GT\.nii\.gz of Pat"):
        SegmentationTask(OrganOptions(), patients_split([wrong], 0.0, 0), tmp_path / "cases")
    assert list((tmp_path / "cases").iterdir()) == []
