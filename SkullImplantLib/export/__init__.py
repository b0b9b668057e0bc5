"""What leaves the program: masks, meshes, pictures and the report, whole or not at all."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .results import write_design, write_files, write_pictures

__all__ = ["write_design", "write_files", "write_pictures"]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: who writes an STL alone needs no more than that.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import results

    return getattr(results, name)
