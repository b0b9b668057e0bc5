"""The table of a result's checks: sign, name, value, and a button that goes to the worst place."""

from collections.abc import Callable
from functools import partial
from typing import Any

import qt

from slicer.i18n import tr as _

from .colors import GOOD_COLORS, LOOK_COLORS, grayOf, readableColor
from .results import checkRow
from .widgets import Widgets

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
        table = ui.checksTable
        table.setColumnCount(len(COLUMNS))
        header = table.horizontalHeader()
        header.setSectionResizeMode(NAME, qt.QHeaderView.Stretch)
        # Rows are made before the section has its width; a name that wraps makes its row higher.
        header.connect("sectionResized(int,int,int)", lambda column, before, after: self._fitRows())

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
        table = self.ui.checksTable
        table.resizeRowsToContents()
        height = sum(table.rowHeight(row) for row in range(min(table.rowCount, MOST_ROWS_SEEN)))
        table.setFixedHeight(height + 2 * table.frameWidth)
        # A section with wrapped texts does not always notice that it has become higher.
        self.ui.reviewCollapsibleButton.updateGeometry()

    def _fill(self, row: int, check: dict[str, Any]) -> None:
        table = self.ui.checksTable
        name, verdict, value, limit, unit, sentence, source = checkRow(check)
        sign, colors = ("✔", GOOD_COLORS) if check["passed"] else ("⚠", LOOK_COLORS)
        tip = _("{sentence} Limit: {limit}; {verdict}.").format(
            sentence=sentence, limit=f"{limit} {unit}".strip(), verdict=verdict)
        if source:
            tip += "\n" + _("The limit is from: {source}").format(source=source)
        for column, text in ((SIGN, sign), (NAME, name.capitalize()), (VALUE, f"{value} {unit}".strip())):
            item = qt.QTableWidgetItem(text)
            item.setToolTip(tip)
            item.setFlags(qt.Qt.ItemIsEnabled)
            if self._isStale:
                item.setForeground(qt.QBrush(qt.QColor(grayOf(self.ui.implantLabel))))
            elif column == SIGN:
                item.setForeground(qt.QBrush(qt.QColor(readableColor(self.ui.implantLabel, colors))))
            table.setItem(row, column, item)
        if check.get("place_mm"):
            button = qt.QToolButton()
            button.text = _("Show")
            button.toolTip = _("Go to the place of the worst value in all views.")
            button.accessibleName = _("Show the place of: {check}").format(check=name)
            button.autoRaise = True
            button.connect("clicked()", partial(self._onShow, check))
            table.setCellWidget(row, SHOW, button)
