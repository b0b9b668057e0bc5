"""The table of the holes that were found: check box with number, area, where it is, and what to know of it."""

from collections.abc import Callable
from typing import Any

import qt

from slicer.i18n import tr as _

from .colors import LOOK_COLORS, grayOf, readableColor
from .translation import translated
from .widgets import Widgets
from .wrappingtable import fitRows, putText, setColumns

NUMBER, AREA, WHERE = range(3)
MOST_ROWS_SEEN = 8


class HolesTable:
    """What the table shows.

    :param onChecked: called with a hole's number and whether it shall get an implant.
    :param onClicked: called with the hole whose row was clicked.
    """

    def __init__(
        self,
        ui: Widgets,
        onChecked: Callable[[int, bool], None],
        onClicked: Callable[[dict[str, Any]], None],
    ) -> None:
        self.ui = ui
        self._onChecked, self._onClicked = onChecked, onClicked
        self._holes: list[dict[str, Any]] = []
        self._shown: tuple[Any, ...] | None = None
        self._filling = False
        table = ui.holesTable
        setColumns(table, [_("Hole"), _("Area"), _("Where")], [WHERE], self._fitRows)
        table.connect("itemChanged(QTableWidgetItem*)", self._onItemChanged)
        table.connect("cellClicked(int,int)", self._onCellClicked)

    def show(self, holes: list[dict[str, Any]], chosen: set[int], isStale: bool, enabled: bool) -> None:
        """Show holes as ``holes.json`` has them.

        :param chosen: the numbers of those that get an implant.
        :param isStale: they are not what would be found now; they are grayed out.
        :param enabled: they can be chosen.
        """
        state = (holes, chosen, isStale, enabled, self.ui.holesTable.palette.color(qt.QPalette.Base).name())
        if state == self._shown:
            return
        self._shown, self._holes, self._filling = state, holes, True
        try:
            table = self.ui.holesTable
            table.setRowCount(len(holes))
            for row, hole in enumerate(holes):
                self._fill(row, hole, hole["number"] in chosen, isStale, enabled)
            for column in (NUMBER, AREA):
                table.resizeColumnToContents(column)
        finally:
            self._filling = False
        self._fitRows()

    def _fill(self, row: int, hole: dict[str, Any], isChosen: bool, isStale: bool, enabled: bool) -> None:
        remarks = [remarkOf(hole, why) for why in hole["why"]]
        where = "\n".join([whereOf(hole), *(f"⚠ {remark}" for remark in remarks)])
        tip = "\n".join([*(translated(remark) for remark in hole["remarks"]), _("Click to go there in all views.")])
        texts = {NUMBER: str(hole["number"]), AREA: _("{area:.1f} cm²").format(area=hole["area_cm2"]), WHERE: where}
        table, section = self.ui.holesTable, self.ui.skullCollapsibleButton
        for column, text in texts.items():
            color = readableColor(section, LOOK_COLORS) if column == WHERE and remarks else None
            color = grayOf(section) if isStale or not hole["fillable"] else color
            item = putText(table, row, column, text, tip, color)
            if column == NUMBER and hole["fillable"]:
                item.setCheckState(qt.Qt.Checked if isChosen else qt.Qt.Unchecked)
                if enabled:
                    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsUserCheckable)

    def _onItemChanged(self, item: qt.QTableWidgetItem) -> None:
        if self._filling or item.column() != NUMBER or item.row() >= len(self._holes):
            return
        hole = self._holes[item.row()]
        if hole["fillable"]:
            self._shown = None  # what the check box shows is the user's, and not yet that of the parameters
            self._onChecked(hole["number"], item.checkState() == qt.Qt.Checked)

    def _onCellClicked(self, row: int, column: int) -> None:
        if column != NUMBER or not self._holes[row]["fillable"]:
            self._onClicked(self._holes[row])

    def _fitRows(self) -> None:
        fitRows(self.ui.holesTable, self.ui.skullCollapsibleButton, MOST_ROWS_SEEN)


def whereOf(hole: dict[str, Any]) -> str:
    """Return where on the head a hole is, in words."""
    sides = {"left": _("left"), "right": _("right"), "midline": _("midline")}
    parts = {"front": _("front"), "back": _("back"), "top": _("top")}
    side, part = sides[hole["side"]], hole["part"]
    words = _("{side} side").format(side=side) if part == "side" else f"{parts[part]}, {side}"
    return words.capitalize()


def remarkOf(hole: dict[str, Any], why: str) -> str:
    """Return in a few words what to know of a hole; an unknown reason of the library as it is."""
    words = {
        "small": _("too small to be filled unasked") if hole["fillable"] else _("too small; add it to fill it"),
        "low": _("ends at the base or face") if hole["fillable"] else _("too low: base or face"),
        "edge": _("the head's own lower edge"),
        "metal": _("covered by metal"),
        "metal-near": _("metal at its rim"),
        "cut-off": _("cut off by the image's edge"),
        "asked": _("added by your curve"),
        "limited": _("limited by your curve"),
    }
    return words.get(why, why)
