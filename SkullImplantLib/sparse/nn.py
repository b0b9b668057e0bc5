"""Modules on sparse tensors, named and called like those of `torch.nn`."""

from collections.abc import Callable

import torch
from torch import nn

from . import functional, pointwise, recomputation, sharing
from .fused import Affine, normalised_product
from .sites import Sites
from .stencil import Epilogue
from .tensor import SparseTensor

# Weight of a batch in the running statistics, torch's and MinkowskiEngine's default.
MOMENTUM = 0.1


class Conv3d(nn.Module):
    """Sparse convolution: kernel size 3 (stride 1), 2 (stride 2) or 1 (linear, optional bias).

    `kernel` is [K, C_in, C_out] (see `functional.convolve`), or [C_in, C_out] for kernel size 1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if (kernel_size, stride) not in ((1, 1), (3, 1), (2, 2)):
            raise ValueError(f"no convolution of kernel size {kernel_size} and stride {stride}")
        self.kernel_size, self.stride = kernel_size, stride
        volume = kernel_size**3
        shape = (in_channels, out_channels) if volume == 1 else (volume, in_channels, out_channels)
        self.kernel = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(1, out_channels)) if bias else None
        bound = (in_channels * volume) ** -0.5
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def plan(self, x: SparseTensor, sites: Sites | None = None) -> functional.Plan:
        """Return the convolution of `x` that is to be done (kernel size 2 or 3, without bias)."""
        if self.kernel_size == 2:
            return functional.plan_down(x, self.kernel)
        return functional.plan(x, self.kernel, sites)

    def forward(self, x: SparseTensor, sites: Sites | None = None) -> SparseTensor:
        """Convolve; `sites` are where the result is wanted (kernel size 3 only)."""
        if self.kernel_size == 1:
            return functional.linear(x, self.kernel, self.bias)
        result = self.plan(x, sites).of(x)
        if self.bias is None:
            return result
        return SparseTensor.on(result.sites, result.features + self.bias)


class GenerativeConvTranspose3d(nn.Module):
    """Transposed convolution of stride 2 that makes the children of every site (size 2 or 4)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 2
    ) -> None:
        super().__init__()
        if kernel_size not in (2, 4) or stride != 2:
            raise ValueError(f"no generative kernel of size {kernel_size} and stride {stride}")
        self.kernel_size = kernel_size
        self.kernel = nn.Parameter(torch.empty(kernel_size**3, in_channels, out_channels))
        bound = (out_channels * kernel_size**3) ** -0.5
        nn.init.uniform_(self.kernel, -bound, bound)

    def plan(self, x: SparseTensor) -> functional.Plan:
        """Return the convolution of `x` that is to be done."""
        return functional.plan_up(x, self.kernel)

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Make the children."""
        return self.plan(x).of(x)


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d` over all sites of the batch.

    A single site has no variance: while training it is normalised with the running statistics,
    which stay as they are (torch raises an error there). No sites pass through. Where processes
    share the batch (`sharing`), it is one: all sites of all of them.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(channels, momentum=MOMENTUM)

    def affine(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scale and shift [channels], which evaluation comes down to."""
        bn = self.bn
        assert bn.running_mean is not None and bn.running_var is not None
        scale = bn.weight * torch.rsqrt(bn.running_var + bn.eps)
        # A copy, as another sample's statistics may be learnt before the backward pass.
        return scale, bn.bias - bn.running_mean.clone() * scale

    def forward(self, x: SparseTensor) -> SparseTensor:
        """Normalise."""
        bn = self.bn
        count = sharing.total_count(len(x), x.features.device) if self.training else 0
        if count < 2:
            scale, shift = self.affine()
            return SparseTensor.on(x.sites, x.features * scale + shift)
        result, mean, variance = pointwise.batch_norm(x.features, bn.weight, bn.bias, bn.eps, count)
        self.learn(mean, variance, count)
        return SparseTensor.on(x.sites, result)

    def learn(self, mean: torch.Tensor, variance: torch.Tensor, count: int) -> None:
        """Take mean and biased variance [channels] of `count` sites into the running statistics.

        What is worked out a second time (`recomputation`) was learnt the first time.
        """
        bn = self.bn
        assert bn.running_mean is not None and bn.running_var is not None
        assert bn.num_batches_tracked is not None
        if recomputation.is_running():
            return
        with torch.no_grad():
            bn.running_mean.lerp_(mean, MOMENTUM)
            bn.running_var.lerp_(variance * (count / (count - 1)), MOMENTUM)
            bn.num_batches_tracked += 1


class _Pointwise(nn.Module):
    """Applies a function to the features; `fused` is what a block needs of an activation."""

    function: Callable[[torch.Tensor], torch.Tensor]
    fused: pointwise.Activation

    def forward(self, x: SparseTensor) -> SparseTensor:
        return SparseTensor.on(x.sites, self.function(x.features))


class ReLU(_Pointwise):
    """max(x, 0)."""

    function = staticmethod(torch.relu)
    fused = pointwise.RELU


class ELU(_Pointwise):
    """x where positive, exp(x) - 1 elsewhere."""

    function = staticmethod(pointwise.elu)
    fused = pointwise.ELU


class Sigmoid(_Pointwise):
    """1 / (1 + exp(-x))."""

    function = staticmethod(pointwise.sigmoid)


class Block(nn.Sequential):
    """Convolution (without bias), batch normalisation, activation.

    Without gradients and in evaluation the three are one pass: the normalisation is folded into the
    kernel, and the rest is done while a chunk of the result is still in the cache. In training they
    are one function that keeps one tensor for the backward pass (`fused`).
    """

    def __init__(self, convolution: nn.Module, norm: BatchNorm, activation: ReLU | ELU) -> None:
        super().__init__(convolution, norm, activation)
        if getattr(convolution, "bias", None) is not None:
            raise ValueError("a convolution before a batch normalisation needs no bias")

    def forward(self, x: SparseTensor, sites: Sites | None = None) -> SparseTensor:
        """Apply the three; `sites` are where the result is wanted (kernel size 3 only)."""
        convolution, norm, activation = self
        assert isinstance(convolution, (Conv3d, GenerativeConvTranspose3d))
        assert isinstance(norm, BatchNorm) and isinstance(activation, (ReLU, ELU))
        if sites is None:
            plan = convolution.plan(x)
        else:
            assert isinstance(convolution, Conv3d)
            plan = convolution.plan(x, sites)
        if not norm.training and not torch.is_grad_enabled():
            return plan.of(x, Epilogue(*norm.affine(), activation.fused.in_place))
        count = sharing.total_count(len(plan.sites), x.features.device) if norm.training else 0
        if count < 2:
            result: SparseTensor = activation(norm(plan.of(x)))
            return result
        bn = norm.bn
        features, mean, variance = normalised_product(
            x.features,
            plan.kernel,
            plan.stencil,
            Affine(bn.weight, bn.bias, bn.eps),
            activation.fused,
            count,
        )
        norm.learn(mean, variance, count)
        return plan.finished(features)
