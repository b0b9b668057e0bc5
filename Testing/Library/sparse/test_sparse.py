"""The sparse engine against dense torch convolutions, on random data (float64)."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib import sparse
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.sparse import SparseTensor, functional, products, sites, stencil

EXAMPLES = settings(max_examples=15, deadline=None)


@st.composite
def tensors(draw, stride=1, channels=None, min_density=0.0):
    """A random sparse tensor, float64, with gradients; any box, batch, density, negative origin."""
    seed = draw(st.integers(0, 2**31))
    shape = draw(st.tuples(*[st.integers(1, 6)] * 3))
    batch = draw(st.integers(1, 3))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]).filter(lambda d: d >= min_density))
    origin = draw(st.integers(-3, 3))
    generator = torch.Generator().manual_seed(seed)
    active = torch.rand((batch, *shape), generator=generator) < density
    coordinates = active.nonzero()
    coordinates[:, 1:] = (coordinates[:, 1:] + origin) * stride
    shuffled = coordinates[torch.randperm(len(coordinates), generator=generator)]
    c = channels or draw(st.integers(1, 4))
    features = torch.randn((len(shuffled), c), generator=generator, dtype=torch.float64)
    return SparseTensor(shuffled, features.requires_grad_(), stride)


def random_kernel(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


SHIFT = 4  # cells added, so that dense grids hold negative coordinates
SIZE = 16


def to_dense(x):
    """Dense [3, C, SIZE, SIZE, SIZE] in cells of the stride, shifted by SHIFT cells."""
    index = x.coordinates.long()
    index[:, 1:] = index[:, 1:] // x.stride + SHIFT
    b, z, y, x_ = index.unbind(1)
    zero = x.features.new_zeros((3, SIZE, SIZE, SIZE, x.features.shape[1]))
    return zero.index_put((b, z, y, x_), x.features).permute(0, 4, 1, 2, 3)


def dense_at(dense, coordinates, stride, shift=SHIFT):
    index = coordinates.long()
    index[:, 1:] = index[:, 1:] // stride + shift
    b, z, y, x = index.unbind(1)
    return dense.permute(0, 2, 3, 4, 1)[b, z, y, x]


def dense_kernel(kernel):
    """[K, C_in, C_out], z fastest -> torch's [C_out, C_in, z, y, x]."""
    size = round(len(kernel) ** (1 / 3))
    return kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 3, 2, 1, 0)


def assert_same(sparse_result, dense_result, inputs, seed=1):
    """Equal values, and equal gradients of a random functional of them."""
    torch.testing.assert_close(sparse_result, dense_result)
    weights = random_kernel(seed, *sparse_result.shape).detach()
    ours = torch.autograd.grad((sparse_result * weights).sum(), inputs, allow_unused=True)
    theirs = torch.autograd.grad((dense_result * weights).sum(), inputs, allow_unused=True)
    for a, b, i in zip(ours, theirs, inputs):
        zero = torch.zeros_like(i)
        torch.testing.assert_close(zero if a is None else a, zero if b is None else b)


@EXAMPLES
@given(tensors(), st.integers(1, 4))
def test_submanifold_convolution_is_the_dense_one_at_the_sites(x, out):
    kernel = random_kernel(0, 27, x.features.shape[1], out)
    y = functional.convolve(x, kernel)
    assert torch.equal(y.coordinates, x.coordinates)
    dense = F.conv3d(to_dense(x), dense_kernel(kernel), padding=1)
    assert_same(y.features, dense_at(dense, y.coordinates, 1), [x.features, kernel])


@EXAMPLES
@given(tensors(stride=4), tensors(stride=4))
def test_convolution_onto_any_sites(x, other):
    kernel = random_kernel(0, 27, x.features.shape[1], 2)
    y = functional.convolve(x, kernel, other.sites)
    assert torch.equal(y.coordinates, other.coordinates)
    dense = F.conv3d(to_dense(x), dense_kernel(kernel), padding=1)
    assert_same(y.features, dense_at(dense, y.coordinates, 4), [x.features, kernel])


@EXAMPLES
@given(tensors(stride=2))
def test_convolution_onto_the_dilated_sites_is_the_whole_dense_one(x):
    kernel = random_kernel(0, 27, x.features.shape[1], 2)
    y = functional.convolve(x, kernel, x.sites.dilated(stencil.offsets_of(3)))
    dense = F.conv3d(to_dense(x), dense_kernel(kernel), padding=1)
    torch.testing.assert_close(to_dense(y), dense)


