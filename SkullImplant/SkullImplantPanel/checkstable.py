"""The table of a result's checks: sign, name, value, and a button that goes to the worst place."""

from collections.abc import Callable
from functools import partial
from typing import Any

import qt

from slicer.i18n import tr as _

from .colors import GOOD_COLORS, LOOK_COLORS, grayOf, readableColor
from .results import checkRow
from .widgets import Widgets
from .wrappingtable import fitRows, putText, setColumns

SIGN, NAME, VALUE, SHOW = COLUMNS = range(4)
# Beyond that the table scrolls, so that what follows it is not pushed out of sight.
MOST_ROWS_SEEN = 14


class ChecksTable:
    """What the table shows.

    :param onShow: called with the check whose place is to be shown.
    """

    def __init__(self, ui: Widgets, onShow: Callable[[dict[str, Any]], None]) -> None:
        self.ui = ui
        self._onShow = onShow
        self._isStale = False
        setColumns(ui.checksTable, [""] * len(COLUMNS), [NAME], self._fitRows)

    def show(self, checks: list[dict[str, Any]], isStale: bool = False) -> None:
        """Show checks as ``design.json`` has them, those to be looked at first.

        :param isStale: they tell of something else than what is set or edited now; they are grayed out.
        """
        self._isStale = isStale
        table = self.ui.checksTable
        table.setRowCount(0)  # with the buttons of the checks before
        table.setRowCount(len(checks))
        for row, check in enumerate(sorted(checks, key=lambda check: check["passed"])):
            self._fill(row, check)
        for column in (SIGN, VALUE, SHOW):
            table.resizeColumnToContents(column)
        self._fitRows()

    def _fitRows(self) -> None:
        fitRows(self.ui.checksTable, self.ui.reviewCollapsibleButton, MOST_ROWS_SEEN, withHeader=False)

    def _fill(self, row: int, check: dict[str, Any]) -> None:
        table = self.ui.checksTable
        name, verdict, value, limit, unit, sentence, source = checkRow(check)
        sign, colors = ("✔", GOOD_COLORS) if check["passed"] else ("⚠", LOOK_COLORS)
        tip = _("{sentence} Limit: {limit}; {verdict}.").format(
            sentence=sentence, limit=f"{limit} {unit}".strip(), verdict=verdict)
        if source:
            tip += "\n" + _("The limit is from: {source}").format(source=source)
        for column, text in ((SIGN, sign), (NAME, name.capitalize()), (VALUE, f"{value} {unit}".strip())):
            color = readableColor(self.ui.implantLabel, colors) if column == SIGN else None
            putText(table, row, column, text, tip, grayOf(self.ui.implantLabel) if self._isStale else color)
        if check.get("place_mm"):
            button = qt.QToolButton()
            button.text = _("Show")
            button.toolTip = _("Go to the place of the worst value in all views.")
            button.accessibleName = _("Show the place of: {check}").format(check=name)
            button.autoRaise = True
            button.connect("clicked()", partial(self._onShow, check))
            table.setCellWidget(row, SHOW, button)
