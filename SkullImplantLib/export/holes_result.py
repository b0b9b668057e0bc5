"""What a search for holes leaves on disk: the skull, its holes as labels, and `holes.json`."""

import json
from pathlib import Path
from typing import Any

from ..core.files import atomic_path
from ..core.images import write_image
from ..designing.found_holes import FoundHoles

HOLES_FILES = ("skull.nrrd", "holes.nrrd", "holes.json")


def write_holes(found: FoundHoles, folder: Path) -> dict[str, Any]:
    """Write the files of a search into a folder that exists; return the contents of `holes.json`.

    Raises `SkullImplantError` where they cannot be written.
    """
    with found.stages.stage("export") as progress:
        progress(0.0, "masks")
        write_image(found.skull, folder / "skull.nrrd")
        progress(0.5, "masks")
        write_image(found.labels, folder / "holes.nrrd")
    data = found.as_json()
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    with atomic_path(folder / "holes.json") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return data
