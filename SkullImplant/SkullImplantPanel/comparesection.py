"""The section Compare: the result under review held against the head's other side and other designs."""

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.errors import SkullImplantError

from . import pytorch, review
from .comparetables import PairTable, ResultsTable, labelOf
from .designdistance import DesignDistance
from .mirroredside import factsOfMirror, mirrorInWords, startMirror
from .overlay import MIRROR_COLOR, OTHER_COLOR, Overlay
from .parameters import SkullImplantParameterNode
from .proposals import EVEN, MIRROR, NETWORK, Proposal, ProposalRuns, followProposal, proposals, removable
from .remedies import sentenceOf
from .resultfiles import IMPLANT
from .results import ResultNodes, allResults, designOf, inputOfResult, nodesOfResult, removeResults
from .run import Outcome
from .runcontrol import RunControl
from .section import Section
from .widgets import Widgets
from .wrapping import breakable, shortened

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


class CompareSection(Section):
    """What the section shows and does, see ``Section``."""

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        super().__init__(ui, logic, control, update)
        self._overlay = Overlay()
        self._distance = DesignDistance(update)
        self._pair = PairTable(ui)
        # Later, as the table is made anew, and the button that was clicked with it.
        self._results = ResultsTable(ui, lambda segmentation: self._later(lambda: self.onUse(segmentation)))
        self._runs = ProposalRuns(logic, control.begin, self._later, self._onProposalsEnded)
        self._asked: set[str] = set()  # results whose other side could not be shown, by id
        self._shown: object = None
        self._proposalsText = ""
        # What was hidden while the section was closed is not shown by opening it.
        ui.compareCollapsibleButton.connect("contentsCollapsed(bool)", lambda collapsed: self._later(update))
        ui.mirrorCheckBox.connect("clicked(bool)", self.onMirrorClicked)
        ui.comparedComboBox.connect("activated(int)", self.onCompared)
        ui.useOtherButton.connect("clicked()", self.onUseOther)
        ui.proposalsButton.connect("clicked()", self.onProposals)

    def update(self, parameters: SkullImplantParameterNode) -> None:
        """Show what the parameters and the scene say."""
        reviewed = nodesOfResult(parameters.resultSegmentation)
        if reviewed is not None and review.isOfAnother(parameters):
            reviewed = None  # of another patient, perhaps
        others = [] if reviewed is None else _othersOf(reviewed)
        other = nodesOfResult(parameters.comparedSegmentation)
        if parameters.comparedSegmentation is not None and (
                other is None or other.segmentation not in [one.segmentation for one in others]):
            parameters.comparedSegmentation = other = None
        self._showMirror(parameters, reviewed)
        self._showOther(parameters, reviewed, other, others)
        self._showProposals(parameters, reviewed, others)
        opacity = parameters.mirrorOpacity if parameters.showMirror else None
        self._overlay.show(reviewed, other, opacity)

    def forget(self) -> None:
        """The scene is closed, or the panel."""
        self._distance.forget()
        self._runs.forget()
        self._overlay.forget()
        self._asked, self._shown, self._proposalsText = set(), None, ""

    # The other side of the head

    def onMirrorClicked(self, checked: bool) -> None:
        """Show the other side, which is asked for where nobody has yet."""
        self._asked = set()
        self._update()

    def _showMirror(self, parameters: SkullImplantParameterNode, reviewed: ResultNodes | None) -> None:
        ui, facts = self.ui, None if reviewed is None else factsOfMirror(reviewed)
        shown = parameters.showMirror and reviewed is not None
        ui.mirrorCheckBox.enabled = reviewed is not None and (facts is not None or not self.control.running)
        ui.mirrorOpacityLabel.visible = ui.mirrorOpacitySlider.visible = bool(shown and facts and facts["triangles"])
        ui.mirrorLabel.visible = bool(shown and facts)
        if shown and facts:
            lines = [escape(breakable(sentence)) for sentence in mirrorInWords(facts)]
            if facts["triangles"]:
                legend = _("{swatch} Green: the other side. {implant} Orange: the implant.")
                lines.insert(0, legend.format(swatch=_swatch(MIRROR_COLOR), implant=_swatch(IMPLANT.color)))
            ui.mirrorLabel.text = "<br>".join(lines)
        elif shown and reviewed is not None and reviewed.segmentation.GetID() not in self._asked:
            self._later(self._askForMirror)

    def _askForMirror(self) -> None:
        parameters = self.parameters
        nodes = None if parameters is None else nodesOfResult(parameters.resultSegmentation)
        if parameters is None or nodes is None or not parameters.showMirror or self.control.running:
            return
        if factsOfMirror(nodes) is not None or nodes.segmentation.GetID() in self._asked:
            return
        self._asked.add(nodes.segmentation.GetID())

        def ended(outcome: Outcome) -> str:
            if outcome.state != "done" and self.parameters is not None:
                self.parameters.showMirror = False
            return _("The other side was brought onto the bone around the hole.")

        self.control.begin(
            _("Looking at the other side"),
            lambda onFinished, onProgress: startMirror(self.logic, nodes, onFinished, onProgress),
            ended)

    # Another result

    def onCompared(self, index: int) -> None:
        """Another result was chosen, or none."""
        if self.parameters is not None:
            nodeId = self.ui.comparedComboBox.itemData(index)
            self.parameters.comparedSegmentation = slicer.mrmlScene.GetNodeByID(nodeId) if nodeId else None

    def onUseOther(self) -> None:
        """Put the other result under review."""
        if self.parameters is not None and self.parameters.comparedSegmentation is not None:
            self.onUse(self.parameters.comparedSegmentation)

    def onUse(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        """Put a result under review, and what was there before beside it; other proposals go if they may."""
        parameters, nodes = self.parameters, nodesOfResult(segmentation)
        if parameters is None or nodes is None or self._runs.running:
            return
        before = parameters.resultSegmentation
        followProposal(parameters, nodes)
        parameters.comparedSegmentation = None
        parameters.resultSegmentation = segmentation
        parameters.comparedSegmentation = before
        self._update()
        others = [] if parameters.keepResults else removable(segmentation)
        if others and slicer.util.confirmOkCancelDisplay(
                _("{name} is under review now. Remove the other {count} proposals? They stay if you cancel, or tick "
                  "'Keep earlier results'.").format(name=labelOf(segmentation), count=len(others)),
                _("Remove the other proposals?")):
            for one in others:
                removeResults(one)
            self._update()

    def _showOther(
        self,
        parameters: SkullImplantParameterNode,
        reviewed: ResultNodes | None,
        other: ResultNodes | None,
        others: list[ResultNodes],
    ) -> None:
        ui, box = self.ui, self.ui.comparedComboBox
        ui.comparedLabel.visible = box.visible = bool(others)
        entries = [(_("Nothing"), "")] + [(labelOf(one.segmentation), one.segmentation.GetID()) for one in others]
        if [(box.itemData(k, qt.Qt.ToolTipRole), box.itemData(k)) for k in range(box.count)] != entries:
            box.clear()
            for text, nodeId in entries:
                box.addItem(shortened(text), nodeId)
                box.setItemData(box.count - 1, text, qt.Qt.ToolTipRole)
        box.currentIndex = max(0 if other is None else box.findData(other.segmentation.GetID()), 0)
        for widget in (ui.comparedTable, ui.comparedTextLabel, ui.useOtherButton):
            widget.visible = other is not None
        ui.useOtherButton.enabled = not self.control.running
        if reviewed is None or other is None:
            ui.alikeLabel.visible = False
            self._distance.forget()
            self._shown = None
            return
        ui.comparedTextLabel.text = self._apartInWords(reviewed, other)
        state = (reviewed.design.GetText(), other.design.GetText(), reviewed.segmentation.GetName(),
                 other.segmentation.GetName())
        if state != self._shown:
            from SkullImplantLib.evaluation.design_table import design_table

            self._shown = state
            names = [labelOf(nodes.segmentation) for nodes in (reviewed, other)]
            self._pair.show(design_table([designOf(reviewed), designOf(other)]), names)

    def _apartInWords(self, reviewed: ResultNodes, other: ResultNodes) -> str:
        legend = _("{swatch} Blue: {name}. {implant} Orange: the one under review. 3D shows which stands out.").format(
            swatch=_swatch(OTHER_COLOR), name=escape(breakable(labelOf(other.segmentation))),
            implant=_swatch(IMPLANT.color))
        apart = self._distance.of(reviewed, other)
        if apart is None:
            text = _("Measuring how far they lie apart…")
        elif isinstance(apart, str):
            text = apart
        else:
            text = _("Their outer faces lie {outer:.1f} mm apart on average, 95 % of them under {outer95:.1f} mm, at "
                     "most {most:.1f} mm; 95 % of all their surfaces under {all95:.1f} mm. Dice {dice:.2f}.").format(
                outer=apart["outer_mean_mm"], outer95=apart["outer95_mm"], most=apart["outer_most_mm"],
                all95=apart["surface95_mm"], dice=apart["dice"])
        return f"{legend}<br>{escape(breakable(text))}"

    # Proposals

    def onProposals(self) -> None:
        """Make the chosen proposals, or cancel what is being made."""
        parameters = self.parameters
        if self._runs.running:
            self.control.cancel()
            return
        if parameters is None or self.control.running:
            return
        chosen, problems = self._chosen(parameters), []
        # Asked before long work, with consent; without it the others are made.
        if any(one.kind == NETWORK for one in chosen) and pytorch.torchProblem() is not None:
            problem = pytorch.ensureTorch()
            if self.parameters is not parameters or self.control.running:  # events were handled meanwhile
                return
            if problem:
                problems = [problem]
                chosen = [one for one in chosen if one.kind != NETWORK]
        self._proposalsText = ""
        try:
            self._runs.start(parameters, chosen, problems)
        except (SkullImplantError, ValueError) as error:
            self._proposalsText = sentenceOf(error)
        self._update()

    @staticmethod
    def _chosen(parameters: SkullImplantParameterNode) -> list[Proposal]:
        wanted = {MIRROR: parameters.proposeMirror, EVEN: parameters.proposeEven, NETWORK: parameters.proposeNetwork}
        return [one for one in proposals(parameters) if wanted[one.kind]]

    def _onProposalsEnded(self) -> None:
        runs = self._runs
        texts = [_("{count} proposals were made.").format(count=len(runs.made))]
        if len(runs.made) == 1:
            texts = [_("1 proposal was made.")]
        if runs.isCancelled:
            texts.append(_("Cancelled; what was made stays."))
        self._proposalsText = " ".join([*texts, *runs.failures])
        parameters = self.parameters
        if parameters is not None and runs.made:
            if parameters.resultSegmentation is None:
                parameters.resultSegmentation = runs.made[0]
            elif parameters.comparedSegmentation is None:
                parameters.comparedSegmentation = runs.made[0]
        self._update()

    def _showProposals(
        self, parameters: SkullImplantParameterNode, reviewed: ResultNodes | None, others: list[ResultNodes]
    ) -> None:
        ui, offered = self.ui, {one.kind: one for one in proposals(parameters)}
        boxes = {MIRROR: ui.mirrorProposalCheckBox, EVEN: ui.evenProposalCheckBox, NETWORK: ui.networkProposalCheckBox}
        for kind, box in boxes.items():
            box.visible = kind in offered
            box.enabled = not self._runs.running
        if EVEN in offered:
            thicknessMm = offered[EVEN].changes["thicknessMm"]
            ui.evenProposalCheckBox.text = (
                _("One thickness: {mm:g} mm").format(mm=thicknessMm) if thicknessMm else _("As thick as the bone"))
        button, problem = ui.proposalsButton, self.logic.designProblem(parameters)
        if self._runs.running:
            self._showCancel(button, _("Stop; the proposals that are made stay."))
        else:
            tip = _("Make each of the chosen designs, one after the other, beside this one.")
            isFree = not self.control.running and bool(self._chosen(parameters))
            self._showBegin(button, _("Make proposals"), tip, problem, isFree)
        ui.proposalsTextLabel.text = breakable(self._proposalsText)
        ui.proposalsTextLabel.visible = bool(self._proposalsText)
        ui.proposalsTable.visible = bool(others)
        if reviewed is not None and others:
            self._results.show([reviewed, *others], reviewed)

    @staticmethod
    def _later(call: Callable[[], Any]) -> None:
        qt.QTimer.singleShot(0, call)


def _othersOf(reviewed: ResultNodes) -> list[ResultNodes]:
    """Return the other whole results of the same input."""
    source = inputOfResult(reviewed.segmentation)
    results = [nodesOfResult(one) for one in allResults()
               if one is not reviewed.segmentation and inputOfResult(one) is source and source is not None]
    return [nodes for nodes in results if nodes is not None]


def _swatch(color: tuple[float, float, float]) -> str:
    red, green, blue = (round(255 * part) for part in color)
    return f'<font color="#{red:02x}{green:02x}{blue:02x}">■</font>'
