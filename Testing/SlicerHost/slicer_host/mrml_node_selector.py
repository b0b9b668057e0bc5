"""Slicer's selector of one MRML node, on real Qt and the real scene.

Names and behaviour follow Slicer's public headers and sources (see `real_api.json`). A name that
Slicer has and the host has not raises NotImplementedError.
"""

from collections.abc import Callable
from typing import Any

import vtk
from PySide6.QtCore import Property, Signal, Slot
from PySide6.QtWidgets import QComboBox

from .adapter_properties import stored
from .node_filter import NodeFilter, type_label
from .pythonqt import install_qt
from .pythonqt_objects import emit_overload
from .real_api import stands_for_real
from .vtk_observers import Observers

qt = install_qt()


def _filtered(kind: Any, name: str) -> Property:
    """A property that is a rule of the filter."""

    def write(self: Any, value: Any) -> None:
        setattr(self._filter, name, value)
        self._refilter()

    return Property(kind, lambda self: getattr(self._filter, name), write)


@stands_for_real
class qMRMLNodeComboBox(qt.QWidget):
    """A selector of the scene's nodes of some types.

    Its rows: "None" if enabled, the nodes in the scene's order, then the actions. Without a scene
    it is disabled and empty.
    """

    _combo_box: qt.QComboBox
    _observers: Observers
    _node_observers: Observers
    _scene: Any = None
    _requested_id: Any = None  # Asked for before there was a scene.
    _nodes: list
    _current: Any = None
    _filling = False
    _filter: NodeFilter
    _base_names: dict
    _none_enabled = False
    _none_display = "None"
    _add_enabled = True
    _remove_enabled = True
    _edit_enabled = False
    _rename_enabled = False
    _select_upon_creation = True

    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAddedByUserAction = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    currentNodeRenamed = Signal(str)
    nodeAboutToBeEdited = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._nodes, self._filter = [], NodeFilter()
        self._base_names = {}
        self._observers, self._node_observers = Observers(self), Observers(self)
        self._combo_box = qt.QComboBox()
        self._combo_box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self._combo_box.minimumContentsLength = 8
        self._combo_box.sizeAdjustPolicy = QComboBox.AdjustToMinimumContentsLengthWithIcon
        layout = qt.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo_box)
        self.setSizePolicy(qt.QSizePolicy.Preferred, qt.QSizePolicy.Fixed)
        self._combo_box.connect("activated(int)", self._on_activated)
        self._combo_box.connect("currentIndexChanged(int)", self._on_index)
        self._fill()
        self.enabled = False

    # --- which nodes ---

    def _scene_nodes(self) -> list:
        """The scene's nodes that are, or by a change can become, one of the list."""
        if self._scene is None:
            return []
        count = self._scene.GetNumberOfNodes()
        nodes = [self._scene.GetNthNode(index) for index in range(count)]
        return [node for node in nodes if self._filter.may_accept(node)]

    def _read_nodes(self) -> None:
        self._nodes = [node for node in self._scene_nodes() if self._filter.accepts(node)]

    # --- following the scene ---

    @Slot(object)
    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._observers.remove()
        self._node_observers.remove()
        wanted = self._current.GetID() if self._current is not None else self._requested_id
        self._scene, self._requested_id = scene, None
        if scene is not None:
            cls = qMRMLNodeComboBox
            self._observers.add(scene, scene.NodeAddedEvent, cls._on_node_added)
            self._observers.add(scene, scene.NodeAboutToBeRemovedEvent, cls._on_about_to_be_removed)
            self._observers.add(scene, scene.NodeRemovedEvent, cls._on_node_removed)
        self._read_nodes()
        self._observe_nodes()
        found = scene.GetNodeByID(wanted) if scene is not None and wanted else None
        if found not in self._nodes:
            # Without a "None" to stand on, Slicer's selector starts at the first node.
            found = self._nodes[0] if self._nodes and not self._none_enabled else None
        self._fill()
        self._set_current(found)
        self.enabled = scene is not None

    def _observe_nodes(self) -> None:
        self._node_observers.remove()
        for node in self._scene_nodes():
            self._observe_node(node)

    def _observe_node(self, node: Any) -> None:
        modified = qMRMLNodeComboBox._on_node_modified
        self._node_observers.add(node, vtk.vtkCommand.ModifiedEvent, modified)

    def _on_node_added(self, _scene: Any, node: Any) -> None:
        if not self._filter.may_accept(node):
            return
        self._observe_node(node)
        if not self._filter.accepts(node):
            return
        was_empty = not self._nodes
        self._read_nodes()
        self._fill()
        self.nodeAdded.emit(node)
        # Qt's combo box selects what is inserted into it when it is empty: no node, no action.
        if was_empty and not self._none_enabled and not self._actions():
            self._set_current(node)

    def _on_about_to_be_removed(self, _scene: Any, node: Any) -> None:
        if node in self._nodes:
            self.nodeAboutToBeRemoved.emit(node)

    def _on_node_removed(self, _scene: Any, node: Any) -> None:
        self._node_observers.remove(node)
        self._drop(node)

    def _drop(self, node: Any) -> None:
        """Take a node out of the list; like Qt's combo box, move from it to the row before it."""
        if node not in self._nodes:
            return
        row = self._nodes.index(node)
        self._nodes.remove(node)
        current = self._current
        if current is node:
            if row > 0:
                current = self._nodes[row - 1]
            else:
                current = self._nodes[0] if self._nodes and not self._none_enabled else None
        self._fill()
        self._set_current(current)

    def _on_node_modified(self, node: Any, _node: Any) -> None:
        accepted = self._filter.accepts(node)
        if node not in self._nodes:
            if accepted:
                self._refilter()
        elif not accepted:
            self._drop(node)
        elif self._row_text(node) != (node.GetName() or ""):
            self._fill()
            if node is self._current:
                self._emit_current()

    def _refilter(self) -> None:
        self._read_nodes()
        self._fill()
        if self._current is not None and self._current not in self._nodes:
            self._set_current(None)

    # --- rows ---

    def _row_text(self, node: Any) -> str:
        return self._combo_box.itemText(self._nodes.index(node) + int(self._none_enabled))

    def _actions(self) -> list[tuple[str, Callable]]:
        """The rows after the nodes: (text, what choosing it does)."""
        types = self._filter.node_types
        current = self.nodeTypeLabel(types[0]) if len(types) == 1 else "Node"
        actions: list[tuple[str, Callable]] = []
        if self._rename_enabled:
            actions.append((f"Rename current {current}", self.renameCurrentNode))
        if self._edit_enabled:
            actions.append((f"Edit current {current}", self.editCurrentNode))
        if self._add_enabled:
            for node_type in types:
                actions.append(
                    (
                        f"Create new {self.nodeTypeLabel(node_type)}",
                        lambda node_type=node_type: self._add_by_user_action(node_type),
                    )
                )
        if self._remove_enabled:
            actions.append((f"Delete current {current}", self.removeCurrentNode))
        return actions

    def _fill(self) -> None:
        """Show the rows again, with the current node still current."""
        self._filling = True
        box = self._combo_box
        box.clear()
        if self._scene is not None:
            if self._none_enabled:
                box.addItem(self._none_display)
            for node in self._nodes:
                box.addItem(node.GetName() or "")
            actions = self._actions()
            if actions:
                box.insertSeparator(box.count)
                box.addItems([text for text, _ in actions])
        types = self._filter.node_types
        label = self.nodeTypeLabel(types[0]) if types else "Node"
        box.placeholderText = f"Select a {label}"
        box.currentIndex = self._current_row()
        self._filling = False

    def _current_row(self) -> int:
        if self._current in self._nodes:
            return self._nodes.index(self._current) + int(self._none_enabled)
        return 0 if self._none_enabled and self._scene is not None else -1

    def _node_at_row(self, row: int) -> Any:
        index = row - int(self._none_enabled)
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    def _on_index(self, row: int) -> None:
        """A node's row was chosen (by the user or by keys); an action waits for `_on_activated`."""
        if not self._filling and row < len(self._nodes) + int(self._none_enabled):
            self._set_current(self._node_at_row(row))

    def _on_activated(self, row: int) -> None:
        first_action = len(self._nodes) + int(self._none_enabled) + 1  # after the separator
        actions = self._actions()
        if 0 <= row - first_action < len(actions):
            self._fill()
            actions[row - first_action][1]()
        elif self._node_at_row(row) is not None:
            self.nodeActivated.emit(self._node_at_row(row))

    def _set_current(self, node: Any) -> None:
        changed = node is not self._current
        self._current = node
        self._filling = True
        self._combo_box.currentIndex = self._current_row()
        self._filling = False
        if changed:
            self._emit_current()

    def _emit_current(self) -> None:
        node = self._current
        emit_overload(self, "currentNodeChanged", object, node)
        emit_overload(self, "currentNodeChanged", bool, node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node is not None else "")

    # --- what PythonQt offers ---

    def mrmlScene(self) -> Any:
        return self._scene

    def currentNode(self) -> Any:
        return self._current

    def currentNodeId(self) -> str:
        return self._current_node_id()

    def _current_node_id(self) -> str:
        return self._current.GetID() if self._current is not None else ""

    @Slot(str)
    @Slot(object)
    def setCurrentNode(self, node: Any) -> None:
        """The node or its ID; one that is not in the list selects none."""
        if isinstance(node, str):
            self.setCurrentNodeID(node)
        else:
            self.setCurrentNodeID("" if node is None else node.GetID() or "")

    @Slot(str)
    def setCurrentNodeID(self, node_id: str) -> None:
        if self._scene is None:
            self._requested_id = node_id
            return
        node = self._scene.GetNodeByID(node_id) if node_id else None
        self._set_current(node if node in self._nodes else None)

    def nodeCount(self) -> int:
        return len(self._nodes)

    def nodeFromIndex(self, index: int) -> Any:
        return self._nodes[index] if 0 <= index < len(self._nodes) else None

    @Slot(result=object)
    @Slot(str, result=object)
    def addNode(self, node_type: str | None = None) -> Any:
        if node_type is None and self._filter.node_types:
            node_type = self._filter.node_types[0]
        if node_type not in self._filter.node_types or self._scene is None:
            return None
        node = self._scene.CreateNodeByClass(node_type)
        node.UnRegister(None)
        base_name = self._base_names.get(node_type) or node.GetNodeTagName()
        node.SetName(self._scene.GenerateUniqueName(base_name))
        if node_type in self._filter.attributes:
            name, value = self._filter.attributes[node_type]
            node.SetAttribute(name, "" if value is None else value)
        node = self._scene.AddNode(node)
        if self._select_upon_creation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def _add_by_user_action(self, node_type: str) -> None:
        node = self.addNode(node_type)
        if node is not None:
            self.nodeAddedByUserAction.emit(node)

    @Slot()
    def removeCurrentNode(self) -> None:
        if self._current is not None:
            self._scene.RemoveNode(self._current)

    @Slot()
    def renameCurrentNode(self) -> None:
        node = self._current
        if node is None:
            return
        title = f"Rename {self.nodeTypeLabel(node.GetClassName())}"
        name = qt.QInputDialog.getText(
            self, title, "New name:", qt.QLineEdit.Normal, node.GetName()
        )
        if name:
            node.SetName(name)
            self.currentNodeRenamed.emit(name)

    @Slot()
    def editCurrentNode(self) -> None:
        if self._current is not None:
            self.nodeAboutToBeEdited.emit(self._current)

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._filter.attributes[node_type] = (name, None if value is None else str(value))
        self._refilter()

    def removeAttribute(self, node_type: str, name: str) -> None:
        if self._filter.attributes.get(node_type, (None,))[0] == name:
            del self._filter.attributes[node_type]
            self._refilter()

    def nodeTypeLabel(self, node_type: str) -> str:
        return type_label(node_type)

    def _set_node_types(self, node_types: list[str]) -> None:
        self._filter.node_types = [node_type for node_type in node_types if node_type]
        self._observe_nodes()
        self._refilter()

    def _base_name(self) -> str:
        return self._base_names.get(next(iter(self._filter.node_types), ""), "")

    def _set_base_name(self, base_name: str) -> None:
        self._base_names.update(dict.fromkeys(self._filter.node_types, base_name))

    currentNodeID = Property(str, _current_node_id, setCurrentNodeID)
    nodeTypes = Property("QStringList", lambda self: self._filter.node_types, _set_node_types)
    hideChildNodeTypes = _filtered("QStringList", "hide_child_node_types")
    showHidden = _filtered(bool, "show_hidden")
    showChildNodeTypes = _filtered(bool, "show_child_node_types")
    baseName = Property(str, _base_name, _set_base_name)
    noneEnabled = stored(bool, "_none_enabled", _fill)
    noneDisplay = stored(str, "_none_display", _fill)
    addEnabled = stored(bool, "_add_enabled", _fill)
    removeEnabled = stored(bool, "_remove_enabled", _fill)
    editEnabled = stored(bool, "_edit_enabled", _fill)
    renameEnabled = stored(bool, "_rename_enabled", _fill)
    selectNodeUponCreation = stored(bool, "_select_upon_creation")
