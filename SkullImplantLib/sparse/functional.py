"""The operations on sparse tensors, forward and backward.

Every convolution is one product form: out[q] = sum over k of x[q + offset_k] W[k], with q a target
site and x zero where no site is. The neighbours of a few thousand targets are gathered into a
matrix (im2col) and multiplied with the kernel at once (`stencil`).
"""

from dataclasses import dataclass
from typing import Any

import torch

from .pointwise import add_bias
from .remaking import maker_of, remade
from .sites import Sites
from .stencil import Epilogue, Stencil, offsets_of, product
from .tensor import SparseTensor
from .zero_row import rows_before_zeros


@dataclass(frozen=True)
class Plan:
    """A convolution that is to be done: `product` of the features with `kernel` over `stencil`.

    `sites` are those of the result.
    """

    kernel: torch.Tensor
    stencil: Stencil
    sites: Sites

    def of(self, x: SparseTensor, epilogue: Epilogue | None = None) -> SparseTensor:
        """Do it, on the tensor that it was made for."""
        features = product(x.features, self.kernel, self.stencil, epilogue)
        return self.finished(features)

    def finished(self, features: torch.Tensor) -> SparseTensor:
        """Return what was done, `features` on the sites."""
        source = self.stencil.source
        if source.stride < self.sites.stride:
            source.forget()  # an encoder comes back to its finer sites only to train
        return SparseTensor.on(self.sites, features)


def convolve(x: SparseTensor, kernel: torch.Tensor, sites: Sites | None = None) -> SparseTensor:
    """Convolve with a centred kernel of odd size, stride 1.

    Args:
        x: features [N, C_in].
        kernel: [size^3, C_in, C_out]; index (d0+1) + 3 (d1+1) + 9 (d2+1) for size 3, d being
            input minus output offset along (z, y, x).
        sites: where the result is wanted; the sites of `x` if not given (submanifold).
    """
    return plan(x, kernel, sites).of(x)


def plan(x: SparseTensor, kernel: torch.Tensor, sites: Sites | None = None) -> Plan:
    """Return what `convolve` does."""
    size = _size_of(kernel)
    if size % 2 == 0:
        raise ValueError(f"a centred kernel has an odd size, not {size}")
    target = x.sites if sites is None else sites
    if target.stride != x.stride:
        raise ValueError(f"sites of stride {target.stride} cannot take from stride {x.stride}")
    return Plan(kernel, Stencil(x.sites, target, offsets_of(size)), target)


def convolve_down(x: SparseTensor, kernel: torch.Tensor) -> SparseTensor:
    """Convolve with stride 2 and kernel size 2: [8, C_in, C_out], index o0 + 2 o1 + 4 o2."""
    return plan_down(x, kernel).of(x)


def plan_down(x: SparseTensor, kernel: torch.Tensor) -> Plan:
    """Return what `convolve_down` does."""
    if _size_of(kernel) != 2:
        raise ValueError(f"a strided kernel has 8 rows, not {len(kernel)}")
    target = x.sites.coarser()
    return Plan(kernel, Stencil(x.sites, target, offsets_of(2)), target)


def convolve_up(x: SparseTensor, kernel: torch.Tensor) -> SparseTensor:
    """Transposed convolution of stride 2 that makes the children of every site.

    Args:
        x: features [N, C_in] at an even stride.
        kernel: [size^3, C_in, C_out] of even size; row k reaches the child at offset o, 0 to
            size - 1 along each axis (not centred), z fastest. Where children of several sites
            coincide (size 4), their contributions are summed.
    """
    return plan_up(x, kernel).of(x)


def plan_up(x: SparseTensor, kernel: torch.Tensor) -> Plan:
    """Return what `convolve_up` does."""
    size = _size_of(kernel)
    if size % 2 or x.stride % 2:
        raise ValueError(f"kernel size {size} and stride {x.stride} must be even")
    # A child at 2 q + o (o in 0, 1) of a parent p lies at 2 p + (2 d + o), where q = p + d: a
    # convolution over all q of the features for the eight o at once, then their placement.
    reach = offsets_of(size // 2)
    parents = x.sites if size == 2 else x.sites.dilated(reach)
    children, pairs = parents.children()
    return Plan(_spread(kernel, size), Stencil(x.sites, parents, -reach, pairs), children)


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
    if a.stride != b.stride:
        raise ValueError(f"tensors of strides {a.stride} and {b.stride} are not added")
    makers = maker_of(a.features), maker_of(b.features)
    rows = a.sites.rows_of(b.coordinates)
    if bool((rows >= 0).all()):  # as a rule: the candidates hold the encoder's sites
        return SparseTensor.on(
            a.sites, _Sum.apply(a.features, b.features, None, rows, makers, len(a))
        )
    sites = a.sites.union(b.sites)
    places = sites.rows_of(a.coordinates), sites.rows_of(b.coordinates)
    total = _Sum.apply(a.features, b.features, *places, makers, len(sites))
    return SparseTensor.on(sites, total)


class _Sum(torch.autograd.Function):
    """The sum of rows `a` and `b` where `rows_a` (None: the same rows) and `rows_b` place them."""

    @staticmethod
    def forward(
        ctx: Any,
        a: torch.Tensor,
        b: torch.Tensor,
        rows_a: torch.Tensor | None,
        rows_b: torch.Tensor,
        makers: tuple[Any, Any],
        count: int,
    ) -> torch.Tensor:
        ctx.rows_a = None if rows_a is None else rows_a.int()
        ctx.rows_b, ctx.makers, ctx.count = rows_b.int(), makers, count
        if None not in makers:
            ctx.remake = _summed_again
        return _summed(a, b, rows_a, rows_b, count)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        of_a = gradient if ctx.rows_a is None else gradient.index_select(0, ctx.rows_a)
        return of_a, gradient.index_select(0, ctx.rows_b), None, None, None, None


def _summed(
    a: torch.Tensor,
    b: torch.Tensor,
    rows_a: torch.Tensor | None,
    rows_b: torch.Tensor,
    count: int,
) -> torch.Tensor:
    result = rows_before_zeros(a, count, a.shape[1])
    if rows_a is None:
        result.copy_(a)
    else:
        result.zero_().index_copy_(0, rows_a.long(), a)
    return result.index_add_(0, rows_b, b)


def _summed_again(ctx: Any) -> torch.Tensor:
    a, b = (remade(maker) for maker in ctx.makers)
    return _summed(a, b, ctx.rows_a, ctx.rows_b, ctx.count)


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
