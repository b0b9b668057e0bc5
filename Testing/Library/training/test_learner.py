"""What all trainings share: an iteration, when one validates or stops, what a resumed run has."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from SkullImplantLib.core.progress import silent
from SkullImplantLib.errors import Remedy, SkullImplantError
from SkullImplantLib.training.checkpoint import resume_from
from SkullImplantLib.training.learner import Learner
from SkullImplantLib.training.organ_options import OrganOptions
from SkullImplantLib.training.parallel import ALONE

OPTIONS = OrganOptions(iterations=10, validate_every=4, learning_rate=1e-2, precision="float32")


def learner(options: OrganOptions, worst: float = 1.0) -> Learner:
    """A line that learns to be twice its input; `worst` is a factor of the loss."""
    torch.manual_seed(0)
    network = torch.nn.Linear(1, 1)

    def loss(cases: list[float]) -> torch.Tensor:
        x = torch.tensor(cases)[:, None]
        return worst * (network(x).float() - 2.0 * x).square().mean()

    return Learner(network, lambda rng: float(rng.normal()), loss, 3, options, ALONE, all_used=True)


def test_it_validates_in_turn_and_after_the_last_iteration() -> None:
    told: list[tuple[int, float, float]] = []
    one = learner(OPTIONS)
    one.minutes = 7.0  # of runs before
    one.go(lambda loss, minutes: told.append((one.iteration, loss, minutes)), silent)
    assert [iteration for iteration, _, _ in told] == [4, 8, 10]
    assert told[-1][1] < told[0][1] and all(7.0 <= minutes < 8.0 for _, _, minutes in told)
    late = learner(replace(OPTIONS, minutes=0.0))
    late.go(lambda loss, minutes: told.append((late.iteration, loss, minutes)), silent)
    assert told[-1][0] == late.iteration == 1
    enough = learner(OPTIONS)
    enough.go(lambda loss, minutes: None, silent, lambda: enough.iteration >= 8)
    assert enough.iteration == 8


def test_a_loss_that_is_no_number_ends_it_before_the_weights_change() -> None:
    one = learner(OPTIONS, float("nan"))
    before = one.network.weight.detach().clone()
    with pytest.raises(SkullImplantError, match="not a number any more at iteration 0") as error:
        one.go(lambda loss, minutes: None, silent)
    assert error.value.remedy is Remedy.TRAIN_GENTLER
    assert torch.equal(one.network.weight, before)


def test_a_resumed_run_has_the_scale_of_its_loss_again(tmp_path: Path) -> None:
    # Gradients of such a loss are beyond float16, so that its scale is halved each time.
    options = replace(OPTIONS, iterations=2, validate_every=2, precision="float16")
    one = learner(options, 1e32)
    one.go(lambda loss, minutes: one.save(tmp_path, {"rows": []}), silent)
    scale = one.precision.state()["scale"]
    again = learner(options)
    assert again.precision.state()["scale"] > scale
    resume_from(tmp_path, again.restore)
    assert again.precision.state()["scale"] == scale and again.iteration == 2
    for name, value in one.average.state.items():
        assert np.array_equal(again.average.state[name], value), name
