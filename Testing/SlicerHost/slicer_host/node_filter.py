"""Which of the scene's nodes a selector offers."""

from dataclasses import dataclass, field
from typing import Any

import slicer


def type_label(node_type: str) -> str:
    """What Slicer calls a node type in a selector."""
    cls = getattr(slicer, node_type, None)
    node = cls() if cls is not None else None
    return node.GetTypeDisplayName() if node is not None else node_type.removeprefix("vtkMRML")


@dataclass
class NodeFilter:
    """The rules of qMRMLNodeComboBox, by the names of its properties."""

    node_types: list[str] = field(default_factory=list)
    hide_child_node_types: list[str] = field(default_factory=list)
    show_hidden: bool = False
    show_child_node_types: bool = True
    # By node type: an attribute's name, and the value that it must have if that is not None.
    attributes: dict[str, tuple[str, str | None]] = field(default_factory=dict)

    def may_accept(self, node: Any) -> bool:
        """Whether the node has one of the types: then a change of it can bring it into the list."""
        return not self.node_types or any(node.IsA(name) for name in self.node_types)

    def accepts(self, node: Any) -> bool:
        """Whether the node is offered as it is now."""
        if node.GetHideFromEditors() and not self.show_hidden:
            return False
        for node_type in self.node_types:
            if not node.IsA(node_type):
                continue
            if not self.show_child_node_types:
                if node.GetClassName() != node_type:
                    continue
            elif any(node.IsA(hidden) for hidden in self.hide_child_node_types):
                return False
            return self._has_attribute(node, node_type)
        return not self.node_types

    def _has_attribute(self, node: Any, node_type: str) -> bool:
        if node_type not in self.attributes:
            return True
        name, wanted = self.attributes[node_type]
        value = node.GetAttribute(name)
        return value is not None and wanted in (None, value)
