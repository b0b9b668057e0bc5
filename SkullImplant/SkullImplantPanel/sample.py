"""The sample patient in the Sample Data module; the library makes it on this computer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from .logic import SkullImplantLogic

if TYPE_CHECKING:
    from .run import Outcome

THUMBNAIL = Path(__file__).resolve().parents[1] / "Resources" / "Icons" / "SkullImplantSample.png"


def registerSampleData() -> None:
    """Add the sample patient, which the library makes on this computer, to the Sample Data module."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataCategory("SkullImplant", title=_("Skull Implant"))
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="SkullImplant",
        sampleName="Head CT with a craniectomy",
        thumbnailFileName=str(THUMBNAIL),
        # Nothing is downloaded, but a source must have an address, a file name and a node name.
        uris="",
        fileNames="sample-ct.nrrd",
        nodeNames="Sample patient",
        customDownloader=loadSample,
    )


def loadSample(source: Any = None) -> None:
    """Make the sample patient for the Sample Data module; what goes wrong is shown."""
    with slicer.util.tryWithErrorDisplay(_("The sample patient could not be made."), waitCursor=True):
        slicer.util.showStatusMessage(_("Making the sample patient, in about half a minute..."))
        makeSample()
        slicer.util.showStatusMessage(_("The sample patient is loaded."), 3000)


def makeSample() -> slicer.vtkMRMLScalarVolumeNode:
    """Make the sample patient and wait for it; the application stays responsive.

    :return: the CT, a scalar volume with a craniectomy.
    :raises RuntimeError: it could not be made; the message says why.
    """
    logic = SkullImplantLogic()
    outcomes: list[Outcome] = []
    logic.startSample(outcomes.append)
    logic.wait()
    if not outcomes:
        raise RuntimeError(_("The application is being closed."))
    if outcomes[0].state != "done":
        raise RuntimeError(outcomes[0].message)
    return outcomes[0].value
