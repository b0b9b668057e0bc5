"""The panel in a column as narrow as Slicer's can be, and what is cut off in it."""

from typing import Any

import qt
import slicer

# As narrow as the panel is dragged beside large views.
PANEL_PIXELS, HEIGHT = 350, 768
MARGINS_PIXELS, ARROW_PIXELS = 10, 24


class NarrowColumn:
    """Shows the module as Slicer's own module panel does, in a column of that width."""

    def __init__(self, host: Any, panel: Any) -> None:
        self._host, self._panel, self._widget = host, panel, panel.parent
        # The panel shows the module anew: it is entered there, as by the user.
        host.exit(panel)
        self._column = slicer.qSlicerModulePanel()
        self._column.setModuleManager(slicer.app.moduleManager())
        self._column.setModule(panel.moduleName)
        self._column.resize(PANEL_PIXELS, HEIGHT)
        self.area = self._column.findChild(qt.QScrollArea, "ScrollArea")
        # What is below the screen is reached by the bar, for which there is room from the start.
        self.area.setVerticalScrollBarPolicy(qt.Qt.ScrollBarAlwaysOn)
        self._column.show()

    def close(self) -> None:
        """Let the panel go."""
        self._widget.setPalette(qt.QPalette())
        self._column.setModule("")
        self._column.close()
        self._host.enter(self._panel)

    def picture(self, path: Any) -> None:
        """Save all of the panel, scrolled or not."""
        self.settle()
        assert self._widget.grab().save(str(path), "PNG")

    def settle(self) -> None:
        """Let layouts, which take a few turns, come to rest."""
        for _turn in range(5):
            self._host.process_events()

    def cut_off(self) -> list[str]:
        """Tell what does not fit into the column, or into its place there."""
        self.settle()
        available = self.area.viewport().width
        found = []
        if _least(self._column).width() > PANEL_PIXELS:
            found.append(f"Slicer's column becomes {_least(self._column).width()} wide")
        if _least(self._widget).width() > available:
            found.append(f"the panel is {_least(self._widget).width()} wide, not {available}")
        for widget in self._widget.findChildren(qt.QWidget):
            if widget.isVisible():
                found += _cut_off(widget)
                if _least(widget).width() > available - MARGINS_PIXELS:
                    found.append(f"{_name(widget)} needs {_least(widget).width()}")
        return found


def _cut_off(widget: Any) -> list[str]:
    name = _name(widget)
    if type(widget).__name__ in ("QScrollBar", "QHeaderView"):
        return []
    found, parent = [], widget.parentWidget()
    in_scrolled = "viewport" in (parent.objectName or "")
    if not in_scrolled and widget.x + widget.width > parent.width:
        found.append(f"{name} ends at {widget.x + widget.width} of {parent.width}")
    if name.endswith(
        "qt_spinbox_lineedit"
    ):  # of a spin box, which asks for the room of its numbers
        text = widget.fontMetrics().horizontalAdvance(widget.text)
        return [f"{name} shows a text of {text} in {widget.width}"] if text > widget.width else []
    if _least(widget).width() > widget.width:
        found.append(f"{name} needs {_least(widget).width()}, has {widget.width}")
    if isinstance(widget, qt.QLabel) and widget.heightForWidth(widget.width) > widget.height:
        height = widget.heightForWidth(widget.width)
        found.append(f"{name} needs the height {height}, has {widget.height}")
    # Others are shortened as they are drawn.
    if name.startswith("QComboBox") and name.endswith("ComboBox"):
        text = widget.fontMetrics().horizontalAdvance(widget.currentText)
        if text + ARROW_PIXELS > widget.width:
            found.append(f"{name} shows a text of {text} in {widget.width}")
    if isinstance(widget, qt.QTableWidget):
        found += _cut_cells(widget)
    return found


def _cut_cells(table: Any) -> list[str]:
    found = []
    for row in range(table.rowCount):
        for column in range(table.columnCount):
            index = table.model().index(row, column)
            option = qt.QStyleOptionViewItem()
            option.initFrom(table)
            option.rect = qt.QRect(0, 0, table.columnWidth(column), table.rowHeight(row))
            option.features = qt.QStyleOptionViewItem.WrapText
            needed = table.itemDelegate().sizeHint(option, index)
            place = f"cell {row}, {column}"
            if needed.width() > table.columnWidth(column):
                found.append(f"{place} needs {needed.width()}, has {table.columnWidth(column)}")
            if needed.height() > table.rowHeight(row):
                height = table.rowHeight(row)
                found.append(f"{place} needs the height {needed.height()}, has {height}")
    column = table.columnCount - 1
    last = table.columnViewportPosition(column) + table.columnWidth(column)
    if table.rowCount and last > table.viewport().width:
        found.append(f"the table's columns end at {last} of {table.viewport().width}")
    return found


def _name(widget: Any) -> str:
    return f"{type(widget).__name__} {widget.objectName or widget.parentWidget().objectName}"


def _least(widget: Any) -> Any:
    """A widget's least size, which some of the host's widgets have as a method."""
    hint = widget.minimumSizeHint
    return hint() if callable(hint) else hint
