"""What goes out is listed before it goes out: every file of an export, and what it tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..errors import SkullImplantError
from .formats import FORMATS, Format

# Of the patient: the file carries who it is; a text that somebody typed, as the label that is
# engraved or as the files' name, may tell it; nothing.
Tells = Literal["patient", "label", "name", "nothing"]


@dataclass(frozen=True)
class OutgoingFile:
    """A file that an export writes: its name, its format, and what tells the patient in it."""

    name: str
    format: Format
    tells: Tells

    def as_json(self) -> dict[str, Any]:
        """Return it as the command line prints it."""
        told = {"name": self.name, "format": self.format.name, "title": self.format.title}
        return {**told, "tells": self.tells}


def outgoing_files(
    formats: Sequence[Format], case: str, implants: int, *, named: bool, labelled: bool
) -> tuple[OutgoingFile, ...]:
    """Return what is written for a case with so many implants, in the order of the formats.

    named: somebody typed the case's name. labelled: a label is engraved where a format has it.
    """
    return tuple(
        OutgoingFile(name, format, _tells(format, named, labelled))
        for format in formats
        for name in format.files(case, implants)
    )


def _tells(format: Format, named: bool, labelled: bool) -> Tells:
    if format.tells_patient:
        return "patient"
    if labelled and format.engraved:
        return "label"
    return "name" if named else "nothing"


def checked_engraving(formats: Sequence[Format], text: str) -> str:
    """Return a label as it is engraved in what these formats write.

    Raises `SkullImplantError` where it is none (see `engraving.checked_label`), or nothing that is
    written would have it.
    """
    from .engraving import checked_label  # cuts solids

    label = checked_label(text)
    if not any(format.engraved for format in formats):
        able = ", ".join(format.name for format in FORMATS if format.engraved)
        raise SkullImplantError(
            f"Nothing that is exported would have the label; export as {able}, or leave it out."
        )
    return label
