"""The model card: says of every network what went into it, and what it is not."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from SkullImplantLib.core.checksums import sha256_of, verify_checksum
from SkullImplantLib.training.log import LogRow
from SkullImplantLib.training.model_card import write_model_card
from SkullImplantLib.training.training_options import TrainOptions

ROWS = [LogRow(10 * k, 1.0 / k, 0.8 + 0.001 * k, 0.8, 0.5 * k) for k in range(1, 41)]


def card_of(folder: Path, network: str, **more: object) -> str:
    weights = folder / "weights.npz"
    np.savez(weights, a=np.zeros((10, 3)), b=np.zeros(1205), header=np.zeros(7, np.uint8))
    options = {**asdict(TrainOptions(network=network, seed=42)), **more}
    metadata = {
        "channels": ["skull", "prior"],
        "spacing_mm": 1.5,
        "options": options,
        "iteration": 390,
        "precision": "bfloat16",
        "trained_on": ["anna", "bert"],
        "validated_on": ["carl"],
        "validation": {"network_dice": 0.8391, "prior_dice": 0.8},
    }
    write_model_card(weights, metadata, ROWS)
    verify_checksum(weights)
    return weights.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("network", "said"), [("fine", "U-Net"), ("ch1", "`ch1`"), ("ch2", "`ch2`")]
)
def test_it_says_what_went_in(tmp_path: Path, network: str, said: str) -> None:
    card = card_of(tmp_path, network)
    assert said in card and sha256_of(tmp_path / "weights.npz") in card
    for fact in (
        "anna, bert",
        "carl",
        "42",
        "0.839",
        "1,235 numbers",
        "best of 400 at iteration 390",
        "SkullBreak, 5 to 150 cm²",
    ):
        assert fact in card
    for name in asdict(TrainOptions()):
        assert f"| `{name}` |" in card
    for caution in ("Not a medical\ndevice", "MRI", "licence", "did not say where the skulls come"):
        assert caution in card


def test_the_learning_curve_is_in_it_in_few_rows(tmp_path: Path) -> None:
    card = card_of(tmp_path, "fine")
    table = card.split("| iteration |")[1].split("\n\n")[0].splitlines()[2:]
    assert 5 < len(table) <= 12 and table[-1].startswith("| 400 |")


def test_provenance_is_told(tmp_path: Path) -> None:
    card = card_of(tmp_path, "fine", provenance="CT of our clinic, by consent.")
    assert "\n\nCT of our clinic, by consent.\n\nThe terms" in card and "did not say" not in card
