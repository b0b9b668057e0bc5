"""What the tables' machinery asks of a judge of cases, whether of implants or of organs."""

from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..core.stages import StageReport, no_report


class NamedCase(Protocol):
    """A case by name; `skull` names the skull or patient, whose cases one process reads once."""

    @property
    def name(self) -> str: ...

    @property
    def skull(self) -> str: ...

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the case before it is loaded: its row begins so."""
        ...

    def identity(self) -> dict[str, Any]:
        """Return what the case depends on: another value is another case."""
        ...


AnyCase = TypeVar("AnyCase", bound=NamedCase)
OfCase = TypeVar("OfCase", bound=NamedCase, contravariant=True)


class Judge(Protocol[OfCase]):
    """Works cases through and keeps a row of each; a frozen dataclass."""

    @property
    def output(self) -> Path:
        """Where cases and tables go."""
        ...

    @property
    def model(self) -> str:
        """What is judged, by a model's name or file, which tells if PyTorch is needed."""
        ...

    def made_with(self, case: OfCase) -> dict[str, Any]:
        """Return all that the case's row depends on, the library's code excepted."""
        ...

    def result_path(self, case: OfCase) -> Path:
        """Return where the case's row is kept."""
        ...

    def implant_path(self, case: OfCase) -> Path:
        """Return where an image that belongs to the row is kept, if there is one."""
        ...

    def kept(self, case: OfCase) -> dict[str, Any] | None:
        """Return the case's row from an earlier run; None where it was made with anything else."""
        ...

    def run(self, case: OfCase, report: StageReport = no_report) -> None:
        """Work the case through and keep its row."""
        ...
