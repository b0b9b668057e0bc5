"""Maps on an implant's surface: gap, step, thickness and uncertainty as colors, with Slicer's own color legend."""

from dataclasses import dataclass
from typing import Any

import vtk

import slicer
from slicer.i18n import tr as _

from .results import ResultNodes, designOf

NONE, GAP, STEP, THICKNESS, UNCERTAINTY = "none", "gap", "step", "thickness", "uncertainty"

# Viridis (Smith and van der Walt 2015, CC0), in tenths: even to the eye, and without red against green.
VIRIDIS = (
    "#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6dcd59", "#b4de2c", "#fde725",
)
# The ends of a map that diverges from its middle (Moreland 2009), which VTK fills in.
COOL, WARM = (0.230, 0.299, 0.754), (0.706, 0.016, 0.150)
COUNT = 256
# Where a map does not apply.
NOWHERE = (0.62, 0.62, 0.62)
MAP_ATTRIBUTE = "SkullImplant.Map"
# A step's limit is 0.8 mm outside and 1 mm inside, and more where the bone itself is uneven.
STEP_LIMIT_MM = 0.8
# Designs are flagged from about this error on; two deviations are as much.
MOST_UNCERTAIN_MM = 2.0
# In the lower left corner, clear of the implant that views are centered on and of the letters for the directions;
# shares of the view. Texts are as large as the width lets them be.
LEGEND_POSITION, LEGEND_SIZE = (0.02, 0.02), (0.06, 0.36)
# Views darker than this have white texts.
DARK = 0.4
LINE_PIXELS = 4  # of the outline in slices


@dataclass(frozen=True)
class SurfaceMap:
    """A map: its name as a parameter, its array, and whether its colors part at 0."""

    name: str
    array: str
    diverges: bool = False


MAPS = (
    SurfaceMap(GAP, "gap_mm"),
    SurfaceMap(STEP, "step_mm", diverges=True),
    SurfaceMap(THICKNESS, "thickness_mm"),
    SurfaceMap(UNCERTAINTY, "uncertainty_mm"),
)


@dataclass(frozen=True)
class Scale:
    """What the colors of a map mean: its title with the unit, the values at the ends, and how many are labeled."""

    title: str
    low: float
    high: float
    labels: int


def scaleOf(surfaceMap: SurfaceMap, design: dict[str, Any]) -> Scale:
    """Return the scale of a map, whose labels meet the limit that the result was checked against."""
    asked = design.get("parameters", {})
    if surfaceMap.name == GAP:
        found = [check["limit"] for check in design["checks"] if check["name"] == "rim gap"]
        limit = float(found[0]) if found else 1.0
        return Scale(_("Gap (mm)\nlimit {limit:g}").format(limit=limit), 0.0, 2.0 * limit, 5)
    if surfaceMap.name == STEP:
        title = _("Step (mm)\nlimit ±{limit:g}").format(limit=STEP_LIMIT_MM)
        return Scale(title, -2.0 * STEP_LIMIT_MM, 2.0 * STEP_LIMIT_MM, 5)
    if surfaceMap.name == THICKNESS:
        least = float(asked.get("least_wall_mm") or 2.0)
        return Scale(_("Thickness (mm)\nleast {limit:g}").format(limit=least), 0.0, 5.0 * least, 6)
    return Scale(_("Uncertainty\n(mm)"), 0.0, MOST_UNCERTAIN_MM, 5)


def hasMap(nodes: ResultNodes, surfaceMap: SurfaceMap) -> bool:
    """Say whether all surfaces of a result have the values of a map."""
    surfaces = [model.GetPolyData() for model in nodes.models]
    return all(surface is not None and surface.GetPointData().HasArray(surfaceMap.array) for surface in surfaces)


def paint(nodes: ResultNodes, surfaceMap: SurfaceMap) -> None:
    """Color a result's surfaces, in 3D and where slices cut them, and show the legend in 3D."""
    scale = scaleOf(surfaceMap, designOf(nodes))
    colors = _colorNode(surfaceMap)
    for model in nodes.models:
        display = model.GetDisplayNode()
        if display is None:
            continue
        with slicer.util.NodeModify(display):
            display.SetActiveScalar(surfaceMap.array, vtk.vtkAssignAttribute.POINT_DATA)
            display.SetAndObserveColorNodeID(colors.GetID())
            display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
            display.SetScalarRange(scale.low, scale.high)
            display.SetScalarVisibility(True)
            display.SetSliceIntersectionThickness(LINE_PIXELS)
            display.SetVisibility2D(True)
    display = nodes.model.GetDisplayNode()
    if display is not None:
        _setUpLegend(slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(display), scale)


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


def _setUpLegend(legend: slicer.vtkMRMLColorLegendDisplayNode, scale: Scale) -> None:
    with slicer.util.NodeModify(legend):
        legend.SetTitleText(scale.title)
        legend.SetLabelFormat("%.1f")
        legend.SetNumberOfLabels(scale.labels)
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


def _colorNode(surfaceMap: SurfaceMap) -> slicer.vtkMRMLColorTableNode:
    """Return the colors of a map; one node for all results, which a saved scene keeps."""
    name = "diverging" if surfaceMap.diverges else "even"
    nodes = slicer.util.getNodesByClass("vtkMRMLColorTableNode")
    node = next((node for node in nodes if node.GetAttribute(MAP_ATTRIBUTE) == name), None)
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLColorTableNode")
        node.UnRegister(None)  # Python's variable owns it
        node.SetName(_("Skull Implant colors ({name})").format(name=name))
        node.SetAttribute(MAP_ATTRIBUTE, name)
        node.SetHideFromEditors(True)
        node.SetTypeToUser()
        node.SetNumberOfColors(COUNT)
        function = _diverging() if surfaceMap.diverges else _even()
        for index in range(COUNT):
            color = function.GetColor(index / (COUNT - 1.0))
            node.SetColor(index, f"{index}", *color, 1.0)
        slicer.mrmlScene.AddNode(node)
    node.GetLookupTable().SetNanColor(*NOWHERE, 1.0)  # no file keeps it
    return node


def _even() -> vtk.vtkColorTransferFunction:
    function = vtk.vtkColorTransferFunction()
    function.SetColorSpaceToLab()
    for index, color in enumerate(VIRIDIS):
        rgb = (int(color[start:start + 2], 16) / 255.0 for start in (1, 3, 5))
        function.AddRGBPoint(index / (len(VIRIDIS) - 1.0), *rgb)
    return function


def _diverging() -> vtk.vtkColorTransferFunction:
    function = vtk.vtkColorTransferFunction()
    function.SetColorSpaceToDiverging()
    function.AddRGBPoint(0.0, *COOL)
    function.AddRGBPoint(1.0, *WARM)
    return function
