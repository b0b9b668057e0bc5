"""What the panel shows of a run: bar, stage and time, and how it ended."""

import time

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.job.protocol import Step

from .colors import BAD_COLORS, readableColor
from .run import Outcome
from .widgets import Widgets
from .wrapping import breakable

TICK_MS = 500
PROGRESS_STEPS = 1000


class RunDisplay:
    """Progress bar, the line under it, and the box for errors.

    :param ui: the widgets of ``SkullImplant.ui`` as attributes.
    """

    def __init__(self, ui: Widgets) -> None:
        self.ui = ui
        self._cancelling = False
        self._startTime = 0.0
        self._stage = ""
        self._message = ""  # of the failure that is shown
        self.lastOutcome: Outcome | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(TICK_MS)
        self._timer.connect("timeout()", self._showTime)
        ui.progressBar.setRange(0, PROGRESS_STEPS)
        ui.copyLogButton.connect("clicked()", self.onCopyLog)
        self.forget()

    @property
    def cancelling(self) -> bool:
        """Whether the run was cancelled and has not ended yet."""
        return self._cancelling

    @property
    def seconds(self) -> float:
        """The time since the run began."""
        return time.monotonic() - self._startTime

    def begin(self, title: str) -> None:
        """A run begins."""
        self.showError(None)
        self.ui.exportLabel.text = ""
        self._cancelling = False
        self._startTime, self._stage = time.monotonic(), title
        self.ui.progressBar.value = 0
        self._show(True)
        self._showTime()
        self._timer.start()

    def onProgress(self, step: Step) -> None:
        """The run has come a step on."""
        self.ui.progressBar.value = round(PROGRESS_STEPS * step.overall)
        # Messages are sentences of their own; what only repeats the title says nothing.
        repeats = step.message.lower() == step.title.lower()
        detail = "" if repeats or not step.message else f": {step.message[0].lower()}{step.message[1:]}"
        stage = step.title + detail
        if stage != self._stage and not self._cancelling:
            self._stage = stage
            self._showTime()

    def cancel(self) -> None:
        """The run is being cancelled."""
        self._cancelling = True
        self.ui.progressLabel.text = _("Cancelling…")

    def end(self, outcome: Outcome, success: str) -> None:
        """The run has ended; ``success`` is what to say if it went well."""
        self._timer.stop()
        self._cancelling = False
        self.lastOutcome = outcome
        failed = outcome.state == "failed"
        text = " ".join([success, *outcome.notes]) if outcome.state == "done" else outcome.message
        self.ui.progressBar.visible = False
        self.ui.progressLabel.text = "" if failed else breakable(text)
        self.ui.progressLabel.visible = not failed
        self.showError(outcome if failed else None)

    def forget(self) -> None:
        """Show nothing of any run, as after the scene was closed."""
        self._timer.stop()
        self._cancelling = False
        self._show(False)
        self.showError(None)

    def showError(self, outcome: Outcome | None) -> None:
        """Show why there is no result, or nothing."""
        self.ui.errorFrame.visible = outcome is not None
        if outcome is not None:
            self._message = outcome.message
            self.recolor()
            self.ui.errorLabel.text = breakable(outcome.message)
            self.ui.logText.plainText = "\n".join(outcome.log)
            self.ui.logText.visible = self.ui.copyLogButton.visible = bool(outcome.log)

    def recolor(self) -> None:
        """The window may have become dark or light."""
        self.ui.errorLabel.styleSheet = f"color: {readableColor(self.ui.errorFrame, BAD_COLORS)};"

    def onCopyLog(self) -> None:
        """Put the message and the log into the clipboard, to be mailed or posted."""
        slicer.app.clipboard().setText(f"{self._message}\n\n{self.ui.logText.plainText}")

    def _show(self, shown: bool) -> None:
        self.ui.progressBar.visible = self.ui.progressLabel.visible = shown

    def _showTime(self) -> None:
        if not self._cancelling:
            self.ui.progressLabel.text = f"{breakable(self._stage)} · {self.seconds:.0f} s"
