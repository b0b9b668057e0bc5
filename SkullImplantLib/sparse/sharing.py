"""A batch that several processes share: each has some of its samples, sums go over all of them.

Batch normalisation, the choice of the surest candidates and losses depend on a whole batch. Within
`shared_batch` they are worked out over the samples of all processes of a group of
`torch.distributed`, each of which must do the same work in the same order; where no batch is
shared, every function here is what it is of one process alone, to the bit.

Sums over processes have the gradient of one's own part: the gradients of a shared loss, summed over
the processes, are those that one process has of the whole batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

# A group of processes, or None for one alone.
Group = Any

_group: Group = None


@contextmanager
def shared_batch(group: Group) -> Iterator[None]:
    """While the block runs, take batches for parts of one that the processes of `group` share.

    With None, for a whole batch of this process's own; within a shared one, too.
    """
    global _group
    before, _group = _group, group
    try:
        yield
    finally:
        _group = before


def current() -> Group:
    """Return the group that shares the batch, or None."""
    return _group


def total(values: torch.Tensor, group: Group) -> torch.Tensor:
    """Return the sum of `values` over the processes of `group`, without gradient; for None, them.

    Summed in double precision, so that the order of the processes is lost in the rounding.
    """
    if group is None:
        return values
    everywhere = values.detach().double()
    torch.distributed.all_reduce(everywhere, group=group)
    return everywhere.to(values.dtype)


def total_count(count: int, device: torch.device) -> int:
    """Return the sum of `count` over the processes that share the batch."""
    if _group is None:
        return count
    everywhere = torch.tensor(count, dtype=torch.int64, device=device)
    torch.distributed.all_reduce(everywhere, group=_group)
    return int(everywhere)


def sum_of_all(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of the `values` of all processes that share the batch, a scalar."""
    return _SumOfAll.apply(values.sum(), _group) if _group is not None else values.sum()


def mean_of_all(values: torch.Tensor) -> torch.Tensor:
    """Return the mean of the `values` of all processes that share the batch; 0 where none has any.

    Every value counts the same, whichever process has it, and however many others that one has.
    """
    count = total_count(values.numel(), values.device)
    if count == 0:
        return values.sum()
    return sum_of_all(values) / count if _group is not None else values.mean()


class _SumOfAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, group: Group) -> torch.Tensor:
        return total(values, group)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        return gradient, None


def surest_of_all(values: torch.Tensor, count: int) -> torch.Tensor:
    """Return which of `values` [N] are among the `count` largest of all processes, bool [N].

    Of equals, those of the first process, and there the first.
    """
    gathered, start = _gathered(values)
    order = gathered.sort(descending=True, stable=True).indices
    chosen = torch.zeros(len(gathered), dtype=torch.bool, device=values.device)
    chosen[order[:count]] = True
    return chosen[start : start + len(values)]


def _gathered(values: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the values of all processes one behind the other, and where one's own begin."""
    if _group is None:
        return values, 0
    processes = torch.distributed.get_world_size(_group)
    own = torch.tensor([len(values)], device=values.device)
    sizes = [torch.empty_like(own) for _ in range(processes)]
    torch.distributed.all_gather(sizes, own, group=_group)
    counts = [int(size) for size in sizes]
    padded = values.new_zeros(max(counts))
    padded[: len(values)] = values
    parts = [torch.empty_like(padded) for _ in range(processes)]
    torch.distributed.all_gather(parts, padded, group=_group)
    rank = torch.distributed.get_rank(_group)
    return torch.cat([part[:n] for part, n in zip(parts, counts)]), sum(counts[:rank])
