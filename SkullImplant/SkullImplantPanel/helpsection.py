"""The buttons below all sections: help, sample data, and a report of a problem, which the user sees before it goes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt

import slicer
from slicer.i18n import tr as _

from .problemreport import HOME, namesInScene, problemText
from .run import Outcome
from .widgets import Widgets

# With the module's own folder in a copy of the repository; an installed extension has none.
SHIPPED_HELP = Path(__file__).resolve().parents[2] / "docs" / "reference" / "panel.md"
HELP_PAGE = f"{HOME}/blob/main/docs/reference/panel.md"
ISSUE_PAGE = f"{HOME}/issues/new"
DIALOG_SIZE = (640, 480)


class HelpSection:
    """What the three buttons do.

    :param lastOutcome: returns how the last run ended, None where there was none.
    :param devices: returns what a network can run on, None where that was not looked for.
    """

    def __init__(
        self,
        ui: Widgets,
        lastOutcome: Callable[[], Outcome | None],
        devices: Callable[[], dict[str, Any] | None],
    ) -> None:
        self._lastOutcome = lastOutcome
        self._devices = devices
        self.dialog: qt.QDialog | None = None
        self.text: qt.QPlainTextEdit | None = None
        ui.helpButton.connect("clicked()", self.onHelp)
        ui.sampleDataButton.connect("clicked()", self.onSampleData)
        ui.problemButton.connect("clicked()", self.onProblem)

    def onHelp(self) -> None:
        """Open the page on the panel: on the web, as it is read there; the shipped one where that fails."""
        if not qt.QDesktopServices.openUrl(qt.QUrl(HELP_PAGE)) and SHIPPED_HELP.is_file():
            qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(SHIPPED_HELP)))

    def onSampleData(self) -> None:
        """Go to the module Sample Data, which has a section of this module's."""
        slicer.util.selectModule("SampleData")

    def onProblem(self) -> None:
        """Show what would be reported; nothing goes anywhere before the user has read it and sends it."""
        self.close()
        dialog = self.dialog = qt.QDialog(slicer.util.mainWindow())
        dialog.setWindowTitle(_("Report a problem"))
        dialog.resize(*DIALOG_SIZE)
        layout = qt.QVBoxLayout(dialog)
        note = qt.QLabel(_("This is what can be reported, without names and paths as far as they are known. Read it, "
                           "take out what is nobody's business, and paste it into the page that opens. Nothing is "
                           "sent by this program."))
        note.setWordWrap(True)
        layout.addWidget(note)
        self.text = qt.QPlainTextEdit()
        self.text.setPlainText(problemText(self._lastOutcome(), self._devices(), namesInScene()))
        self.text.accessibleName = _("Text of the report")
        layout.addWidget(self.text)
        buttons = qt.QDialogButtonBox()
        send = buttons.addButton(_("Copy and open the page"), qt.QDialogButtonBox.AcceptRole)
        buttons.addButton(qt.QDialogButtonBox.Cancel)
        send.connect("clicked()", self.onCopyAndOpen)
        buttons.connect("rejected()", dialog.reject)
        layout.addWidget(buttons)
        dialog.show()

    def onCopyAndOpen(self) -> None:
        """Put the text, as the user left it, into the clipboard, and open the page to paste it into."""
        if self.text is not None:
            slicer.app.clipboard().setText(self.text.plainText)
        qt.QDesktopServices.openUrl(qt.QUrl(ISSUE_PAGE))
        self.close()

    def close(self) -> None:
        """Close the dialog, where it is open."""
        if self.dialog is not None:
            self.dialog.close()
            self.dialog.deleteLater()
        self.dialog = self.text = None
