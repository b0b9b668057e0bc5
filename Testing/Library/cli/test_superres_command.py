"""`skull-implant superres`, as a person calls it."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image

from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.cli.main import main
from SkullImplantLib.core.checksums import sha256_of
from SkullImplantLib.core.images import array_of, write_image
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.superres import FEATURES, TASK
from SkullImplantLib.networks.weights import save_weights

QUIET = ["--progress", "none", "--json"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small network that corrects nothing and keeps everything."""
    configuration = Configuration((2, 3, 4), in_channels=FEATURES, skip="add")
    network = SparseAutoEncoder(**asdict(configuration), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for decode, said in zip(network.decoder, (4.0, 0.0), strict=True):
            decode["classify"].kernel.zero_()  # type: ignore[index]
            decode["classify"].bias.fill_(said)  # type: ignore[index]
    path = tmp_path_factory.mktemp("weights") / "small.npz"
    save_weights(path, configuration, network.state_dict(), {"task": TASK})
    return path


@pytest.fixture(scope="module")
def coarse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The skull of the sample patient in slices of 4 mm."""
    patient = make_sample_patient(0, SampleOptions(spacing_mm=(2.0, 2.0, 4.0)))
    path = tmp_path_factory.mktemp("coarse") / "skull.nrrd"
    write_image(patient.complete, path)
    return path


def test_a_mask_of_thick_slices_is_refined(
    coarse: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fine"
    command = ["superres", str(coarse), "-o", str(out), "--to-mm", "2", "--model", str(weights)]
    assert main([*command, *QUIET]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((out / "superres.json").read_text())
    assert {path.name for path in out.iterdir()} == {
        "superres.nrrd",
        "superres.json",
        "preview.png",
    }
    fine = sitk.ReadImage(str(out / "superres.nrrd"))
    assert fine.GetSpacing() == (2.0, 2.0, 2.0) and set(np.unique(array_of(fine))) == {0, 1}
    before = sitk.ReadImage(str(coarse))
    assert fine.GetSize() == (*before.GetSize()[:2], 2 * before.GetSize()[2])
    assert told["input"]["sha256"] == sha256_of(coarse)
    assert told["output"]["size"] == list(fine.GetSize())
    assert told["model"] == {"name": "small", "sha256": sha256_of(weights)}
    assert Image.open(out / "preview.png").size[0] > 1000


def test_what_cannot_be_done_is_one_sentence_and_leaves_nothing(
    coarse: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "fine"
    for more, said in (
        (["--to-mm", "6"], "finer spacing"),
        (["--to-mm", "0.001"], "too large"),
        (["--model", str(tmp_path / "none.npz")], "no weight file none.npz"),
    ):
        command = ["superres", str(coarse), "-o", str(out), "--model", str(weights), *more]
        assert main([*command, *QUIET]) == 2
        error = json.loads(capsys.readouterr().out)["error"]
        assert said in error and "\n" not in error
        assert not out.exists()


def test_weights_that_refine_are_no_model_of_a_design(
    coarse: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["design", str(coarse), "-o", str(tmp_path / "out"), "--model", str(weights)]
    assert main([*command, *QUIET]) == 2
    assert "superres" in json.loads(capsys.readouterr().out)["error"]
