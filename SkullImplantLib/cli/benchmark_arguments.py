"""The options of `skull-implant benchmark engine` and `benchmark memory`."""

import argparse

from ..evaluation.memory_options import MEMORIES, NETWORKS, MemoryOptions
from .arguments import positive


def add_network_benchmarks(parser: argparse.ArgumentParser) -> None:
    """Add what these two have in common, and what is for `memory` alone."""
    usual = MemoryOptions()
    both = parser.add_argument_group("engine and memory")
    both.add_argument(
        "--networks", nargs="+", choices=NETWORKS, help="default: ch1; of memory both"
    )
    both.add_argument(
        "--modes",
        nargs="+",
        choices=("train", "test"),
        help="training step, use; default: test; memory: both",
    )
    both.add_argument(
        "--engines", nargs="+", choices=usual.engines, help="default: sparse; memory: both"
    )
    memory = parser.add_argument_group("memory")
    memory.add_argument(
        "--resolutions",
        nargs="+",
        type=int,
        choices=usual.resolutions,
        default=usual.resolutions,
        metavar="VOXELS",
        help="a side (default: all of 64 128 256 512)",
    )
    memory.add_argument(
        "--batches",
        nargs="+",
        type=positive,
        default=usual.batches,
        metavar="N",
        help="of training at the least resolution (default: 1 to 10, 16 and 32)",
    )
    memory.add_argument(
        "--memories",
        nargs="+",
        choices=MEMORIES,
        default=usual.memories,
        metavar="WAY",
        help="what sparse training keeps: plain, packed, recomputed (default: all)",
    )
    memory.add_argument("--note", default="", help="a sentence for the table, on the machine")


def memory_options(options: argparse.Namespace, device: str, threads: int) -> MemoryOptions:
    """Return the rows that are asked for."""
    usual = MemoryOptions()
    return MemoryOptions(
        tuple(options.resolutions),
        tuple(options.batches),
        tuple(options.networks or usual.networks),
        tuple(options.engines or usual.engines),
        tuple(options.modes or usual.modes),
        tuple(options.memories),
        device,
        threads,
    )
