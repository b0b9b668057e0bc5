"""An export in another process, beside whatever else runs: it only reads."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

if TYPE_CHECKING:
    from SkullImplantLib.job.protocol import Step

    from .export import Export
    from .logic import SkullImplantLogic
    from .parameters import SkullImplantParameterNode
    from .run import LibraryRun, Outcome


class ExportRun:
    """Starts and ends the one export in progress."""

    def __init__(self) -> None:
        self._run: LibraryRun | None = None
        self._begun = 0.0

    @property
    def running(self) -> bool:
        """Whether files are being written."""
        return self._run is not None

    @property
    def seconds(self) -> float:
        """The time since the last one began."""
        return time.monotonic() - self._begun

    def start(
        self,
        export: "Export",
        folder: Path,
        onFinished: "Callable[[Outcome], None]",
        onProgress: "Callable[[Step], None] | None" = None,
    ) -> None:
        """Write the files of an export; the outcome's value is their list.

        :param folder: a work folder of its own.
        :raises ValueError: an export is in progress, or it lacks its report.
        """
        from .run import LibraryRun

        if self._run:
            raise ValueError(_("An export is in progress; wait for its end, or cancel it."))
        request, files = export.request(), export.files
        self._begun = time.monotonic()

        def finished(outcome: "Outcome") -> None:
            self._run = None
            if outcome.state == "done":
                outcome.value = files
            onFinished(outcome)

        self._run = LibraryRun(request.verb, request.argumentsIn(folder), folder, finished, onProgress,
                               prepare=lambda: request.writeInto(folder))
        try:
            self._run.start()
        except Exception:
            self._run = None
            raise

    def cancel(self) -> None:
        """End it; it calls back within a second."""
        if self._run:
            self._run.cancel()

    def abandon(self) -> None:
        """End it without calling back."""
        if self._run:
            self._run.abandon()
            self._run = None


def exportAndWait(logic: "SkullImplantLogic", parameters: "SkullImplantParameterNode") -> list[Path]:
    """Write the result under review, its report first where it is wanted and missing; return the files.

    :raises ValueError: there is an ``exportProblem``.
    :raises RuntimeError: report or files could not be made; the message says why.
    """
    export, outcomes = logic.exportOf(parameters), list["Outcome"]()
    if export.lacksReport:
        logic.startReport(export.nodes, outcomes.append)
        logic.wait()
        export = export.withReport(_valueOf(outcomes))
    outcomes.clear()
    logic.startExport(export, outcomes.append)
    logic.wait()
    return list(_valueOf(outcomes))


def _valueOf(outcomes: "list[Outcome]") -> Any:
    if not outcomes or outcomes[0].state != "done":
        raise RuntimeError(outcomes[0].message if outcomes else _("The application is being closed."))
    return outcomes[0].value
