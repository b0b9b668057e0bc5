"""Leaner training: the same gradients from less that is kept between the passes."""

from contextlib import contextmanager, nullcontext
from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from SkullImplantLib import sparse
from SkullImplantLib.evaluation.benchmark_engine import phantom_shell
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder, named_configuration
from SkullImplantLib.sparse import Sites, SparseTensor
from SkullImplantLib.sparse.packing import packed_rows

EXAMPLES = settings(max_examples=15, deadline=None)
KINDS = {
    "k3": lambda a, b: sparse.Conv3d(a, b, kernel_size=3),
    "k2": lambda a, b: sparse.Conv3d(a, b, kernel_size=2, stride=2),
    "up k2": lambda a, b: sparse.GenerativeConvTranspose3d(a, b, kernel_size=2),
    "up k4": lambda a, b: sparse.GenerativeConvTranspose3d(a, b, kernel_size=4),
}
ACTIVATIONS = [sparse.ReLU, sparse.ELU]


def cloud(seed, channels, dtype=torch.float64, stride=2, density=0.3):
    generator = torch.Generator().manual_seed(seed)
    coordinates = (torch.rand((2, 6, 5, 7), generator=generator) < density).nonzero()
    coordinates[:, 1:] *= stride
    features = torch.randn((len(coordinates), channels), generator=generator, dtype=dtype)
    return SparseTensor(coordinates, features.requires_grad_(), stride)


def as_three(block, x):
    """A block as what it is made of, one after the other."""
    return nn.Sequential.forward(block, x)


