"""What goes out is listed before it goes out: the table of the files of an export."""

from collections.abc import Sequence

import qt

from slicer.i18n import tr as _

from SkullImplantLib.export.outgoing import OutgoingFile, Tells

from .colors import LOOK_COLORS, readableColor
from .formatwords import titleAndSentence
from .widgets import Widgets
from .wrapping import breakable
from .wrappingtable import putText, setColumns, setHeight

FILE, KIND, IDENTITY = range(3)
# Beyond so many lines of text the table scrolls, so that long names do not push the buttons out of sight.
MOST_LINES_SEEN = 14
# Letters of a long word that stay together, in a column that shares the panel with two others.
LONGEST_PIECE = 10


class OutgoingTable:
    """What the table shows."""

    def __init__(self, ui: Widgets) -> None:
        self.ui = ui
        self._shown: tuple[object, ...] = ()
        setColumns(ui.outgoingTable, [_("File"), _("Kind"), _("Identity")], [FILE], self._fitRows)
        self._fitRows()

    def show(self, files: Sequence[OutgoingFile]) -> None:
        """Show the files that would be written now; the table hides where there are none."""
        state = (tuple(files), self.ui.outgoingTable.palette.color(qt.QPalette.Base).name())
        if state == self._shown:
            return
        self._shown = state
        table = self.ui.outgoingTable
        table.visible = self.ui.outgoingLabel.visible = bool(files)
        table.setRowCount(len(files))
        for row, file in enumerate(files):
            self._fill(row, file)
        for column in (KIND, IDENTITY):
            table.resizeColumnToContents(column)
        self._fitRows()

    def _fill(self, row: int, file: OutgoingFile) -> None:
        word, sentence = wordAndSentence(file.tells)
        title, what = titleAndSentence(file.format)
        tip = "\n".join([file.name, what, sentence])
        texts = {FILE: breakable(file.name, LONGEST_PIECE), KIND: title, IDENTITY: word}
        for column, text in texts.items():
            tellsSome = file.tells != "nothing" and column == IDENTITY
            color = readableColor(self.ui.exportCollapsibleButton, LOOK_COLORS) if tellsSome else None
            putText(self.ui.outgoingTable, row, column, text, tip, color)

    def _fitRows(self) -> None:
        table = self.ui.outgoingTable
        table.resizeRowsToContents()
        most = MOST_LINES_SEEN * table.fontMetrics().lineSpacing()
        scrolls = self._height() > most
        # Said beforehand, as a bar that comes by itself narrows the names after their rows have their heights.
        table.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOn if scrolls else qt.Qt.ScrollBarAlwaysOff)
        table.resizeRowsToContents()
        setHeight(table, self.ui.exportCollapsibleButton, min(self._height(), most))

    def _height(self) -> int:
        table = self.ui.outgoingTable
        return sum(table.rowHeight(row) for row in range(table.rowCount))


def wordAndSentence(tells: Tells) -> tuple[str, str]:
    """Return what tells the patient in a file: a word, and a sentence."""
    return {
        "patient": (_("⚠ patient's"), _("It carries the patient's name, dates and numbers, as DICOM must.")),
        "label": (_("⚠ your label"), _("The label that you typed is cut into it, and can tell who the patient is.")),
        "name": (_("⚠ your name"), _("The name that you typed can tell who the patient is; its contents tell none.")),
        "nothing": (_("none"), _("It tells no patient.")),
    }[tells]
