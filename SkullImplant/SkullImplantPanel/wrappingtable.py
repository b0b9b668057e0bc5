"""Tables whose texts wrap: rows as high as their texts, and the table as high as its rows, up to a limit."""

from collections.abc import Callable, Collection, Sequence

import qt


def setColumns(
    table: qt.QTableWidget, titles: Sequence[str], stretched: Collection[int], onResized: Callable[[], None]
) -> None:
    """Give a table its columns.

    :param stretched: those that share the width which the others leave.
    :param onResized: called when a column has another width: rows are made before the section has its own, and a
        text that wraps makes its row higher.
    """
    table.setColumnCount(len(titles))
    table.setHorizontalHeaderLabels(list(titles))
    header = table.horizontalHeader()
    for column in stretched:
        header.setSectionResizeMode(column, qt.QHeaderView.Stretch)
    header.connect("sectionResized(int,int,int)", lambda column, before, after: onResized())


def fitRows(table: qt.QTableWidget, section: qt.QWidget, mostRows: int | None = None, withHeader: bool = True) -> None:
    """Make rows as high as their wrapped texts, and the table as high as its rows.

    :param section: what the table is in.
    :param mostRows: beyond so many the table scrolls, so that what follows it is not pushed out of sight.
    """
    table.resizeRowsToContents()
    rows = table.rowCount if mostRows is None else min(table.rowCount, mostRows)
    setHeight(table, section, sum(table.rowHeight(row) for row in range(rows)), withHeader)


def setHeight(table: qt.QTableWidget, section: qt.QWidget, height: int, withHeader: bool = True) -> None:
    """Make a table so high that rows of that height (pixels) are seen."""
    if withHeader:
        height += table.horizontalHeader().sizeHint.height()
    table.setFixedHeight(height + 2 * table.frameWidth)
    # A section with wrapped texts does not always notice that it has become higher.
    section.updateGeometry()


def putText(
    table: qt.QTableWidget, row: int, column: int, text: str, tip: str, color: str | None = None
) -> qt.QTableWidgetItem:
    """Put a text into a cell, to be read and not to be changed, and return its item.

    :param color: None is that of all texts.
    """
    item = qt.QTableWidgetItem(text)
    item.setToolTip(tip)
    item.setFlags(qt.Qt.ItemIsEnabled)
    if color is not None:
        item.setForeground(qt.QBrush(qt.QColor(color)))
    table.setItem(row, column, item)
    return item
