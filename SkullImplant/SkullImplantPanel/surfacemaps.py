"""Maps on an implant's surface: gap, step, thickness and uncertainty as colors, with Slicer's own color legend."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import vtk

import slicer
from slicer.i18n import tr as _

from .results import ResultNodes, designOf

if TYPE_CHECKING:
    from SkullImplantLib.export.map_colours import MapScale

NONE, GAP, STEP, THICKNESS, UNCERTAINTY = "none", "gap", "step", "thickness", "uncertainty"

MAP_ATTRIBUTE = "SkullImplant.Map"
# In the lower left corner, clear of the implant that views are centered on and of the letters for the directions;
# shares of the view. Texts are as large as the width lets them be.
LEGEND_POSITION, LEGEND_SIZE = (0.02, 0.02), (0.06, 0.36)
# Views darker than this have white texts.
DARK = 0.4
LINE_PIXELS = 4  # of the outline in slices


@dataclass(frozen=True)
class SurfaceMap:
    """A map: its name as a parameter, and its array."""

    name: str
    array: str


MAPS = tuple(SurfaceMap(name, f"{name}_mm") for name in (GAP, STEP, THICKNESS, UNCERTAINTY))


def titleOf(surfaceMap: SurfaceMap, scale: "MapScale") -> str:
    """Return the title of a legend, with the unit and the limit."""
    titles = {
        GAP: _("Gap (mm)\nlimit {limit:g}"),
        STEP: _("Step (mm)\nlimit ±{limit:g}"),
        THICKNESS: _("Thickness (mm)\nleast {limit:g}"),
        UNCERTAINTY: _("Uncertainty\n(mm)"),
    }
    return titles[surfaceMap.name].format(limit=scale.limit_mm or 0.0)


def hasMap(nodes: ResultNodes, surfaceMap: SurfaceMap) -> bool:
    """Say whether all surfaces of a result have the values of a map."""
    surfaces = [model.GetPolyData() for model in nodes.models]
    return all(surface is not None and surface.GetPointData().HasArray(surfaceMap.array) for surface in surfaces)


def paint(nodes: ResultNodes, surfaceMap: SurfaceMap) -> None:
    """Color a result's surfaces, in 3D and where slices cut them, and show the legend in 3D."""
    from SkullImplantLib.export.map_colours import scale_of

    scale = scale_of(surfaceMap.array, designOf(nodes))
    colors = _colorNode(scale.diverges)
    for model in nodes.models:
        display = model.GetDisplayNode()
        if display is None:
            continue
        with slicer.util.NodeModify(display):
            display.SetActiveScalar(surfaceMap.array, vtk.vtkAssignAttribute.POINT_DATA)
            display.SetAndObserveColorNodeID(colors.GetID())
            display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
            display.SetScalarRange(scale.low_mm, scale.high_mm)
            display.SetScalarVisibility(True)
            display.SetSliceIntersectionThickness(LINE_PIXELS)
            display.SetVisibility2D(True)
    display = nodes.model.GetDisplayNode()
    if display is not None:
        legend = slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display)
        _setUpLegend(legend, titleOf(surfaceMap, scale), scale.labels)


def unpaint(models: tuple[slicer.vtkMRMLModelNode, ...]) -> None:
    """Give surfaces their own color back."""
    logic = slicer.modules.colors.logic()
    for model in models:
        display = model.GetDisplayNode()
        if display is None or not slicer.mrmlScene.IsNodePresent(model):
            continue
        with slicer.util.NodeModify(display):
            display.SetScalarVisibility(False)
            display.SetVisibility2D(False)  # in slices the segment shows the implant
        legend = logic.GetColorLegendDisplayNode(model)
        if legend is not None:
            slicer.mrmlScene.RemoveNode(legend)


def _setUpLegend(legend: slicer.vtkMRMLColorLegendDisplayNode, title: str, labels: int) -> None:
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(title)
        legend.SetLabelFormat("%.1f")
        legend.SetNumberOfLabels(labels)
        legend.SetPosition(*LEGEND_POSITION)
        legend.SetSize(*LEGEND_SIZE)
        for text in (legend.GetTitleTextProperty(), legend.GetLabelTextProperty()):
            text.SetFontFamilyToArial()
            text.SetColor(*_inkOnViews())
            text.SetShadow(False)
            text.SetBold(False)
            text.SetItalic(False)
        legend.SetVisibility2D(False)  # slices are small, and have the colors only along lines
        legend.SetVisibility3D(True)
        legend.SetVisibility(True)


def _inkOnViews() -> tuple[float, float, float]:
    """Return the color of texts that are read on the background of the first 3D view."""
    view = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLViewNode")
    isDark = view is not None and sum(view.GetBackgroundColor()) / 3.0 < DARK
    return (1.0, 1.0, 1.0) if isDark else (0.0, 0.0, 0.0)


def _colorNode(diverges: bool) -> slicer.vtkMRMLColorTableNode:
    """Return the colors of a map; one node for all results, which a saved scene keeps."""
    from SkullImplantLib.export.map_colours import NOWHERE, colour_table

    name = "diverging" if diverges else "even"
    nodes = slicer.util.getNodesByClass("vtkMRMLColorTableNode")
    node = next((node for node in nodes if node.GetAttribute(MAP_ATTRIBUTE) == name), None)
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
        node.UnRegister(None)  # Python's variable owns it
        node.SetName(_("Skull Implant colors ({name})").format(name=name))
        node.SetAttribute(MAP_ATTRIBUTE, name)
        node.SetHideFromEditors(True)
        node.SetTypeToUser()
        table = colour_table(diverges)
        node.SetNumberOfColors(len(table))
        for index, color in enumerate(table):
            node.SetColor(index, f"{index}", *map(float, color), 1.0)
        slicer.mrmlScene.AddNode(node)
    node.GetLookupTable().SetNanColor(*NOWHERE, 1.0)  # no file keeps it
    return node
