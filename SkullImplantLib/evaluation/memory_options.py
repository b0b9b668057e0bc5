"""Which rows the memory benchmark has; without torch, for the command line."""

from collections.abc import Iterator
from dataclasses import dataclass

NETWORKS = ("ch1", "ch2")
MEMORIES = ("plain", "packed", "recomputed")


@dataclass(frozen=True)
class MemoryRun:
    """What a row is about.

    `engine`: sparse or dense; `network`: ch1 or ch2; `mode`: train or test; `resolution`: voxels a
    side; `memory`: what training keeps (`TrainOptions.memory`), plain elsewhere.
    """

    engine: str
    network: str
    mode: str
    resolution: int
    batch: int = 1
    memory: str = "plain"
    device: str = "cpu"
    threads: int = 1

    @property
    def training(self) -> bool:
        """Whether there is a backward pass."""
        return self.mode == "train"


@dataclass(frozen=True)
class MemoryOptions:
    """Which rows there are. Batches of more than one are trained at the least resolution alone."""

    resolutions: tuple[int, ...] = (64, 128, 256, 512)
    batches: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 32)
    networks: tuple[str, ...] = NETWORKS
    engines: tuple[str, ...] = ("sparse", "dense")
    modes: tuple[str, ...] = ("train", "test")
    memories: tuple[str, ...] = MEMORIES
    device: str = "cpu"
    threads: int = 1

    def runs(self) -> Iterator[MemoryRun]:
        """Yield the rows, small ones first."""
        machine = (self.device, self.threads)
        for resolution in sorted(self.resolutions):
            for network in self.networks:
                for engine in self.engines:
                    for mode in self.modes:
                        lean = engine == "sparse" and mode == "train"
                        for memory in self.memories if lean else ("plain",):
                            yield MemoryRun(engine, network, mode, resolution, 1, memory, *machine)
        least = min(self.resolutions)
        for network in self.networks:
            for engine in self.engines:
                for batch in sorted(self.batches):
                    if batch > 1 and "train" in self.modes:
                        yield MemoryRun(engine, network, "train", least, batch, "plain", *machine)
