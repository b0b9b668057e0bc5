"""The operations on sparse tensors, forward and backward.

Every convolution is one product form: out[q] = sum over k of x[q + offset_k] W[k], with q a target
site and x zero where no site is. The neighbours of a few thousand targets are gathered into a
matrix (im2col) and multiplied with the kernel at once; a missing neighbour reads an appended row of
zeros. The gradient of the features is the same form with the kernel mirrored and transposed, the
gradient of the kernel is the gathered matrix, transposed, times the gradient. Chunks are of a fixed
size and summed in order, so that results do not depend on the number of threads.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch

from .sites import Lattice, Sites, steps_of
from .tensor import SparseTensor

# Rows of a chunk on a CPU: the gathered matrix of a thin layer stays in the second-level cache.
CPU_CHUNK_ROWS = 4096
# Elsewhere a chunk may take this many values, since launches are dear and memory is wide.
DEVICE_CHUNK_VALUES = 2**25


def offsets_of(kernel_size: int) -> torch.Tensor:
    """Return the offsets [K, 3] (z, y, x) of a kernel's rows, z fastest; centred if odd."""
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    span = range(first, first + kernel_size)
    return torch.tensor([(z, y, x) for x, y, z in itertools.product(span, repeat=3)])


def convolve(x: SparseTensor, kernel: torch.Tensor, sites: Sites | None = None) -> SparseTensor:
    """Convolve with a centred kernel of odd size, stride 1.

    Args:
        x: features [N, C_in].
        kernel: [size^3, C_in, C_out]; index (d0+1) + 3 (d1+1) + 9 (d2+1) for size 3, d being
            input minus output offset along (z, y, x).
        sites: where the result is wanted; the sites of `x` if not given (submanifold).
    """
    size = _size_of(kernel)
    if size % 2 == 0:
        raise ValueError(f"a centred kernel has an odd size, not {size}")
    target = x.sites if sites is None else sites
    if target.stride != x.stride:
        raise ValueError(f"sites of stride {target.stride} cannot take from stride {x.stride}")
    features = _Stencil.apply(x.features, kernel, x.sites, target, offsets_of(size))
    return SparseTensor.on(target, features)


def convolve_down(x: SparseTensor, kernel: torch.Tensor) -> SparseTensor:
    """Convolve with stride 2 and kernel size 2: [8, C_in, C_out], index o0 + 2 o1 + 4 o2."""
    if _size_of(kernel) != 2:
        raise ValueError(f"a strided kernel has 8 rows, not {len(kernel)}")
    target = x.sites.coarser()
    features = _Stencil.apply(x.features, kernel, x.sites, target, offsets_of(2))
    return SparseTensor.on(target, features)


