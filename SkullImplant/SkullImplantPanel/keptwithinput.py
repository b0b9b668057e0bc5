"""Texts that the user typed for one patient's files: kept with the input, never with another's, and with the scene."""

import slicer

from .results import ResultNodes, inputOfResult


def keptText(nodes: ResultNodes, attribute: str) -> str:
    """Return the text that is kept under an attribute for the input of a result, empty where none is."""
    return _keeper(nodes).GetAttribute(attribute) or ""


def keepText(nodes: ResultNodes, attribute: str, text: str) -> None:
    """Keep a text for the input of a result; an empty one is forgotten."""
    if text:
        _keeper(nodes).SetAttribute(attribute, text)
    else:
        _keeper(nodes).RemoveAttribute(attribute)


def _keeper(nodes: ResultNodes) -> slicer.vtkMRMLNode:
    return inputOfResult(nodes.segmentation) or nodes.segmentation
