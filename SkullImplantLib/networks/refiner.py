"""The fine stage: a sparse U-Net around the defect that corrects the prior's bone, in mm.

It stands on the sites it is given and makes no new ones: the bone around the defect, what the
geometric prior expects in it, and what mirroring puts there. Encoder and decoder are those of the
sparse auto-encoder (Kroviakov et al. 2021), but with skip connections (Ronneberger et al. 2015) and
with the encoder's own sites in place of pruning by classification. Its answer at a site is how much
deeper within the bone the site lies than the prior says. The last layer starts at zero, so that the
untrained network is the prior, as in residual learning (He et al. 2016).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import nn

from .. import sparse
from ..sparse.sites import sorted_sites
from .autoencoder import checked_channels

# Channels from the finest level to the deepest, whose cells are 16 voxels (24 mm) wide.
FINE_CHANNELS = (16, 24, 32, 48, 64)


@dataclass(frozen=True)
class RefinerConfiguration:
    """What it takes to build a `SparseRefiner`: its keyword arguments."""

    in_channels: int
    channels: tuple[int, ...] = FINE_CHANNELS

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", checked_channels(self.channels, self.in_channels))


class SparseRefiner(nn.Module):
    """The sparse U-Net, built from the modules of `engine` (see `SkullImplantLib.sparse`).

    State dict names: `encoder.0.0` and `.1` are the blocks of the finest level; `encoder.L.0` goes
    down to level L and `.1` follows; `decoder.L` (L counting from the deepest) has `up`, `join` and
    `refine`; `final` is the 1x1x1 layer of the answer.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int] = FINE_CHANNELS,
        engine: ModuleType = sparse,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network; `generator` makes its random initial weights reproducible."""
        super().__init__()
        self.configuration = RefinerConfiguration(in_channels, tuple(channels))
        self.engine = engine
        c = self.configuration.channels

        def block(before: int, after: int, size: int = 3, stride: int = 1) -> nn.Module:
            convolution = engine.Conv3d(before, after, kernel_size=size, stride=stride)
            made: nn.Module = engine.Block(convolution, engine.BatchNorm(after), engine.ReLU())
            return made

        self.encoder = nn.ModuleList([nn.Sequential(block(in_channels, c[0]), block(c[0], c[0]))])
        for fine, coarse in itertools.pairwise(c):
            down = block(fine, coarse, size=2, stride=2)
            self.encoder.append(nn.Sequential(down, block(coarse, coarse)))
        self.decoder = nn.ModuleList()
        for coarse, fine in itertools.pairwise(c[::-1]):
            up = engine.GenerativeConvTranspose3d(coarse, fine, kernel_size=2, stride=2)
            join, refine = block(fine, fine), block(fine, fine)
            self.decoder.append(nn.ModuleDict({"up": up, "join": join, "refine": refine}))
        self.final = engine.Conv3d(c[0], 1, kernel_size=1, bias=True)
        self._initialise(generator)

    def _initialise(self, generator: torch.Generator | None) -> None:
        """Draw the convolutions' weights as He et al. (2015) do for layers before a ReLU."""
        for name, parameter in self.named_parameters():
            if name.startswith("final."):
                nn.init.zeros_(parameter)
            elif name.endswith(".kernel"):
                # A voxel of a shell has about a third of its neighbours; a child has one parent.
                volume = 1 if ".up." in name else max(len(parameter) // 3, 1)
                deviation = (2.0 / (volume * parameter.shape[1])) ** 0.5
                with torch.no_grad():
                    parameter.normal_(0.0, deviation, generator=generator)

    def forward(self, x: Any) -> Any:
        """Return the engine's tensor of corrections [N, 1] in mm on the sites of `x` (stride 1)."""
        skips: list[Any] = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        x = skips.pop()
        for decode in self.decoder:
            skip = skips.pop()
            children = decode["up"](x)  # type: ignore[index]
            sites, _ = sorted_sites(skip.coordinates, skip.stride)
            own = sites.contains(children.coordinates)
            x = self.engine.add(self.engine.prune(children, own), skip)
            x = decode["refine"](decode["join"](x))  # type: ignore[index]
        return self.final(x)
