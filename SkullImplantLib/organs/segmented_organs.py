"""A CT to organs on its own grid: dense and coarse first, then sparse and fine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..completion.network import NetworkPlace, choose_device
from ..core.images import array_of, image_like, voxel_volume_mm3
from ..core.stages import Stages
from ..errors import SkullImplantError
from ..networks.weights import Weights
from .known_organs import KNOWN_ORGANS, LABELS, KnownOrgan
from .organ_networks import segment_coarse, super_resolve_labels

# A piece of an organ that is smaller than this share of its largest is none of it. The aorta may be
# in two, where a CT ends within the arch.
LEAST_PIECE = 0.1
# Mean sureness over an organ's coarse voxels below which it is doubted. The shipped network is sure
# by 0.88 to 0.98 in chests like those that it learnt from (24 organs of six, none of which it saw),
# and by 0.69 to 0.88 in two patients' CTs, where it is wrong.
LEAST_SURE = 0.88
# Refining moves a surface within its coarse voxels; an organ's volume stays nearly as it was.
MOST_CHANGE = 0.2
# Of a CT of the chest tissue fills a quarter and more, in the largest field of view a tenth.
TISSUE_HU, LEAST_TISSUE = -300.0, 0.02
PHANTOM = "procedural thorax"


@dataclass(frozen=True)
class FoundOrgan:
    """What was found of an organ. coarse_cm3: its volume before it was refined; occupancy: the
    share of the CT's voxels that it fills; sure: mean sureness of the network, 0 to 1, None where
    the coarse labels were given.
    """

    organ: KnownOrgan
    volume_cm3: float
    coarse_cm3: float
    occupancy: float
    sure: float | None
    at_border: bool


@dataclass(frozen=True)
class OrganSegmentation:
    """`coarse` and fine `labels` (uint8) on their grids, organs that were found, and `notes`."""

    coarse: sitk.Image
    labels: sitk.Image
    organs: tuple[FoundOrgan, ...]
    notes: tuple[str, ...]
    ran_on: str


def segment_organs(
    ct: sitk.Image,
    dense: Weights | None,
    fine: Weights,
    stages: Stages,
    where: NetworkPlace = NetworkPlace(),
    given: sitk.Image | None = None,
) -> OrganSegmentation:
    """Return the organs of a CT in HU, on its grid.

    dense, fine: the weights for segmentation and for what refines it. given: coarse labels that
    another program found, numbered as `KNOWN_ORGANS`, along the CT's axes; then `dense` does
    nothing. Raises `SkullImplantError` for unfit weights, and where there is no organ.
    """
    sure: np.ndarray | None = None
    notes: list[str] = []
    device = choose_device(where.device).type
    if given is None:
        if dense is None:
            raise ValueError("neither weights for segmentation nor coarse labels")
        _check_tissue(ct)
        with stages.stage("organs", device) as progress:
            found = segment_coarse(ct, dense, LABELS, where)
            coarse, sure = found.labels, found.sure
            progress(1.0)
        coarse, dropped = _without_small_pieces(coarse)
        notes += [
            f"Small pieces apart from the {organ.name} were left out; check that none is of it."
            for organ in dropped
        ]
        notes += _on_learning(dense)
    else:
        coarse = _only_known(given, ct)
        if (array_of(coarse) != array_of(given)).any():
            notes.append("Labels that are none of the organs were left out.")
    if given is not None and not array_of(coarse).any():
        raise SkullImplantError(
            "The coarse labels hold no organ; number them 1 for the oesophagus, 2 for the heart, "
            "3 for the trachea and 4 for the aorta."
        )
    if not array_of(coarse).any():
        raise SkullImplantError(
            "No organ was found in the CT; check that it shows the chest, and its units (HU)."
        )
    with stages.stage("organ refinement", device) as progress:
        refined = super_resolve_labels(coarse, ct, fine, LABELS, where, progress)
    organs = tuple(_told(organ, refined.labels, coarse, sure) for organ in KNOWN_ORGANS)
    present = tuple(organ for organ in organs if organ.volume_cm3 > 0.0)
    notes += [_of(each) for each in organs if _of(each)]
    return OrganSegmentation(coarse, refined.labels, present, tuple(notes), refined.ran_on)


def _check_tissue(ct: sitk.Image) -> None:
    """Raise `SkullImplantError` for a CT of air: a network finds something in its noise, too."""
    if np.count_nonzero(array_of(ct) > TISSUE_HU) < LEAST_TISSUE * array_of(ct).size:
        raise SkullImplantError(
            "The CT shows hardly anything but air; check that it shows the chest, and its units "
            "(HU)."
        )


def _without_small_pieces(labels: sitk.Image) -> tuple[sitk.Image, list[KnownOrgan]]:
    """Return labels without pieces too small to be of their organs, and which organs had some."""
    kept = np.zeros(array_of(labels).shape, np.uint8)
    dropped = []
    for organ in KNOWN_ORGANS:
        # A thin tube that lies askew goes from voxel to voxel by their corners.
        pieces, count = ndimage.label(array_of(labels) == organ.label, np.ones((3, 3, 3)))
        if not count:
            continue
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        large = sizes >= LEAST_PIECE * sizes.max()
        kept[large[pieces]] = organ.label
        if large.sum() < count:
            dropped.append(organ)
    return image_like(kept, labels), dropped


def _only_known(labels: sitk.Image, ct: sitk.Image) -> sitk.Image:
    """Return labels without others' numbers, checked to lie on the CT and along its axes."""
    if np.abs(np.subtract(labels.GetDirection(), ct.GetDirection())).max() > 1e-3:
        raise SkullImplantError(
            "The coarse labels lie along other axes than the CT; resample them along its axes."
        )
    values = array_of(labels)
    return image_like(np.where(np.isin(values, LABELS), values, 0).astype(np.uint8), labels)


