"""Features that are made again in the backward pass, by the function that made them.

A function of autograd may set `remake` on its context: a function of the context that returns, to
the bit, what the forward pass returned. Who would keep its result keeps the context instead, which
the graph holds anyway. It is asked before the maker's own backward pass, which comes after that of
all who read its result.
"""

from typing import Any

import torch


def maker_of(features: torch.Tensor) -> Any | None:
    """Return the context that can make `features` again, or None."""
    return features.grad_fn if hasattr(features.grad_fn, "remake") else None


def remade(maker: Any) -> torch.Tensor:
    """Return the features [N, C] that `maker` (of `maker_of`) made, without gradient."""
    features: torch.Tensor = maker.remake(maker)
    return features
