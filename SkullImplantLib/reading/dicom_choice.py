"""Which of a study's DICOM series is the CT to use, or why none is."""

from collections import Counter

from ..errors import Remedy, SkullImplantError
from .dicom_study import DamagedFile, DicomSeries, Study

# Of a folder's series in a message, the largest first.
MAX_LISTED = 20
# Of damaged files in a message.
MAX_NAMED = 3


def choose_series(study: Study, uid: str | None) -> DicomSeries:
    """Return the series named by `uid`, else the largest CT series, axial and primary ones first.

    Raises `SkullImplantError`, naming what there is, where there is no such series, where the
    choice is between patients, or where a damaged file could be one of its slices.
    """
    series = study.series
    if uid is not None:
        wanted = [s for s in series if s.uid == uid]
        if not wanted:
            raise SkullImplantError(
                f"No series has that UID; the folder holds {_listed(series) or 'none'}."
            )
        series = wanted
    usable = [s for s in series if s.headers]
    if not usable:
        possible = [
            file
            for file in study.damaged
            if not series or any(file.may_belong_to(one) for one in series)
        ]
        raise _damage(possible) if possible else _no_ct(series)
    chosen = max(usable, key=DicomSeries.rank)
    if len(chosen.patients) > 1:
        raise SkullImplantError(
            f"The CT series mixes slices of {len(chosen.patients)} patients; separate them.",
            Remedy.OTHER_SERIES,
        )
    patients = frozenset[str]().union(*(s.patients for s in usable))
    if chosen.patients and len(patients) > 1:
        raise SkullImplantError(
            f"The folder holds CT series of {len(patients)} patients; give the folder of one "
            "patient.",
            Remedy.OTHER_SERIES,
        )
    if damaged := [file for file in study.damaged if file.may_belong_to(chosen)]:
        raise _damage(damaged)
    return chosen


def _listed(series: list[DicomSeries]) -> str:
    most = sorted(series, key=lambda s: -s.files)[:MAX_LISTED]
    return ", ".join(
        f"{s.uid or 'one without a UID'} ({s.modality}, {_files(s.files)})" for s in most
    )


def _damage(damaged: list[DamagedFile]) -> SkullImplantError:
    more = len(damaged) - MAX_NAMED
    named = ", ".join(repr(file.path.name) for file in damaged[:MAX_NAMED])
    named += f" and {more} more" if more > 0 else ""
    return SkullImplantError(
        f"{_files(len(damaged))} of the folder cannot be read ({named}) and may be of the CT "
        "series: damaged or cut short; copy the series again."
    )


def _no_ct(series: list[DicomSeries]) -> SkullImplantError:
    counts = Counter[str]()
    for s in series:
        counts[s.modality] += s.files
    listed = ", ".join(f"{modality}: {_files(count)}" for modality, count in sorted(counts.items()))
    if "CT" in counts:
        return SkullImplantError(
            f"There are no CT slices, only localizers or secondary captures ({listed}); give the "
            "folder of the CT series."
        )
    return SkullImplantError(
        f"There is no CT series, but {listed}; give the folder of a CT of the head."
    )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def notes_on_choice(chosen: DicomSeries, study: Study, given: bool) -> tuple[str, ...]:
    """Return notes on a choice among several series that the user may want otherwise, and on what
    was passed over; `given`: the user made the choice."""
    notes: tuple[str, ...] = ()
    others = sum(1 for s in study.series if s.headers) - 1
    if others and not given:
        notes += (
            f"The folder holds {others + 1} CT series; the one with {chosen.slices} slices "
            "was used.",
        )
    if chosen.localizers:
        notes += (f"{chosen.localizers} localizer(s) within the CT series were left out.",)
    if study.damaged:
        notes += (f"{_files(len(study.damaged))} of another series, passed over, cannot be read.",)
    return notes
