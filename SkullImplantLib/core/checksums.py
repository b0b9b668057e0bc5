"""SHA-256 of files, and the `NAME.sha256` beside them, which guards against damage."""

import hashlib
from pathlib import Path

from ..errors import Remedy, SkullImplantError
from .files import atomic_path


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_path(path: Path) -> Path:
    """Return where the checksum of the file `path` is kept."""
    return path.with_name(path.name + ".sha256")


def write_checksum(path: Path) -> str:
    """Write `NAME.sha256` beside the file, as `sha256sum` does, and return the checksum."""
    checksum = sha256_of(path)
    with atomic_path(checksum_path(path)) as temporary:
        temporary.write_text(f"{checksum}  {path.name}\n", encoding="utf-8")
    return checksum


def verify_checksum(path: Path, required: bool = True) -> None:
    """Compare a file with the `NAME.sha256` beside it.

    Raises:
        SkullImplantError: they differ, or (if `required`) there is no checksum.
    """
    beside = checksum_path(path)
    if not beside.exists():
        if required:
            raise SkullImplantError(f"{path.name} has no checksum {beside.name}; install it again.")
        return
    if not path.exists():
        raise SkullImplantError(f"There is no weight file {path.name}.", Remedy.OTHER_WEIGHTS)
    words = beside.read_text(encoding="utf-8", errors="replace").split()
    if not words or words[0].lower() != sha256_of(path):
        raise SkullImplantError(
            f"{path.name} does not match its checksum {beside.name}; install or train it again."
        )
