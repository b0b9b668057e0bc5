"""Nodes of a kind in the scene, which is looked through again only once a node came or went."""

import slicer

SEGMENTATION = "vtkMRMLSegmentationNode"

# When the scene's list of nodes last changed, and the segmentations in it then.
_seen: tuple[int, list[slicer.vtkMRMLSegmentationNode]] = (-1, [])


def segmentations() -> list[slicer.vtkMRMLSegmentationNode]:
    """Return all segmentations in the scene."""
    global _seen
    state = slicer.mrmlScene.GetNodes().GetMTime()
    if _seen[0] != state:
        _seen = (state, slicer.util.getNodesByClass(SEGMENTATION))
    return list(_seen[1])
