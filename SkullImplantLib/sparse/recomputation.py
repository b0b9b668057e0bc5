"""Working a part of a network out a second time in the backward pass, instead of keeping it.

Only what goes into the part is kept between the passes (Chen et al., "Training deep nets with
sublinear memory cost", 2016). `torch.utils.checkpoint` does the same for functions of tensors; a
part of a sparse network also makes sites, and its normalisation learns statistics, which it shall
do once.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from .sites import Sites
from .tensor import SparseTensor

_running = False


def is_running() -> bool:
    """Return whether a part is being worked out for the second time."""
    return _running


@contextmanager
def _second_time() -> Iterator[None]:
    global _running
    before, _running = _running, True
    try:
        yield
    finally:
        _running = before


def recomputed(
    part: Callable[[SparseTensor], SparseTensor],
    x: SparseTensor,
    parameters: Iterable[nn.Parameter],
) -> SparseTensor:
    """Return `part(x)`, of which nothing is kept but `x`; its `parameters` get their gradients.

    What `part` does must depend on `x` and the parameters alone. Gradients are those of `part(x)`,
    to the bit.
    """
    made: list[SparseTensor] = []
    features = _Recomputed.apply(x.features, x.sites, part, made, *parameters)
    return SparseTensor.on(made.pop().sites, features)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        sites: Sites,
        part: Callable[[SparseTensor], SparseTensor],
        made: list[SparseTensor],
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        where = features.device.type
        ctx.autocast = (where, torch.get_autocast_dtype(where), torch.is_autocast_enabled(where))
        ctx.sites, ctx.part = sites, part
        ctx.save_for_backward(features, *parameters)
        result = part(SparseTensor.on(sites, features))
        made.append(result)
        return result.features

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        given, *parameters = ctx.saved_tensors
        features = given.detach().requires_grad_(ctx.needs_input_grad[0])
        with torch.enable_grad(), torch.autocast(*ctx.autocast), _second_time():
            result = ctx.part(SparseTensor.on(ctx.sites, features))
        wanted = [t for t in (features, *parameters) if t.requires_grad]
        found = iter(torch.autograd.grad(result.features, wanted, gradient))
        first, *others = (next(found) if t.requires_grad else None for t in (features, *parameters))
        return first, None, None, None, *others
