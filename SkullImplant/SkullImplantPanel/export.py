"""The result as files: the implant's surface for the printer, masks, report and data.

Files lie in the world's frame, as the patient lies in the views; where a transform moves the input,
they are moved with it. The scene stays as it is.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import vtk

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.core.staging import staged_folder
from SkullImplantLib.errors import SkullImplantError

from .inputs import SegmentsSnapshot, matrixToWorld, snapshotOfSegments, writeImages, writeSurface
from .resultfiles import COMPLETED, IMPLANT, SKULL, implantFiles
from .results import ResultNodes, designOf, implantIdsOf
from .review import isEdited

STL, MASKS, REPORT = "stl", "masks", "report"
REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Export:
    """What of the result ``nodes`` is to be written where, taken out of the scene; by file name.

    ``lacksReport``: a report is to be among it, and has not been made yet.
    """

    nodes: ResultNodes
    folder: Path
    surfaces: dict[str, vtk.vtkPolyData]
    images: dict[str, SegmentsSnapshot]
    texts: dict[str, str]
    lacksReport: bool = False

    @property
    def files(self) -> list[Path]:
        """What is written."""
        names = {*self.surfaces, *self.images, *self.texts, *([REPORT_FILE] if self.lacksReport else [])}
        return [self.folder / name for name in sorted(names)]

    def withReport(self, text: str) -> "Export":
        """Return the export with the report (HTML) that it lacked."""
        return replace(self, texts={**self.texts, REPORT_FILE: text}, lacksReport=False)

    def write(self) -> list[Path]:
        """Write all files or none, in any thread; return them.

        :raises SkullImplantError: the folder cannot be written.
        :raises ValueError: it lacks its report.
        """
        if self.lacksReport:
            raise ValueError("the report has not been made yet")
        with staged_folder(self.folder) as staging:
            for name, surface in self.surfaces.items():
                writeSurface(surface, staging / name)
            writeImages(self.images, staging, compressed=True)
            for name, text in self.texts.items():
                (staging / name).write_text(text, encoding="utf-8")
        return self.files


def exportOf(nodes: ResultNodes, folder: Path, formats: list[str]) -> Export:
    """Return the chosen formats of a result as an export.

    :raises SkullImplantError: the implant was edited after its surface was made; or masks are asked
        for, and a transform bends them.
    """
    if isEdited(nodes, lookAgain=True):
        raise SkullImplantError(_("The implant was edited, and its surface and checks are those of before; click "
                                  "'Update from edit' first."))
    surfaces, images, texts = {}, {}, {}
    lacksReport = REPORT in formats and nodes.report is None
    if STL in formats:
        for name, modelNode in zip(implantFiles(designOf(nodes)), nodes.models):
            surfaces[name] = _surfaceInWorld(modelNode)
    if MASKS in formats:
        if matrixToWorld(nodes.segmentation) is None:
            raise SkullImplantError(_("The result is under a transform that bends it; harden that transform first, "
                                      "or export the STL only."))
        for piece in (SKULL, COMPLETED):
            images[piece.fileName] = snapshotOfSegments(nodes.segmentation, [piece.segmentId], inWorld=True)
        images[IMPLANT.fileName] = snapshotOfSegments(
            nodes.segmentation, implantIdsOf(nodes), inWorld=True, numbered=True)
    if REPORT in formats:
        texts["design.json"] = nodes.design.GetText()
        if nodes.report is not None:
            texts[REPORT_FILE] = nodes.report.GetText()
    return Export(nodes, folder, surfaces, images, texts, lacksReport)


def _surfaceInWorld(modelNode: slicer.vtkMRMLModelNode) -> vtk.vtkPolyData:
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(modelNode.GetParentTransformNode(), None, toWorld)
    world = vtk.vtkTransformPolyDataFilter()
    world.SetInputData(modelNode.GetPolyData())
    world.SetTransform(toWorld)
    world.Update()
    return world.GetOutput()
