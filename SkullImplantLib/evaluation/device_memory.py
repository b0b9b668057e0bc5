"""How much memory a GPU uses while something runs, how much there is, and how much it will take."""

import itertools
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import torch

# The slides polled as often ("query GPU memory occupancy at 50-millisecond intervals").
INTERVAL_S = 0.05

# Tensors of the finest level that there are at the same time, by (dense, training): of what a step
# keeps (dense: two a block of three, and a sum; sparse: one) and what it works with.
TENSORS = {(True, True): 12, (True, False): 6, (False, True): 8, (False, False): 5}
COARSER = 1.2  # all levels are so much larger than the finest one
BYTES_A_SITE = 150  # coordinates, places and look-up tables of a sparse site
FLOAT_BYTES, STATES = 4, 5  # of a parameter in training: itself, gradient, Adam's three
PROGRAM_BYTES = 2**29
SHARE_OF_MEMORY = 0.85  # of what is free; the rest is for others


def step_bytes(channels: Sequence[int], rows: int, dense: bool, training: bool) -> int:
    """Return about how much memory a step of an auto-encoder takes, rather too much.

    `rows`: voxels of the grid for a dense one, candidates of the finest level for a sparse one.
    """
    a_row = TENSORS[dense, training] * channels[0] * FLOAT_BYTES
    a_row += 0 if dense else BYTES_A_SITE
    parameters = 2 * 27 * sum(a * b for a, b in itertools.pairwise(channels))
    states = parameters * FLOAT_BYTES * (STATES if training else 1)
    return int(COARSER * rows * a_row) + states + PROGRAM_BYTES


class DeviceWatch:
    """Polls the used memory of the current GPU from a thread, for as long as the block lasts.

    `peak_bytes` is the most that was seen: of the whole device, so with the context of CUDA, the
    cached blocks, and whatever else runs there. The driver is asked itself (`cudaMemGetInfo`), who
    tells what NVML and `nvidia-smi` tell.
    """

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> "DeviceWatch":
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._look()
        self._stop.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._look()

    def _look(self) -> None:
        free, total = torch.cuda.mem_get_info()
        self.peak_bytes = max(self.peak_bytes, total - free)


def available_bytes(device: str) -> int | None:
    """Return what memory is free on `cpu` or `cuda`; None where the system does not tell."""
    if device == "cuda":
        free: int = torch.cuda.mem_get_info()[0]
        return free
    with suppress(OSError, IndexError, ValueError):
        text = Path("/proc/meminfo").read_text()
        return int(text.split("MemAvailable:")[1].split()[0]) * 1024
    return None
