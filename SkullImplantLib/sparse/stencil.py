"""The product form of all convolutions: gather neighbours, multiply once, a few thousand rows a go.

A missing neighbour reads an appended row of zeros. The gradient of the features is the same form
with the kernel mirrored and transposed; the gradient of the kernel is the gathered matrix,
transposed, times the gradient. Chunks are of a fixed size and summed in order, and products are
those of `products`, so that results do not depend on the number of threads.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from .products import add_kernel_gradient, padded_rows, rows_times
from .remaking import maker_of, remade
from .sites import Sites, steps_of
from .zero_row import rows_before_zeros, with_zero_row

# Values in the gathered matrix of a chunk on a CPU: 4 MiB, about what the caches of a core hold.
CPU_CHUNK_VALUES = 2**20
CPU_CHUNK_ROWS = 4096  # and at most so many rows
# Elsewhere launches are dear and memory is wide: 128 MiB.
DEVICE_CHUNK_VALUES = 2**25
# Fewer rows make too small a product, however wide they are.
LEAST_CHUNK_ROWS = 512


@dataclass(frozen=True)
class Epilogue:
    """What follows a convolution when no gradient is wanted: `activation(scale * y + shift)`.

    `scale` and `shift` are [C_out]; `activation` works in place, None is the identity.
    """

    scale: torch.Tensor
    shift: torch.Tensor
    activation: Callable[[torch.Tensor], Any] | None


@dataclass(frozen=True)
class Stencil:
    """Which rows a convolution sums: those of `source` at `offsets` from every site of `target`.

    `offsets` [K, 3] (z, y, x) are in units of the source's stride. `pairs`, where given, makes a
    transposed convolution of it: the row of a target holds the features of its eight children
    (x fastest), and pair j of children goes to pair `pairs[j]` of the result's rows.
    """

    source: Sites
    target: Sites
    offsets: torch.Tensor
    pairs: torch.Tensor | None = None


def offsets_of(kernel_size: int) -> torch.Tensor:
    """Return the offsets [K, 3] (z, y, x) of a kernel's rows, z fastest; centred if odd."""
    first = -(kernel_size // 2) if kernel_size % 2 else 0
    span = range(first, first + kernel_size)
    return torch.tensor([(z, y, x) for x, y, z in itertools.product(span, repeat=3)])


def product(
    features: torch.Tensor,
    kernel: torch.Tensor,
    stencil: Stencil,
    epilogue: Epilogue | None = None,
) -> torch.Tensor:
    """Return sum over k of features[q + offset_k] kernel[k] for all target sites q.

    Args:
        features: [N, C_in] on the stencil's source.
        kernel: [K, C_in, C_out].
        stencil: which rows to sum, and where the result goes.
        epilogue: applied to the result; then there is no gradient.

    Under `torch.autocast` the factors of products, forward and backward, are rounded to its type;
    results and gradients have the type of the features and the kernel all the same.
    """
    if epilogue is None:
        maker = maker_of(features)
        return _Product.apply(features, kernel, stencil, factor_type(features), maker)
    if torch.is_grad_enabled():
        raise ValueError("an epilogue has no gradient; use it under torch.no_grad()")
    repeat = kernel.shape[2] // len(epilogue.scale)  # eight children a row, or one
    scaled = kernel * epilogue.scale.repeat(repeat)
    return convolved(features, scaled, stencil, epilogue.shift.repeat(repeat), epilogue.activation)


def factor_type(features: torch.Tensor) -> torch.dtype:
    """Return the type of a product's factors: the features' own, or that of `torch.autocast`."""
    where = features.device.type
    autocast = torch.is_autocast_enabled(where)
    return torch.get_autocast_dtype(where) if autocast else features.dtype


class _Product(torch.autograd.Function):
    """`convolved` with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        kernel: torch.Tensor,
        stencil: Stencil,
        dtype: torch.dtype,
        maker: Any,
    ) -> torch.Tensor:
        factors = features.to(dtype)
        ctx.save_for_backward(kernel, *([factors] if maker is None else []))
        ctx.stencil, ctx.maker, ctx.dtype = stencil, maker, dtype
        return convolved(factors, kernel.to(dtype), stencil).to(features.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        kernel, *kept = ctx.saved_tensors
        stencil, dtype, outer = ctx.stencil, ctx.dtype, gradient.dtype
        gradient = by_parent(gradient.to(dtype), stencil, kernel.shape[2])
        of_features = of_kernel = None
        if ctx.needs_input_grad[1]:
            factors = kept.pop() if kept else remade(ctx.maker).to(dtype)
            of_kernel = kernel_gradient(factors, gradient, kernel, stencil)
            del factors
        if ctx.needs_input_grad[0]:
            of_features = features_gradient(gradient, kernel.to(dtype), stencil).to(outer)
        return of_features, of_kernel, None, None, None


def count_taps(stencil: Stencil) -> tuple[int, int]:
    """Return how many pairs of a target and a source site a product sums, and how many it reads.

    The difference is the missing neighbours, which read zeros and are multiplied all the same.
    """
    neighbours = _Neighbours(stencil)
    if neighbours.alone:
        return len(stencil.target), len(stencil.target)
    found = 0
    for chunk in _chunks(stencil.target, len(stencil.offsets)):
        found += int((neighbours.rows(chunk) < neighbours.count).sum())
    return found, len(stencil.target) * len(stencil.offsets)


class _Neighbours:
    """The rows at a stencil's offsets, for one chunk of targets after the other."""

    def __init__(self, stencil: Stencil) -> None:
        source, target, offsets = stencil.source, stencil.target, stencil.offsets
        self.target, self.count = target, len(source)
        # One offset of zero needs no looking up.
        self.alone = source is target and not bool(offsets.any())
        if self.alone:
            return
        below, above = max(0, -int(offsets.min())), max(0, int(offsets.max()))
        wanted = target.lattice(source.stride, below, above)
        self.table = source.table(wanted)
        self.in_table = source is target and self.table.complete
        self.steps = steps_of(self.table.lattice, offsets).to(source.device)

    def rows(self, chunk: slice) -> torch.Tensor:
        """Return int32 [M, K], the row of each neighbour, or the number of rows if absent.

        M is at least the length of the chunk (`padded_rows`); the rest is absent.
        """
        table, length = self.table, chunk.stop - chunk.start
        if self.in_table:
            base = table.numbers[chunk]
        else:
            base = table.lattice.numbers(self.target.coordinates[chunk])
        cells = base[:, None] + self.steps[None, :]
        rows = table.look_up(cells.view(-1)).view(length, -1)
        return _padded(rows, value=self.count)

    def gather(self, features: torch.Tensor, chunk: slice) -> torch.Tensor:
        """Return [M, K C], the neighbours' features, from features with a last row of zeros."""
        if self.alone:
            return _padded(features[chunk])
        rows = self.rows(chunk)
        return features.index_select(0, rows.view(-1)).view(len(rows), -1)

    def with_zeros(self, features: torch.Tensor) -> torch.Tensor:
        """Return the features with a last row of zeros, for those who have no neighbour."""
        return features if self.alone else with_zero_row(features)


def _padded(rows: torch.Tensor, value: float = 0.0) -> torch.Tensor:
    """Return `rows` [M, K] with as many more rows of `value` as a product needs."""
    more = padded_rows(len(rows), rows.device) - len(rows)
    return torch.nn.functional.pad(rows, (0, 0, 0, more), value=value) if more else rows


def _chunks(target: Sites, values_a_row: int) -> Iterator[slice]:
    """Yield slices of the target's rows, of a size that does not depend on threads."""
    count = len(target)
    if target.device.type == "cpu":
        step = min(CPU_CHUNK_VALUES // values_a_row, CPU_CHUNK_ROWS)
        step = 2 ** (max(step, LEAST_CHUNK_ROWS).bit_length() - 1)
    else:
        step = max(DEVICE_CHUNK_VALUES // values_a_row, LEAST_CHUNK_ROWS)
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def convolved(
    features: torch.Tensor,
    kernel: torch.Tensor,
    stencil: Stencil,
    shift: torch.Tensor | None = None,
    activation: Callable[[torch.Tensor], Any] | None = None,
) -> torch.Tensor:
    """Return the product, plus `shift` [C_out], after `activation` in place; without gradient.

    The result is before a row of zeros (see `zero_row`).
    """
    neighbours = _Neighbours(stencil)
    features = neighbours.with_zeros(features)
    matrix = kernel.reshape(-1, kernel.shape[2])
    target, width, pairs = stencil.target, matrix.shape[1], stencil.pairs
    children = 1 if pairs is None else 8
    rows = rows_before_zeros(features, children * len(target), width // children)
    result = rows if pairs is None else rows.view(-1, width // 4)
    for chunk in _chunks(target, len(matrix)):
        length = chunk.stop - chunk.start
        columns = neighbours.gather(features, chunk)
        straight = pairs is None and len(columns) == length
        here = rows_times(columns, matrix, shift, out=result[chunk] if straight else None)
        if activation is not None:
            activation(here)
        if pairs is not None:
            places = pairs[4 * chunk.start : 4 * chunk.stop]
            result.index_copy_(0, places, here[:length].view(-1, width // 4))
        elif not straight:
            result[chunk] = here[:length]
    return rows


def by_parent(gradient: torch.Tensor, stencil: Stencil, width: int) -> torch.Tensor:
    """Return the gradient of a product's rows: of [8 N, C] children, [N, `width` = 8 C]."""
    if stencil.pairs is None:
        return gradient.contiguous()
    pairs = gradient.contiguous().view(-1, 2 * gradient.shape[1])
    return pairs.index_select(0, stencil.pairs).view(-1, width)


def features_gradient(
    gradient: torch.Tensor, kernel: torch.Tensor, stencil: Stencil
) -> torch.Tensor:
    """Return the features' gradient from that of the product (`by_parent`)."""
    source, target = stencil.source, stencil.target
    if source.stride != target.stride:
        return _strided_gradient(len(source), gradient, kernel, stencil)
    mirror = Stencil(target, source, -stencil.offsets)
    return convolved(gradient, kernel.transpose(1, 2), mirror)


def kernel_gradient(
    features: torch.Tensor, gradient: torch.Tensor, kernel: torch.Tensor, stencil: Stencil
) -> torch.Tensor:
    """Return the kernel's gradient, of its type, from that of the product (`by_parent`)."""
    neighbours = _Neighbours(stencil)
    features = neighbours.with_zeros(features)
    result = torch.zeros_like(kernel, memory_format=torch.contiguous_format)
    for chunk in _chunks(stencil.target, kernel.shape[0] * kernel.shape[1]):
        # Of another type than its factors' it cannot be added to by a product.
        part = result if features.dtype == kernel.dtype else torch.zeros_like(result).to(gradient)
        add_kernel_gradient(part, neighbours.gather(features, chunk), _padded(gradient[chunk]))
        if part is not result:
            result += part
    return result


def _strided_gradient(
    count: int, gradient: torch.Tensor, kernel: torch.Tensor, stencil: Stencil
) -> torch.Tensor:
    """Return the features' gradient where every source row has one target: a scatter."""
    neighbours = _Neighbours(stencil)
    matrix = kernel.reshape(-1, kernel.shape[2]).t().contiguous()
    result = gradient.new_zeros((count + 1, kernel.shape[1]))  # the last row takes what is absent
    for chunk in _chunks(stencil.target, matrix.shape[1]):
        spread = rows_times(_padded(gradient[chunk]), matrix)
        rows = neighbours.rows(chunk).view(-1).long()
        result.index_copy_(0, rows, spread.view(-1, kernel.shape[1]))
    return result[:-1]
