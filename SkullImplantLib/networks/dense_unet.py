"""A dense U-Net that labels a whole CT on a coarse grid, 128^3: where the organs are.

The 3D U-Net (Cicek et al. 2016) with strided convolutions, normalisation of each sample by itself
and leaky ReLU (nnU-Net, Isensee et al. 2021), of torch's own layers and few channels, so that a CPU
trains it. Volumes are [batch, channel, z, y, x].
"""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from ..errors import SkullImplantError
from .autoencoder import checked_channels

CHANNELS = (8, 16, 32, 64, 96)
SLOPE = 0.01  # of the activation below 0
BACKGROUND_LOGIT = 3.0
MOST_LABELS = 255
# HU are told from air to dense bone, as -1 to 1.
LOWEST_HU, HIGHEST_HU = -1000.0, 1000.0
# Of the metadata of weights.
SEGMENTATION_TASK = "segmentation of organs"


@dataclass(frozen=True)
class UNetConfiguration:
    """What it takes to build a `DenseUNet`: labels but for background, channels finest first."""

    labels: int
    channels: tuple[int, ...] = CHANNELS

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", checked_channels(self.channels, 1))
        if not 1 <= self.labels <= MOST_LABELS:
            raise SkullImplantError(
                f"A network tells 1 to {MOST_LABELS} labels apart, not {self.labels}; correct the "
                "configuration."
            )


class DenseUNet(nn.Module):
    """The U-Net; its answer has a logit for background, 0, and each label."""

    def __init__(
        self,
        labels: int,
        channels: tuple[int, ...] = CHANNELS,
        generator: torch.Generator | None = None,
    ) -> None:
        """Build the network; `generator` makes its random initial weights reproducible."""
        super().__init__()
        self.configuration = UNetConfiguration(labels, tuple(channels))
        c = self.configuration.channels
        self.encoder = nn.ModuleList([_twice(1, c[0], 1)])
        for fine, coarse in itertools.pairwise(c):
            self.encoder.append(_twice(fine, coarse, 2))
        self.decoder = nn.ModuleList(
            _twice(coarse + fine, fine, 1) for coarse, fine in itertools.pairwise(c[::-1])
        )
        self.final = nn.Conv3d(c[0], labels + 1, 1)
        for parameter in self.parameters():
            if parameter.dim() == 5:  # He et al. (2015)
                fan = parameter[0].numel()
                with torch.no_grad():
                    parameter.normal_(0.0, (2.0 / fan) ** 0.5, generator=generator)
        # Nearly all voxels are none of the organs: what it begins with need not be learnt.
        assert self.final.bias is not None
        nn.init.zeros_(self.final.bias)
        with torch.no_grad():
            self.final.bias[0] = BACKGROUND_LOGIT

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits [batch, labels + 1, z, y, x] of volumes [batch, 1, z, y, x]."""
        x = x.contiguous(memory_format=torch.channels_last_3d)  # a quarter faster on a CPU
        skips = []
        for encode in self.encoder:
            x = encode(x)
            skips.append(x)
        x = skips.pop()
        for decode in self.decoder:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="trilinear", align_corners=False)
            x = decode(torch.cat([x, skip], 1))
        logits: torch.Tensor = self.final(x)
        return logits


def _twice(before: int, after: int, stride: int) -> nn.Sequential:
    def block(channels: int, step: int) -> list[nn.Module]:
        convolution = nn.Conv3d(channels, after, 3, stride=step, padding=1, bias=False)
        norm = nn.InstanceNorm3d(after, affine=True)
        return [convolution, norm, nn.LeakyReLU(SLOPE, inplace=True)]

    return nn.Sequential(*block(before, stride), *block(after, 1))


def as_seen(hu: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return HU as the network sees them."""
    middle, half = (HIGHEST_HU + LOWEST_HU) / 2, (HIGHEST_HU - LOWEST_HU) / 2
    return ((np.clip(hu, LOWEST_HU, HIGHEST_HU) - middle) / half).astype(np.float32)


def segmented(
    network: DenseUNet, hu: NDArray[np.floating], device: torch.device
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return labels (0, or 1 and so on) of a CT in HU on the coarse grid, and how sure the network
    is of each (0 to 1), all (z, y, x).
    """
    seen = torch.from_numpy(as_seen(hu))[None, None].to(device)
    with torch.inference_mode():
        sure, labels = network(seen)[0].float().softmax(0).max(0)
    return labels.to(torch.uint8).cpu().numpy(), sure.cpu().numpy()