def convolve_up(x: SparseTensor, kernel: torch.Tensor) -> SparseTensor:
    """Transposed convolution of stride 2 that makes the children of every site.

    Args:
        x: features [N, C_in] at an even stride.
        kernel: [size^3, C_in, C_out] of even size; row k reaches the child at offset o, 0 to
            size - 1 along each axis (not centred), z fastest. Where children of several sites
            coincide (size 4), their contributions are summed.
    """
    size = _size_of(kernel)
    if size % 2 or x.stride % 2:
        raise ValueError(f"kernel size {size} and stride {x.stride} must be even")
    # A child at 2 q + o (o in 0, 1) of a parent p lies at 2 p + (2 d + o), where q = p + d: a
    # convolution over all q of the features for the eight o at once, then their placement.
    reach = offsets_of(size // 2)
    parents = x.sites if size == 2 else x.sites.dilated(reach)
    children, pairs = parents.children()
    spread = _spread(kernel, size)
    features = _Stencil.apply(x.features, spread, x.sites, parents, -reach)
    features = _Placed.apply(features, pairs)
    return SparseTensor.on(children, features)


def linear(x: SparseTensor, kernel: torch.Tensor, bias: torch.Tensor | None = None) -> SparseTensor:
    """Multiply every row with `kernel` [C_in, C_out] and add `bias` [1, C_out]."""
    features = x.features @ kernel
    return x.on(x.sites, features if bias is None else features + bias)


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
    return SparseTensor.on(sites, _spread_to(sites, a) + _spread_to(sites, b))


def cat(a: SparseTensor, b: SparseTensor) -> SparseTensor:
    """Return the features side by side on the union of the sites; zero where one has no site."""
    if a.sites.equals(b.sites):
        return SparseTensor.on(a.sites, torch.cat([a.features, b.features], 1))
    sites = a.sites.union(b.sites)
    return SparseTensor.on(sites, torch.cat([_spread_to(sites, a), _spread_to(sites, b)], 1))


def _spread_to(sites: Sites, x: SparseTensor) -> torch.Tensor:
    """Return the features of `x` on `sites`, which include its own."""
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


def _chunks(target: Sites, values_a_row: int) -> Iterator[slice]:
    count = len(target)
    if target.device.type == "cpu":
        step = CPU_CHUNK_ROWS
    else:
        step = max(CPU_CHUNK_ROWS, DEVICE_CHUNK_VALUES // values_a_row)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


class _Neighbours:
    """Rows of `source` at `offsets` (in units of its stride) from chunks of `target`."""

    def __init__(self, source: Sites, target: Sites, offsets: torch.Tensor) -> None:
        self.offsets, self.target, self.count = offsets, target, len(source)
        self.alone = source is target and not bool(offsets.any())
        if self.alone:
            return
        below, above = max(0, -int(offsets.min())), max(0, int(offsets.max()))
        wanted = Lattice.around(target.coordinates, source.stride, below, above)
        self.lattice, self.table = source.table(wanted)
        self.steps = steps_of(self.lattice, offsets).to(source.device)

    def rows(self, chunk: slice) -> torch.Tensor:
        """Return int32 [chunk * K], the row of each neighbour, or the number of rows if absent."""
        base = self.lattice.numbers(self.target.coordinates[chunk])
        cells = base[:, None] + self.steps[None, :]
        return self.table.index_select(0, cells.view(-1))

    def gather(self, padded: torch.Tensor, chunk: slice) -> torch.Tensor:
        """Return [chunk, K C], the neighbours' features, from features with a last row of zeros."""
        if self.alone:
            return padded[chunk]
        columns = padded.index_select(0, self.rows(chunk))
        return columns.view(chunk.stop - chunk.start, -1)

    def padded(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features with a last row of zeros, for those who have no neighbour."""
        if self.alone:
            return features
        return torch.cat([features, features.new_zeros((1, features.shape[1]))])


def _product(
    features: torch.Tensor,
    kernel: torch.Tensor,
    source: Sites,
    target: Sites,
    offsets: torch.Tensor,
) -> torch.Tensor:
    """Return sum over k of x[q + offset_k] W[k] for all target sites q."""
    neighbours = _Neighbours(source, target, offsets)
    padded = neighbours.padded(features)
    matrix = kernel.reshape(-1, kernel.shape[2])
    result = features.new_empty((len(target), kernel.shape[2]))
    for chunk in _chunks(target, len(matrix)):
        torch.mm(neighbours.gather(padded, chunk), matrix, out=result[chunk])
    return result


class _Stencil(torch.autograd.Function):
    """`_product` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        kernel: torch.Tensor,
        source: Sites,
        target: Sites,
        offsets: torch.Tensor,
    ) -> torch.Tensor:
        ctx.save_for_backward(features, kernel)
        ctx.sites = source, target, offsets
        return _product(features, kernel, source, target, offsets)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        features, kernel = ctx.saved_tensors
        source, target, offsets = ctx.sites
        gradient = gradient.contiguous()
        strided = source.stride != target.stride
        of_features = of_kernel = None
        if strided:
            of_features, of_kernel = _strided_backward(ctx, gradient)
        else:
            if ctx.needs_input_grad[1]:
                of_kernel = _kernel_gradient(features, gradient, kernel, source, target, offsets)
            if ctx.needs_input_grad[0]:
                mirrored = kernel.transpose(1, 2)
                of_features = _product(gradient, mirrored, target, source, -offsets)
        return of_features, of_kernel, None, None, None


def _kernel_gradient(
    features: torch.Tensor,
    gradient: torch.Tensor,
    kernel: torch.Tensor,
    source: Sites,
    target: Sites,
    offsets: torch.Tensor,
) -> torch.Tensor:
    neighbours = _Neighbours(source, target, offsets)
    padded = neighbours.padded(features)
    result = kernel.new_zeros((kernel.shape[0] * kernel.shape[1], kernel.shape[2]))
    for chunk in _chunks(target, len(result)):
        result.addmm_(neighbours.gather(padded, chunk).t(), gradient[chunk])
    return result.view(kernel.shape)


def _strided_backward(ctx: Any, gradient: torch.Tensor) -> tuple[Any, Any]:
    """Gradients where every source row has one target: scatter instead of a second gather."""
    features, kernel = ctx.saved_tensors
    source, target, offsets = ctx.sites
    neighbours = _Neighbours(source, target, offsets)
    padded = neighbours.padded(features)
    matrix = kernel.reshape(-1, kernel.shape[2])
    of_kernel = torch.zeros_like(matrix)
    of_features = features.new_zeros((len(features) + 1, features.shape[1]))
    for chunk in _chunks(target, len(matrix)):
        rows = neighbours.rows(chunk).long()
        columns = padded.index_select(0, rows).view(-1, len(matrix))
        of_kernel.addmm_(columns.t(), gradient[chunk])
        spread = gradient[chunk] @ matrix.t()
        of_features.index_copy_(0, rows, spread.view(-1, features.shape[1]))
    return of_features[:-1], of_kernel.view(kernel.shape)


class _Placed(torch.autograd.Function):
    """Features of eight children a row, [N, 8 C], moved to the children's own rows [8 N, C]."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, pairs: torch.Tensor) -> torch.Tensor:
        ctx.pairs = pairs
        width = features.shape[1] // 8
        rows = features.view(-1, 2 * width)
        return torch.empty_like(rows).index_copy_(0, pairs, rows).view(-1, width)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:  # type: ignore[override]
        rows = gradient.reshape(-1, 2 * gradient.shape[1])
        return rows.index_select(0, ctx.pairs).view(-1, 8 * gradient.shape[1]), None
