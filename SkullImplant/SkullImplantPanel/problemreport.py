"""What a report of a problem holds: versions, the computer, and the last run's log; no patient data and no paths."""

import getpass
import platform
import re
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import slicer
from slicer.i18n import tr as _

from .run import Outcome

HOME = "https://github.com/SkullImplant/SlicerSkullImplant"
PACKAGES = ("numpy", "scipy", "SimpleITK", "vtk", "torch", "pydicom")
# A shorter name is part of too many words.
LEAST_NAME = 3
# From the root of a drive or of the file system on; blanks within a path cut it off, and what follows is its end.
_PATH = re.compile(r"""(?:(?<![A-Za-z])[A-Za-z]:[\\/]|\\\\|(?<![\w:/.<])/(?=[\w.~-]))[^\s"'<>|,;)]*""")


def problemText(outcome: Outcome | None, devices: dict[str, Any] | None, names: Iterable[str]) -> str:
    """Return the text, for the user to read, to change and to send.

    :param outcome: of the last run, None where there was none.
    :param devices: what the library found to run on, None where it was not asked.
    :param names: what may tell a patient, such as the names of the scene's nodes; it is left out.
    """
    lines = [
        _("What did you do, and what happened? (Please write no name of a patient.)"), "", "",
        f"Slicer {_slicerVersion()}, Skull Implant {_libraryVersion()}",
        f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}",
        ", ".join(f"{package} {_versionOf(package)}" for package in PACKAGES),
    ]
    found = (devices or {}).get("devices", [])
    lines += [f"{device['id']}: {device['name']}" for device in found]
    if outcome is not None:
        lines += ["", f"Last run: {outcome.state}. {outcome.message}", *outcome.notes, *outcome.log]
    return withoutNames("\n".join(lines), names)


def withoutNames(text: str, names: Iterable[str]) -> str:
    """Return a text without paths, the user's name, and these names."""
    text = _PATH.sub("<path>", text)
    private = {name for name in (*names, _userName()) if len(name) >= LEAST_NAME}
    for name in sorted(private, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "<name>", text, flags=re.IGNORECASE)
    return text


def namesInScene() -> list[str]:
    """Return what volumes and segmentations of the scene, and the patients above them, are called."""
    names = []
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    for className in ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode"):
        for node in slicer.util.getNodesByClass(className):
            names.append(node.GetName() or "")
            item = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node))
            while item and item != hierarchy.GetSceneItemID():
                names.append(hierarchy.GetItemName(item) or "")
                item = hierarchy.GetItemParent(item)
    return names


def _slicerVersion() -> str:
    return f"{slicer.app.majorVersion}.{slicer.app.minorVersion}"


def _libraryVersion() -> str:
    from SkullImplantLib import __version__

    return __version__


def _versionOf(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "-"


def _userName() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # there is none
        return ""