@EXAMPLES
@given(tensors(stride=2))
def test_strided_convolution(x):
    kernel = random_kernel(0, 8, x.features.shape[1], 3)
    y = functional.convolve_down(x, kernel)
    expected = x.coordinates.clone()
    expected[:, 1:] = expected[:, 1:] // 4 * 4
    assert torch.equal(y.coordinates, torch.unique(expected, dim=0).view(-1, 4))
    assert y.stride == 4
    dense = F.conv3d(to_dense(x), dense_kernel(kernel), stride=2)
    assert_same(y.features, dense_at(dense, y.coordinates, 4, SHIFT // 2), [x.features, kernel])


@EXAMPLES
@given(tensors(stride=4), st.sampled_from([2, 4]))
def test_generative_transposed_convolution(x, size):
    kernel = random_kernel(0, size**3, x.features.shape[1], 2)
    y = functional.convolve_up(x, kernel)
    children = {
        (b, z + 2 * dz, y_ + 2 * dy, x_ + 2 * dx)
        for b, z, y_, x_ in x.coordinates.tolist()
        for dz, dy, dx in itertools.product(range(size), repeat=3)
    }
    assert [tuple(c) for c in y.coordinates.tolist()] == sorted(children)
    assert y.stride == 2
    weight = dense_kernel(kernel).transpose(0, 1)
    dense = F.conv_transpose3d(to_dense(x), weight, stride=2)
    assert_same(y.features, dense_at(dense, y.coordinates, 2, 2 * SHIFT), [x.features, kernel])


@EXAMPLES
@given(tensors(stride=2), st.booleans())
def test_linear_and_its_bias(x, biased):
    kernel = random_kernel(0, x.features.shape[1], 3)
    bias = random_kernel(1, 1, 3)
    y = functional.linear(x, kernel, bias if biased else None)
    expected = x.features @ kernel + (bias if biased else 0.0)
    assert_same(y.features, expected, [x.features, kernel, bias])


@EXAMPLES
@given(tensors(stride=2, channels=2), tensors(stride=2, channels=2))
def test_addition_and_concatenation_on_the_union(a, b):
    total = sparse.add(a, b)
    expected = sorted({tuple(c) for t in (a, b) for c in t.coordinates.tolist()})
    assert [tuple(c) for c in total.coordinates.tolist()] == expected
    dense = dense_at(to_dense(a) + to_dense(b), total.coordinates, 2)
    assert_same(total.features, dense, [a.features, b.features])
    both = sparse.cat(a, b)
    assert torch.equal(both.coordinates, total.coordinates)
    dense = dense_at(torch.cat([to_dense(a), to_dense(b)], 1), total.coordinates, 2)
    assert_same(both.features, dense, [a.features, b.features])


@EXAMPLES
@given(tensors(stride=4), st.integers(0, 99))
def test_pruning_keeps_order_and_values(x, seed):
    keep = torch.rand(len(x), generator=torch.Generator().manual_seed(seed)) < 0.5
    y = sparse.prune(x, keep)
    assert torch.equal(y.coordinates, x.coordinates[keep])
    assert_same(y.features, x.features[keep], [x.features])


@EXAMPLES
@given(tensors(stride=2), tensors(stride=2))
def test_rows_are_found_and_absent_sites_are_not(x, other):
    known = {tuple(c): row for row, c in enumerate(x.coordinates.tolist())}
    expected = [known.get(tuple(c), -1) for c in other.coordinates.tolist()]
    assert x.sites.rows_of(other.coordinates).tolist() == expected
    assert x.sites.contains(other.coordinates).tolist() == [row >= 0 for row in expected]


@EXAMPLES
@given(tensors(channels=2))
def test_dense_round_trip(x):
    active = to_dense(SparseTensor(x.coordinates, torch.ones(len(x), 1)))[:, 0] > 0
    again = sparse.from_dense(to_dense(x), active)
    assert torch.equal(again.coordinates[:, 1:], x.coordinates[:, 1:] + SHIFT)
    assert torch.equal(again.features, x.features)
    assert torch.equal(again.dense((SIZE, SIZE, SIZE), batch_size=3), to_dense(x))


def test_dense_of_a_mask_and_of_sites_outside_the_grid():
    mask = torch.zeros(4, 5, 6, dtype=torch.uint8)
    mask[1, 2, 3] = mask[3, 4, 5] = 1
    x = sparse.from_dense(mask)
    assert x.coordinates.tolist() == [[0, 1, 2, 3], [0, 3, 4, 5]]
    assert torch.equal(x.dense(mask.shape)[0, 0], mask.float())
    assert x.dense((2, 3, 4), fill=-1.0).sum() == 1 - 23  # the other site is outside


@EXAMPLES
@given(tensors(channels=3, min_density=0.5))
def test_batch_norm_is_torchs(x):
    ours, theirs = sparse.BatchNorm(3).double(), torch.nn.BatchNorm1d(3).double()
    for parameter in (ours.bn.weight, ours.bn.bias):
        torch.nn.init.normal_(parameter)
    theirs.load_state_dict(ours.bn.state_dict())
    if len(x) > 1:
        inputs = [x.features, ours.bn.weight, ours.bn.bias]
        y, expected = ours(x).features, theirs(x.features)
        assert_same_with(y, expected, inputs, [x.features, theirs.weight, theirs.bias])
    torch.testing.assert_close(ours.bn.state_dict(), theirs.state_dict())
    ours.eval(), theirs.eval()
    torch.testing.assert_close(ours(x).features, theirs(x.features))


def assert_same_with(a, b, inputs_a, inputs_b):
    torch.testing.assert_close(a, b)
    weights = random_kernel(1, *a.shape).detach()
    ours = torch.autograd.grad((a * weights).sum(), inputs_a)
    theirs = torch.autograd.grad((b * weights).sum(), inputs_b)
    torch.testing.assert_close(ours, theirs)


def test_batch_norm_of_one_site_uses_the_running_statistics():
    norm = sparse.BatchNorm(2)
    norm.bn.running_mean[:] = torch.tensor([1.0, 2.0])
    before = norm.bn.running_mean.clone()
    y = norm(SparseTensor(torch.zeros(1, 4, dtype=torch.int32), torch.tensor([[1.0, 2.0]])))
    torch.testing.assert_close(y.features, torch.zeros(1, 2))
    assert torch.equal(norm.bn.running_mean, before)


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (sparse.ReLU(), torch.relu),
        (sparse.ELU(), F.elu),
        (sparse.Sigmoid(), torch.sigmoid),
    ],
)
def test_activations_are_torchs(module, function):
    values = torch.linspace(-30, 30, 601, dtype=torch.float64)[:, None].requires_grad_()
    coordinates = F.pad(torch.arange(601)[:, None], (3, 0))
    y = module(SparseTensor(coordinates, values)).features
    assert_same(y, function(values), [values])


