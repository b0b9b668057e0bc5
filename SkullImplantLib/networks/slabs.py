"""The finest level of a large head, slab by slab, so that its features are never all there at once.

In use a full-resolution head has a few million sites and candidates at the finest level, and an
eighth of them at the next. Rows are sorted by z, so that a slab of planes is a slice of them, and
one plane more on either side is all that a kernel of size 3 sees of the others. What leaves a slab
is two numbers a candidate on the way out, and the next level's sites on the way in. The values are
those of the whole level but for the rounding of products.

For one head (batch 1) and our own engine; `functional.add` takes the place of the engine's.
"""

import itertools
from collections.abc import Iterator

import torch
from torch import nn

from ..sparse import Sites, SparseTensor, add

# Sites of a slab: 8 channels of them are 8 MiB. Fewer than `LARGE_SITES` are not worth it.
SLAB_SITES, LARGE_SITES = 2**18, 2**20
CHILDREN = 8
EVERYWHERE = 2**30  # beyond all coordinates
Span = tuple[int, int]


def first_halving(block: nn.Module, down: nn.Module, x: SparseTensor) -> SparseTensor:
    """Return `down(block(x))`, for a block of kernel size 3 and one of stride 2."""
    z = x.coordinates[:, 1].contiguous()
    halves = [down(_blocked(block, x, z, span)) for span in _spans(z, SLAB_SITES)]
    return _stacked(halves)


def finest_level(
    up: nn.Module,
    refine: nn.Module,
    heads: tuple[nn.Module, ...],
    x: SparseTensor,
    skip: tuple[nn.Module, SparseTensor] | None = None,
    bounds: tuple[int, int, int] | None = None,
) -> SparseTensor:
    """Return what each of the `heads` (to one channel) says of the candidates of the finest level.

    Args:
        up, refine: the level's blocks, of kernel sizes 2 and 3.
        heads: the columns of the result.
        x: the sites at stride 2 that are left.
        skip: a block, and the input of it whose result is added to the candidates.
        bounds: candidates outside (z, y, x) are dropped, if given.
    """
    z = x.coordinates[:, 1].contiguous()
    given_z = skip[1].coordinates[:, 1].contiguous() if skip else None
    parts = []
    for low, high in _spans(z, SLAB_SITES // CHILDREN):
        # The children one plane beyond the slab have parents two voxels beyond.
        near = _between(z, (low - x.stride, high + x.stride))
        sites = Sites(x.coordinates[near], x.stride)
        children = up(SparseTensor.on(sites, x.features[near]))
        own = _between(children.coordinates[:, 1].contiguous(), (low, high))
        part = refine(children, Sites(children.coordinates[own], children.stride))
        del children
        if skip is not None and given_z is not None:
            part = add(part, _blocked(*skip, given_z, (low, high)))
        said = torch.cat([head(part).features for head in heads], 1)
        inside = _inside(part.coordinates, bounds)
        parts.append(SparseTensor.on(Sites(part.coordinates[inside], part.stride), said[inside]))
    return _stacked(parts)


def _blocked(block: nn.Module, x: SparseTensor, z: torch.Tensor, span: Span) -> SparseTensor:
    """Return the rows of `block(x)` in `span`, for a block of kernel size 3."""
    own = _between(z, span)
    near = _between(z, (span[0] - x.stride, span[1] + x.stride))
    source = SparseTensor.on(Sites(x.coordinates[near], x.stride), x.features[near])
    result: SparseTensor = block(source, Sites(x.coordinates[own], x.stride))
    return result


def _spans(z: torch.Tensor, size: int) -> Iterator[Span]:
    """Yield spans of even planes with about `size` of the sites each, which cover everything."""
    edges = sorted({plane // 2 * 2 for plane in z[size::size].tolist()})
    yield from itertools.pairwise([-EVERYWHERE, *edges, EVERYWHERE])


def _between(z: torch.Tensor, span: Span) -> slice:
    """Return the rows of the planes `span` (first, after the last)."""
    first, after = torch.searchsorted(
        z, torch.tensor(span, dtype=z.dtype, device=z.device)
    ).tolist()
    return slice(first, after)


def _inside(coordinates: torch.Tensor, bounds: tuple[int, int, int] | None) -> torch.Tensor:
    """Return which sites are in the grid, bool [N]."""
    places = coordinates[:, 1:]
    if bounds is None:
        return torch.ones(len(places), dtype=torch.bool, device=places.device)
    limits = torch.tensor(bounds, dtype=places.dtype, device=places.device)
    return ((places >= 0) & (places < limits)).all(1)


def _stacked(slabs: list[SparseTensor]) -> SparseTensor:
    """Return the slabs, which follow one another, as one."""
    coordinates = torch.cat([slab.coordinates for slab in slabs])
    features = torch.cat([slab.features for slab in slabs])
    return SparseTensor.on(Sites(coordinates, slabs[0].stride), features)
