"""What the user types for a case: what its files are called, by default what tells no patient; and a label."""

from pathlib import Path
from typing import Any

from SkullImplantLib.export.case_names import default_case_name, safe_name

from .keptwithinput import keepText, keptText
from .results import ResultNodes, inputNameOfResult, inputOfResult

NAME_ATTRIBUTE = "SkullImplant.FileName"
LABEL_ATTRIBUTE = "SkullImplant.Label"


def typedName(nodes: ResultNodes) -> str:
    """Return the name that was typed for the input of a result, empty where none was."""
    return keptText(nodes, NAME_ATTRIBUTE)


def setTypedName(nodes: ResultNodes, text: str) -> None:
    """Keep a name for the input of a result; an empty one goes back to the default."""
    keepText(nodes, NAME_ATTRIBUTE, text)


def typedLabel(nodes: ResultNodes) -> str:
    """Return what is engraved on the implants of a result, empty where nothing is."""
    return keptText(nodes, LABEL_ATTRIBUTE)


def setTypedLabel(nodes: ResultNodes, text: str) -> None:
    """Keep a label for the input of a result; an empty one is none."""
    keepText(nodes, LABEL_ATTRIBUTE, text)


def caseName(nodes: ResultNodes, design: dict[str, Any]) -> str:
    """Return what the names of a result's files begin with, fit for every file system.

    :param design: the contents of its ``design.json``.
    """
    return safe_name(typedName(nodes)) or default_case_name(design)


def folderName(nodes: ResultNodes) -> str:
    """Return the name of the folder that the input of a result was loaded from; else the input's own name."""
    node = inputOfResult(nodes.segmentation)
    storage = None if node is None else node.GetStorageNode()
    path = Path(storage.GetFullNameFromFileName() or "") if storage is not None else Path()
    name = path.parent.name if path.is_absolute() else ""
    return safe_name(name) or safe_name(inputNameOfResult(nodes.segmentation))
