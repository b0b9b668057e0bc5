"""What `torchrun` tells each of the processes that it starts, by environment variables.

(`torch/distributed/run.py`, "Environment Variables".) Other launchers set the same. Nothing heavy
here, so that a process knows before it imports PyTorch.
"""

import os
from dataclasses import dataclass

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """This process's number and how many there are, on all machines and on this one."""

    rank: int
    count: int
    local_rank: int
    local_count: int


def launched() -> Launched | None:
    """Return the place of this process among several; None where it was not started so."""
    told = [os.environ.get(name, "") for name in VARIABLES]
    if not all(told) or not all(number.isdigit() for number in told[:4]) or int(told[1]) < 2:
        return None
    rank, count, local_rank, local_count = map(int, told[:4])
    return Launched(rank, count, local_rank, local_count)
