"""The sparse engine against dense torch convolutions, on random data (float64)."""

import itertools


import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st


from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.sparse import SparseTensor, functional, sites, stencil

EXAMPLES = settings(max_examples=25, deadline=None)


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
