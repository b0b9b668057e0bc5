"""A run from the click to its end: started, shown while it goes on, and its end told once."""

import logging
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from slicer.i18n import tr as _

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.job.protocol import Step

from .remedies import sentenceOf
from .run import Outcome
from .rundisplay import RunDisplay

if TYPE_CHECKING:
    from .logic import SkullImplantLogic

# A second click within this time after the first is a double click, and does not mean to cancel.
DOUBLE_CLICK_S = 0.5

# Starts a run of the logic, which calls back at its end and with each step.
Start = Callable[[Callable[[Outcome], None], Callable[[Step], None]], None]


class RunControl:
    """Starts and cancels the logic's one run for all sections of the panel.

    :param update: called when the panel is to be brought in line with the run's beginning or end.
    """

    def __init__(self, logic: "SkullImplantLogic", display: RunDisplay, update: Callable[[], None]) -> None:
        self._logic = logic
        self._display = display
        self._update = update

    @property
    def running(self) -> bool:
        """Whether a run is in progress."""
        return self._logic.run is not None

    @property
    def cancelling(self) -> bool:
        """Whether it was cancelled and has not ended yet."""
        return self._display.cancelling

    @property
    def seconds(self) -> float:
        """The time since the last run began."""
        return self._display.seconds

    def begin(
        self,
        title: str,
        start: Start,
        onEnded: Callable[[Outcome], str],
        onProgress: Callable[[Step], None] | None = None,
    ) -> None:
        """
        Start a run; what fails before it has begun is shown like a failed run.

        :param onEnded: called with the outcome; returns what to say if it went well.
        :param onProgress: called with each step, beside the panel's own bar.
        """
        self._display.begin(title)

        def progressed(step: Step) -> None:
            self._display.onProgress(step)
            if onProgress is not None:
                onProgress(step)

        def ended(outcome: Outcome) -> None:
            self._display.end(outcome, onEnded(outcome))
            self._update()

        try:
            start(ended, progressed)
        except (SkullImplantError, ValueError) as error:
            ended(Outcome("failed", sentenceOf(error)))
        except Exception as error:
            logging.exception("SkullImplant: a run could not be started")
            log = traceback.format_exception(error)
            ended(Outcome("failed", _("The run could not be started because of an error in the program; please "
                                      "copy the log and report it."), log))
        self._update()

    def cancel(self) -> None:
        """End the run in progress, unless this is the second click of the double click that began it."""
        if self._display.seconds < DOUBLE_CLICK_S:
            return
        self._display.cancel()
        self._logic.cancel()
        self._update()
