"""A node that only the module uses: in the scene while it is needed, in no selector, never saved."""

from collections.abc import Callable
from typing import Any

import slicer


class HiddenNode:
    """One such node of a class; made again where the scene was closed meanwhile.

    :param setUp: called with a new node that is in the scene and has its display.
    """

    def __init__(self, className: str, name: str, setUp: Callable[[Any], None]) -> None:
        self._className, self._name, self._setUp = className, name, setUp
        self._node: Any = None

    def get(self) -> Any:
        """Return the node; it is put into the scene if it is not there."""
        if self._node is None or not slicer.mrmlScene.IsNodePresent(self._node):
            node = slicer.mrmlScene.CreateNodeByClass(self._className)
            node.UnRegister(None)  # Python's variable owns it
            node.SetName(self._name)
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            slicer.mrmlScene.AddNode(node)
            self._node = node
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetSaveWithScene(False)
            self._setUp(node)
        return self._node

    def remove(self) -> None:
        """Take the node out of the scene."""
        if self._node is not None and slicer.mrmlScene.IsNodePresent(self._node):
            slicer.mrmlScene.RemoveNode(self._node)
        self._node = None
