"""How far two results lie apart: asked of the library in a process of its own, beside everything else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.job.work_folder import short_work_folder

from .mirroredside import surfacesOf
from .requests import Request
from .results import ResultNodes
from .run import LibraryRun, Outcome

FIRST, OTHER = "first", "other"


class DesignDistance:
    """The distance between the result under review and one other, as it is asked for; kept for this session.

    :param onKnown: called when an answer has come, or the reason that there is none.
    """

    def __init__(self, onKnown: Callable[[], None]) -> None:
        self._onKnown = onKnown
        self._known: dict[object, dict[str, Any] | str] = {}
        self._run: LibraryRun | None = None
        self._asked: object = None

    def of(self, reviewed: ResultNodes, other: ResultNodes) -> dict[str, Any] | str | None:
        """Return how far two results lie apart, or in a sentence why that is not known.

        None where it is being measured, which begins here.
        """
        key = tuple(_stateOf(nodes) for nodes in (reviewed, other))
        if key not in self._known and key != self._asked:
            self._measure(key, reviewed, other)
        return self._known.get(key)

    def forget(self) -> None:
        """End what is being measured; nobody asks any more."""
        if self._run is not None:
            self._run.abandon()
        self._run, self._asked = None, None

    def _measure(self, key: object, reviewed: ResultNodes, other: ResultNodes) -> None:
        self.forget()
        self._asked = key
        request = Request(
            "compare", None, ["{folder}/" + FIRST, "{folder}/" + OTHER, "--json"], {},
            {f"{FIRST}/design.json": reviewed.design.GetText(), f"{OTHER}/design.json": other.design.GetText()},
            {**surfacesOf(reviewed, FIRST), **surfacesOf(other, OTHER)})
        folder = short_work_folder(Path(slicer.app.temporaryPath))
        arguments = [str(Path(text.format(folder=folder))) if "{" in text else text for text in request.arguments]

        def finished(outcome: Outcome) -> None:
            self._known[key] = _apartOf(run, outcome)
            if self._run is run:
                self._run, self._asked = None, None
            self._onKnown()

        run = self._run = LibraryRun(
            request.verb, arguments, folder, finished, prepare=lambda: request.writeInto(folder))
        run.start()


def _apartOf(run: LibraryRun, outcome: Outcome) -> dict[str, Any] | str:
    if outcome.state != "done":
        return outcome.message
    try:
        return dict(json.loads("\n".join(run.output))["apart"][0])
    except (ValueError, KeyError, IndexError):
        return _("The comparison ended without an answer; please choose the other result again.")


def _stateOf(nodes: ResultNodes) -> tuple[object, ...]:
    """Return what tells the surfaces of a result from those of any other, and from other ones of its own."""
    return (nodes.segmentation.GetID(), *(modelNode.GetPolyData().GetMTime() for modelNode in nodes.models))
