"""The table of a cohort of chests: both steps, each organ, kept and gone on from."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch

from SkullImplantLib.cases.segthor import ORGANS, chests_in
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.checksums import write_checksum
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.evaluation_options import RunOptions
from SkullImplantLib.evaluation.organ_cohort import STEPS, evaluate_organs
from SkullImplantLib.evaluation.organ_trial import COARSE, DENSE, PERFECT, SPARSE, OrganTrial
from SkullImplantLib.evaluation.shards import Shard
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder
from SkullImplantLib.networks.dense_unet import SEGMENTATION_TASK, DenseUNet, UNetConfiguration
from SkullImplantLib.networks.label_superres import LABELS_TASK, labels_configuration
from SkullImplantLib.networks.weights import save_weights

CELLS = [56, 56, 40]
TABLES = ("table.md", "table.csv")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Networks that learnt nothing, of which one says that it has seen the first patient."""
    folder, made = tmp_path_factory.mktemp("networks"), []
    for task, configuration, kind in (
        (SEGMENTATION_TASK, UNetConfiguration(4), DenseUNet),
        (LABELS_TASK, labels_configuration(), SparseAutoEncoder),
    ):
        network = kind(**asdict(configuration), generator=torch.Generator().manual_seed(0))
        told = {"task": task, "organs": list(ORGANS.values()), "options": {"cells": CELLS}}
        if task == LABELS_TASK:
            told["trained_on"] = ["segthor-Patient_01"]
        made.append(folder / f"{kind.__name__}.npz")
        save_weights(made[-1], configuration, network.state_dict(), told)
        write_checksum(made[-1])
    return made[0], made[1]


def tables_in(output: Path) -> dict[str, bytes]:
    return {name: (output / name).read_bytes() for name in TABLES}


@pytest.mark.slow
def test_both_steps_are_judged_organ_by_organ(
    three_chests: Path, networks: tuple[Path, Path], tmp_path: Path
) -> None:
    trial = OrganTrial(tmp_path / "one", *networks, device="cpu")
    data, text = evaluate_organs(three_chests, trial)
    assert [row["patient"] for row in data["cases"]] == ["Patient_01", "Patient_02", "Patient_03"]
    lines = data["summary"]
    found = {(line["start"], line["method"], line["organ"]) for line in lines}
    assert found == {(*step, organ) for step in STEPS for organ in ORGANS.values()}
    counts = {(line["learnt_from"], line["patients"]) for line in lines}
    assert counts == {(False, 2), (True, 1)}
    by_step = {
        (line["start"], line["method"], line["organ"]): line
        for line in lines
        if not line["learnt_from"]
    }
    for organ in ORGANS.values():
        # A perfect segmentation's labels come back nearly whole; those of one that knows nothing
        # do not. Its coarse labels are judged on their own grid.
        perfect = by_step[PERFECT, "trilinear", organ]
        assert perfect["dice_mean"] > 0.4 and perfect["hd95_mm_mean"] < 15.0
        assert 0.0 < perfect["occupancy"] < 0.02 and perfect["not_found"] == 0
        assert by_step[DENSE, COARSE, organ]["dice_mean"] < 0.2
        assert by_step[PERFECT, SPARSE, organ]["occupancy"] == perfect["occupancy"]
    assert by_step[PERFECT, "trilinear", "heart"]["dice_mean"] > 0.85
    assert "1 patients have no public labels and are left out." in text
    assert "## Patients that a network has learnt from" in text and "seconds" not in text

    # The same bytes in shares, whoever comes last, and without doing anything twice.
    for number in (2, 1):
        share = RunOptions(shard=Shard(number, 2))
        evaluate_organs(three_chests, OrganTrial(tmp_path / "two", *networks, "cpu"), run=share)
    assert tables_in(tmp_path / "two") == tables_in(tmp_path / "one")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "one" / "cases").iterdir()}
    evaluate_organs(three_chests, trial)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    # Other weights make other rows.
    data, _ = evaluate_organs(three_chests, OrganTrial(tmp_path / "one"))
    assert {line["start"] for line in data["summary"]} == {PERFECT}


def test_the_command_without_networks_judges_interpolation(
    three_chests: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    monkeypatch.setattr("SkullImplantLib.cli.organ_evaluation_command._shipped", lambda name: None)
    output = ["-o", str(tmp_path), "--progress", "none"]
    broken = tmp_path / "broken"
    for number in (1, 2):
        own = broken / f"Patient_{number:02d}"
        own.mkdir(parents=True)
        for file in (f"{own.name}.nii.gz", "GT.nii.gz"):
            content = (three_chests / "train" / own.name / file).read_bytes()
            (own / file).write_bytes(content[: 1000 if number == 2 else None])
    assert main(["evaluate", "--cohort", str(broken), *output, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["data_set"] == "segthor" and len(data["cases"]) == 2
    assert {line["method"] for line in data["summary"]} == {"trilinear", "signed-distance"}
    assert "Patient_02" in (tmp_path / "table.md").read_text().split("Not read")[1]
    told = [["--kinds", "bilateral"], ["--pictures"]]
    for arguments in told:
        assert main(["evaluate", "--cohort", str(broken), *output, *arguments]) == 2
        assert "Chests have no defects" in capsys.readouterr().err
    assert main(["evaluate", "--cohort", str(broken), *output, "--model", "fine"]) == 2
    assert "Organs have two networks" in capsys.readouterr().err


def test_what_cannot_be_judged_is_told(three_chests: Path, tmp_path: Path) -> None:
    with pytest.raises(SkullImplantError, match="no chest with labels to judge"):
        evaluate_organs(three_chests, OrganTrial(tmp_path), part="test")
    missing = OrganTrial(tmp_path, superres=tmp_path / "none.npz")
    with pytest.raises(SkullImplantError, match="There is no weight file"):
        evaluate_organs(three_chests, missing)
    assert len(chests_in(three_chests)) == 4
