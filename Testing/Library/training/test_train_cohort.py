"""Training on a public data set as it is unpacked: its training part, and never its test part."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch")

from data_set_layouts import write_mask
from SkullImplantLib.cli.main import main
from SkullImplantLib.networks.weights import load_weights

QUICK = [
    "--network", "ch1", "--spacing-mm", "8", "--cases-per-skull", "1", "--iterations", "2",
    "--validate-every", "2", "--validation-share", "0.5", "--flaws", "0", "--progress", "none",
]  # fmt: skip


@pytest.fixture(scope="module")
def skullbreak(two_skulls: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two skulls to learn from, and of the same names two that are none."""
    folder = tmp_path_factory.mktemp("data") / "SkullBreak"
    for number, skull in enumerate(sorted(two_skulls.iterdir())):
        name = f"{number:03d}.nrrd"
        for part in ("train", "test"):
            for where in ("complete_skull", "defective_skull/bilateral", "implant/bilateral"):
                write_mask(folder / part / where / name)
        shutil.copy(skull, folder / "train" / "complete_skull" / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--cohort", "folder"])
def test_a_cohort_is_learnt_from(skullbreak: Path, tmp_path: Path, how: str) -> None:
    named = ["--cohort", str(skullbreak)] if how == "--cohort" else [str(skullbreak)]
    assert main(["train", *named, "-o", str(tmp_path), *QUICK]) == 0
    weights = load_weights(tmp_path / "weights.npz")
    assert set(weights.skulls()) == {"skullbreak-train-000", "skullbreak-train-001"}
    assert "CC BY-NC-SA 4.0: not for commercial use" in (tmp_path / "weights.md").read_text()


def test_what_cannot_be_learnt_from_is_told(
    skullbreak: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, sentence in (
        (["--cohort", str(skullbreak / "test")], "a test part is never learnt from"),
        ([str(skullbreak / "test")], "a test part is never learnt from"),
        (["--cohort", str(skullbreak), "--dataset", "mug500"], "There is no MUG500+ in"),
        ([], "Say what to learn from"),
    ):
        assert main(["train", *arguments, "-o", str(tmp_path), *QUICK]) == 2
        told = capsys.readouterr().err
        assert sentence in told and told.count("\n") == 1
