"""The section Patient: the CT that is chosen, and the sample patient where there is none."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

from .parameters import SkullImplantParameterNode
from .run import Outcome
from .runcontrol import RunControl
from .section import Section
from .widgets import Widgets

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


class PatientSection(Section):
    """What the section shows and does, see ``Section``."""

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        super().__init__(ui, logic, control, update)
        ui.sampleButton.connect("clicked()", self.onSample)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui, node = self.ui, parameters.inputVolume
        empty = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is None
        ui.sampleHintLabel.visible = ui.sampleButton.visible = empty
        ui.sampleButton.enabled = not self.control.running
        ui.volumeInfoLabel.visible = node is not None
        if node is not None and node.GetImageData() is not None:
            size = " × ".join(str(n) for n in node.GetImageData().GetDimensions())
            spacing = " × ".join(f"{s:.2f}" for s in node.GetSpacing())
            ui.volumeInfoLabel.text = _("{size} voxels of {spacing} mm").format(size=size, spacing=spacing)
        else:
            ui.volumeInfoLabel.text = _("This volume holds no image.")

    def chooseFirst(self) -> None:
        """Choose the first volume of the scene, where none is chosen."""
        if self.parameters is not None and not self.parameters.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first is not None:
                self.parameters.inputVolume = first

    def onSample(self) -> None:
        """Make the sample patient, and choose it."""
        self.control.begin(_("Making the sample patient"), self.logic.startSample, self._onMade)

    def _onMade(self, outcome: Outcome) -> str:
        if outcome.state == "done" and self.parameters is not None:
            self.parameters.inputVolume = outcome.value
        return _("The sample patient is loaded.")
