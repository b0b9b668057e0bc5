"""Where a network can run on this machine: its processor, and a GPU where PyTorch has one."""

import platform
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..core.memory import BYTES_PER_GIB
from ..core.threads import processor_count
from ..models import is_torch_new_enough, torch_version


def find_devices() -> dict[str, Any]:
    """Return PyTorch's version (None where it is not installed), whether the networks can use it,
    and the devices, by the ids that `--device` takes.
    """
    version = torch_version()
    enough = version is not None and is_torch_new_enough(version)
    cpu = {"id": "cpu", "name": _processor(), "threads": processor_count()}
    devices: list[dict[str, Any]] = [cpu]
    if enough:
        import torch

        if torch.cuda.is_available():
            gpu = torch.cuda.get_device_properties(0)
            memory_gib = round(gpu.total_memory / BYTES_PER_GIB, 1)
            devices.append({"id": "cuda", "name": gpu.name, "memory_gib": memory_gib})
    return {"torch": version, "torch_ok": enough, "devices": devices}


def _processor() -> str:
    """Return the processor's name, as well as the system tells it."""
    if sys.platform == "linux":
        with suppress(OSError):
            for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    return platform.processor() or platform.machine() or "processor"
