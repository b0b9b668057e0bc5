"""The DICOM series that a result's CT came from: in Slicer's DICOM database, or in a folder that the user points at.

Which one it is, is looked up by what Slicer or the user says; whether it is that CT, the library sees by its bone.
"""

from pathlib import Path

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.errors import SkullImplantError

from .keptwithinput import keepText, keptText
from .results import ResultNodes, designOf, inputOfResult

FOLDER_ATTRIBUTE = "SkullImplant.DicomFolder"
# Where Slicer's DICOM readers write which files they made a volume of, with blanks between them.
UIDS_ATTRIBUTE = "DICOM.instanceUIDs"


def typedFolder(nodes: ResultNodes) -> str:
    """Return the folder that was pointed at for the input of a result, empty where none was."""
    return keptText(nodes, FOLDER_ATTRIBUTE)


def setTypedFolder(nodes: ResultNodes, path: str) -> None:
    """Keep the folder of the series for the input of a result; an empty one is forgotten."""
    keepText(nodes, FOLDER_ATTRIBUTE, path)


def isOfCt(nodes: ResultNodes) -> bool:
    """Return whether a result was made of a CT, which can have come from a series."""
    return designOf(nodes).get("input", {}).get("kind") == "ct"


def isInDatabase(nodes: ResultNodes) -> bool:
    """Return whether Slicer's DICOM database knows the files of a result's CT; one question stands for all."""
    return bool(_uids(nodes)) and bool(_fileOf(_uids(nodes)[0]))


def seriesProblem(nodes: ResultNodes) -> str | None:
    """Return why there is no series to a result, in one sentence, or None."""
    if not isOfCt(nodes):
        return _("DICOM needs the DICOM series that the design came from; this one came from a mask.")
    if typedFolder(nodes):
        if not Path(typedFolder(nodes)).is_absolute():  # whether it is there is asked by the library
            return _("Choose the whole path of the folder of the DICOM series.")
        return None
    if not isInDatabase(nodes):
        return _("DICOM needs the DICOM series that the design came from; choose its folder, or load the CT from "
                 "Slicer's DICOM database.")
    return None


def seriesFiles(nodes: ResultNodes) -> list[Path]:
    """Return the files that Slicer's DICOM database has of a result's CT, in their order, each once.

    :raises SkullImplantError: it does not have all of them any more.
    """
    files = [_fileOf(uid) for uid in _uids(nodes)]
    if not all(files):
        raise SkullImplantError(_("Slicer's DICOM database does not hold all slices of the CT any more; choose the "
                                  "folder of the DICOM series."))
    return [Path(file) for file in dict.fromkeys(files)]


def _uids(nodes: ResultNodes) -> list[str]:
    node = inputOfResult(nodes.segmentation)
    return [] if node is None else str(node.GetAttribute(UIDS_ATTRIBUTE) or "").split()


def _fileOf(uid: str) -> str:
    """Return the path of an instance's file, empty where there is none, or an application without DICOM."""
    database = getattr(slicer, "dicomDatabase", None)
    return "" if database is None else str(database.fileForInstance(uid) or "")
