"""A training that several processes share, as `torchrun` starts them: on one machine or several.

Every process has a copy of the network and some of an iteration's cases: of a batch of N, process
r of P has those of the r-th of P stretches, each drawn by its own generator, so that the batch is
that of one process, in its order. Losses, batch normalisation and the choice of candidates are
those of the whole batch (`sparse.sharing`). `DistributedDataParallel` takes the mean of the
processes' gradients, while the gradient of a loss of the whole batch is the sum of theirs: the
loss is multiplied by P. Thus a voxel weighs 1 / (voxels of the whole batch), whichever process has
it and however many others that one has.

The first process alone validates, keeps log, weights and checkpoints, and decides when to stop.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from ..core.torchrun import launched
from ..errors import SkullImplantError
from ..sparse.nn import MOMENTUM
from ..sparse.sharing import Group, shared_batch

T = TypeVar("T")
# The first process may prepare cases or validate for long while the others wait for it. One that
# is gone is noticed at once all the same: its connections close.
LONGEST_WAIT = timedelta(days=2)
# What gloo says where another process is gone.
GONE = ("connection closed", "connection reset", "broken pipe", "gloo", "socket")


@dataclass(frozen=True)
class Processes:
    """This process, number `rank` of `count`; on its machine, number `local_rank`.

    `group` is for sums over the batch; the default group is left to the gradients.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    group: Group = None

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def own(self, batch: int) -> range:
        """Return which cases of a batch are this process's own, by number.

        Raises `SkullImplantError` where there are fewer cases than processes.
        """
        if batch < self.count:
            raise SkullImplantError(
                f"A batch of {batch} cannot be shared by {self.count} processes; start at most "
                f"{batch}, or train with a larger batch."
            )
        start, stop = (batch * end // self.count for end in (self.rank, self.rank + 1))
        return range(start, stop)

    def told(self, value: T) -> T:
        """Return what the first process calls this with."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0)
        return box[0]

    def in_turn(self, prepare: Callable[[], T]) -> T:
        """Return what `prepare` returns, which may keep files that the next ones find.

        The first process goes first, then the first of each other machine, in case that these do
        not see its files, then all others.
        """
        turn = 0 if self.is_first else 1 if self.local_rank == 0 else 2
        prepared = [prepare()] if turn == 0 else []
        for now in (1, 2):
            self.wait()
            if turn == now:
                prepared.append(prepare())
        self.wait()
        return prepared[0]

    def wait(self) -> None:
        """Wait for all others."""
        if self.count > 1:
            distributed.barrier()

    def loss_of(
        self, network: nn.Module, loss: Callable[[Any], torch.Tensor], all_used: bool
    ) -> Callable[[Any], torch.Tensor]:
        """Return `loss`, a function of this process's cases, with gradients of the whole batch.

        all_used: whether every parameter of the network takes part in every loss.
        """
        if self.count == 1:
            return loss
        parallel: Callable[[Any], torch.Tensor] = nn.parallel.DistributedDataParallel(
            _Loss(network, loss), find_unused_parameters=not all_used
        )
        return parallel

    @contextmanager
    def iteration(self, network: nn.Module, together: bool) -> Iterator[None]:
        """The context of an iteration's two passes, in which the processes share a batch.

        together: whether the network normalises a batch as one; else it learns statistics of one
        case after the other, which are put together in the end.
        """
        if self.count == 1:
            yield
            return
        before = {name: value.clone() for name, value in network.named_buffers()}
        with shared_batch(self.group):
            yield
        if not together:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm1d):
                    self._put_together(module, before, _name_of(module, network))

    def _put_together(
        self, norm: nn.BatchNorm1d, before: Mapping[str, torch.Tensor], name: str
    ) -> None:
        """Let running statistics be as if one process had seen all cases, one after the other.

        Each case takes a running mean m to (1 - k) m + k c, c being its own mean: n cases leave
        (1 - k)^n of what m was, and what they add does not depend on it.
        """
        assert norm.num_batches_tracked is not None
        seen = before[f"{name}.num_batches_tracked"]
        counts = self._of_all(norm.num_batches_tracked - seen)
        norm.num_batches_tracked.copy_(seen + sum(counts))
        for kind in ("running_mean", "running_var"):
            own, whole = getattr(norm, kind), before[f"{name}.{kind}"]
            kept = [(1.0 - MOMENTUM) ** int(count) for count in counts]
            for share, added in zip(kept, self._of_all(own - kept[self.rank] * whole)):
                whole = share * whole + added
            own.copy_(whole)

    def _of_all(self, value: torch.Tensor) -> list[torch.Tensor]:
        """Return a tensor of all processes, in their order."""
        values = [torch.empty_like(value) for _ in range(self.count)]
        distributed.all_gather(values, value.contiguous(), group=self.group)
        return values


ALONE = Processes()


class _Loss(nn.Module):
    """A loss as a module with the network's parameters, which `DistributedDataParallel` wraps: a
    network that sees one case after the other is one pass all the same.
    """

    def __init__(self, network: nn.Module, loss: Callable[[Any], torch.Tensor]) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, cases: Any) -> torch.Tensor:
        return self.loss(cases)


def _name_of(module: nn.Module, network: nn.Module) -> str:
    return next(name for name, found in network.named_modules() if found is module)


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """While the block runs, be one of the processes that `torchrun` started, or alone.

    device: `cpu` or `cuda`, where each process of a machine takes a GPU of its own. Raises
    `SkullImplantError` where this PyTorch cannot do that, there are too few GPUs, or another
    process ends before its time.
    """
    place = launched()
    if place is None:
        yield ALONE
        return
    if not distributed.is_available():
        raise SkullImplantError(
            "This PyTorch was built without torch.distributed, so that processes cannot share a "
            "training; start it without torchrun, or install another build."
        )
    if device == "cuda":
        if torch.cuda.device_count() < place.local_count:
            raise SkullImplantError(
                f"There are {place.local_count} processes on this machine and "
                f"{torch.cuda.device_count()} GPUs; start one process for each GPU."
            )
        torch.cuda.set_device(place.local_rank)
    try:
        distributed.init_process_group("nccl" if device == "cuda" else "gloo", timeout=LONGEST_WAIT)
        group = distributed.new_group(timeout=LONGEST_WAIT)
        processes = Processes(place.rank, place.count, place.local_rank, group)
        yield processes
        processes.wait()
        distributed.destroy_process_group()
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and not any(
            word in str(error).lower() for word in GONE
        ):
            raise
        raise SkullImplantError(
            "Another process of this training ended, or cannot be reached any more; see what it "
            "said, and go on from the checkpoint."
        ) from error
