"""The section Skull: what counts as bone, and what that selects in the slices."""

from collections.abc import Callable

import slicer
from slicer.i18n import tr as _

from . import inputs
from .parameters import SkullImplantParameterNode
from .preview import BonePreview, findThreshold
from .widgets import Widgets


class SkullSection:
    """What the section shows and does; ``parameters`` are those of the scene, None while there are none.

    :param update: called when the panel is to be brought in line with a threshold that was found.
    """

    def __init__(self, ui: Widgets, update: Callable[[], None]) -> None:
        self.ui = ui
        self.parameters: SkullImplantParameterNode | None = None
        self._update = update
        self._preview = BonePreview()
        self._thresholdOf: slicer.vtkMRMLScalarVolumeNode | None = None  # whose threshold is shown or being found
        self._automaticHu: float | None = None
        ui.previewButton.connect("toggled(bool)", lambda on: self._updatePreview())

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        ui = self.ui
        volume = parameters.inputVolume
        isMask = volume is not None and volume.IsA("vtkMRMLLabelMapVolumeNode")
        fromCt = not parameters.skullIsSegmentation and not isMask
        ui.skullSegmentationSelector.enabled = ui.skullSegmentationLabel.enabled = parameters.skullIsSegmentation
        ui.automaticThresholdCheckBox.enabled = fromCt
        ui.thresholdLabel.enabled = fromCt
        ui.boneThresholdSlider.enabled = fromCt and not parameters.automaticThreshold
        ui.previewButton.enabled = fromCt and parameters.inputVolume is not None
        if not ui.previewButton.enabled:
            ui.previewButton.checked = False
        self._updateAutomaticThreshold(parameters)
        self._updatePreview()

    def hidePreview(self) -> None:
        """Take the preview out of the scene; its button stays as it is."""
        self._preview.hide()

    def _updateAutomaticThreshold(self, parameters: SkullImplantParameterNode) -> None:
        """Find the automatic threshold of a volume once, and let the slider show it."""
        node = parameters.inputVolume
        if node is not self._thresholdOf:
            self._thresholdOf = self._automaticHu = None
            isCt = node is not None and not node.IsA("vtkMRMLLabelMapVolumeNode")
            if isCt and inputs.nodeProblem(node) is None:
                self._thresholdOf = node
                findThreshold(node, lambda hu: self._onThreshold(node, hu))
        text = _("Automatic")
        if self._automaticHu is not None:
            text = _("Automatic ({hu:.0f} HU)").format(hu=self._automaticHu)
            if parameters.automaticThreshold and parameters.boneThresholdHu != self._automaticHu:
                parameters.boneThresholdHu = self._automaticHu
        self.ui.automaticThresholdCheckBox.text = text

    def _onThreshold(self, node: slicer.vtkMRMLScalarVolumeNode, thresholdHu: float | None) -> None:
        if node is self._thresholdOf and self.parameters is not None:
            self._automaticHu = None if thresholdHu is None else float(round(min(max(thresholdHu, 0), 2000)))
            self._update()

    def _updatePreview(self) -> None:
        parameters = self.parameters
        if parameters is not None and self.ui.previewButton.checked and parameters.inputVolume:
            self._preview.show(parameters.inputVolume, parameters.boneThresholdHu)
        else:
            self._preview.hide()
