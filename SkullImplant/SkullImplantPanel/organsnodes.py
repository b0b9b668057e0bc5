"""The organs that were found, in the scene: one segmentation of each CT, which keeps what is told of them."""

import json
from dataclasses import dataclass
from typing import Any

import slicer
from slicer.i18n import tr as _

from .newsegmentation import addSegment, newSegmentation
from .organsfiles import FoundOrgans
from .results import FINGERPRINT_ATTRIBUTE, ROLE
from .review import fingerprintNow
from .scenenodes import segmentations

# Marks the segmentation, with the contents of ``organs.json``.
ORGANS_ATTRIBUTE = "SkullImplant.Organs"
INPUT_ROLE = ROLE.format(name="input")
OPACITY_2D = 0.4  # the CT is to be seen through an organ
# What ``isEdited`` found, with the state in which it looked, by node id.
_looked: dict[str, tuple[tuple[object, ...], bool]] = {}


@dataclass(frozen=True)
class OrgansNodes:
    """The node of the organs of one CT."""

    segmentation: slicer.vtkMRMLSegmentationNode


def organsOf(volumeNode: slicer.vtkMRMLScalarVolumeNode | None) -> OrgansNodes | None:
    """Return what was found in a CT, the last if there are several."""
    for node in reversed(segmentations()):
        isOrgans = bool(node.GetAttribute(ORGANS_ATTRIBUTE))
        if volumeNode is not None and isOrgans and node.GetNodeReference(INPUT_ROLE) is volumeNode:
            return OrgansNodes(node)
    return None


def dataOf(nodes: OrgansNodes) -> dict[str, Any]:
    """Return the contents of ``organs.json``, with the organs' segment ids."""
    return dict(json.loads(nodes.segmentation.GetAttribute(ORGANS_ATTRIBUTE)))


def addOrgans(found: FoundOrgans, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> OrgansNodes:
    """Put organs into the scene over their CT, in place of those that were found in it before.

    Where that fails, the scene is left as it was.
    """
    scene, before = slicer.mrmlScene, organsOf(volumeNode)
    name = _("Organs of {name}").format(name=volumeNode.GetName())
    node = newSegmentation(name, volumeNode, {ORGANS_ATTRIBUTE: ""})
    try:
        for organ in found.segments:
            addSegment(node, organ.segmentId, organ.name, organ.color, organ.tags, organ.labelmap, organ.surface)
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetOpacity2DFill(OPACITY_2D)
        display.SetPreferredDisplayRepresentationName3D(
            slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName())
        node.SetAttribute(FINGERPRINT_ATTRIBUTE, found.fingerprint)
        node.SetNodeReferenceID(INPUT_ROLE, volumeNode.GetID())
        hierarchy = scene.GetSubjectHierarchyNode()
        parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(volumeNode)) or hierarchy.GetSceneItemID()
        hierarchy.SetItemParent(hierarchy.GetItemByDataNode(node), parent)
        node.SetAttribute(ORGANS_ATTRIBUTE, json.dumps(found.data))
    except Exception:
        scene.RemoveNode(node)
        raise
    if before is not None:
        name = before.segmentation.GetName()
        scene.RemoveNode(before.segmentation)
        node.SetName(name)
    nodes = OrgansNodes(node)
    _looked[node.GetID()] = (_stateOf(nodes), False)
    return nodes


def isEdited(nodes: OrgansNodes) -> bool:
    """Say whether a segment is not as it was found."""
    # Looked at again only after a change: large organs take a moment.
    state, looked = _stateOf(nodes), _looked.get(nodes.segmentation.GetID())
    if looked is None or looked[0] != state:
        ids = [organ["segmentId"] for organ in dataOf(nodes)["organs"]]
        now = fingerprintNow(nodes.segmentation, ids)
        looked = (state, now != nodes.segmentation.GetAttribute(FINGERPRINT_ATTRIBUTE))
        _looked[nodes.segmentation.GetID()] = looked
    return looked[1]


def _stateOf(nodes: OrgansNodes) -> tuple[object, ...]:
    segmentation, state = nodes.segmentation, []
    for organ in dataOf(nodes)["organs"]:
        image = segmentation.GetBinaryLabelmapInternalRepresentation(organ["segmentId"])
        state.append(None if image is None else image.GetMTime())
    return (*state, segmentation.GetAttribute(FINGERPRINT_ATTRIBUTE))