@EXAMPLES
@given(tensors(stride=2), st.sampled_from([sparse.ReLU, sparse.ELU]), st.integers(0, 3))
def test_a_fused_block_is_its_three_modules(x, activation, kind):
    channels = x.features.shape[1]
    convolution = [
        lambda: sparse.Conv3d(channels, 3, kernel_size=3),
        lambda: sparse.Conv3d(channels, 3, kernel_size=2, stride=2),
        lambda: sparse.GenerativeConvTranspose3d(channels, 3, kernel_size=2),
        lambda: sparse.GenerativeConvTranspose3d(channels, 3, kernel_size=4),
    ][kind]()
    block = sparse.Block(convolution, sparse.BatchNorm(3), activation()).double().eval()
    norm = block[1].bn
    for values in (norm.weight, norm.bias, norm.running_mean):
        torch.nn.init.normal_(values)
    torch.nn.init.uniform_(norm.running_var, 0.5, 2.0)
    plain = block(x)
    with torch.inference_mode():
        fused = block(x)
    assert torch.equal(fused.coordinates, plain.coordinates)
    torch.testing.assert_close(fused.features, plain.features.detach())


def test_an_epilogue_refuses_gradients():
    x = sparse.from_dense(torch.ones(2, 2, 2))
    epilogue = stencil.Epilogue(torch.ones(1), torch.zeros(1), None)
    with pytest.raises(ValueError, match="no gradient"):
        functional.plan(x, torch.ones(27, 1, 1)).of(x, epilogue)


