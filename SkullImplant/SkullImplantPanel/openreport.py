"""The report of a result in the system's browser; the file lies in a folder of its own until the panel is closed."""

from collections.abc import Callable
from pathlib import Path

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.core.files import remove_folder
from SkullImplantLib.job.work_folder import short_work_folder

from .background import inBackground


class ReportOpener:
    """Writes reports for the browser and opens them.

    :param onFailed: called with a sentence where that cannot be done.
    """

    def __init__(self, onFailed: Callable[[str], None]) -> None:
        self._onFailed = onFailed
        self._folder: Path | None = None

    def open(self, text: str, case: str) -> None:
        """Open a report (HTML) under the name of its case."""
        def write() -> Path:
            if self._folder is None or not self._folder.is_dir():
                self._folder = short_work_folder(Path(slicer.app.temporaryPath))
            path = self._folder / f"{case}-report.html"
            path.write_text(text, encoding="utf-8")
            return path

        inBackground(write, self._show, lambda error: self._onFailed(
            _("The report could not be written for the browser; export it instead.")))

    def close(self) -> None:
        """Remove what was written."""
        if self._folder is not None:
            remove_folder(self._folder, patience_s=0.0)
            self._folder = None

    def _show(self, path: Path) -> None:
        if not qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path))):
            self._onFailed(_("No browser could be started; export the report and open it there."))
