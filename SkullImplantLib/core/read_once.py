"""What several need, read or made once, by whoever asks first."""

from collections.abc import Callable
from threading import Lock
from typing import TypeVar

Made = TypeVar("Made")


class ReadOnce:
    """Values by name, kept from the first time on.

    Of those that work side by side a second one waits for what the first has begun.
    """

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}
        self._locks: dict[str, Lock] = {}
        self._lock = Lock()

    def get(self, name: str, make: Callable[[], Made]) -> Made:
        """Return what `make` returned when this name was first asked for; raises what it raises."""
        with self._lock:
            lock = self._locks.setdefault(name, Lock())
        with lock:
            if name not in self._kept:
                self._kept[name] = make()
            return self._kept[name]  # type: ignore[return-value]