def _told(
    organ: KnownOrgan, labels: sitk.Image, coarse: sitk.Image, sure: np.ndarray | None
) -> FoundOrgan:
    mask = array_of(labels) == organ.label
    seen = array_of(coarse) == organ.label
    voxels = int(np.count_nonzero(mask))
    ends = (mask[end] for end in _ends(mask.ndim))
    return FoundOrgan(
        organ,
        voxels * voxel_volume_mm3(labels) / 1000.0,
        int(np.count_nonzero(seen)) * voxel_volume_mm3(coarse) / 1000.0,
        voxels / mask.size,
        float(sure[seen].mean()) if sure is not None and seen.any() else None,
        any(bool(end.any()) for end in ends),
    )


def _ends(axes: int) -> Sequence[tuple[slice | int, ...]]:
    """Return what picks the six outer planes of an array."""
    whole = [slice(None)] * axes
    return [(*whole[:k], end, *whole[k + 1 :]) for k in range(axes) for end in (0, -1)]


def _of(found: FoundOrgan) -> str:
    """Return the sentence that warns of an organ, if any."""
    name = found.organ.name
    if not found.volume_cm3:
        return f"The {name} was not found."
    if found.sure is not None and found.sure < LEAST_SURE:
        return (
            f"The network is unsure of the {name} ({100 * found.sure:.0f} %); compare each slice "
            "with the CT."
        )
    if abs(found.volume_cm3 - found.coarse_cm3) > MOST_CHANGE * found.coarse_cm3:
        return (
            f"Refining changed the volume of the {name} from {found.coarse_cm3:.0f} to "
            f"{found.volume_cm3:.0f} cm³; compare each slice with the CT."
        )
    if found.at_border:
        return f"The {name} reaches the edge of the CT, and what lies beyond is not in its volume."
    return ""


def _on_learning(dense: Weights) -> list[str]:
    """Return what is told of weights that saw no patient."""
    if all(PHANTOM in str(one) for one in dense.metadata.get("trained_on", ())):
        return [
            "The weights were learnt on chests made by formulas, not on patients: compare each "
            "slice with the CT, or train on patients' CTs (docs/how-to/organs.md)."
        ]
    return []
