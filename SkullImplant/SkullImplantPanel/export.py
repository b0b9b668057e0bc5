"""The result as files: the implant's surface for the printer, masks, report and data.

Files lie in the world's frame, as the patient lies in the views; where a transform moves the input,
they are moved with it. The scene stays as it is.
"""

from dataclasses import dataclass
from pathlib import Path

import vtk

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.folder import staged_folder
from SkullImplantLib.export.stl import write_stl

from .inputs import FLIP_RAS_LPS, matrixToWorld, snapshotOfSegments, writeImages
from .results import PIECES, ResultNodes
from .review import isEdited

STL, MASKS, REPORT = "stl", "masks", "report"


@dataclass(frozen=True)
class Export:
    """What is to be written where, taken out of the scene; by file name."""

    folder: Path
    surfaces: dict
    images: dict
    texts: dict

    @property
    def files(self) -> list[Path]:
        """What is written."""
        return [self.folder / name for name in sorted({**self.surfaces, **self.images, **self.texts})]

    def write(self) -> list[Path]:
        """Write all files or none, in any thread; return them.

        :raises SkullImplantError: the folder cannot be written.
        """
        with staged_folder(self.folder) as staging:
            for name, surface in self.surfaces.items():
                write_stl(_inLps(surface), staging / name)
            writeImages(self.images, staging, compressed=True)
            for name, text in self.texts.items():
                (staging / name).write_text(text, encoding="utf-8")
        return self.files


def exportOf(nodes: ResultNodes, folder: Path, formats: list[str]) -> Export:
    """Return the chosen formats of a result as an export.

    :raises SkullImplantError: the implant was edited after its surface was made; or masks are asked
        for, and a transform bends them.
    """
    if isEdited(nodes):
        raise SkullImplantError(_("The implant was edited, and its surface and checks are those of before; click "
                                  "'Update from edit' first."))
    surfaces, images, texts = {}, {}, {}
    if STL in formats:
        surfaces["implant.stl"] = _surfaceInWorld(nodes.model)
    if MASKS in formats:
        if matrixToWorld(nodes.segmentation) is None:
            raise SkullImplantError(_("The result is under a transform that bends it; harden that transform first, "
                                      "or export the STL only."))
        for piece in PIECES:
            images[piece.fileName] = snapshotOfSegments(nodes.segmentation, [piece.segmentId], inWorld=True)
    if REPORT in formats:
        texts["design.json"] = nodes.design.GetText()
        if nodes.report is not None:
            texts["report.html"] = nodes.report.GetText()
    return Export(folder, surfaces, images, texts)


def _surfaceInWorld(modelNode: slicer.vtkMRMLModelNode) -> vtk.vtkPolyData:
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(modelNode.GetParentTransformNode(), None, toWorld)
    world = vtk.vtkTransformPolyDataFilter()
    world.SetInputData(modelNode.GetPolyData())
    world.SetTransform(toWorld)
    world.Update()
    return world.GetOutput()


def _inLps(surface: vtk.vtkPolyData) -> vtk.vtkPolyData:
    toLps = vtk.vtkTransform()
    toLps.SetMatrix(slicer.util.vtkMatrixFromArray(FLIP_RAS_LPS))
    lps = vtk.vtkTransformPolyDataFilter()
    lps.SetInputData(surface)
    lps.SetTransform(toLps)
    lps.Update()
    return lps.GetOutput()