def gradients(result, inputs, seed=1):
    weights = torch.randn(result.shape, generator=torch.Generator().manual_seed(seed))
    return torch.autograd.grad((result * weights.to(result)).sum(), inputs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@EXAMPLES
@given(seed=st.integers(0, 2**31), width=st.integers(1, 9))
def test_a_block_in_training_is_its_three_modules(kind, activation, dtype, seed, width):
    x = cloud(seed, 3, dtype)
    torch.manual_seed(seed)
    block = sparse.Block(KINDS[kind](3, width), sparse.BatchNorm(width), activation()).to(dtype)
    nn.init.normal_(block[1].bn.weight)  # any sign: nothing may be inverted
    nn.init.normal_(block[1].bn.bias)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    outcomes = []
    for run in (block, lambda x: as_three(block, x)):
        block.load_state_dict(before)
        result = run(x).features
        outcomes.append(
            [result, *gradients(result, [x.features, *block.parameters()]), *block.buffers()]
        )
        outcomes[-1] = [value.detach().clone() for value in outcomes[-1]]
    # In float32 a variance of few sites can be small, and then rounding is not.
    tolerance = {} if dtype == torch.float64 else {"rtol": 1e-3, "atol": 1e-3}
    for fused, plain in zip(*outcomes):
        torch.testing.assert_close(fused, plain, **tolerance)


def test_a_weight_of_zero_has_its_gradient():
    """Of the output alone the normalised rows could not be found again."""
    x = cloud(0, 3)
    block = sparse.Block(KINDS["k3"](3, 4), sparse.BatchNorm(4), sparse.ReLU()).double()
    nn.init.zeros_(block[1].bn.weight)
    nn.init.ones_(block[1].bn.bias)
    wanted = [x.features, *block.parameters()]
    fused = gradients(block(x).features, wanted)
    plain = gradients(as_three(block, x).features, wanted)
    assert fused[2].abs().min() > 0
    torch.testing.assert_close(fused, plain)


def test_a_single_site_goes_through_with_the_running_statistics():
    x = SparseTensor(torch.zeros(1, 4, dtype=torch.int32), torch.ones(1, 3))
    block = sparse.Block(KINDS["k3"](3, 4), sparse.BatchNorm(4), sparse.ReLU())
    before = [value.clone() for value in block.buffers()]
    torch.testing.assert_close(block(x).features, block.eval()(x).features)
    assert all(torch.equal(a, b) for a, b in zip(before, block.buffers()))


SHAPE = (20, 48, 48)


def small_network(make=SparseAutoEncoder, dtype=torch.float32, **options):
    generator = torch.Generator().manual_seed(3)
    network = make((8, 8, 16, 16), generator=generator, **options).to(dtype)
    for name, values in network.named_parameters():
        if ".bn.bias" in name:
            nn.init.normal_(values, 0.0, 0.3, generator=generator)
    return network


def training_step(network, keeping=nullcontext, shape=SHAPE):
    """Logits, gradients and running statistics of one training step on the phantom."""
    complete, defective = (torch.from_numpy(mask) for mask in phantom_shell(shape))
    dtype = network.final.kernel.dtype
    x = sparse.from_dense(defective)
    x = SparseTensor.on(x.sites, x.features.to(dtype))
    target = Sites(F.pad(complete.nonzero().int(), (1, 0)), 1)
    network.zero_grad()
    with keeping():
        levels = network(x, target=target, bounds=shape, reconstruct=False).levels
        loss = sum(
            F.binary_cross_entropy_with_logits(level.logits, level.target.to(dtype))
            for level in levels
        )
    loss.backward()
    found = [p.grad for p in network.parameters() if p.grad is not None]
    return [loss.detach(), *(level.logits.detach() for level in levels)], found


def buffers(network):
    return [value.clone() for value in network.buffers()]


@pytest.mark.parametrize("skip", ["none", "add"])
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_a_network_of_fused_blocks_is_one_of_their_modules(skip, activation, monkeypatch):
    options = {"skip": skip, "activation": activation, "dtype": torch.float64}
    network = small_network(**options)
    values, fused = training_step(network)
    learnt = buffers(network)
    monkeypatch.setattr(sparse.Block, "forward", as_three)
    network = small_network(**options)
    torch.testing.assert_close(training_step(network), (values, fused))
    torch.testing.assert_close(buffers(network), learnt)


@pytest.mark.parametrize("skip", ["none", "add"])
def test_what_is_recomputed_has_the_same_bytes_and_learns_its_statistics_once(skip):
    network = small_network(skip=skip)
    expected, learnt = training_step(network), buffers(network)
    network = small_network(skip=skip)
    network.recompute = True
    for found, value in zip(training_step(network), expected):
        assert all(torch.equal(a, b) for a, b in zip(found, value, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(buffers(network), learnt, strict=True))


def test_lean_training_obeys_autocast():
    @contextmanager
    def reduced(packed):
        with torch.autocast("cpu", torch.bfloat16), packed_rows() if packed else nullcontext():
            yield

    results = []
    for recompute, packed in ((False, False), (True, False), (False, True)):
        network = small_network()
        network.recompute = recompute
        results.append(training_step(network, lambda packed=packed: reduced(packed))[1])
    plain, recomputed, packed = results
    assert all(torch.equal(a, b) for a, b in zip(plain, recomputed))
    for a, b in zip(plain, packed):
        assert (a - b).norm() < 0.03 * a.norm()


@pytest.mark.parametrize("skip", ["none", "add"])
@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_packed_rows_change_no_loss_and_gradients_by_less_than_a_thousandth(skip, activation):
    values, plain = training_step(small_network(skip=skip, activation=activation))
    network = small_network(skip=skip, activation=activation)
    packed_values, packed = training_step(network, packed_rows)
    assert all(torch.equal(a, b) for a, b in zip(values, packed_values))
    error, size = (
        torch.cat([t.flatten() for t in tensors]).norm()
        for tensors in ([a - b for a, b in zip(plain, packed)], plain)
    )
    assert 0.0 < error < 1e-3 * size


@pytest.mark.parametrize(("recompute", "keeping"), [(False, packed_rows), (True, nullcontext)])
def test_lean_training_has_the_same_bytes_for_any_number_of_threads(recompute, keeping):
    before, results = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        network = small_network(skip="add")
        network.recompute = recompute
        values, found = training_step(network, keeping)
        results.append([*values, *found, *buffers(network)])
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("skip", ["none", "add"])
def test_one_tensor_of_rows_is_kept_a_block(skip):
    kept = []

    def see(tensor):
        if tensor.dim() == 2 and len(tensor) > 1000 and tensor.is_floating_point():
            kept.append(tensor.shape)
        return tensor

    network = small_network(skip=skip)
    training_step(network, lambda: torch.autograd.graph.saved_tensors_hooks(see, lambda t: t))
    blocks = sum(isinstance(module, sparse.Block) for module in network.modules())
    inputs = 1 + network.configuration.levels  # of the network, and of each level after pruning
    assert len(kept) <= blocks + inputs


class Watched(SparseAutoEncoder):
    """Remembers what each level kept."""

    def keeps(self, level):
        keep = super().keeps(level)
        self.kept.append((level, keep))
        return keep


def test_an_untrained_network_passes_on_no_more_than_its_surplus():
    counts = {}
    for surplus in (float("inf"), 0.5, 0.0):
        network = small_network(Watched, skip="add")
        network.surplus, network.kept = surplus, []
        for level in network.decoder:
            nn.init.ones_(level["classify"].bias)  # sees bone everywhere
        training_step(network)
        for level, keep in network.kept:
            logits = level.logits.detach()
            others = logits[keep & ~level.target]
            assert bool(keep[level.target].all())
            assert len(others) <= surplus * int(level.target.sum())
            if len(others) and surplus < 1:  # the surest ones
                left_out = logits[~keep & ~level.target]
                assert float(left_out.max()) <= float(others.min())
        counts[surplus] = sum(int(keep.sum()) for _, keep in network.kept)
    assert counts[0.0] < counts[0.5] < counts[float("inf")]


def test_the_published_network_trains_leaner():
    """As a share of what its modules keep one by one (a float32 network, the papers' skips)."""
    kept_bytes = {}
    for name, forward in (("fused", sparse.Block.forward), ("plain", as_three)):
        total = {}

        def see(tensor, total=total):
            if tensor.is_floating_point() and not isinstance(tensor, nn.Parameter):
                total[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
            return tensor

        generator = torch.Generator().manual_seed(0)
        configuration = asdict(named_configuration("ch1", skip="add"))
        network = SparseAutoEncoder(**configuration, generator=generator)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sparse.Block, "forward", forward)
            hooks = torch.autograd.graph.saved_tensors_hooks(see, lambda t: t)
            training_step(network, lambda hooks=hooks: hooks)
        kept_bytes[name] = sum(total.values())
    assert kept_bytes["fused"] < 0.6 * kept_bytes["plain"]
