"""The result as files: the implant's surface for the printer, masks, report and data.

Files lie in the world's frame, as the patient lies in the views; where a transform moves the input,
they are moved with it. The scene stays as it is.
"""

from pathlib import Path

import numpy as np
import vtk

import slicer

from .inputs import FLIP_RAS_LPS, SceneImage, matrixToWorld, snapshotOfSegments, writeImage
from .results import PIECES, ResultNodes

STL, MASKS, REPORT = "stl", "masks", "report"


def exportResults(nodes: ResultNodes, folder: Path, formats: list[str]) -> list[Path]:
    """Write the chosen formats into a folder, all or none; return the files.

    :raises SkullImplantError: the folder cannot be written.
    """
    from SkullImplantLib.export.folder import staged_folder

    with staged_folder(folder) as staging:
        if STL in formats:
            _writeStl(nodes.model, staging / "implant.stl")
        if MASKS in formats:
            _writeMasks(nodes.segmentation, staging)
        if REPORT in formats:
            (staging / "design.json").write_text(nodes.design.GetText(), encoding="utf-8")
            if nodes.report is not None:
                (staging / "report.html").write_text(nodes.report.GetText(), encoding="utf-8")
        names = sorted(path.name for path in staging.iterdir())
    return [folder / name for name in names]


def _writeStl(modelNode: slicer.vtkMRMLModelNode, path: Path) -> None:
    from SkullImplantLib.export.stl import write_stl

    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(modelNode.GetParentTransformNode(), None, toWorld)
    world = vtk.vtkTransformPolyDataFilter()
    world.SetInputData(modelNode.GetPolyData())
    world.SetTransform(toWorld)
    toLps = vtk.vtkTransform()
    toLps.SetMatrix(slicer.util.vtkMatrixFromArray(FLIP_RAS_LPS))
    lps = vtk.vtkTransformPolyDataFilter()
    lps.SetInputConnection(world.GetOutputPort())
    lps.SetTransform(toLps)
    lps.Update()
    write_stl(lps.GetOutput(), path)


def _writeMasks(segmentationNode: slicer.vtkMRMLSegmentationNode, folder: Path) -> None:
    toWorld = matrixToWorld(segmentationNode)
    for piece in PIECES:
        image = snapshotOfSegments(segmentationNode, [piece.segmentId]).image()
        moved = np.eye(4) if toWorld is None else toWorld
        writeImage(SceneImage(image.voxels, moved @ image.ijkToRas), folder / piece.fileName, compressed=True)
