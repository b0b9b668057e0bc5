"""What the sections of the panel have in common."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import qt

from slicer.i18n import tr as _

from . import pytorch
from .parameters import SkullImplantParameterNode
from .runcontrol import RunControl
from .widgets import Widgets

if TYPE_CHECKING:
    from .logic import SkullImplantLogic


class Section:
    """What a section shows and does; ``parameters`` are those of the scene, None while there are none.

    :param update: called when the panel is to be brought in line with what happened in the section.
    """

    def __init__(
        self, ui: Widgets, logic: "SkullImplantLogic", control: RunControl, update: Callable[[], None]
    ) -> None:
        self.ui, self.logic, self.control = ui, logic, control
        self.parameters: SkullImplantParameterNode | None = None
        self._update = update
        self._installing = False

    def _showBegin(
        self, button: qt.QPushButton, text: str, tip: str, problem: str | None, isFree: bool = True
    ) -> None:
        """Let a button begin something.

        :param problem: what is in the way, told instead of the tip.
        :param isFree: nothing else keeps it from beginning.
        """
        button.text, button.enabled, button.toolTip = text, problem is None and isFree, problem or tip

    def _showCancel(self, button: qt.QPushButton, tip: str | None = None) -> None:
        """Let a button cancel what it began."""
        button.text, button.enabled = _("Cancel"), not self.control.cancelling
        button.toolTip = tip or _("Stop; the scene stays as it is.")

    def _installTorch(self, purpose: str) -> str | None:
        """Install PyTorch if need be and wanted; return what is in the way, or None."""
        self._installing = True  # meanwhile events are handled, and there may be a second click
        self._update()
        try:
            return pytorch.ensureTorch(purpose)
        finally:
            self._installing = False
