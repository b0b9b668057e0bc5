"""The operations on sparse tensors, forward and backward.

Every convolution is one product form: out[q] = sum over k of x[q + offset_k] W[k], with q a target
site and x zero where no site is. The neighbours of a few thousand targets are gathered into a
matrix (im2col) and multiplied with the kernel at once (`stencil`).
"""

import torch

from .pointwise import add_bias
from .sites import Sites
from .stencil import Epilogue, Stencil, offsets_of, product
from .tensor import SparseTensor


def convolve(
    x: SparseTensor,
    kernel: torch.Tensor,
    sites: Sites | None = None,
    epilogue: Epilogue | None = None,
) -> SparseTensor:
    """Convolve with a centred kernel of odd size, stride 1.

    Args:
        x: features [N, C_in].
        kernel: [size^3, C_in, C_out]; index (d0+1) + 3 (d1+1) + 9 (d2+1) for size 3, d being
            input minus output offset along (z, y, x).
        sites: where the result is wanted; the sites of `x` if not given (submanifold).
        epilogue: what to do to the result at once; without gradients only.
    """
    size = _size_of(kernel)
    if size % 2 == 0:
        raise ValueError(f"a centred kernel has an odd size, not {size}")
    target = x.sites if sites is None else sites
    if target.stride != x.stride:
        raise ValueError(f"sites of stride {target.stride} cannot take from stride {x.stride}")
    stencil = Stencil(x.sites, target, offsets_of(size))
    return SparseTensor.on(target, product(x.features, kernel, stencil, epilogue))


def convolve_down(
    x: SparseTensor, kernel: torch.Tensor, epilogue: Epilogue | None = None
) -> SparseTensor:
    """Convolve with stride 2 and kernel size 2: [8, C_in, C_out], index o0 + 2 o1 + 4 o2."""
    if _size_of(kernel) != 2:
        raise ValueError(f"a strided kernel has 8 rows, not {len(kernel)}")
    target = x.sites.coarser()
    stencil = Stencil(x.sites, target, offsets_of(2))
    features = product(x.features, kernel, stencil, epilogue)
    if not torch.is_grad_enabled():
        x.sites.forget()  # the encoder does not come back to the finer sites
    return SparseTensor.on(target, features)


def convolve_up(
    x: SparseTensor, kernel: torch.Tensor, epilogue: Epilogue | None = None
) -> SparseTensor:
    """Transposed convolution of stride 2 that makes the children of every site.

    Args:
        x: features [N, C_in] at an even stride.
        kernel: [size^3, C_in, C_out] of even size; row k reaches the child at offset o, 0 to
            size - 1 along each axis (not centred), z fastest. Where children of several sites
            coincide (size 4), their contributions are summed.
        epilogue: what to do to the result at once; without gradients only.
    """
    size = _size_of(kernel)
    if size % 2 or x.stride % 2:
        raise ValueError(f"kernel size {size} and stride {x.stride} must be even")
    # A child at 2 q + o (o in 0, 1) of a parent p lies at 2 p + (2 d + o), where q = p + d: a
    # convolution over all q of the features for the eight o at once, then their placement.
    reach = offsets_of(size // 2)
    parents = x.sites if size == 2 else x.sites.dilated(reach)
    children, pairs = parents.children()
    stencil = Stencil(x.sites, parents, -reach, pairs)
    features = product(x.features, _spread(kernel, size), stencil, epilogue)
    return SparseTensor.on(children, features)


def linear(x: SparseTensor, kernel: torch.Tensor, bias: torch.Tensor | None = None) -> SparseTensor:
    """Multiply every row with `kernel` [C_in, C_out] and add `bias` [1, C_out]."""
    itself = Stencil(x.sites, x.sites, torch.zeros((1, 3), dtype=torch.int64))
    features = product(x.features, kernel[None], itself)
    if bias is not None:
        features = add_bias(features, bias)
    return SparseTensor.on(x.sites, features)


def prune(x: SparseTensor, keep: torch.Tensor) -> SparseTensor:
    """Return the rows of `x` where `keep` (bool [N]) is true."""
    if keep.dtype != torch.bool or keep.shape != (len(x),):
        raise ValueError(f"keep must be bool [{len(x)}], not {keep.dtype} {tuple(keep.shape)}")
    rows = keep.nonzero().squeeze(1)
    sites = Sites(x.coordinates.index_select(0, rows), x.stride)
    return SparseTensor.on(sites, x.features.index_select(0, rows))


def add(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Return the sum on the union of the sites; a tensor is zero where it has no site."""
    if a.sites.equals(b.sites):
        return SparseTensor.on(a.sites, a.features + b.features)
    sites = a.sites.union(b.sites)
    return SparseTensor.on(sites, _widened(a, sites) + _widened(b, sites))


def cat(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Return the features side by side on the union of the sites; zero where one has no site."""
    if a.sites.equals(b.sites):
        return SparseTensor.on(a.sites, torch.cat([a.features, b.features], 1))
    sites = a.sites.union(b.sites)
    return SparseTensor.on(sites, torch.cat([_widened(a, sites), _widened(b, sites)], 1))


def _widened(x: SparseTensor, sites: Sites) -> torch.Tensor:
    """Return the features of `x` on `sites`, which include its own; zero at the others."""
    if sites is x.sites:
        return x.features
    rows = sites.rows_of(x.coordinates)
    return x.features.new_zeros((len(sites), x.features.shape[1])).index_copy(0, rows, x.features)


def _size_of(kernel: torch.Tensor) -> int:
    size = round(len(kernel) ** (1 / 3))
    if kernel.dim() != 3 or size**3 != len(kernel):
        raise ValueError(f"a kernel is [size^3, C_in, C_out], not {tuple(kernel.shape)}")
    return size


def _spread(kernel: torch.Tensor, size: int) -> torch.Tensor:
    """Turn a transposed kernel [size^3, C_in, C_out] into [(size/2)^3, C_in, 8 C_out].

    Rows: the parent's offset d, z fastest. Columns: the child's place (dz, dy, dx), x fastest.
    """
    half, (_, rows, columns) = size // 2, kernel.shape
    # Kernel index: (x, y, z) with z fastest, each of them 2 d + o.
    split = kernel.view(half, 2, half, 2, half, 2, rows, columns)
    x, ox, y, oy, z, oz, row, column = range(8)
    return split.permute(x, y, z, row, oz, oy, ox, column).reshape(half**3, rows, 8 * columns)
