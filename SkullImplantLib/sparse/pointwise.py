"""What happens to features row by row or column by column: normalisation and activations.

torch has all of these, but its vectorised loops and its reductions round differently where threads
share the work; these give the same bytes for any number of threads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from . import sharing
from .products import column_sums


@dataclass(frozen=True)
class Activation:
    """An activation without autograd: `in_place` overwrites its argument and returns it.

    `pull_back(result, gradient)` returns the gradient of what was overwritten by `result`.
    """

    in_place: Callable[[torch.Tensor], torch.Tensor]
    pull_back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def add_bias(features: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return `features` [N, C] plus `bias` [1, C]."""
    return _AddBias.apply(features, bias)


class _AddBias(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        return features + bias

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient, column_sums(gradient)[None]


def batch_norm(
    x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, epsilon: float, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalise the columns of `x` [N, C] by their own mean and variance.

    Those of all processes that share the batch (`sharing`), which have `count` rows together.
    Returns the result, the mean and the (biased) variance [C], the latter two without gradient.
    `torch.nn.functional.batch_norm` is the same but for rounding, which depends on threads there.
    """
    return _BatchNorm.apply(x, weight, bias, epsilon, count)


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        epsilon: float,
        count: int,
    ) -> Any:
        ctx.count, ctx.group = count, sharing.current()
        mean = sharing.total(column_sums(x), ctx.group) / count
        centred = x - mean
        variance = sharing.total(column_sums(centred * centred), ctx.group) / count
        inverse = torch.rsqrt(variance + epsilon)
        ctx.save_for_backward(x, mean, inverse, weight)
        ctx.mark_non_differentiable(mean, variance)
        return centred.mul_(inverse * weight).add_(bias), mean, variance

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, *_: Any) -> Any:
        x, mean, inverse, weight = ctx.saved_tensors
        normal = (x - mean).mul_(inverse)
        of_bias = column_sums(gradient)
        of_weight = column_sums(gradient * normal)
        by_weight, by_bias = (sharing.total(own, ctx.group) for own in (of_weight, of_bias))
        normal.mul_(by_weight / -ctx.count).add_(gradient).sub_(by_bias / ctx.count)
        return normal.mul_(inverse * weight), of_weight, of_bias, None, None


def elu(x: torch.Tensor) -> torch.Tensor:
    """Return x where positive, exp(x) - 1 elsewhere.

    `torch.nn.functional.elu` rounds differently where its vectorised loop ends, which is at other
    places with every number of threads.
    """
    return _Elu.apply(x)


def elu_(x: torch.Tensor) -> torch.Tensor:
    """`elu` in place, without gradient."""
    negative = x.clamp(max=0).expm1_()
    return x.clamp_(min=0).add_(negative)


class _Elu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        result = elu_(x.clone())
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        (result,) = ctx.saved_tensors
        return _pulled_through_elu(result, gradient)


def _pulled_through_elu(result: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return result.clamp(max=0).add_(1).mul_(gradient)


def _pulled_through_relu(result: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    return gradient.masked_fill(result <= 0, 0.0)


RELU = Activation(torch.relu_, _pulled_through_relu)
ELU = Activation(elu_, _pulled_through_elu)


def sigmoid(x: torch.Tensor) -> torch.Tensor:
    """Return 1 / (1 + exp(-x)); by the hyperbolic tangent, for the reason given at `elu`."""
    return torch.tanh(x * 0.5) * 0.5 + 0.5
