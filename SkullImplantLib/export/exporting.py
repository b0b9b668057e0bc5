"""A result folder exported: the files of the formats that are asked for, all of them or none."""

import importlib.util
import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..core.progress import Progress, part
from ..core.result_names import stl_names
from ..core.side_by_side import Work, side_by_side
from ..core.stages import StageReport, Stages, no_report
from ..core.staging import staged_folder
from ..designing.stored_result import read_account, read_masks
from ..errors import SkullImplantError
from .case_names import checked_name, default_case_name
from .format_writers import Exported, ToDraw
from .formats import BY_NAME, REPORT, Format, implants_of
from .outgoing import OutgoingFile, checked_engraving, outgoing_files
from .print_size import PrintSize, print_size
from .results import whole_account
from .stl import read_stl

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedExport:
    """What is to be exported of a result folder: the formats, the case's name, and every file."""

    formats: tuple[Format, ...]
    case: str
    files: tuple[OutgoingFile, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as the command line prints it."""
        return {"name": self.case, "outgoing": [file.as_json() for file in self.files]}


@dataclass(frozen=True)
class ExportedFiles:
    """What was exported: the case's name, the files by format, each implant's size in print, and
    what a person must know of the files.
    """

    case: str
    files: dict[str, tuple[str, ...]]
    implants: tuple[PrintSize, ...]
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as the command line prints it."""
        return {
            "name": self.case,
            "files": {name: list(files) for name, files in self.files.items()},
            "implants": [implant.as_json() for implant in self.implants],
            "notes": list(self.notes),
        }


def formats_of(names: Sequence[str]) -> tuple[Format, ...]:
    """Return the formats of these names, in the order of the table, each once.

    Raises `SkullImplantError` where one is not known, or needs a module that is not installed.
    """
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        raise SkullImplantError(
            f"There is no export as {unknown[0]}; there is {', '.join(BY_NAME)}."
        )
    chosen = tuple(format for name, format in BY_NAME.items() if name in names)
    for format in chosen:
        missing = [name for name in format.needs if importlib.util.find_spec(name) is None]
        if missing:
            raise SkullImplantError(
                f"The export as {format.name} needs {missing[0]}, which is not installed."
            )
    return chosen


def planned_export(
    result: Path, formats: Sequence[str], name: str | None = None, engraving: str | None = None
) -> PlannedExport:
    """Return what `export_result` would write for the same arguments; nothing is written.

    Raises `SkullImplantError` where a format is not known, name or label cannot be had, or the
    folder is no result.
    """
    chosen = formats_of(formats)
    account = _account_of(result)
    case = default_case_name(account) if name is None else checked_name(name)
    if engraving is not None:
        checked_engraving(chosen, engraving)
    files = outgoing_files(
        chosen,
        case,
        implants_of(account),
        named=name is not None,
        labelled=engraving is not None,
    )
    return PlannedExport(chosen, case, files)


def _account_of(result: Path) -> dict[str, Any]:
    account = read_account(result)
    if not account:
        raise SkullImplantError(
            f"{result} holds no design.json; give a folder that a design was written to."
        )
    return account


def _writing(format: Format, exported: Exported) -> Work:
    """Return what writes a format, with its module imported."""
    module, function = format.writer
    write = getattr(import_module(module, __package__), function)

    def written(progress: Progress) -> None:
        write(exported, progress)
        log.info("exported as %s", format.name)

    return written


def _drawing(exported: Exported) -> Work:
    """Return what draws the report, so that those who ask for it find it."""

    def drawn(progress: Progress) -> None:
        exported.pages(progress)

    return drawn


def export_result(
    result: Path,
    formats: Sequence[str],
    folder: Path,
    name: str | None = None,
    ct: Path | None = None,
    engraving: str | None = None,
    report: StageReport = no_report,
    series: Path | None = None,
    tell: Callable[[PlannedExport], None] = lambda plan: None,
) -> ExportedFiles:
    """Write a result folder's files of these formats (see `formats.FORMATS`) into `folder`.

    name: what the names of the files begin with, made fit for every file system; by default one
    that tells no patient, see `case_names`. ct: the CT it was made for, for the try-in model, a
    report that has yet to be made, and DICOM, where `series` does not give the folder of the series
    that it came from. engraving: a text for the implants' inner side. tell: told what goes out
    before anything is written. Files of the same name are replaced; all are written, or none. The
    implants' STL files are read whatever is asked for, as their sizes are told. Raises
    `SkullImplantError` where a format is not known or the folder is no complete result.
    """
    plan = planned_export(result, formats, name, engraving)
    tell(plan)
    chosen, case, account = plan.formats, plan.case, _account_of(result)
    count = implants_of(account)
    sizes = tuple(print_size(read_stl(result / file)) for file in stl_names(count))
    needs_report = any(REPORT in format.reads(count) for format in chosen)
    with tempfile.TemporaryDirectory() as made, staged_folder(folder) as staging:
        exported = Exported(result, account, staging, case, ct, engraving, series or ct)
        if needs_report and not (result / REPORT).is_file():
            whole = whole_account(result)
            masks = read_masks(result, ct, report, whole)
            exported = replace(exported, to_draw=ToDraw(whole, masks, Path(made)))
        with Stages(report).stage("export") as progress:
            # What takes longest begins, and what waits for the report comes last; what must be
            # alone is written when all others are.
            alone = [format for format in chosen if format.alone]
            draws = exported.to_draw is not None
            others = sorted(
                set(chosen) - set(alone),
                key=lambda f: (
                    REPORT in f.reads(count),
                    draws and f.shows_skull,
                    not f.takes_long,
                    f.title,
                ),
            )
            works = [(format.title, _writing(format, exported)) for format in others]
            if draws:
                works.insert(0, ("Pictures", _drawing(exported)))
            share = len(others) / len(chosen)
            side_by_side(works, part(progress, 0.0, share))
            for format in alone:
                _writing(format, exported)(part(progress, share, 1.0))
    files = {format.name: format.files(case, count) for format in chosen}
    return ExportedFiles(case, files, sizes, tuple(exported.notes))
