"""The parameters of the module, kept in the scene: what is designed, how, and where its results are."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from slicer import (
    vtkMRMLLabelMapVolumeNode,
    vtkMRMLMarkupsClosedCurveNode,
    vtkMRMLMarkupsFiducialNode,
    vtkMRMLMarkupsLineNode,
    vtkMRMLScalarVolumeNode,
    vtkMRMLSegmentationNode,
)
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper


@parameterNodeWrapper
class SkullImplantParameterNode:
    """
    The parameters of the design and where its results are.

    inputVolume - The head CT (or a labelmap of the skull).
    skullIsSegmentation - Whether skullSegmentation is the input, instead of inputVolume.
    skullSegmentation - A segmentation whose visible segments are the skull.
    automaticThreshold - Whether the bone threshold is found from the CT.
    boneThresholdHu - The bone threshold where it is not automatic, in HU.
    leaveOut - A segmentation in whose visible segments bone does not count.
    cutOutCurve - A closed curve on the skull whose inside is a hole; bone in it counts as removed.
    limitCurve - A closed curve on the skull; only what of the missing bone is inside gets an implant.
    showHoles - Whether the skull and the holes that were found are shown in the views.
    reference - The patient's own earlier CT, or one of the bone flap, which completes the skull.
    clearanceMm - The gap between implant and bone.
    thicknessMm - How thick the implant is; 0 for the thickness of the bone that is missing.
    leastWallMm - Nothing of the implant is thinner.
    automaticDirection - Whether the direction along which the implant comes out is found.
    directionArrow - The line along which it comes out where that is not automatic, from inside to outside.
    allHoles - Whether every hole of 4 cm² and more gets an implant.
    holePoints - Points in the holes that get one where not all do.
    refineMm - The side of the voxels that the skull is refined to first; 0 leaves it as it came.
    smoother - What makes the completion smooth: field or rearrangement.
    model - Shipped model by name, "auto" for the best that runs here, or the path of a weight file.
    device - Where a network runs: auto, cpu or cuda.
    keepResults - Whether earlier results stay in the scene when a new design is made.
    resultSegmentation - The result under review; it refers to the result's other nodes.
    colorBy - Which map colors the implant: none, gap, step, thickness or uncertainty.
    skullOpacity - How opaque the skull is in the 3D view.
    showMirror - Whether the mirrored other side is shown beside the result.
    mirrorOpacity - How opaque it is in the 3D view.
    comparedSegmentation - Another result of the same input, held against the one under review.
    proposeMirror, proposeEven, proposeNetwork - Which other proposals are made.
    exportFolder - Where the files go.
    exportFormats - Which files: formats of SkullImplantLib.export.formats, with commas between them.
    organsVolume - The CT of a chest in which organs are looked for.
    organsCoarse - A segmentation or labelmap whose organs are refined; without it they are looked for.
    organsDense, organsModel - Weights of the network that finds organs and of that which refines them, by name or as
        files.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    skullIsSegmentation: bool = False
    skullSegmentation: vtkMRMLSegmentationNode
    automaticThreshold: bool = True
    boneThresholdHu: Annotated[float, WithinRange(0, 2000)] = 300
    leaveOut: vtkMRMLSegmentationNode
    cutOutCurve: vtkMRMLMarkupsClosedCurveNode
    limitCurve: vtkMRMLMarkupsClosedCurveNode
    showHoles: bool = True
    reference: vtkMRMLScalarVolumeNode
    clearanceMm: Annotated[float, WithinRange(0, 5)] = 0.5
    thicknessMm: Annotated[float, WithinRange(0, 20)] = 0
    leastWallMm: Annotated[float, WithinRange(0.5, 6)] = 2
    automaticDirection: bool = True
    directionArrow: vtkMRMLMarkupsLineNode
    allHoles: bool = True
    holePoints: vtkMRMLMarkupsFiducialNode
    refineMm: Annotated[float, WithinRange(0, 4)] = 0
    smoother: str = "field"
    model: str = "auto"
    device: str = "auto"
    keepResults: bool = False
    resultSegmentation: vtkMRMLSegmentationNode
    colorBy: str = "none"
    skullOpacity: Annotated[float, WithinRange(0, 1)] = 0.35
    showMirror: bool = False
    mirrorOpacity: Annotated[float, WithinRange(0, 1)] = 0.4
    comparedSegmentation: vtkMRMLSegmentationNode
    proposeMirror: bool = True
    proposeEven: bool = True
    proposeNetwork: bool = False
    exportFolder: Path
    exportFormats: str = "stl,report,json"
    organsVolume: vtkMRMLScalarVolumeNode
    organsCoarse: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007 - Slicer's wrapper
    organsDense: str = "organs-coarse"
    organsModel: str = "organs-fine"

    if TYPE_CHECKING:  # what the decorator adds

        def __init__(self, parameterNode: Any) -> None: ...
        def connectGui(self, gui: Any) -> int: ...
        def disconnectGui(self, tag: int) -> None: ...
