"""The result as files, in the formats of the library's table: what is written where, taken out of the scene.

Files lie in the world's frame, as the patient lies in the views; where a transform moves the input,
they are moved with it. The scene stays as it is. The library writes them in another process.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import vtk

import slicer
from slicer.i18n import tr as _

from SkullImplantLib.core.result_names import maps_name, stl_names
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.case_names import safe_name
from SkullImplantLib.export.formats import BY_NAME, IMPLANT, MASK_FILES, REPORT, Format
from SkullImplantLib.export.outgoing import OutgoingFile, checked_engraving, outgoing_files

from .casename import caseName, typedLabel, typedName
from .dicomseries import seriesFiles, seriesProblem, typedFolder
from .inputs import FLIP_RAS_LPS, matrixToWorld, snapshotOfSegments
from .parameters import SkullImplantParameterNode
from .remedies import sentenceOf
from .requests import BEFORE, Images, Request
from .resultfiles import COMPLETED, SKULL
from .results import ResultNodes, designOf, implantIdsOf
from .review import isEdited

# Within a run's work folder, the copies of the slices of Slicer's DICOM database.
SERIES = "series"
SEGMENT_OF_MASK = {piece.fileName: piece.segmentId for piece in (SKULL, COMPLETED)}


@dataclass(frozen=True)
class Export:
    """What of the result ``nodes`` is to be written where, by formats of ``SkullImplantLib.export.formats``.

    ``case``: what the names of the files begin with. ``lacksReport``: a report is needed, and has not been made yet.
    ``label``: what is engraved, empty where nothing is. ``slices``: the files of the CT's DICOM series, where they are
    in Slicer's database; ``seriesFolder``: where the user says that they are. The rest is what the library reads, by
    file name.
    """

    nodes: ResultNodes
    folder: Path
    case: str
    formats: tuple[Format, ...]
    surfaces: dict[str, vtk.vtkPolyData]
    images: Images
    texts: dict[str, str]
    lacksReport: bool = False
    label: str = ""
    slices: tuple[Path, ...] = ()
    seriesFolder: str = ""

    @property
    def files(self) -> list[Path]:
        """What is written."""
        return [self.folder / file.name for file in outgoingOf(self.nodes, self.formats)]

    def withReport(self, text: str) -> "Export":
        """Return the export with the report (HTML) that it lacked."""
        return replace(self, texts={**self.texts, REPORT: text}, lacksReport=False)

    def request(self) -> Request:
        """Return the request to write all files, or none.

        :raises ValueError: it lacks its report.
        """
        if self.lacksReport:
            raise ValueError("the report has not been made yet")
        names = ",".join(format.name for format in self.formats)
        arguments = [f"{{folder}}/{BEFORE}", "--as", names, f"--name={self.case}"]
        if self.label:
            arguments.append(f"--engrave={self.label}")
        if self.seriesFolder or self.slices:
            arguments += ["--dicom-series", self.seriesFolder or f"{{folder}}/{SERIES}"]
        return Request(
            "export", None, arguments,
            {f"{BEFORE}/{name}": image for name, image in self.images.items()},
            {f"{BEFORE}/{name}": text for name, text in self.texts.items()},
            {f"{BEFORE}/{name}": surface for name, surface in self.surfaces.items()},
            {f"{SERIES}/{number:05}.dcm": path for number, path in enumerate(self.slices)},
            output=self.folder)


def chosenFormats(names: str) -> tuple[Format, ...]:
    """Return the formats whose names, with commas between them, the parameters hold; in the order of the table."""
    chosen = names.split(",")
    return tuple(format for name, format in BY_NAME.items() if name in chosen)


def outgoingOf(nodes: ResultNodes, formats: tuple[Format, ...]) -> tuple[OutgoingFile, ...]:
    """Return the files that formats of a result would write, with what each tells of the patient."""
    return outgoing_files(formats, caseName(nodes, designOf(nodes)), len(nodes.models),
                          named=bool(safe_name(typedName(nodes))), labelled=bool(typedLabel(nodes)))


def labelProblem(formats: tuple[Format, ...], label: str) -> str | None:
    """Return why a label cannot be engraved in what formats write, in one sentence, or None."""
    try:
        checked_engraving(formats, label)
    except SkullImplantError as error:
        return sentenceOf(error)
    return None


def exportProblem(
    nodes: ResultNodes | None, parameters: SkullImplantParameterNode, isRunning: bool
) -> str | None:
    """Return what keeps a result from being exported, in one sentence, or None.

    :param isRunning: there is a run in progress, beside which no report can be made.
    """
    formats = chosenFormats(parameters.exportFormats)
    if nodes is None:
        return _("There is no result yet; generate an implant first.")
    if not parameters.exportFolder.is_absolute():  # also one of another system, from a loaded scene
        return _("Choose the folder for the files.")
    if not formats:
        return _("Choose at least one kind of file.")
    lacking = seriesProblem(nodes) if any(format.needs_series for format in formats) else None
    if lacking is not None:
        return lacking
    label = labelProblem(formats, typedLabel(nodes)) if typedLabel(nodes) else None
    if label is not None:
        return label
    if nodes.report is None and isRunning and any(REPORT in format.reads(1) for format in formats):
        return _("The report has to be made; wait for the end of the run in progress, or leave the report out.")
    return None


def exportOf(nodes: ResultNodes, folder: Path, formats: tuple[Format, ...]) -> Export:
    """Return the chosen formats of a result as an export.

    DICOM lies where its series lies, whatever transform the input is under; everything else in the world's frame.

    :raises SkullImplantError: the implant was edited after its surface was made; voxels are asked for, and a
        transform bends them; DICOM and something else are asked for, and a transform moves them apart; or slices of
        the series are not in Slicer's DICOM database any more.
    """
    if isEdited(nodes, lookAgain=True):
        raise SkullImplantError(_("The implant was edited, and its surface and checks are those of before; click "
                                  "'Update from edit' first."))
    count = len(nodes.models)
    needed = {name for format in formats for name in format.reads(count)}
    inWorld = not any(format.needs_series for format in formats)
    if not inWorld and len(formats) > 1 and _isMoved(nodes):
        raise SkullImplantError(_("The CT is under a transform, and DICOM lies where its series lies; export DICOM by "
                                  "itself, and the other files without it."))
    surfaces = {name: _surface(model, inWorld) for name, model in zip(stl_names(count), nodes.models)}
    if inWorld and needed & set(MASK_FILES) and matrixToWorld(nodes.segmentation) is None:
        raise SkullImplantError(_("The result is under a transform that bends it; harden that transform first, "
                                  "or export nothing that is made of its voxels."))
    images: Images = {name: snapshotOfSegments(nodes.segmentation, [segmentId], inWorld=inWorld)
                      for name, segmentId in SEGMENT_OF_MASK.items() if name in needed}
    if IMPLANT in needed:
        ids = implantIdsOf(nodes)
        images[IMPLANT] = snapshotOfSegments(nodes.segmentation, ids, inWorld=inWorld, labels=range(1, len(ids) + 1))
    for name, model in zip(stl_names(count), nodes.models):
        if maps_name(name) in needed:
            surfaces[maps_name(name)] = _surface(model, inWorld)
    texts = {"design.json": _accountInWorld(nodes) if inWorld else str(nodes.design.GetText())}
    lacksReport = REPORT in needed and nodes.report is None
    if REPORT in needed and nodes.report is not None:
        texts[REPORT] = nodes.report.GetText()
    seriesFolder = "" if inWorld else typedFolder(nodes)
    slices = () if inWorld or seriesFolder else tuple(seriesFiles(nodes))
    label = typedLabel(nodes)
    return Export(nodes, folder, caseName(nodes, designOf(nodes)), formats, surfaces, images, texts, lacksReport,
                  label, slices, seriesFolder)


def _isMoved(nodes: ResultNodes) -> bool:
    matrix = matrixToWorld(nodes.segmentation)
    return matrix is None or not np.array_equal(matrix, np.eye(4))


def _accountInWorld(nodes: ResultNodes) -> str:
    """Return ``design.json`` with the ways out and the middles of the implants as they lie in the world."""
    matrix, design = matrixToWorld(nodes.segmentation), designOf(nodes)
    if matrix is None or not _isMoved(nodes):
        return str(nodes.design.GetText())
    moved = FLIP_RAS_LPS @ matrix @ FLIP_RAS_LPS
    for told in design.get("implants", []):
        way = moved[:3, :3] @ told["insertion_direction_lps"]
        told["insertion_direction_lps"] = (way / np.linalg.norm(way)).tolist()
        told["centre_mm_xyz"] = (moved @ [*told["centre_mm_xyz"], 1.0])[:3].tolist()
    return json.dumps(design)


def _surface(modelNode: slicer.vtkMRMLModelNode, inWorld: bool) -> vtk.vtkPolyData:
    if not inWorld:
        own = vtk.vtkPolyData()
        own.ShallowCopy(modelNode.GetPolyData())
        return own
    toWorld = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(modelNode.GetParentTransformNode(), None, toWorld)
    world = vtk.vtkTransformPolyDataFilter()
    world.SetInputData(modelNode.GetPolyData())
    world.SetTransform(toWorld)
    world.Update()
    return world.GetOutput()
