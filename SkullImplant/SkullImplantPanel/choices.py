"""The boxes from which a design's model, smoother and device, and that of a search for organs, are chosen."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.options import FIELD, REARRANGEMENT

from .parameters import SkullImplantParameterNode
from .remedies import sentenceOf
from .run import Outcome
from .widgets import Widgets
from .wrapping import shortened

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# Beside shipped models; asks for a file.
OTHER_MODEL = "…"


class Choices:
    """What the boxes offer, and what follows from a choice.

    :param ui: the panel's widgets.
    :param logic: a ``SkullImplantLogic``, which finds the devices.
    :param update: called when the panel is to be brought in line with a choice or with what was found.
    :param showError: called with an ``Outcome`` where devices cannot be looked for.
    """

    def __init__(
        self,
        ui: Widgets,
        logic: "SkullImplantLogic",
        update: Callable[[], None],
        showError: Callable[[Outcome | None], None],
    ) -> None:
        self.ui = ui
        self.logic = logic
        self._update = update
        self._showError = showError
        self._parameters: SkullImplantParameterNode | None = None
        self._devices: dict[str, Any] | None = None
        self._lookedForDevices = False
        self._deviceBoxes = (ui.deviceComboBox, ui.organsDeviceComboBox)  # one choice, shown where it is needed
        self._fillModels()
        self._fillDevices()
        ui.smootherComboBox.addItem(_("Depth field"), FIELD)
        ui.smootherComboBox.addItem(_("Voxel rearrangement"), REARRANGEMENT)
        ui.modelComboBox.connect("activated(int)", self._onModelChosen)
        ui.smootherComboBox.connect("activated(int)", self._onSmootherChosen)
        for box in self._deviceBoxes:
            box.connect("activated(int)", self._onDeviceChosen)
        for button in (ui.advancedCollapsibleButton, ui.organsCollapsibleButton):
            button.connect("contentsCollapsed(bool)", self._onAdvancedCollapsed)

    def show(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters say; choices go into them from now on."""
        self._parameters = parameters
        ui = self.ui
        index = ui.modelComboBox.findData(parameters.model)
        if index < 0:  # a weight file
            index = ui.modelComboBox.count - 1
            ui.modelComboBox.insertItem(index, shortened(Path(parameters.model).name), parameters.model)
            ui.modelComboBox.setItemData(index, parameters.model, qt.Qt.ToolTipRole)
        ui.modelComboBox.currentIndex = index
        ui.smootherComboBox.currentIndex = max(ui.smootherComboBox.findData(parameters.smoother), 0)
        # A scene from another computer may ask for a GPU that this one does not have.
        for box in self._deviceBoxes:
            box.currentIndex = max(box.findData(parameters.device), 0)

    @property
    def devices(self) -> dict[str, Any] | None:
        """What was found to run on, None where it was not looked for."""
        return self._devices

    def _fillModels(self) -> None:
        from SkullImplantLib import models

        box = self.ui.modelComboBox
        box.clear()
        automatic = models.chosen_model(models.AUTO)
        box.addItem(_("Automatic ({model})").format(model=automatic), models.AUTO)
        for name in (models.PRIOR, *models.shipped_models()):
            note = _("geometric") if name == models.PRIOR else _("sparse network")
            box.addItem(f"{name} ({note})", name)
        box.addItem(_("Weight file…"), OTHER_MODEL)

    def _onModelChosen(self, index: int) -> None:
        """A model was chosen; the last entry asks for a weight file."""
        model = self.ui.modelComboBox.itemData(index)
        if model == OTHER_MODEL:
            model = qt.QFileDialog.getOpenFileName(
                slicer.util.mainWindow(), _("Choose a weight file"), "", _("Weights (*.npz)"))
            # Qt returns a pair in some of its Python wrappings.
            model = model if isinstance(model, str) else model[0]
        if model and self._parameters is not None:
            self._parameters.model = str(model)
        self._update()

    def _onSmootherChosen(self, index: int) -> None:
        if self._parameters is not None:
            self._parameters.smoother = self.ui.smootherComboBox.itemData(index)

    def _fillDevices(self) -> None:
        """Offer what was found; until then only what is always there."""
        for box in self._deviceBoxes:
            box.clear()
        found = {device["id"]: device for device in (self._devices or {}).get("devices", [])}
        gpu = found.get("cuda")
        best = gpu["name"] if gpu else _("CPU")
        self._addDevice(_("Automatic: {device}").format(device=best) if found else _("Automatic"), "auto")
        threads = _("{count} threads").format(count=found["cpu"]["threads"]) if "cpu" in found else ""
        self._addDevice(_("CPU") + (f" ({threads})" if threads else ""), "cpu")
        if gpu:
            self._addDevice(
                _("GPU: {name} ({memory:.0f} GiB)").format(name=gpu["name"], memory=gpu["memory_gib"]), "cuda")

    def _addDevice(self, text: str, device: str) -> None:
        for box in self._deviceBoxes:
            box.addItem(shortened(text), device)
            box.setItemData(box.count - 1, text, qt.Qt.ToolTipRole)

    def _onAdvancedCollapsed(self, collapsed: bool) -> None:
        if not collapsed:
            self._lookForDevices()

    def _lookForDevices(self) -> None:
        """Find once what a network can run on, when somebody wants to know: it takes a process."""
        from SkullImplantLib.errors import SkullImplantError

        if self._lookedForDevices:
            return
        self._lookedForDevices = True
        try:
            self.logic.findDevices(self._onDevices)
        except (SkullImplantError, RuntimeError) as error:  # also where no thread can be started
            self._showError(Outcome("failed", sentenceOf(error)))

    def _onDevices(self, devices: dict[str, Any] | None) -> None:
        self._devices = devices
        self._fillDevices()
        self._update()

    def _onDeviceChosen(self, index: int) -> None:
        if self._parameters is not None:
            self._parameters.device = self.ui.deviceComboBox.itemData(index)
