"""Floating-point operations of the auto-encoders, counted from what their layers do.

A product of a value and a weight that is added to a sum counts as two operations. A sparse layer's
products are its taps: the pairs of a site of the result and a site it reads, found by looking them
up. Those are useful; performed are also those with zeros, in place of neighbours that are missing.
A dense layer's follow from its shape, and those at the grid's border count as all others.

A training step adds for each layer the gradient of its kernel and that of its features, which have
the taps of the forward pass each; the first layer's features need none.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from .. import sparse
from ..networks.autoencoder import Configuration, SparseAutoEncoder
from ..sparse.stencil import count_taps
from .dense_autoencoder import DenseAutoEncoder

# For each value that a block writes. In use: the shift (the scale is in the kernel), activation.
INFERENCE_OPERATIONS = 2
# In training: sums of values and of squares (1 + 2), centred, scaled (2), weight and bias (2),
# activation (1); backward: written again (3), slope (1), two sums (3), gradient (4).
TRAINING_OPERATIONS = 8 + 11


@dataclass(frozen=True)
class Layer:
    """What a layer does, apart from its channels.

    `rows` of the result; `useful` and `performed` taps; `children` that a row of taps makes (8 for
    a transposed convolution, else 1); `normalised`, whether it is a block.
    """

    name: str
    rows: int
    useful: int
    performed: int
    children: int
    normalised: bool

    def as_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


@dataclass(frozen=True)
class Operations:
    """Floating-point operations: those that are needed, and those that are done."""

    useful: int
    performed: int


class LayerCounter:
    """Collects the layers of a sparse auto-encoder while it runs; call `remove` in the end."""

    def __init__(self, network: SparseAutoEncoder) -> None:
        self.layers: list[Layer] = []
        self._hooks = []
        for name, module in network.named_modules():
            if isinstance(module, sparse.Block):
                self._hooks.append(module.register_forward_hook(self._block(name)))
            elif name.endswith("classify") or name == "final":
                self._hooks.append(module.register_forward_hook(self._linear(name)))

    def _block(self, name: str) -> Any:
        def see(block: nn.Module, inputs: Any, result: Any) -> None:
            stencil = block[0].plan(inputs[0]).stencil  # type: ignore[index]
            useful, performed = count_taps(stencil)
            children = 1 if stencil.pairs is None else 8
            self.layers.append(Layer(name, len(result), useful, performed, children, True))

        return see

    def _linear(self, name: str) -> Any:
        def see(layer: nn.Module, inputs: Any, result: Any) -> None:
            rows = len(result)
            self.layers.append(Layer(name, rows, rows, rows, 1, False))

        return see

    def remove(self) -> None:
        """Count no more."""
        for hook in self._hooks:
            hook.remove()


def sparse_operations(
    layers: Iterable[Layer], configuration: Configuration, training: bool
) -> Operations:
    """Return the operations of a sparse network of `configuration` whose layers are these."""
    with torch.device("meta"):
        network = SparseAutoEncoder(**asdict(configuration))
    modules = dict(network.named_modules())
    useful = performed = 0
    for layer in layers:
        if training and layer.name == "final":
            continue  # no loss touches it
        module = modules[layer.name]
        kernel = (module[0] if layer.normalised else module).kernel
        products = 2 * int(kernel.shape[-2]) * int(kernel.shape[-1]) * layer.children
        passes = _passes(layer.name == "encoder.0", training)
        values = layer.rows * int(kernel.shape[-1])
        others = values * _per_value(layer.normalised, training)
        useful += passes * products * layer.useful + others
        performed += passes * products * layer.performed + others
    return Operations(useful, performed)


def dense_operations(
    shape: tuple[int, int, int], configuration: Configuration, training: bool
) -> Operations:
    """Return the operations of the dense network on one grid of `shape` (z, y, x)."""
    total = 0

    def see(layer: nn.Module, inputs: Any, result: Any) -> None:
        nonlocal total
        assert isinstance(layer, (nn.Conv3d, nn.ConvTranspose3d))
        transposed = isinstance(layer, nn.ConvTranspose3d)
        places = (inputs[0] if transposed else result)[0, 0].numel()
        size = layer.kernel_size[0] ** 3
        products = 2 * size * layer.in_channels * layer.out_channels * places
        normalised = layer.bias is None
        values = result[0].numel()
        first = layer is network.encoder[0][0]  # type: ignore[index]
        total += products * _passes(first, training) + values * _per_value(normalised, training)

    with torch.device("meta"):
        network = DenseAutoEncoder(configuration)
        for module in network.modules():
            if isinstance(module, (nn.Conv3d, nn.ConvTranspose3d)):
                module.register_forward_hook(see)
        network(torch.empty((1, configuration.in_channels, *shape)), reconstruct=not training)
    return Operations(total, total)


def _passes(first: bool, training: bool) -> int:
    """Return how often a layer's taps are multiplied."""
    if not training:
        return 1
    return 2 if first else 3


def _per_value(normalised: bool, training: bool) -> int:
    if not normalised:
        return 1  # the bias
    return TRAINING_OPERATIONS if training else INFERENCE_OPERATIONS
