"""Sparse convolutions on voxel grids, on torch alone: the default engine of the networks.

A `SparseTensor` is a set of active sites (`Sites`: int32 coordinates (batch, z, y, x), multiples of
`stride`, in lexicographic order) with one row of features a site. Conventions are those of
MinkowskiEngine, so that its checkpoints load: kernels are `[K, C_in, C_out]` with the first spatial
coordinate (z) fastest, 1x1x1 kernels are `[C_in, C_out]`, a bias is `[1, C_out]`, and batch
normalisation keeps its parameters under `bn`.

How it works: neighbours are found in a dense table of row numbers over the bounding box (`sites`);
a convolution gathers the neighbours of a few thousand rows at a time and multiplies them with the
kernel in one matrix product (`functional`); no kernel map is kept. Rows stay sorted without
sorting, and a result does not depend on the number of threads.

The engine protocol
-------------------
`networks.autoencoder` builds a network from any module with these names (this one, or
`sparse.minkowski`); `T` is the engine's tensor, which has `.coordinates` (int32 [N, 4]) and
`.features` ([N, C]), rows in any order:

- `SparseTensor(coordinates, features, stride=1) -> T`
- `Conv3d(in_channels, out_channels, kernel_size, stride=1, bias=False)`: module T -> T; kernel
  size 3 (stride 1: same sites), 2 (stride 2: floor to the doubled stride), 1 (linear).
- `GenerativeConvTranspose3d(in_channels, out_channels, kernel_size, stride=2)`: module T -> T;
  every site makes children at offsets 0..kernel_size-1 of the halved stride.
- `BatchNorm(channels)`, `ReLU()`, `ELU()`: modules T -> T.
- `Block(convolution, norm, activation)`: the three in sequence (an engine may fuse them); state
  dict names `0.`, `1.`, `2.` as in `torch.nn.Sequential`.
- `prune(x, keep) -> T`: the rows where the boolean `keep` [N] is true (at least one).
- `add(a, b) -> T`: sum of the features on the union of the sites.

Parameters and buffers have the names and shapes given above in every engine, so one state dict
serves all.
"""

import importlib
from types import ModuleType

from ..errors import SkullImplantError
from .functional import add, cat, prune
from .nn import ELU, BatchNorm, Block, Conv3d, GenerativeConvTranspose3d, ReLU, Sigmoid
from .sites import Sites
from .tensor import SparseTensor, from_dense

# Modules of the engine protocol, by the name on the command line.
ENGINES = {"torch": __name__, "minkowski": f"{__name__}.minkowski"}


def engine_named(name: str) -> ModuleType:
    """Return the engine `torch` or `minkowski`.

    Raises:
        SkullImplantError: there is no such engine, or it is not installed.
    """
    if name not in ENGINES:
        raise SkullImplantError(f"There is no engine '{name}'; use one of {', '.join(ENGINES)}.")
    return importlib.import_module(ENGINES[name])


__all__ = [
    "ELU",
    "ENGINES",
    "BatchNorm",
    "Block",
    "Conv3d",
    "GenerativeConvTranspose3d",
    "ReLU",
    "Sigmoid",
    "Sites",
    "SparseTensor",
    "add",
    "cat",
    "engine_named",
    "from_dense",
    "prune",
]
