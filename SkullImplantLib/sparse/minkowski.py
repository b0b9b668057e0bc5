"""MinkowskiEngine as the second engine: the names of the engine protocol, told by that package.

`networks.autoencoder` builds the same network from this module as from `SkullImplantLib.sparse`,
with the same state dict; the protocol is in that package's docstring. Coordinates are int32
(batch, z, y, x), as everywhere; rows come out in MinkowskiEngine's own order. Importing this module
imports the package, and raises `SkullImplantError` where it is missing or does not load.

MinkowskiEngine: Choy, Gwak, Savarese, "4D spatio-temporal ConvNets" (CVPR 2019), version 0.5.4.
"""

import collections
import collections.abc
import importlib
import warnings
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import Remedy, SkullImplantError


def _package() -> ModuleType:
    """Import MinkowskiEngine and return it; `collections` stays as it was."""
    # Version 0.5.4 still imports `Sequence` from `collections`, which Python 3.10 removed.
    lent = not hasattr(collections, "Sequence")
    if lent:
        vars(collections)["Sequence"] = collections.abc.Sequence
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*CPU_ONLY")  # that is how we build it
            return importlib.import_module("MinkowskiEngine")
    except ModuleNotFoundError as error:
        if error.name != "MinkowskiEngine":
            raise
        raise SkullImplantError(
            "The MinkowskiEngine package is not installed; run `make minkowski`.",
            Remedy.USE_TORCH_ENGINE,
        ) from error
    except ImportError as error:  # its compiled part was built for another PyTorch
        raise SkullImplantError(
            "The MinkowskiEngine package does not load with this PyTorch; run `make minkowski` to"
            " build it again.",
            Remedy.USE_TORCH_ENGINE,
        ) from error
    finally:
        if lent:
            del vars(collections)["Sequence"]


ME: Any = _package()


class Tensor(NamedTuple):
    """A MinkowskiEngine tensor under the names that the engines share."""

    inner: Any

    @property
    def coordinates(self) -> torch.Tensor:
        """Active sites, int32 [N, 4] as (batch, z, y, x), multiples of `stride`."""
        return self.inner.C

    @property
    def features(self) -> torch.Tensor:
        """One row a site, [N, C]."""
        return self.inner.F

    @property
    def stride(self) -> int:
        """Distance of neighbouring sites in voxels of the finest grid."""
        return self.inner.tensor_stride[0]


def SparseTensor(coordinates: torch.Tensor, features: torch.Tensor, stride: int = 1) -> Tensor:
    """Return the tensor of `features` [N, C] at `coordinates`, int32 [N, 4] (batch, z, y, x).

    Raises `SkullImplantError` for a tensor on a GPU where the package was built for the CPU only.
    """
    if features.is_cuda and not ME.is_cuda_available():
        raise SkullImplantError(
            "MinkowskiEngine is installed for the CPU only; run it there.",
            Remedy.USE_TORCH_ENGINE,
        )
    return Tensor(ME.SparseTensor(features, coordinates.contiguous(), tensor_stride=stride))


class Conv3d(ME.MinkowskiConvolution):
    """Convolution with kernel size 3 (stride 1), 2 (stride 2) or 1; kernel [K, C_in, C_out]."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride=stride, bias=bias, dimension=3
        )

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(super().forward(x.inner))


class GenerativeConvTranspose3d(ME.MinkowskiGenerativeConvolutionTranspose):
    """Children of every site at offsets 0..kernel_size-1 of the halved stride."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 2
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=stride, dimension=3)

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(super().forward(x.inner))


class BatchNorm(ME.MinkowskiBatchNorm):
    """Batch normalisation over all sites; parameters under `bn`."""

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(super().forward(x.inner))


class ReLU(ME.MinkowskiReLU):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(super().forward(x.inner))


class ELU(ME.MinkowskiELU):
    """x, or exp(x) - 1 below zero."""

    def forward(self, x: Tensor) -> Tensor:
        return Tensor(super().forward(x.inner))


Block = nn.Sequential


def prune(x: Tensor, keep: torch.Tensor) -> Tensor:
    """Return the rows of `x` where the boolean `keep` [N] is true; at least one must be."""
    return Tensor(ME.MinkowskiPruning()(x.inner, keep))


def add(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum of the features on the union of the sites; both must have the same stride."""
    if a.stride != b.stride:
        raise ValueError(f"tensors of stride {a.stride} and {b.stride} cannot be added")
    manager = a.inner.coordinate_manager
    if b.inner.coordinate_manager is not manager:  # made apart: enter its sites into a's tables
        inner = ME.SparseTensor(
            b.features, b.coordinates, tensor_stride=b.stride, coordinate_manager=manager
        )
        b = Tensor(inner)
    return Tensor(ME.MinkowskiUnion()(a.inner, b.inner))