def one_training_step(threads, activation):
    """Loss gradients and running statistics of a small network, over several chunks of rows."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        generator = torch.Generator().manual_seed(5)
        mask = torch.rand((45, 50, 41), generator=generator) < 0.2
        x = sparse.from_dense(mask)
        features = torch.randn((len(x), 3), generator=generator)
        torch.manual_seed(5)
        network = torch.nn.Sequential(
            sparse.Block(sparse.Conv3d(3, 8, 3), sparse.BatchNorm(8), activation()),
            sparse.Block(sparse.Conv3d(8, 16, 2, stride=2), sparse.BatchNorm(16), activation()),
            sparse.Block(sparse.Conv3d(16, 48, 3), sparse.BatchNorm(48), activation()),
            sparse.Block(
                sparse.GenerativeConvTranspose3d(48, 8, 4), sparse.BatchNorm(8), activation()
            ),
            sparse.Conv3d(8, 1, kernel_size=1, bias=True),
        )
        y = network(SparseTensor.on(x.sites, features)).features
        weights = torch.randn(y.shape, generator=generator)
        y.backward(weights)
        gradients = [p.grad for p in network.parameters()]
        network.eval()
        with torch.inference_mode():
            fused = network(SparseTensor.on(x.sites, features)).features
        return [y.detach(), fused, *gradients, *network.buffers()]
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("activation", [sparse.ReLU, sparse.ELU])
def test_the_same_bytes_for_any_number_of_threads(activation):
    one, again, two, five = (one_training_step(threads, activation) for threads in (1, 1, 2, 5))
    for results in (again, two, five):
        assert all(torch.equal(a, b) for a, b in zip(one, results))


def test_products_do_not_depend_on_threads():
    """The shapes of the published networks' layers, few rows and many."""
    shapes = [(27, 1, 8), (27, 8, 8), (27, 32, 32), (27, 64, 64), (8, 64, 256), (1, 8, 64)]
    before = torch.get_num_threads()
    for count, (taps, channels, columns) in itertools.product((1, 70, 512, 4096), shapes):
        generator = torch.Generator().manual_seed(count)
        rows = products.padded_rows(count, torch.device("cpu"))
        left = torch.randn((rows, taps * channels), generator=generator)
        matrix = torch.randn((taps * channels, columns), generator=generator)
        right = torch.randn((rows, columns), generator=generator)
        results = []
        for threads in (1, 2, 5, 8):
            torch.set_num_threads(threads)
            gradient = torch.zeros(taps, channels, columns)
            products.add_kernel_gradient(gradient, left, right)
            forward = products.rows_times(left, matrix, right[0])
            results.append((forward, gradient, products.column_sums(left)))
        torch.set_num_threads(before)
        torch.testing.assert_close(results[0][0], left @ matrix + right[0], rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(
            results[0][1].view(-1, columns), left.t() @ right, rtol=1e-4, atol=1e-3
        )
        for result in results[1:]:
            assert all(torch.equal(a, b) for a, b in zip(results[0], result))


BAD = [
    (torch.zeros(2, 3, dtype=torch.int32), 1, r"\[N, 4\]"),
    (torch.zeros(2, 4), 1, "integers"),
    (torch.zeros(2, 4, dtype=torch.int32), 1, "twice"),
    (torch.zeros(1, 4, dtype=torch.int32), 3, "power of two"),
    (torch.tensor([[0, 2, 3, 4]]), 2, "multiples"),
]


@pytest.mark.parametrize(("coordinates", "stride", "message"), BAD)
def test_bad_coordinates_are_named(coordinates, stride, message):
    with pytest.raises(ValueError, match=message):
        SparseTensor(coordinates, torch.ones(len(coordinates), 1), stride)


def test_features_must_fit_the_sites():
    with pytest.raises(ValueError, match="features"):
        SparseTensor(torch.zeros(1, 4, dtype=torch.int32), torch.ones(2, 1))


def test_what_does_not_fit_into_memory_is_refused():
    corners = torch.tensor([[0, 0, 0, 0], [0, 2000, 2000, 2000]])
    with pytest.raises(SkullImplantError, match="crop the volume"):
        SparseTensor(corners, torch.ones(2, 1))
    many = sites.Sites(torch.zeros(1, 4, dtype=torch.int32).expand(2**22 + 1, 4), 2)
    with pytest.raises(SkullImplantError, match="candidate voxels"):
        many.children()


def test_engines_are_found_by_name():
    assert sparse.engine_named("torch") is sparse
    with pytest.raises(SkullImplantError, match="no engine 'spconv'"):
        sparse.engine_named("spconv")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_rounds_products_and_nothing_else(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    places = (torch.rand((1, 9, 9, 9), generator=generator) < 0.4).nonzero()
    features = torch.randn((len(places), 8), generator=generator)

    def results(reduced: bool) -> list[torch.Tensor]:
        torch.manual_seed(1)
        down = sparse.Block(sparse.Conv3d(8, 6, 2, stride=2), sparse.BatchNorm(6), sparse.ReLU())
        up = sparse.GenerativeConvTranspose3d(6, 5, 2)
        same, last = sparse.Conv3d(5, 4, 3), sparse.Conv3d(4, 2, 1, bias=True)
        x = SparseTensor(places, features.clone().requires_grad_())
        with torch.autocast("cpu", dtype, enabled=reduced):
            y = last(same(up(down(x)))).features
            loss = (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum()
        loss.backward()
        weights = [p for module in (down, up, same, last) for p in module.parameters()]
        return [y, x.features.grad, *(p.grad for p in weights)]

    pairs = list(zip(results(False), results(True)))
    assert not torch.equal(*pairs[0]) and not torch.equal(*pairs[1])
    for plain, reduced in pairs:
        assert plain.dtype == reduced.dtype == torch.float32
        assert (plain - reduced).norm() < 0.03 * plain.norm()
