"""Training: the loss falls, a resumed run ends where an uninterrupted one does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.images import write_image
from SkullImplantLib.networks.inputs import NOWHERE_MM, network_input, starting_logit
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.sample import SampleOptions, make_sample_patient
from SkullImplantLib.training.cases import load_case, prepare_cases
from SkullImplantLib.training.cohort import skulls_in
from SkullImplantLib.training.train import TrainOptions, completion_loss, train

QUICK = TrainOptions(
    spacing_mm=8.0, cases_per_skull=2, iterations=8, validate_every=4, validation_share=0.3
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small complete skulls."""
    folder = tmp_path_factory.mktemp("skulls")
    for seed in range(3):
        options = SampleOptions(spacing_mm=(2.5, 2.5, 2.5))
        write_image(make_sample_patient(seed, options).complete, folder / f"head-{seed}.nrrd")
    return folder


def test_cases_hold_a_hole_that_the_target_fills(folder: Path, tmp_path: Path) -> None:
    for path in prepare_cases(skulls_in(folder)[:1], tmp_path, 2, 4.0, seed=0):
        case = load_case(path)
        missing = (case.target >= 0.5) & (case.skull < 0.25)
        assert missing.sum() > 30
        in_hole = missing & (case.depth_mm > -NOWHERE_MM)
        assert in_hole.sum() > 0.7 * missing.sum()
        prior = (case.depth_mm > 0.0) & in_hole
        assert prior.sum() > 0.5 * in_hole.sum()


def test_the_same_seed_makes_the_same_cases(folder: Path, tmp_path: Path) -> None:
    skulls = skulls_in(folder)[:1]
    one = prepare_cases(skulls, tmp_path / "a", 1, 6.0, seed=4)[0]
    two = prepare_cases(skulls, tmp_path / "b", 1, 6.0, seed=4)[0]
    other = prepare_cases(skulls, tmp_path / "c", 1, 6.0, seed=5)[0]
    np.testing.assert_array_equal(load_case(one).skull, load_case(two).skull)
    assert (load_case(one).skull != load_case(other).skull).any()


def test_a_damaged_case_is_named(tmp_path: Path) -> None:
    path = tmp_path / "head-bilateral-000-4mm.npz"
    path.write_bytes(b"PK not really")
    with pytest.raises(SkullImplantError, match="damaged"):
        load_case(path)


def test_resumed_training_ends_like_an_uninterrupted_one(folder: Path, tmp_path: Path) -> None:
    skulls = skulls_in(folder)
    whole = train(skulls, tmp_path / "whole", QUICK)

    class PowerCut(Exception):
        pass

    def until_iteration_4(fraction: float, message: str = "") -> None:
        if message.startswith("iteration 5"):
            raise PowerCut

    with pytest.raises(PowerCut):
        train(skulls, tmp_path / "cut", QUICK, progress=until_iteration_4)
    resumed = train(skulls, tmp_path / "cut", QUICK, resume=True)
    one, two = load_weights(whole), load_weights(resumed)
    assert one.metadata["iteration"] == two.metadata["iteration"]
    for name, value in one.state.items():
        assert torch.equal(value, two.state[name]), name
    log = (tmp_path / "whole" / "log.csv").read_text().splitlines()
    assert len(log) == 3 and log[0].startswith("iteration,loss")


def test_resuming_with_other_options_is_refused(folder: Path, tmp_path: Path) -> None:
    train(skulls_in(folder), tmp_path, replace(QUICK, iterations=4))
    with pytest.raises(SkullImplantError, match="skip"):
        train(skulls_in(folder), tmp_path, replace(QUICK, skip="none"), resume=True)


def test_the_loss_falls_and_the_model_card_tells(folder: Path, tmp_path: Path) -> None:
    options = replace(QUICK, iterations=60, validate_every=20)
    path = train(skulls_in(folder), tmp_path, options)
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[1]) for row in rows]
    assert losses[-1] < 0.9 * losses[0]
    card = path.with_suffix(".md").read_text()
    assert "head-0" in card and load_weights(path).sha256 in card
    assert load_weights(path).sha256 in path.with_suffix(".npz.sha256").read_text()


def test_the_papers_loss_is_the_plain_sum_of_the_levels() -> None:
    from SkullImplantLib.networks.autoencoder import Completion, Level

    logits = torch.tensor([2.0, -1.0])
    places = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 2]], dtype=torch.int32)
    coarse = Level(2, places, logits, torch.tensor([True, False]))
    fine = Level(1, places, logits, torch.tensor([True, False]))
    fraction = torch.zeros(2, 2, 4)
    fraction[0, 0, 0] = 1.0
    loss = completion_loss(Completion([coarse, fine]), fraction, fraction > 2.0, 0.0)
    once = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0))) / 2
    assert float(loss) == pytest.approx(2 * once, rel=1e-6)


def test_the_network_starts_from_skull_and_prior() -> None:
    skull = np.zeros((4, 4, 4), np.float32)
    skull[0] = 1.0
    depth = np.full((4, 4, 4), -8.0, np.float32)
    depth[1], depth[2] = 1.0, -0.5
    belief = starting_logit(skull, depth, 2.0)
    assert (belief[0] > 3.0).all() and (belief[1] > 3.0).all() and (belief[3] < -3.0).all()
    np.testing.assert_allclose(belief[2], np.log(0.25 / 0.75), rtol=1e-5)
    coordinates, features = network_input(skull, depth, 2.0, ("skull", "prior", "hole"))
    assert len(coordinates) == 48  # the skull, the prior, and the margin offered beside it
    np.testing.assert_allclose(features[coordinates[:, 1] == 1], [[0.0, 0.25, 1.0]] * 16)
    np.testing.assert_allclose(features[coordinates[:, 1] == 0], [[1.0, 0.0, 0.0]] * 16)
