"""The table of the organs that were found: color, name, volume, share of the CT, and how sure the network is."""

from collections.abc import Callable
from typing import Any

import qt

from slicer.i18n import tr as _

from .colors import LOOK_COLORS, grayOf, readableColor
from .organsnodes import OrgansNodes, dataOf
from .widgets import Widgets
from .wrappingtable import fitRows, putText, setColumns

SWATCH, ORGAN, VOLUME, SHARE, SURE = range(5)


class OrgansTable:
    """What the table shows.

    :param onClicked: called with the organ whose row was clicked, as ``organs.json`` has it.
    """

    def __init__(self, ui: Widgets, onClicked: Callable[[dict[str, Any]], None]) -> None:
        self.ui = ui
        self._organs: list[dict[str, Any]] = []
        self._shown: object = None
        table = ui.organsTable
        setColumns(table, ["", _("Organ"), _("Volume"), _("Share"), _("Sure")], [ORGAN], self._fitRows)
        table.connect("cellClicked(int,int)", lambda row, column: onClicked(self._organs[row]))

    def show(self, nodes: OrgansNodes, isStale: bool) -> None:
        """Show organs; those that a note names have a sign.

        :param isStale: they are not as they were found; the numbers are grayed out.
        """
        data, segmentation = dataOf(nodes), nodes.segmentation.GetSegmentation()
        colors = []
        for organ in data["organs"]:
            segment = segmentation.GetSegment(organ["segmentId"])  # None where the user removed it
            colors.append(None if segment is None else tuple(segment.GetColor()))
        window = self.ui.organsTable.palette.color(qt.QPalette.Base).name()
        state = (data["organs"], data["notes"], colors, isStale, window)
        if state == self._shown:
            return
        self._shown, self._organs = state, data["organs"]
        table = self.ui.organsTable
        table.setRowCount(len(self._organs))
        for row, (organ, color) in enumerate(zip(self._organs, colors)):
            isNoted = any(f"the {organ['name']} " in note.lower() for note in data["notes"])
            self._fill(row, organ, color, isNoted, isStale)
        for column in (SWATCH, VOLUME, SHARE, SURE):
            table.resizeColumnToContents(column)
        self._fitRows()

    def _fill(
        self, row: int, organ: dict[str, Any], color: tuple[float, ...] | None, isNoted: bool, isStale: bool
    ) -> None:
        section = self.ui.organsCollapsibleButton
        sure = "–" if organ["sure"] is None else _("{percent:.0f} %").format(percent=100 * organ["sure"])
        name = organ["name"].capitalize()
        texts = {SWATCH: "■" if color is not None else "", ORGAN: f"⚠ {name}" if isNoted else name,
                 VOLUME: _("{volume:.1f} cm³").format(volume=organ["volume_cm3"]),
                 SHARE: _("{percent:.2f} %").format(percent=organ["occupancy_percent"]), SURE: sure}
        tip = _("{meaning}: {volume:.1f} cm³, {share:.4f} % of the CT's voxels. Click to go there in all views.")
        tip = tip.format(
            meaning=organ["code"]["meaning"], volume=organ["volume_cm3"], share=organ["occupancy_percent"])
        for column, text in texts.items():
            foreground = readableColor(section, LOOK_COLORS) if isNoted and column == ORGAN else None
            if isStale:
                foreground = grayOf(section)
            if column == SWATCH and color is not None:
                foreground = "#" + "".join(f"{round(255 * share):02x}" for share in color)
            putText(self.ui.organsTable, row, column, text, tip, foreground)

    def _fitRows(self) -> None:
        fitRows(self.ui.organsTable, self.ui.organsCollapsibleButton)
