"""The box *Color by*: which map colors the implant's surface, and what is under the mouse."""

from html import escape

import slicer
from slicer.i18n import tr as _

from .colors import grayOf
from .parameters import SkullImplantParameterNode
from .results import ResultNodes, designOf
from .surfacemaps import GAP, MAPS, NONE, STEP, THICKNESS, UNCERTAINTY, hasMap, paint, unpaint
from .undermouse import UnderMouse
from .widgets import Widgets

LINES = 2  # of the values under the mouse: room that is kept for them


class ColorBy:
    """What the box shows and does; ``parameters`` are those of the scene, None while there are none."""

    def __init__(self, ui: Widgets) -> None:
        self.ui = ui
        self.parameters: SkullImplantParameterNode | None = None
        self._painted: tuple[object, ...] = ()
        self._models: tuple[slicer.vtkMRMLModelNode, ...] = ()
        self._isStale = False
        self._mouse = UnderMouse(self._showValues)
        for text, name in ((_("None"), NONE), (_("Gap to the bone"), GAP), (_("Step at the rim"), STEP),
                           (_("Thickness"), THICKNESS), (_("Uncertainty"), UNCERTAINTY)):
            ui.colorByComboBox.addItem(text, name)
        ui.colorByComboBox.connect("activated(int)", self._onChosen)
        ui.underMouseLabel.setMinimumHeight(LINES * ui.underMouseLabel.fontMetrics().lineSpacing())

    def update(self, parameters: SkullImplantParameterNode, nodes: ResultNodes | None, isStale: bool) -> None:
        """Color the surfaces of a result as the parameters say, and those of no other.

        :param isStale: the result tells of something else than what is set or edited now.
        """
        self.parameters, self._isStale = parameters, isStale
        ui = self.ui
        index = max(ui.colorByComboBox.findData(parameters.colorBy), 0)
        ui.colorByComboBox.currentIndex = index
        known = [] if nodes is None else [each for each in MAPS if hasMap(nodes, each)]
        ui.colorByComboBox.enabled = bool(known)
        chosen = next((each for each in known if each.name == parameters.colorBy), None)
        note = "" if nodes is None else self._note(nodes, parameters.colorBy, bool(known), chosen is None)
        ui.colorNoteLabel.text = note
        ui.colorNoteLabel.visible = bool(note)
        ui.underMouseLabel.visible = bool(known)
        self._mouse.follow(nodes if known else None)
        models = () if nodes is None else nodes.models
        state = (chosen, *((model.GetID(), model.GetPolyData()) for model in models))
        if state == self._painted:
            return
        unpaint(tuple(model for model in self._models if model not in models or chosen is None))
        self._painted, self._models = state, models
        if nodes is not None and chosen is not None:
            paint(nodes, chosen)
        else:
            unpaint(models)

    def forget(self) -> None:
        """The panel is left, or the scene closed: nothing is told of what is under the mouse."""
        self._mouse.follow(None)
        self._painted, self._models = (), ()

    @staticmethod
    def _note(nodes: ResultNodes, name: str, isKnown: bool, isMissing: bool) -> str:
        if not isKnown:
            return _("This result was made by an earlier version, without values to color it by; generate the "
                     "implant again.")
        if name == NONE:
            return ""
        if isMissing:
            if designOf(nodes).get("edited"):
                return _("How unsure an implant is that was edited or fitted again is not known.")
            return _("How unsure this implant is, place by place, is not known for the way its skull was completed.")
        return {
            GAP: _("From the rim to the bone opposite; gray elsewhere."),
            STEP: _("How far outer and inner face stand out of the bone's beside them, positive outward; gray "
                    "elsewhere."),
            THICKNESS: _("Through the implant, straight in."),
            UNCERTAINTY: _("How far the surface may be off: about three in four places are nearer to the truth."),
        }[name]

    def _onChosen(self, index: int) -> None:
        if self.parameters is not None:
            self.parameters.colorBy = self.ui.colorByComboBox.itemData(index)

    def _showValues(self, text: str) -> None:
        label = self.ui.underMouseLabel
        label.text = f'<font color="{grayOf(label)}">{escape(text)}</font>' if text and self._isStale else text
