"""How much memory a verb will need, told before its work, and where it did not suffice."""

from collections.abc import Iterator
from contextlib import contextmanager

from ..core.memory_need import Extent, design_bytes, reading_bytes, require_memory, telling_need
from ..reading.coarser import blocks_of


class Foreseen:
    """The need of a design, foreseen when the header of its image is read."""

    def __init__(self, halvings: int = 0) -> None:
        self._halvings = halvings
        self._needed = 0.0

    def __call__(self, extent: Extent) -> None:
        """Raise `OutOfMemory` where the image surely needs more than is free."""
        self._needed = design_bytes(extent)
        if self._halvings:
            coarse = extent.coarser(blocks_of(extent.spacing_mm, self._halvings))
            self._needed = max(reading_bytes(extent), design_bytes(coarse))
        require_memory(self._needed)

    @contextmanager
    def told(self) -> Iterator[None]:
        """While the block runs, tell the need where memory does not suffice."""
        with telling_need(lambda: self._needed):
            yield
