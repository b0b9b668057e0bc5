"""The tables of the papers' auto-encoder alone: what is counted is what the network did."""

from dataclasses import asdict

import numpy as np
import pytest
import torch
from published_levels import level_counts, level_table

from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.weights import Weights
from SkullImplantLib.training.endless import case_without_prior

SHAPE = (16, 20, 24)


@pytest.fixture
def case():
    """A thick plate with a hole in it."""
    target = np.zeros(SHAPE, np.float32)
    target[6:9] = 1.0
    hole = np.zeros(SHAPE, bool)
    hole[4:12, 6:14, 8:16] = True
    return case_without_prior("plate", target, target * ~hole, hole, 4.0)


def weights_that_say(logit: float, keep_from: float = 0.5) -> Weights:
    configuration = Configuration((4, 5, 6), skip="add", keep_from=keep_from)
    generator = torch.Generator().manual_seed(0)
    network = SparseAutoEncoder(**asdict(configuration), generator=generator)
    for decode in network.decoder:
        decode["classify"].kernel.data.zero_()
        decode["classify"].bias.data.fill_(logit)
    return Weights(configuration, network.state_dict(), {"channels": ["skull"]}, "")


def test_what_keeps_everything_fills_the_hole_and_more(case):
    made, (coarse, fine) = level_counts(weights_that_say(1.0), case)
    missing = case.view.hole & (case.target > 0.5)
    assert made[missing].all() and fine.missing == missing.sum()
    for count in (coarse, fine):
        assert count.offered == count.sure == count.told == count.missing
    assert fine.spurious == (made & case.view.hole & (case.target < 0.5)).sum() > 0


def test_what_keeps_nothing_fills_the_hole_only_where_it_is_told_the_truth(case):
    made, (_, fine) = level_counts(weights_that_say(-1.0), case)
    assert not made.any() and fine.offered == fine.sure == fine.told == 0
    # A probability of 0.27 is offered to the finest level, which does not see bone there.
    _, (_, fine) = level_counts(weights_that_say(-1.0, keep_from=0.25), case)
    assert fine.offered == fine.missing and fine.sure == 0


def test_a_table_sums_up_cases(case):
    _, counts = level_counts(weights_that_say(1.0), case)
    lines = level_table([counts, counts])
    assert [line[0] for line in lines[2:]] == ["2", "1"]
    assert lines[-1][1] == f"{counts[-1].missing}" and lines[-1][2:4] == ["1.00", "1.00"]
