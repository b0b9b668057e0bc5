"""One command of the library in another process, followed on Qt's event loop.

The order is: ``prepare`` (write the input files), the process, ``collect`` (read the results). The
first and the last run in a thread and touch no MRML node, so that the window stays responsive;
everything that is called back runs in the GUI's thread.
"""

import errno
import logging
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import qt

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.core.files import remove_folder
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.job import protocol as job
from SkullImplantLib.job.process_tree import end_process_tree

from .background import inBackground
from .remedies import remediesInWords, sentenceOf
from .slicerversion import versionProblem
from .translation import translated

# How the library's progress names a GPU that a network runs on.
GPU = "cuda"
# A run that was cancelled has ended for its user after so long, together less than a second.
CANCEL_MS, REMOVAL_MS = 600, 200


@dataclass
class Outcome:
    """How a run ended: ``state`` is ``done``, ``failed`` or ``cancelled``.

    ``message`` is one sentence for the user, ``log`` the last lines of the process, ``value`` what
    ``collect`` returned, ``notes`` what the user should know of the run itself.
    """

    state: str
    message: str = ""
    log: list[str] = field(default_factory=list)
    value: Any = None
    notes: list[str] = field(default_factory=list)


class LibraryRun:
    """A run of ``skull-implant VERB ...``; the caller keeps it until it has finished."""

    def __init__(
        self,
        verb: str,
        arguments: list[str],
        workFolder: Path,
        onFinished: Callable[[Outcome], None],
        onProgress: Callable[[job.Step], None] | None = None,
        prepare: Callable[[], None] | None = None,
        collect: Callable[[], Any] | None = None,
        cpuArguments: list[str] | None = None,
    ) -> None:
        """
        :param workFolder: a folder of this run alone; it is removed when the run has finished.
        :param cpuArguments: what to try once more with when the process crashes on the GPU.
        """
        self.verb = verb
        self._arguments = arguments
        self._workFolder = workFolder
        self._onFinished = onFinished
        self._onProgress = onProgress
        self._prepare = prepare
        self._collect = collect
        self._cpuArguments = cpuArguments
        self._notes: list[str] = []
        self._process: Any = None
        self._cancelled = False
        self._finished = False
        self._usesGpu = False
        self._progress = job.JobProgress(verb)
        # What the process printed beside its progress.
        self.output: list[str] = []

    @property
    def pid(self) -> int | None:
        """Process id of the process that was started, which may be only a launcher."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Begin; returns at once."""
        self._inThread(self._prepare, lambda _value: self._launch())

    def cancel(self) -> None:
        """End the process and all that it has started; ``onFinished`` follows within a second, whatever hangs."""
        self._cancelled = True
        try:
            # What has ended already may have given its number to another process.
            if self._process is not None and self._process.poll() is None:
                end_process_tree(self._process.pid)
        except Exception:
            logging.exception("SkullImplant: a process could not be ended")
        # A thread may be writing to a disk that does not answer, a process may hold on to its output.
        qt.QTimer.singleShot(CANCEL_MS, lambda: self._finish(Outcome("cancelled", _("Cancelled."))))

    def abandon(self) -> None:
        """Cancel without calling anything back, when whoever asked is gone."""
        self._onFinished = lambda outcome: None
        self._onProgress = None
        self.cancel()
        # The event loop may end before the process's end is noticed.
        remove_folder(self._workFolder, patience_s=0.0)

    def _inThread(self, work: Callable[[], Any] | None, then: Callable[[Any], None]) -> None:
        """Run ``work`` in a thread, then ``then`` with its value, unless the run was cancelled."""

        def finished(value: Any) -> None:
            if self._cancelled:
                self._finish(Outcome("cancelled", _("Cancelled.")))
            else:
                then(value)

        def failed(error: Exception) -> None:
            if self._cancelled:
                self._finish(Outcome("cancelled", _("Cancelled.")))
            else:
                self._finish(self._failureOfThread(error))

        inBackground(work or (lambda: None), finished, failed)

    def _failureOfThread(self, error: Exception) -> Outcome:
        if isinstance(error, SkullImplantError):
            return Outcome("failed", sentenceOf(error))
        log = traceback.format_exception(error)[-job.LOG_LINES:]
        if isinstance(error, (OSError, RuntimeError)):
            # SimpleITK and numpy say no more than that writing or reading did not succeed.
            free = self._freeBytes()
            message = _("The working files could not be written to or read from {folder}{free}; free some disk space, "
                        "then try again.")
            left = "" if free is None else _(" ({gigabytes:.1f} GB free)").format(gigabytes=free / 1e9)
            return Outcome("failed", message.format(folder=self._workFolder.parent, free=left), log)
        return Outcome("failed", _("The module failed because of an error in the program; please copy the "
                                   "log and report it."), log)

    def _freeBytes(self) -> int | None:
        """Return what is left on the working folder's disk; None where that cannot be told."""
        try:
            return shutil.disk_usage(self._workFolder.parent).free
        except OSError:
            return None

    def _launch(self) -> None:
        self._progress, self.output = job.JobProgress(self.verb), []
        try:
            self._process = slicer.util.launchConsoleProcess(
                job.command(_python(), self.verb, self._arguments),
                updateEnvironment=job.environment(),
                cwd=str(job.library_folder()),
                blocking=False,
                logCallback=self._guarded(self._onLine),
                completedCallback=self._guarded(self._onCompleted),
            )
        except Exception as error:
            logging.exception("SkullImplant: a process could not be started")
            self._finish(Outcome("failed", _whyNotStarted(error), traceback.format_exception(error)[-job.LOG_LINES:]))

    def _guarded(self, callback: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return a callback after whose failure the run has ended, and is not waited for for ever."""

        def call(argument: Any) -> None:
            try:
                callback(argument)
            except Exception as error:
                self.cancel()
                self._process = None
                self._finish(self._failureOfThread(error))

        return call

    def _onLine(self, line: str) -> None:
        step = self._progress.feed(line)
        log = self._progress.log
        if step is None:
            if log and log[-1] == line.rstrip():  # it was no progress
                self.output.append(line)
            return
        self._usesGpu = self._usesGpu or step.device == GPU
        if self._onProgress is not None and not self._cancelled:
            self._onProgress(step)

    def _onCompleted(self, code: int) -> None:
        self._process = None
        if self._cancelled or code == job.CANCELLED_CODE:
            self._finish(Outcome("cancelled", _("Cancelled.")))
        elif code == 0 and self._progress.done:
            self._inThread(self._collect, self._succeed)
        elif self._usesGpu and self._cpuArguments is not None and self._progress.error is None:
            self._notes.append(_("The run on the GPU broke off; it was done again on the CPU."))
            self._arguments, self._cpuArguments, self._usesGpu = self._cpuArguments, None, False
            self._launch()
        else:
            if self._progress.error:
                self._progress.error = translated(self._progress.error)
            message = job.explain_exit(code, self._progress, self._freeBytes(), remediesInWords(self.verb))
            self._finish(Outcome("failed", message, list(self._progress.log)))

    def _succeed(self, value: Any) -> None:
        self._finish(Outcome("done", "", list(self._progress.log), value, self._notes))

    def _finish(self, outcome: Outcome) -> None:
        """Remove the working files, which can be large, and tell of the end, once."""
        if self._finished:
            return
        self._finished = True
        told: list[Outcome] = []

        def tell(_gone: object = None) -> None:
            if not told:
                told.append(outcome)
                self._onFinished(outcome)

        inBackground(lambda: remove_folder(self._workFolder), tell, tell)
        if outcome.state == "cancelled":
            qt.QTimer.singleShot(REMOVAL_MS, tell)


def _whyNotStarted(error: Exception) -> str:
    """Return in one sentence why no process was started."""
    tooOld = versionProblem()
    if tooOld:  # it does not know the arguments
        return tooOld
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    message = _("Slicer's Python could not be started ({reason}); install Slicer again, or copy the log and report "
                "it.")
    return message.format(reason=reason.rstrip("."))


def _python() -> str:
    """Return Slicer's own Python with all its packages; outside of Slicer, the one that runs this.

    :raises OSError: there is none, as in a broken installation.
    """
    python = shutil.which("PythonSlicer")
    if python is None and Path(sys.executable).stem.lower().startswith("python"):
        python = sys.executable
    if python is None:
        raise FileNotFoundError(errno.ENOENT, "PythonSlicer was not found")
    return python
