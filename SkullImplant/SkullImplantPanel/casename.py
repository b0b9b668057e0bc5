"""What a case's files are called: by default what tells no patient; else what the user typed for this input.

A typed name is kept with the input, so that it never goes to another patient's files, and is saved with the scene.
"""

from pathlib import Path
from typing import Any

import slicer

from SkullImplantLib.export.case_names import default_case_name, safe_name

from .results import ResultNodes, inputNameOfResult, inputOfResult

NAME_ATTRIBUTE = "SkullImplant.FileName"


def typedName(nodes: ResultNodes) -> str:
    """Return the name that was typed for the input of a result, empty where none was."""
    return _keeper(nodes).GetAttribute(NAME_ATTRIBUTE) or ""


def setTypedName(nodes: ResultNodes, text: str) -> None:
    """Keep a name for the input of a result; an empty one goes back to the default."""
    if text:
        _keeper(nodes).SetAttribute(NAME_ATTRIBUTE, text)
    else:
        _keeper(nodes).RemoveAttribute(NAME_ATTRIBUTE)


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


def _keeper(nodes: ResultNodes) -> slicer.vtkMRMLNode:
    return inputOfResult(nodes.segmentation) or nodes.segmentation
