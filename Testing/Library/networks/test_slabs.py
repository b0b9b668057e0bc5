"""A large head's finest level, slab by slab: the same as at once, in less memory."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib import sparse
from SkullImplantLib.networks import autoencoder, slabs
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder
from SkullImplantLib.sparse import SparseTensor

SHAPE = (23, 20, 18)


def head(seed, density):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand((1, 1, 6, 5, 5), generator=generator)
    field = F.interpolate(noise, SHAPE, mode="trilinear")[0, 0]
    mask = (field - 0.5).abs() < density
    mask[seed % SHAPE[0], 3, 4] = True  # never empty
    x = sparse.from_dense(mask)
    return SparseTensor.on(x.sites, x.features.double())


def completed(network, x, bounds):
    with torch.inference_mode():
        return network(x, bounds=bounds)


@pytest.mark.parametrize("skip", ["none", "add"])
@pytest.mark.parametrize("bounds", [None, SHAPE])
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    density=st.sampled_from([0.01, 0.08, 0.5]),
    size=st.sampled_from([16, 100, 700]),
)
def test_slabs_make_what_the_whole_level_makes(skip, bounds, seed, density, size):
    generator = torch.Generator().manual_seed(seed)
    network = SparseAutoEncoder((3, 4, 5), skip=skip, generator=generator).double().eval()
    for name, values in network.state_dict().items():
        if ".bn." in name and values.is_floating_point():
            values.uniform_(0.5, 1.5, generator=generator)
    x = head(seed, density)
    whole = completed(network, x, bounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "LARGE_SITES", 0)
        patch.setattr(slabs, "SLAB_SITES", size)
        parts = completed(network, x, bounds)
    for a, b in zip(whole.levels, parts.levels, strict=True):
        assert torch.equal(a.coordinates, b.coordinates)
        torch.testing.assert_close(a.logits, b.logits)
    # A logit at the border of zero could be rounded to its other side.
    if min(float(level.logits.abs().min()) for level in whole.levels if len(level.logits)) > 1e-9:
        assert torch.equal(whole.coordinates, parts.coordinates)
        torch.testing.assert_close(whole.features, parts.features)


def test_no_level_is_ever_whole(monkeypatch):
    """What the largest convolution makes at once is a slab and the planes beside it."""
    monkeypatch.setattr(autoencoder, "LARGE_SITES", 0)
    monkeypatch.setattr(slabs, "SLAB_SITES", 200)
    generator = torch.Generator().manual_seed(0)  # one that keeps what its coarser levels offer
    network = SparseAutoEncoder((3, 4, 5), skip="add", generator=generator).eval()
    rows = []
    for module in network.modules():
        if isinstance(module, sparse.Block):
            module.register_forward_hook(lambda _, inputs, result: rows.append(len(result)))
    x = sparse.from_dense((head(1, 0.1).dense(SHAPE)[0, 0] > 0).float())
    finest = completed(network, x, SHAPE).levels[-1]
    assert len(finest.coordinates) > 2000
    assert max(rows) < 0.6 * len(finest.coordinates)


def test_a_batch_and_a_training_are_worked_out_at_once(monkeypatch):
    def refuse(*_):
        raise AssertionError("in slabs")

    monkeypatch.setattr(autoencoder, "LARGE_SITES", 0)
    monkeypatch.setattr(autoencoder, "finest_level", refuse)
    network = SparseAutoEncoder((3, 4, 5))
    x = sparse.from_dense(torch.ones((2, 1, 4, 4, 4)))
    completed(network.eval(), x, None)
    network.train()(sparse.from_dense(torch.ones((4, 4, 4))))
