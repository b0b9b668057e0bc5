"""Sample data in the Sample Data module: the sample patient, which the library makes here, and a real head CT."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import slicer
from slicer.i18n import tr as _

from .logic import SkullImplantLogic

if TYPE_CHECKING:
    from .run import Outcome

ICONS = Path(__file__).resolve().parents[1] / "Resources" / "Icons"
CATEGORY = "SkullImplant"
# The names by which SampleData.downloadSample finds them.
SAMPLE_NAME, REAL_NAME = "Head CT with a craniectomy", "Head CT of a volunteer"
SAMPLE_NODE = "Sample patient"
# The CT of Slicer's own sample "CT-MR Brain": donated by the person visible in it, to be used without any
# restrictions (acknowledgement of the module Sample Data). The skull is whole.
REAL_SHA256 = "6a5b6caccb76576a863beb095e3bfb910c50ca78f4c9bf043aa42f976cfa53d1"
REAL_FILE = "CT-brain.nrrd"


def registerSampleData() -> None:
    """Add both to the Sample Data module."""
    import SampleData

    SampleData.SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=_("Skull Implant"))
    sources = slicer.modules.sampleDataSources.setdefault(CATEGORY, []) if hasattr(
        slicer.modules, "sampleDataSources") else SampleData.SampleDataLogic.sampleDataSourcesByCategory().setdefault(
        CATEGORY, [])
    sample = _madeHere(SampleData.SampleDataSource)
    if sample not in sources:
        sources.append(sample)
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=REAL_NAME,
        uris=f"{slicer.util.TESTING_DATA_URL}SHA256/{REAL_SHA256}",
        fileNames=REAL_FILE,
        nodeNames="CTBrain",
        checksums=f"SHA256:{REAL_SHA256}",
        thumbnailFileName=str(ICONS / "SkullImplant.png"),
    )


def sampleFile() -> Path:
    """Return where the CT of the sample patient lies once it was made: in the scene's cache, as what is downloaded."""
    from SkullImplantLib import __version__

    cache = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
    return Path(cache) / f"skull-implant-{__version__}-sample-ct.nrrd"


def _madeHere(sourceClass: Any) -> Any:
    """Return the sample patient as a source, of the class that Slicer has for them.

    ``SampleData.downloadSample`` calls no ``customDownloader``, which belongs to the button in the module; it fetches
    the source's address. So the file is made when that address is asked for, and lies where the download would put it.
    """

    class SampleMadeHere(sourceClass):
        _isReady = False

        @property
        def uris(self) -> list[str]:
            path = sampleFile()
            if self._isReady and not path.is_file():
                _makeFile(path)
            return [path.as_uri()]

        @uris.setter
        def uris(self, value: Any) -> None:
            """The address follows the cache's folder."""

        @property
        def fileNames(self) -> list[str]:
            return [sampleFile().name]

        @fileNames.setter
        def fileNames(self, value: Any) -> None:
            """The name follows the library's version."""

        def __str__(self) -> str:  # compared by, and must make nothing
            return f"{CATEGORY}: {self.sampleName}"

        def __eq__(self, other: object) -> bool:
            return str(self) == str(other)

        __hash__ = None  # type: ignore[assignment]

    source = SampleMadeHere(
        sampleName=SAMPLE_NAME,
        uris="file:",
        fileNames="sample-ct.nrrd",
        nodeNames=SAMPLE_NODE,
        thumbnailFileName=str(ICONS / "SkullImplantSample.png"),
        customDownloader=loadSample,
    )
    source._isReady = True
    return source


def _makeFile(path: Path) -> None:
    """Make the sample patient's CT and keep its file.

    :raises RuntimeError: it could not be made; the message says why.
    """
    logic = SkullImplantLogic()
    outcomes: list[Outcome] = []
    logic.startSampleFile(path, outcomes.append)
    _valueOf(logic, outcomes)


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
    return _valueOf(logic, outcomes)


def _valueOf(logic: SkullImplantLogic, outcomes: "list[Outcome]") -> Any:
    logic.wait()
    if not outcomes:
        raise RuntimeError(_("The application is being closed."))
    if outcomes[0].state != "done":
        raise RuntimeError(outcomes[0].message)
    return outcomes[0].value
