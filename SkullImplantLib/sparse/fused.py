"""Convolution, batch normalisation and activation in training: one function that keeps one tensor.

Worked out one after the other, the three keep two tensors a block for the backward pass: what the
normalisation read and what the activation wrote. Here a block keeps its normalised rows alone. What
it wrote follows from them in one pass, so that it is made again where it is needed: for this
block's slope, and for the kernel gradient of the next one, whose input it is. (Rota Bulo et al.,
"In-place activated batchnorm" (CVPR 2018), keep what was written and invert it, which needs an
activation that has an inverse; normalised rows need none, and nothing is lost for ReLU and ELU.)
Gradients are those of the three functions but for rounding. The backward pass works in the place of
what was kept, so that there is one of a graph.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from . import packing, sharing
from .pointwise import Activation
from .products import SUM_ROWS, column_sums
from .remaking import maker_of, remade
from .stencil import (
    Stencil,
    by_parent,
    convolved,
    factor_type,
    features_gradient,
    kernel_gradient,
)
from .zero_row import rows_before_zeros

# Rows that are normalised at a time: few beside all, so that what is between needs little memory.
SLAB_ROWS = 64 * SUM_ROWS


@dataclass(frozen=True)
class Affine:
    """The parameters of a normalisation, [C] each, and what is added to a variance."""

    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float


def normalised_product(
    features: torch.Tensor,
    kernel: torch.Tensor,
    stencil: Stencil,
    affine: Affine,
    activation: Activation,
    count: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the activation of the normalised `stencil.product` of the first three.

    And the mean and the (biased) variance [C] that it was normalised with, without gradient: over
    the `count` rows of all processes that share the batch (`sharing`). There must be two or more,
    as a single one has no variance.
    """
    return _NormalisedProduct.apply(
        features,
        kernel,
        affine.weight,
        affine.bias,
        affine.epsilon,
        stencil,
        activation,
        count,
        factor_type(features),
        maker_of(features),
    )


class _NormalisedProduct(torch.autograd.Function):
    """The function; `maker` can make the features again, where it is not None."""

    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        kernel: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        epsilon: float,
        stencil: Stencil,
        activation: Activation,
        count: int,
        dtype: torch.dtype,
        maker: Any,
    ) -> Any:
        normal = convolved(features.to(dtype), kernel.to(dtype), stencil).to(features.dtype)
        group = sharing.current()
        mean = sharing.total(column_sums(normal), group) / count
        variance = torch.zeros_like(mean)
        for rows in _slabs(len(normal)):
            centred = normal[rows].sub_(mean)
            variance += column_sums(centred * centred)
        variance = sharing.total(variance, group) / count
        inverse = torch.rsqrt(variance + epsilon)
        normal.mul_(inverse)
        result = _written(normal, weight, bias, activation)
        if packing.is_packed(normal):
            for rows in _slabs(len(normal)):
                packing.prepare(normal[rows], weight, bias)
        kept = [features] if maker is None else []
        ctx.save_for_backward(normal, inverse, weight, bias, kernel, *kept)
        ctx.stencil, ctx.activation, ctx.maker, ctx.dtype = stencil, activation, maker, dtype
        ctx.count, ctx.group = count, group
        ctx.remake, ctx.packed = _rewritten, packing.is_packed(normal)
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> Any:
        stencil, dtype = ctx.stencil, ctx.dtype
        normal, inverse, weight, bias, kernel, *kept = ctx.saved_tensors
        outer = gradient.dtype
        gradient, of_weight, of_bias = _through_norm(
            gradient, normal, inverse, weight, bias, ctx.activation, ctx.count, ctx.group
        )
        del normal
        gradient = by_parent(gradient.to(dtype), stencil, kernel.shape[2])
        of_features = of_kernel = None
        if ctx.needs_input_grad[1]:
            features = kept.pop() if kept else remade(ctx.maker)
            of_kernel = kernel_gradient(features.to(dtype), gradient, kernel, stencil)
            del features
        if ctx.needs_input_grad[0]:
            of_features = features_gradient(gradient, kernel.to(dtype), stencil).to(outer)
        return of_features, of_kernel, of_weight, of_bias, *[None] * 6


def _written(
    normal: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    activation: Activation,
    result: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return what a block writes, from its normalised rows; the same bytes every time."""
    if result is None:
        result = rows_before_zeros(normal, *normal.shape)
    for rows in _slabs(len(normal)):
        activation.in_place(torch.mul(normal[rows], weight, out=result[rows]).add_(bias))
    return result


def _rewritten(ctx: Any) -> torch.Tensor:
    normal, _, weight, bias, *_ = ctx.saved_tensors
    # Unpacked rows are a copy already.
    return _written(normal, weight, bias, ctx.activation, normal if ctx.packed else None)


def _through_norm(
    gradient: torch.Tensor,
    normal: torch.Tensor,
    inverse: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    activation: Activation,
    count: int,
    group: sharing.Group,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the gradients of the product [N, C], of the weight and of the bias [C].

    The first one takes the place of `normal`, which nobody needs any more. It takes the gradients
    of all the batch's `count` rows; those of weight and bias are of the rows here alone.
    """

    def pulled(rows: slice) -> torch.Tensor:
        written = activation.in_place((normal[rows] * weight).add_(bias))
        return activation.pull_back(written, gradient[rows])

    of_weight, of_bias = torch.zeros_like(weight), torch.zeros_like(bias)
    for rows in _slabs(len(normal)):
        here = pulled(rows)
        of_weight += column_sums(here * normal[rows])
        of_bias += column_sums(here)
    by_weight, by_bias = (sharing.total(own, group) for own in (of_weight, of_bias))
    for rows in _slabs(len(normal)):
        here = pulled(rows)
        normal[rows].mul_(by_weight / -count).add_(here).sub_(by_bias / count)
        normal[rows].mul_(inverse * weight)
    return normal, of_weight, of_bias


def _slabs(count: int) -> Iterator[slice]:
    """Yield slices of the rows, of a size that depends on nothing."""
    for start in range(0, count, SLAB_ROWS):
        yield slice(start, min(start + SLAB_ROWS, count))
