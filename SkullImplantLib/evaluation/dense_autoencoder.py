"""The papers' auto-encoder with dense convolutions, to compare the sparse one with.

The same layers and channels as `networks.autoencoder.SparseAutoEncoder` on a dense grid: nothing is
pruned, every level has all its voxels, and the loss is taken over all of them (the slides' "dense"
rows; Li et al., "Sparse convolutional neural networks for medical image analysis" (2023)).
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn

from ..networks.autoencoder import DEEPEST_KERNEL, OTHER_KERNEL, Configuration


class DenseAutoEncoder(nn.Module):
    """The dense network: [B, C, z, y, x] in, the logits of all levels out, coarsest first."""

    def __init__(self, configuration: Configuration) -> None:
        super().__init__()
        self.configuration = configuration
        c = configuration.channels

        def block(convolution: nn.Module, width: int) -> nn.Module:
            # In place, as one does who is short of memory.
            relu = configuration.activation == "relu"
            act = nn.ReLU(inplace=True) if relu else nn.ELU(inplace=True)
            return nn.Sequential(convolution, _BatchNorm(width), act)

        def same(before: int, after: int) -> nn.Module:
            return block(nn.Conv3d(before, after, 3, padding=1, bias=False), after)

        self.encoder = nn.ModuleList([same(configuration.in_channels, c[0])])
        for fine, coarse in itertools.pairwise(c):
            down = block(nn.Conv3d(fine, coarse, 2, stride=2, bias=False), coarse)
            self.encoder.append(nn.Sequential(down, same(coarse, coarse)))
        self.decoder = nn.ModuleList()
        for level, (coarse, fine) in enumerate(itertools.pairwise(c[::-1])):
            size = DEEPEST_KERNEL if level == 0 else OTHER_KERNEL
            up = block(nn.ConvTranspose3d(coarse, fine, size, stride=2, bias=False), fine)
            parts = {"up": up, "refine": same(fine, fine), "classify": nn.Conv3d(fine, 1, 1)}
            self.decoder.append(nn.ModuleDict(parts))
        self.final = nn.Conv3d(c[0], 1, 1)

    def forward(self, x: torch.Tensor, reconstruct: bool = True) -> list[torch.Tensor]:
        """Return the levels' logits [B, 1, z, y, x]; with `reconstruct`, the output [B, 1, ...]
        of the last layer (0 to 1) after them.
        """
        adds = self.configuration.skip == "add"
        shapes: list[torch.Size] = []
        skips: list[torch.Tensor | None] = []
        for index, encode in enumerate(self.encoder):
            if index:
                shapes.append(x.shape[2:])
                skips.append(x if adds else None)
                x = _even(x)
            x = encode(x)
        levels = []
        for decode in self.decoder:
            z, y, w = shapes.pop()
            # The deepest kernel overshoots the grid, and odd grids were filled up.
            x = decode["refine"](decode["up"](x))[..., :z, :y, :w]  # type: ignore[index]
            skip = skips.pop()
            if skip is not None:
                x = x + skip
                del skip
            levels.append(decode["classify"](x))  # type: ignore[index]
        return [*levels, torch.sigmoid(self.final(x))] if reconstruct else levels


class _BatchNorm(nn.BatchNorm3d):
    """A single voxel, which has no variance, passes as the sparse engine lets it pass."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x[:, 0].numel() > 1:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias)


def dense_loss(levels: list[torch.Tensor], target: torch.Tensor) -> torch.Tensor:
    """Return the sum of the levels' cross-entropies; `target` [B, 1, z, y, x] float, 0 or 1."""
    total = target.new_zeros(())
    for logits in reversed(levels):
        total = total + F.binary_cross_entropy_with_logits(logits, target)
        target = F.max_pool3d(target, 2, ceil_mode=True)
    return total


def _even(x: torch.Tensor) -> torch.Tensor:
    """Return `x` with zeros behind its odd axes, so that halving loses nothing."""
    filling = [n for size in reversed(x.shape[2:]) for n in (0, size % 2)]
    return F.pad(x, filling) if any(filling) else x
