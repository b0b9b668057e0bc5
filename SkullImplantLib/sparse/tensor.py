"""Sparse tensors: sites with a row of features each."""

from collections.abc import Sequence

import torch

from .sites import Sites, sorted_sites


class SparseTensor:
    """Features [N, C] on N sites; rows in lexicographic order of (batch, z, y, x)."""

    def __init__(self, coordinates: torch.Tensor, features: torch.Tensor, stride: int = 1) -> None:
        """Sort and check.

        Args:
            coordinates: integer [N, 4] (batch, z, y, x), unique multiples of `stride`, any order.
            features: [N, C], in the same order, on the same device.
            stride: a power of two, the same along the three axes.

        Raises:
            ValueError: for anything else.
        """
        if features.dim() != 2 or len(features) != len(coordinates):
            raise ValueError(
                f"features must be [N, C] for {len(coordinates)} sites, not {features.shape}"
            )
        sites, order = sorted_sites(coordinates, stride)
        self.sites = sites
        self.features = features if order is None else features[order]

    @classmethod
    def on(cls, sites: Sites, features: torch.Tensor) -> "SparseTensor":
        """Return `features` [N, C] on `sites`, row for row."""
        tensor = cls.__new__(cls)
        tensor.sites = sites
        tensor.features = features
        return tensor

    @property
    def coordinates(self) -> torch.Tensor:
        """The sites, int32 [N, 4] (batch, z, y, x)."""
        return self.sites.coordinates

    @property
    def stride(self) -> int:
        """Distance of neighbouring sites."""
        return self.sites.stride

    def __len__(self) -> int:
        return len(self.sites)

    def to(self, device: torch.device | str) -> "SparseTensor":
        """Return the tensor on `device`."""
        return SparseTensor.on(self.sites.to(device), self.features.to(device))

    def dense(self, shape: Sequence[int], batch_size: int = 1, fill: float = 0.0) -> torch.Tensor:
        """Return a dense tensor [batch_size, C, z, y, x]; a cell is `stride` voxels wide.

        Args:
            shape: (z, y, x) of the grid at stride 1; sites outside are left out.
            batch_size: number of volumes.
            fill: value where no site is.
        """
        stride = self.stride
        cells = [-(-size // stride) for size in shape]
        channels = self.features.shape[1]
        result = self.features.new_full((batch_size, *cells, channels), fill)
        index = self.coordinates.long()
        index[:, 1:] //= stride
        limits = index.new_tensor([batch_size, *cells])
        inside = ((index >= 0) & (index < limits)).all(1)
        b, z, y, x = index[inside].unbind(1)
        result = result.index_put((b, z, y, x), self.features[inside])
        return result.permute(0, 4, 1, 2, 3).contiguous()


def from_dense(volume: torch.Tensor, active: torch.Tensor | None = None) -> SparseTensor:
    """Return the sparse tensor of a dense one.

    Args:
        volume: a mask [z, y, x] (the sites get one channel of ones, float32), or features
            [batch, C, z, y, x].
        active: bool [batch, z, y, x], the sites; where any channel is not zero if not given.
    """
    if volume.dim() == 3:
        found = (volume != 0).nonzero().to(torch.int32)
        coordinates = torch.nn.functional.pad(found, (1, 0))
        features = torch.ones((len(found), 1), device=volume.device)
        return SparseTensor.on(Sites(coordinates, 1), features)
    if volume.dim() != 5:
        raise ValueError(f"expected [z, y, x] or [batch, C, z, y, x], not {tuple(volume.shape)}")
    if active is None:
        active = (volume != 0).any(1)
    b, z, y, x = index = active.nonzero().unbind(1)
    features = volume[b, :, z, y, x]
    return SparseTensor.on(Sites(torch.stack(index, 1).to(torch.int32), 1), features)
