"""The module selector of the main window: the user chooses whose panel is shown."""

from typing import Any

from PySide6.QtCore import Property, Signal, Slot

from .pythonqt import install_qt
from .real_api import stands_for_real

qt = install_qt()


@stands_for_real
class qSlicerModuleSelectorToolBar(qt.QToolBar):
    """Lists the modules that have a panel and are not hidden, by title."""

    _manager: Any = None
    _box: qt.QComboBox
    _selected = ""

    moduleSelected = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__("Module Selection", *([] if parent is None else [parent]))
        self._box = qt.QComboBox()
        self._box.setSizePolicy(qt.QSizePolicy.Expanding, qt.QSizePolicy.Fixed)
        self.addWidget(qt.QLabel("Modules: "))
        self.addWidget(self._box)
        self._box.connect("activated(int)", self._on_activated)

    def setModuleManager(self, manager: Any) -> None:
        """List the modules of this manager from now on; None: of none."""
        changes = (
            ("moduleLoaded(QString)", self._fill),
            ("moduleAboutToBeUnloaded(QString)", self._on_about_to_be_unloaded),
        )
        for signal, slot in changes:
            if self._manager is not None:
                self._manager.disconnect(signal, slot)
            if manager is not None:
                manager.connect(signal, slot)
        self._manager = manager
        self._fill()

    def _fill(self, _loaded: str = "", leaving: str = "") -> None:
        manager = self._manager
        names = set() if manager is None else set(manager.modulesNames()) - {leaving}
        modules = [manager.module(name) for name in names if _has_panel(manager.module(name))]
        self._box.clear()
        for module in sorted(modules, key=lambda module: module.title):
            self._box.addItem(module.title, module.name)
        self._box.currentIndex = self._box.findData(self._selected)

    def _on_about_to_be_unloaded(self, name: str) -> None:
        if name == self._selected:
            self.selectModule("")
        self._fill(leaving=name)

    def _on_activated(self, index: int) -> None:
        self.selectModule(self._box.itemData(index))

    @Slot(str)
    def selectModule(self, name: str) -> None:
        """Select a module by its name; "" selects none."""
        index = self._box.findData(name)
        if name and index < 0:
            # The application would do nothing.
            raise ValueError(f"There is no module {name} to select, or it has no panel")
        self._box.currentIndex = index
        if name != self._selected:
            self._selected = name
            self.moduleSelected.emit(name)

    selectedModule = Property(str, lambda self: self._selected, selectModule)


def _has_panel(module: Any) -> bool:
    # Core modules have none here.
    return getattr(module, "widgetRepresentationCreationEnabled", False) and not module.hidden
