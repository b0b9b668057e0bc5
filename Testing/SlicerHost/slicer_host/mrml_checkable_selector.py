"""Slicer's selector of any number of MRML nodes."""

from typing import Any

from PySide6.QtCore import Qt, Signal, Slot

from .mrml_node_selector import qMRMLNodeComboBox
from .real_api import stands_for_real


@stands_for_real
class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """A selector in which any number of nodes can be checked."""

    _checked: frozenset[str] = frozenset()  # IDs

    checkedNodesChanged = Signal()

    def _fill(self) -> None:
        super()._fill()
        for node in self._nodes:
            row = self._nodes.index(node) + int(self._none_enabled)
            self._combo_box.setItemData(row, self.checkState(node), Qt.CheckStateRole)

    def _on_activated(self, row: int) -> None:
        node = self._node_at_row(row)
        if node is not None:
            checked = self.checkState(node) == Qt.Checked
            self.setCheckState(node, Qt.Unchecked if checked else Qt.Checked)
        super()._on_activated(row)

    def checkState(self, node: Any) -> Qt.CheckState:
        return Qt.Checked if node.GetID() in self._checked else Qt.Unchecked

    def setCheckState(self, node: Any, state: Qt.CheckState) -> None:
        before, changed = self._checked, {node.GetID()}
        self._checked = before | changed if state == Qt.Checked else before - changed
        if before != self._checked:
            self._fill()
            self.checkedNodesChanged.emit()

    @Slot(object)
    def check(self, node: Any) -> None:
        self.setCheckState(node, Qt.Checked)

    @Slot(object)
    def uncheck(self, node: Any) -> None:
        self.setCheckState(node, Qt.Unchecked)

    def checkedNodes(self) -> tuple:
        return tuple(node for node in self._nodes if node.GetID() in self._checked)

    def uncheckedNodes(self) -> tuple:
        return tuple(node for node in self._nodes if node.GetID() not in self._checked)

    def allChecked(self) -> bool:
        return not self.uncheckedNodes()

    def noneChecked(self) -> bool:
        return not self.checkedNodes()
