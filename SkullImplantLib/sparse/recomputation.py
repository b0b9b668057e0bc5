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

from .remaking import maker_of, remade
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
    """Return `part(x)`, of which at most `x` is kept; its `parameters` get their gradients.

    What `part` does must depend on `x` and the parameters alone. Gradients are those of `part(x)`,
    to the bit.
    """
    made: list[SparseTensor] = []
    maker = maker_of(x.features)
    features = _Recomputed.apply(x.features, x.sites, part, made, maker, *parameters)
    return SparseTensor.on(made.pop().sites, features)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        features: torch.Tensor,
        sites: Sites,
        part: Callable[[SparseTensor], SparseTensor],
        made: list[SparseTensor],
        maker: Any,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        where = features.device.type
        ctx.autocast = (where, torch.get_autocast_dtype(where), torch.is_autocast_enabled(where))
        ctx.sites, ctx.part, ctx.maker, ctx.remake = sites, part, maker, _worked_out_again
        ctx.save_for_backward(*parameters, *([features] if maker is None else []))
        ctx.count = len(parameters)
        result = part(SparseTensor.on(sites, features))
        made.append(result)
        return result.features

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        parameters = ctx.saved_tensors[: ctx.count]
        features = _given(ctx).detach().requires_grad_(ctx.needs_input_grad[0])
        with torch.enable_grad(), torch.autocast(*ctx.autocast), _second_time():
            result = ctx.part(SparseTensor.on(ctx.sites, features))
        wanted = [t for t in (features, *parameters) if t.requires_grad]
        found = iter(torch.autograd.grad(result.features, wanted, gradient))
        first, *others = (next(found) if t.requires_grad else None for t in (features, *parameters))
        return first, None, None, None, None, *others


def _given(ctx: Any) -> torch.Tensor:
    """Return the features that the part was given."""
    kept = ctx.saved_tensors[ctx.count :]
    return kept[0] if kept else remade(ctx.maker)


def _worked_out_again(ctx: Any) -> torch.Tensor:
    with torch.no_grad(), torch.autocast(*ctx.autocast), _second_time():
        result: torch.Tensor = ctx.part(SparseTensor.on(ctx.sites, _given(ctx))).features
    return result
