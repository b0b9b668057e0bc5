"""Keeping the rows between the passes of a training in half their bytes.

What the forward pass keeps for the backward pass is rounded to bfloat16 (8 bits of precision, the
range of float32); what it returns is not. So losses are exact, and the gradients of weights, which
are sums over many rows, are off by less than a thousandth. That holds for ReLU too, as no value is
rounded over to the other side of its kink, where the slope would be another.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from .zero_row import rows_before_zeros

# Fewer rows are not worth it: means of few have larger errors, and little memory.
FEWEST_ROWS = 4096


_packing = False


@contextmanager
def packed_rows() -> Iterator[None]:
    """The context of a forward pass in which rows [N, C] of float32 are kept packed."""
    global _packing
    before, _packing = _packing, True
    try:
        with torch.autograd.graph.saved_tensors_hooks(_pack, _unpack):
            yield
    finally:
        _packing = before


def is_packed(kept: torch.Tensor) -> bool:
    """Return whether a tensor is kept packed, here and now."""
    rows = kept.dtype == torch.float32 and kept.dim() == 2 and len(kept) >= FEWEST_ROWS
    return _packing and rows and not isinstance(kept, nn.Parameter)


def prepare(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Round rows [N, C] that will be packed, in place.

    To the nearest number, but for those whose `rows * weight + bias` would change sides of zero:
    they go to the next number on their own side.
    """
    nearest = rows.to(torch.bfloat16)
    rounded = nearest.float()
    crossed = (rounded * weight + bias > 0) != (rows * weight + bias > 0)
    # The kink lies between a value and its nearest number, so the number beyond the value is safe.
    beyond = torch.where(rounded > rows, -torch.inf, torch.inf).to(torch.bfloat16)
    rows.copy_(torch.where(crossed, torch.nextafter(nearest, beyond).float(), rounded))


def _pack(kept: torch.Tensor) -> tuple[torch.Tensor, torch.dtype]:
    return kept.to(torch.bfloat16) if is_packed(kept) else kept, kept.dtype


def _unpack(packed: tuple[torch.Tensor, torch.dtype]) -> torch.Tensor:
    kept, dtype = packed
    if kept.dtype == dtype:
        return kept
    return rows_before_zeros(kept.new_empty(0, dtype=dtype), *kept.shape).copy_(kept)
