"""Mixed precision: products in 16 bits on a GPU, everything that adds up in 32.

Sparse products are cast where autocast is on (`sparse.stencil.product`); weights, normalisation,
losses and the optimiser stay in float32 (Micikevicius et al. 2018).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """The precision of a training's products; float16 comes with a scale of the loss.

    `name`: what `auto` became, one of `TYPES`.
    """

    def __init__(self, wanted: str, device: str) -> None:
        """`wanted`: one of `TYPES`, or `auto`: 16 bits on a GPU, bfloat16 where it has it."""
        self.device = device
        if wanted == "auto":
            wanted = "float32"
            if device == "cuda":
                wanted = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        self.name = wanted
        # Gradients below the least float16 would be lost; bfloat16 reaches as far as float32.
        self._scaler = torch.amp.GradScaler(device, enabled=wanted == "float16")

    def reduced(self) -> AbstractContextManager[Any]:
        """Return the context in which a loss is worked out."""
        if self.name == "float32":
            return nullcontext()
        return torch.autocast(self.device, TYPES[self.name])

    def descend(self, loss: torch.Tensor, optimiser: torch.optim.Optimizer) -> None:
        """Work out the gradients of `loss` and take a step of the optimiser."""
        self._scaler.scale(loss).backward()
        self._scaler.step(optimiser)
        self._scaler.update()

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs, as JSON can hold it."""
        return self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self._scaler.load_state_dict(state)
