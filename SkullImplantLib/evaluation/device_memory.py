"""How much memory of a GPU is used while something runs, and how much there is to use."""

import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import torch

# The slides polled as often ("query GPU memory occupancy at 50-millisecond intervals").
INTERVAL_S = 0.05


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
