"""The section Skull: what counts as bone, and what that selects in the slices."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import qt
import vtk

import slicer
from slicer.i18n import tr as _

from . import inputs
from .parameters import SkullImplantParameterNode
from .preview import BonePreview, findThreshold
from .runcontrol import RunControl
from .section import Section
from .widgets import Widgets

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# A volume, and when its voxels were changed.
State = tuple[slicer.vtkMRMLScalarVolumeNode, int]


class SkullSection(Section):
    """What the section shows and does, see ``Section``."""

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        super().__init__(ui, logic, control, update)
        self._preview = BonePreview()
        # Whose threshold is shown or being found, and of which state of its voxels.
        self._thresholdOf: State | None = None
        self._automaticHu: float | None = None
        self._hasNone = False  # the volume is not in HU
        self._watched: list[tuple[vtk.vtkObject, int]] = []  # with the observers' tags
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

    def automaticHu(self) -> float | None:
        """Return the automatic threshold of the chosen CT, None where there is none, or none yet."""
        return self._automaticHu

    def forget(self) -> None:
        """Show no preview and follow no volume, until the next update; the preview's button stays as it is."""
        self._watch(None)
        self._preview.hide()

    def _watch(self, node: slicer.vtkMRMLScalarVolumeNode | None) -> None:
        """Notice changes of a volume's voxels: others in their place, or these changed where they are."""
        watched = [] if node is None else [thing for thing in (node, node.GetImageData()) if thing is not None]
        if watched == [thing for thing, _tag in self._watched]:
            return
        for thing, tag in self._watched:
            thing.RemoveObserver(tag)
        modified = vtk.vtkCommand.ModifiedEvent
        self._watched = [(thing, thing.AddObserver(modified, self._onModified)) for thing in watched]

    def _onModified(self, caller: Any, event: Any) -> None:
        # An effect changes voxels many times in one turn of the event loop.
        qt.QTimer.singleShot(0, self._afterModified)

    def _afterModified(self) -> None:
        parameters = self.parameters
        if parameters is not None and self._watched and _stateOf(parameters.inputVolume) != self._thresholdOf:
            self._update()

    def _updateAutomaticThreshold(self, parameters: SkullImplantParameterNode) -> None:
        """Find the automatic threshold of a volume's voxels once, and let the slider show it."""
        node = parameters.inputVolume
        self._watch(node)
        state = _stateOf(node)
        if state != self._thresholdOf:
            self._thresholdOf, self._automaticHu, self._hasNone = state, None, False
            if state is not None:
                findThreshold(node, lambda hu: self._onThreshold(state, hu))
        text = _("Automatic")
        if self._automaticHu is not None:
            text = _("Automatic ({hu:.0f} HU)").format(hu=self._automaticHu)
            if parameters.automaticThreshold and parameters.boneThresholdHu != self._automaticHu:
                parameters.boneThresholdHu = self._automaticHu
        elif self._hasNone:
            text = _("Automatic: not in HU")
        self.ui.automaticThresholdCheckBox.text = text
        self.ui.automaticThresholdCheckBox.accessibleName = _("Bone threshold: {how}").format(how=text)

    def _onThreshold(self, state: State, thresholdHu: float | None) -> None:
        if state == self._thresholdOf and self.parameters is not None:
            self._hasNone = thresholdHu is None
            self._automaticHu = None if thresholdHu is None else float(round(min(max(thresholdHu, 0), 2000)))
            self._update()

    def _updatePreview(self) -> None:
        parameters = self.parameters
        if parameters is not None and self.ui.previewButton.checked and parameters.inputVolume:
            self._preview.show(parameters.inputVolume, parameters.boneThresholdHu)
        else:
            self._preview.hide()


def _stateOf(node: slicer.vtkMRMLScalarVolumeNode | None) -> State | None:
    """Return the state of a volume that may have an automatic threshold; None of all others."""
    if node is None or node.IsA("vtkMRMLLabelMapVolumeNode") or inputs.nodeProblem(node) is not None:
        return None
    return node, node.GetImageData().GetMTime()
