"""Whether the application is new enough: it must start processes beside its event loop."""

import slicer
from slicer.i18n import tr as _

# Its launchConsoleProcess(blocking=False) is what runs are started with.
OLDEST = (5, 12)


def versionOfSlicer() -> tuple[int, int]:
    """Return the application's version, (major, minor)."""
    return int(slicer.app.majorVersion), int(slicer.app.minorVersion)


def versionProblem() -> str | None:
    """Return why this application cannot run a design, in one sentence, or None."""
    if versionOfSlicer() >= OLDEST:
        return None
    found, oldest = (".".join(map(str, version)) for version in (versionOfSlicer(), OLDEST))
    return _("This is Slicer {found}, and Skull Implant needs {oldest} or newer; install a newer Slicer.").format(
        found=found, oldest=oldest)
