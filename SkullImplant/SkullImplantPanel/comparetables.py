"""The tables of the section Compare: two results side by side, and all results of a CT."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import qt

import slicer
from slicer.i18n import tr as _

from .checkstable import MOST_ROWS_SEEN
from .results import ResultNodes, designOf, inputNameOfResult
from .widgets import Widgets
from .wrapping import breakable
from .wrappingtable import fitRows, putText, setColumns

if TYPE_CHECKING:
    from SkullImplantLib.evaluation.design_table import Row

SIGN, NAME, FIRST, OTHER = PAIR_COLUMNS = range(4)
RESULT, ERROR, CHECKS, USE = RESULT_COLUMNS = range(4)
DIFFERS = "≠"
# Of the widest letters, in a third of the panel.
COLUMN_PIECE = 6
# Told also where both are alike.
ALWAYS = ("expected error", "checks passed", "area", "volume", "mean thickness", "follows")


def labelOf(segmentation: slicer.vtkMRMLSegmentationNode) -> str:
    """Return what a result is called among those of its own CT: its name without that of the CT."""
    name, source = segmentation.GetName(), inputNameOfResult(segmentation)
    return str(name.replace(_(" of {name}").format(name=source), "")) or str(name)


class PairTable:
    """The result under review and another one, side by side."""

    def __init__(self, ui: Widgets) -> None:
        self.ui = ui
        setColumns(ui.comparedTable, [""] * len(PAIR_COLUMNS), [NAME, FIRST, OTHER], self._fitRows)

    def show(self, rows: "Sequence[Row]", names: Sequence[str]) -> None:
        """Show what differs, and what is always told; the rest is one sentence."""
        from SkullImplantLib.evaluation.design_table import CHECKED, MADE

        told = [row for row in rows if row.differs or (row.name in ALWAYS and row.group != CHECKED)]
        table = self.ui.comparedTable
        table.setRowCount(len(told) + 1)
        self._fill(0, "", ("", *names), _("What was compared"), isBold=True)
        for number, row in enumerate(told, 1):
            tip = _("{name}: the two differ.") if row.differs else _("{name}: alike.")
            self._fill(number, DIFFERS if row.differs else "", (row.name.capitalize(), *row.values),
                       tip.format(name=row.name.capitalize()), isBold=row.differs)
        table.resizeColumnToContents(SIGN)
        alike = [f"{row.name} {row.values[0]}" for row in rows if row not in told and row.group == MADE]
        self.ui.alikeLabel.text = breakable(_("Made alike: {what}.").format(what="; ".join(alike)))
        self.ui.alikeLabel.visible = bool(alike)
        self._fitRows()

    def _fill(self, row: int, sign: str, texts: Sequence[str], tip: str, isBold: bool) -> None:
        for column, text in zip(PAIR_COLUMNS, (sign, *texts)):
            _put(self.ui.comparedTable, row, column, breakable(text, COLUMN_PIECE), tip, isBold)

    def _fitRows(self) -> None:
        fitRows(self.ui.comparedTable, self.ui.compareCollapsibleButton, MOST_ROWS_SEEN, withHeader=False)


class ResultsTable:
    """All results of a CT, what may be off first; one of them can be put under review.

    :param onUse: called with the segmentation of a result that is to come under review.
    """

    def __init__(self, ui: Widgets, onUse: Callable[[slicer.vtkMRMLSegmentationNode], None]) -> None:
        self.ui = ui
        self._onUse = onUse
        self._shown: object = None
        setColumns(ui.proposalsTable, [""] * len(RESULT_COLUMNS), [RESULT], self._fitRows)

    def show(self, results: Sequence[ResultNodes], reviewed: ResultNodes) -> None:
        """Show results; the one under review says so."""
        from SkullImplantLib.evaluation.design_table import checks_passed, expected_error, follows

        state = [(nodes.segmentation.GetID(), nodes.segmentation.GetName(), nodes.design.GetText())
                 for nodes in results], reviewed.segmentation.GetID()
        if state == self._shown:
            return
        self._shown = state
        table = self.ui.proposalsTable
        table.setRowCount(0)  # with the buttons of the results before
        table.setRowCount(len(results) + 1)
        titles = (_("Result"), _("Error"), _("Checks"), "")
        for column, title in zip(RESULT_COLUMNS, titles):
            _put(table, 0, column, title, _("The error that is expected, and checks passed"), True)
        for row, nodes in enumerate(results, 1):
            told, isReviewed = designOf(nodes), nodes.segmentation is reviewed.segmentation
            label = labelOf(nodes.segmentation)
            name = _("{name} (under review)").format(name=label) if isReviewed else label
            tip = _("Follows {what}.").format(what=follows(told))
            for column, text in zip(RESULT_COLUMNS, (name, expected_error(told), checks_passed(told), "")):
                _put(table, row, column, breakable(text), tip, isReviewed)
            if not isReviewed:
                button = qt.QToolButton()
                button.text = _("Use")
                button.toolTip = _("Put this result under review.")
                button.accessibleName = _("Use: {name}").format(name=label)
                button.autoRaise = True
                button.connect("clicked()", partial(self._onUse, nodes.segmentation))
                table.setCellWidget(row, USE, button)
        for column in (ERROR, CHECKS, USE):
            table.resizeColumnToContents(column)
        self._fitRows()

    def _fitRows(self) -> None:
        fitRows(self.ui.proposalsTable, self.ui.compareCollapsibleButton, MOST_ROWS_SEEN, withHeader=False)


def _put(table: qt.QTableWidget, row: int, column: int, text: str, tip: str, isBold: bool) -> None:
    item = putText(table, row, column, text, tip)
    font = item.font()
    font.setBold(isBold)
    item.setFont(font)
