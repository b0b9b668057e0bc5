"""The fine stage's network: it answers on the sites it is given, wherever they lie and however
they are ordered, and starts from nothing to add.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.refiner import RefinerConfiguration, SparseRefiner
from SkullImplantLib.sparse import SparseTensor

DEEPEST = 8  # cells of the deepest level of three halvings, in voxels


def trained(channels: tuple[int, ...] = (4, 5, 6, 7)) -> SparseRefiner:
    """A network whose last layer says something."""
    generator = torch.Generator().manual_seed(3)
    network = SparseRefiner(2, channels, generator=generator).eval()
    with torch.no_grad():
        network.final.kernel.normal_(generator=generator)
    return network


def sites(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    places = np.unique(rng.integers(0, 14, (count, 3)), axis=0)
    coordinates = torch.from_numpy(np.insert(places, 0, 0, axis=1).astype(np.int32))
    features = torch.from_numpy(rng.standard_normal((len(places), 2)).astype(np.float32))
    return coordinates, features


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 300), steps=st.integers(-3, 3))
def test_order_and_place_of_the_sites_do_not_matter(seed: int, count: int, steps: int) -> None:
    network, (coordinates, features) = trained(), sites(seed, count)
    with torch.inference_mode():
        plain = network(SparseTensor(coordinates, features))
        assert torch.equal(plain.coordinates, coordinates)
        order = torch.randperm(len(coordinates), generator=torch.Generator().manual_seed(seed))
        shuffled = network(SparseTensor(coordinates[order], features[order]))
        moved = coordinates + torch.tensor([0, 1, 1, 1], dtype=torch.int32) * DEEPEST * steps
        elsewhere = network(SparseTensor(moved, features))
    torch.testing.assert_close(shuffled.features, plain.features)
    torch.testing.assert_close(elsewhere.features, plain.features)


def test_a_trained_network_has_something_to_say_of_a_few_hundred_sites() -> None:
    """Of one or two it need not: what they bring may end in the activations' zeros."""
    network, (coordinates, features) = trained(), sites(0, 300)
    with torch.inference_mode():
        answer = network(SparseTensor(coordinates, features)).features
    assert (answer != 0).float().mean() > 0.9


def test_what_happens_far_away_does_not_matter_but_nearby_does() -> None:
    network, (coordinates, features) = trained((4, 5)), sites(1, 400)
    far = coordinates + torch.tensor([0, 64, 0, 0], dtype=torch.int32)
    both = torch.cat([coordinates, far])
    with torch.inference_mode():
        alone = network(SparseTensor(coordinates, features)).features
        together = network(SparseTensor(both, torch.cat([features, features + 1]))).features
    torch.testing.assert_close(together[: len(alone)], alone)
    features[0] += 5.0
    with torch.inference_mode():
        changed = network(SparseTensor(coordinates, features)).features
    assert (changed - alone).abs().max() > 1e-3


def test_an_untrained_network_adds_nothing_but_learns() -> None:
    network, (coordinates, features) = SparseRefiner(2, (4, 5, 6)), sites(5, 300)
    x = SparseTensor(coordinates, features)
    assert not network(x).features.any()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    errors = []
    for _ in range(60):
        optimiser.zero_grad()
        error = ((network(x).features[:, 0] - features[:, 0]) ** 2).mean()
        error.backward()
        optimiser.step()
        errors.append(float(error.detach()))
    assert errors[-1] < 0.3 * errors[0]


@pytest.mark.parametrize("channels", [(4,), (4, 0)])
def test_a_network_that_cannot_be_is_refused(channels: tuple[int, ...]) -> None:
    with pytest.raises(SkullImplantError, match="configuration"):
        RefinerConfiguration(2, channels)
