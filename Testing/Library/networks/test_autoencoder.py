"""The sparse auto-encoder: its size, its rule of pruning, and its values against a dense one."""

from dataclasses import asdict

import pytest
import torch
import torch.nn.functional as F

from SkullImplantLib import sparse
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.autoencoder import (
    Configuration,
    SparseAutoEncoder,
    named_configuration,
)
from SkullImplantLib.sparse import SparseTensor

SHAPE = (16, 20, 24)


def shell(seed=0, shape=SHAPE):
    """A hollow random blob, as a mask."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand((1, 1, 5, 5, 5), generator=generator)
    field = F.interpolate(noise, shape, mode="trilinear")[0, 0]
    return (field - 0.5).abs() < 0.08


def random_network(channels=(4, 5, 6), seed=0, **options):
    """A network in evaluation mode whose normalisation is not trivial, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    network = SparseAutoEncoder(channels, generator=generator, **options).double().eval()
    for name, values in network.state_dict().items():
        if ".bn." in name and values.is_floating_point():
            values.uniform_(0.5, 1.5, generator=generator)
    return network


def double(x):
    return SparseTensor.on(x.sites, x.features.double())


@pytest.mark.parametrize(("name", "count"), [("ch1", 434_695), ("ch2", 18_137_201)])
def test_the_published_networks_have_the_published_number_of_parameters(name, count):
    with torch.device("meta"):
        network = SparseAutoEncoder(**asdict(named_configuration(name)))
    assert sum(p.numel() for p in network.parameters()) == count


def dense_kernel(kernel):
    if kernel.dim() == 2:
        kernel = kernel[None]
    size = round(len(kernel) ** (1 / 3))
    return kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)


class DenseReference:
    """The network with dense convolutions and masks of the active cells."""

    def __init__(self, network, activation, skip):
        self.state = network.state_dict()
        self.levels = network.configuration.levels
        self.activation, self.skip = activation, skip

    def block(self, name, x, mask, convolution):
        x = convolution(x, self.state[f"{name}.0.kernel"])
        names = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(self.state[f"{name}.1.bn.{n}"] for n in names))
        return self.activation(x) * mask

    def __call__(self, x, mask):
        def same(x, kernel):
            return F.conv3d(x, dense_kernel(kernel), padding=1)

        def down(x, kernel):
            return F.conv3d(x, dense_kernel(kernel), stride=2)

        def up(x, kernel):
            weight = dense_kernel(kernel).transpose(0, 1)
            size = [2 * n for n in x.shape[2:]]
            return F.conv_transpose3d(x, weight, stride=2)[:, :, : size[0], : size[1], : size[2]]

        kept, masks = [], []
        x = self.block("encoder.0", x, mask, same)
        for level in range(1, self.levels + 1):
            kept.append(x)
            masks.append(mask)
            mask = F.max_pool3d(mask, 2)
            x = self.block(f"encoder.{level}.0", x, mask, down)
            x = self.block(f"encoder.{level}.1", x, mask, same)
        results = []
        for level in range(self.levels):
            name = f"decoder.{level}"
            kernel = self.state[f"{name}.up.0.kernel"]
            ones = torch.ones_like(kernel[:, :1, :1])
            reach = (up(mask, ones) > 0).double()
            x = self.block(f"{name}.up", x, reach, up)
            x = self.block(f"{name}.refine", x, reach, same)
            encoder, encoder_mask = kept.pop(), masks.pop()
            if self.skip:
                x, reach = x + encoder, torch.maximum(reach, encoder_mask)
            kernel = dense_kernel(self.state[f"{name}.classify.kernel"])
            logits = F.conv3d(x, kernel, self.state[f"{name}.classify.bias"][0])
            results.append((logits[0, 0], reach[0, 0] > 0))
            mask = reach * (logits > 0)
            x = x * mask
        kernel = dense_kernel(self.state["final.kernel"])
        return results, mask, torch.sigmoid(F.conv3d(x, kernel, self.state["final.bias"][0]))


def middle_gap(values):
    """A threshold that parts the values, a quarter at least on either side, and close to none."""
    ordered = values.sort().values[len(values) // 4 : -len(values) // 4]
    widest = ordered.diff().argmax()
    return (ordered[widest] + ordered[widest + 1]) / 2


@pytest.mark.parametrize("activation", ["relu", "elu"])
@pytest.mark.parametrize("skip", ["none", "add"])
@pytest.mark.parametrize("fused", [True, False])
def test_every_level_is_that_of_a_dense_network(activation, skip, fused):
    network = random_network(activation=activation, skip=skip, in_channels=2)
    mask = shell()
    # The off-centre kernel reaches one coarse cell further; the dense grid must hold that.
    mask[-4:], mask[:, -4:], mask[:, :, -4:] = False, False, False
    x = sparse.from_dense(mask)
    features = torch.randn((len(x), 2), generator=torch.Generator().manual_seed(1)).double()
    x = SparseTensor.on(x.sites, features)
    for index, decode in enumerate(network.decoder):
        logits = network(x, bounds=SHAPE).levels[index].logits.detach()
        decode["classify"].bias.data -= middle_gap(logits)
    with torch.set_grad_enabled(not fused):
        result = network(x, bounds=SHAPE)
        reference = DenseReference(network, getattr(F, activation), skip == "add")
        levels, final_mask, final = reference(x.dense(SHAPE), mask[None, None].double())
    for level, (logits, reach) in zip(result.levels, levels):
        cells = reach.nonzero()
        assert torch.equal(level.coordinates[:, 1:].long() // level.stride, cells)
        torch.testing.assert_close(level.logits, logits[reach])
        assert 0 < int((level.logits > 0).sum()) < len(level.logits)
    sites = (final_mask[0, 0] > 0).nonzero()
    assert torch.equal(result.coordinates[:, 1:].long(), sites)
    torch.testing.assert_close(result.features[:, 0], final[0, 0][final_mask[0, 0] > 0])


def never(network, logit=-100.0):
    """Make every classifier say `logit` everywhere."""
    for decode in network.decoder:
        decode["classify"].kernel.data.zero_()
        decode["classify"].bias.data.fill_(logit)
    return network


def test_while_training_the_target_is_kept_but_at_the_last_level():
    network = never(random_network()).train()
    x = double(sparse.from_dense(shell(0)))
    target = sparse.from_dense(shell(1)).sites
    result = network(x, target=target, bounds=SHAPE)
    coarse, fine = result.levels
    assert torch.equal(coarse.target, target.coarser().contains(coarse.coordinates))
    kept = sparse.Sites(coarse.coordinates[coarse.target], 2)
    assert torch.equal(fine.coordinates, kept.children()[0].coordinates)
    assert torch.equal(fine.target, target.contains(fine.coordinates))
    assert len(result.coordinates) == 0 and result.features.shape == (0, 1)
    loss = sum(
        F.binary_cross_entropy_with_logits(level.logits, level.target.double())
        for level in result.levels
    )
    loss.backward()
    classifiers = [p for n, p in network.named_parameters() if "classify" in n]
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in classifiers)


def test_in_evaluation_the_target_is_only_marked():
    network = never(random_network())
    target = sparse.from_dense(shell(1)).sites
    result = network(double(sparse.from_dense(shell(0))), target=target)
    assert result.levels[0].target.any()
    assert [len(level.logits) for level in result.levels[1:]] == [0]
    assert result.levels[1].target.shape == (0,)


def test_unlikely_candidates_of_coarser_levels_may_be_kept_in_use_and_only_there():
    x, shy = double(sparse.from_dense(shell())), -1.0  # a probability of 0.27 everywhere
    target = sparse.from_dense(shell(1)).sites
    counts = {}
    for keep_from in (0.5, 0.25):
        network = never(random_network(keep_from=keep_from), shy)
        counts[keep_from] = [len(level.logits) for level in network(x, bounds=SHAPE).levels]
        assert len(network(x).coordinates) == 0  # the finest level keeps the likely alone
        trained = network.train()(x, target=target, bounds=SHAPE).levels
        counts[keep_from, "training"] = [len(level.logits) for level in trained]
    coarse, fine = counts[0.25]
    assert counts[0.5] == [coarse, 0] and fine > 0
    assert counts[0.5, "training"] == counts[0.25, "training"]


def test_unlikely_candidates_may_be_kept_while_training_but_never_many_times_the_target():
    network = random_network((4, 5, 6, 7)).train()
    network.surplus = 1.0
    x, target = double(sparse.from_dense(shell())), sparse.from_dense(shell(1)).sites
    offered = []
    for network.kept_in_training in (0.5, 1e-9):
        for level in network(x, target=target, bounds=SHAPE).levels[:-1]:
            kept = network.keeps(level)
            assert kept[level.target].all()
            assert int((kept & ~level.target).sum()) <= int(level.target.sum())
            offered.append(int(kept.sum()))
    assert offered[0] < offered[2]


def test_where_nothing_survives_the_rest_is_empty():
    result = never(random_network(channels=(2, 3, 4, 5)))(double(sparse.from_dense(shell())))
    assert len(result.levels[0].logits) > 0
    for level, stride in zip(result.levels, (4, 2, 1)):
        assert level.stride == stride and level.coordinates.shape == (len(level.logits), 4)
    assert all(len(level.logits) == 0 for level in result.levels[1:])
    assert result.coordinates.shape == (0, 4) and result.features.shape == (0, 1)


@pytest.mark.parametrize("skip", ["none", "add"])
def test_an_empty_skull_makes_an_empty_completion(skip):
    x = double(sparse.from_dense(torch.zeros(SHAPE)))
    result = random_network(skip=skip)(x, target=x.sites, bounds=SHAPE)
    assert [len(level.logits) for level in result.levels] == [0, 0]
    assert result.features.shape == (0, 1) and result.features.dtype == torch.float64


def test_bounds_drop_what_the_off_centre_kernel_makes_outside():
    network = never(random_network(channels=(2, 3, 4)), logit=1.0)
    x = double(sparse.from_dense(torch.ones(SHAPE)))
    beyond = network(x).levels
    assert all((level.coordinates[:, 1:] >= torch.tensor(SHAPE)).any() for level in beyond)
    inside = network(x, bounds=SHAPE)
    assert torch.equal(inside.coordinates, x.coordinates)
    tight = network(x, bounds=(15, 19, 23)).levels[-1].coordinates
    assert (tight[:, 1:].amax(0) < torch.tensor([15, 19, 23])).all()


def test_sites_all_outside_the_bounds_leave_nothing():
    x = double(SparseTensor(torch.tensor([[0, 40, 40, 40]]), torch.ones(1, 1)))
    assert len(random_network()(x, bounds=SHAPE).levels[-1].logits) == 0


def test_added_skips_make_every_input_voxel_a_candidate():
    network = never(random_network(skip="add"), logit=1.0)
    x = double(sparse.from_dense(shell()))
    last = network(x).levels[-1]
    assert sparse.Sites(last.coordinates, 1).contains(x.coordinates).all()


def test_a_batch_is_its_members():
    network = random_network()
    a, b = (sparse.from_dense(shell(seed)) for seed in (0, 1))
    moved = b.coordinates + torch.tensor([1, 0, 0, 0], dtype=torch.int32)
    both = SparseTensor(torch.cat([moved, a.coordinates]), torch.cat([b.features, a.features]))
    together = network(double(both), reconstruct=False).levels[-1]
    for index, single in enumerate((a, b)):
        alone = network(double(single), reconstruct=False).levels[-1]
        member = together.coordinates[:, 0] == index
        assert torch.equal(together.coordinates[member][:, 1:], alone.coordinates[:, 1:])
        torch.testing.assert_close(together.logits[member], alone.logits)


def test_without_reconstruction_there_are_only_levels():
    result = random_network()(double(sparse.from_dense(shell())), reconstruct=False)
    assert result.coordinates is None and result.features is None
    assert len(result.levels[-1].logits) > 0


def test_the_same_generator_makes_the_same_network():
    states = [
        SparseAutoEncoder((3, 4), generator=torch.Generator().manual_seed(7)).state_dict()
        for _ in range(2)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_configurations():
    configuration = named_configuration("ch1", skip="add", in_channels=3)
    assert configuration.levels == 6 and configuration.skip == "add"
    for wrong in (
        lambda: named_configuration("ch3"),
        lambda: Configuration((8,)),
        lambda: Configuration((8, 0)),
        lambda: Configuration((8, 8), activation="tanh"),
        lambda: Configuration((8, 8), skip="cat"),
        lambda: Configuration((8, 8), keep_from=0.0),
        lambda: Configuration((8, 8), keep_from=0.6),
    ):
        with pytest.raises(SkullImplantError):
            wrong()
