"""Skull, completed skull and implants as a DICOM Segmentation, by highdicom, which is optional.

It lies in the CT's frame of reference on the grid of the masks, also where that is not the grid of
the slices (a refined skull, slices that lay askew). PS3.3 A.51; codes of SNOMED CT.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from .. import __version__
from ..core.images import array_of, index_to_lps_mm
from ..errors import SkullImplantError
from .dicom_source import FIRST_SERIES_NUMBER, MANUFACTURER, MODEL_NAME, SourceSeries

if TYPE_CHECKING:
    import highdicom

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
OBJECT = Code("260787004", "SCT", "Physical object")
SKULL = Code("89546000", "SCT", "Skull")
IMPLANT = Code("40388003", "SCT", "Implant")
ALGORITHM = "SkullImplant"
# What viewers draw them in, as CIELab in 16 bits (PS3.3 C.10.7.1.1): bone for the skull, blue and
# orange, which color-blind people tell apart. sRGB: 241, 213, 145; 115, 166, 217; 230, 102, 26.
MASK_COLORS = ([56473, 33030, 42449], [43557, 32071, 24900])
IMPLANT_COLOR = [38282, 44768, 48651]


def segmentation(
    masks: dict[str, sitk.Image], implants: sitk.Image, source: SourceSeries, number: int
) -> Dataset:
    """Return masks as one object of a segment each.

    masks: uint8 0/1 on one grid by the segments' labels. implants: uint8 on that grid, labels 1 to
    N. number: of its series, from 0. Raises `SkullImplantError` where highdicom is not installed.
    """
    highdicom = _library()
    labels = array_of(implants)
    count = int(labels.max())
    given = [array_of(mask) for mask in masks.values()]
    filled = np.flatnonzero(np.any([v.any(axis=(1, 2)) for v in (*given, labels)], axis=0))
    # Planes beyond all segments would be left out in the end; until then they take time.
    planes = slice(int(filled.min(initial=0)), int(filled.max(initial=0)) + 1)
    # A segment after the other in memory: highdicom looks at one at a time.
    voxels = np.empty((len(given) + count, *labels[planes].shape), np.uint8)
    for k, mask in enumerate(given):
        np.not_equal(mask[planes], 0, out=voxels[k].view(bool))
    described = [
        _segment(highdicom, k, label, ANATOMY, SKULL, color)
        for k, (label, color) in enumerate(zip(masks, MASK_COLORS, strict=True), 1)
    ]
    for label in range(1, count + 1):
        title = "Implant" if count == 1 else f"Implant {label}"
        number_here = len(given) + label
        np.equal(labels[planes], label, out=voxels[number_here - 1].view(bool))
        described.append(_segment(highdicom, number_here, title, OBJECT, IMPLANT, IMPLANT_COLOR))
    made = highdicom.seg.Segmentation(
        source_images=_quick(source.headers),
        pixel_array=_volume(highdicom, voxels, planes.start, implants, source),
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=generate_uid(),
        series_number=FIRST_SERIES_NUMBER + number,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=__version__,
        device_serial_number="none",
        content_description="PROPOSAL FOR REVIEW",
        content_creator_name=None,
        series_description="Skull and implant proposal",
        omit_empty_frames=True,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    assert isinstance(made, Dataset)
    return made


def _quick(headers: Sequence[Dataset]) -> list[Dataset]:
    """Return headers that tell their UID at once: highdicom compares that of each slice with every
    other's, and to look into the data set each time takes longer than all else.
    """
    for header in headers:
        vars(header)["SOPInstanceUID"] = header["SOPInstanceUID"].value
    return list(headers)


def _library() -> Any:
    try:
        import highdicom
    except ImportError as error:
        raise SkullImplantError(
            "The export as DICOM Segmentation needs the library highdicom; install it (pip "
            "install highdicom), or export the masks."
        ) from error
    return highdicom


def _segment(
    highdicom: Any,
    number: int,
    label: str,
    category: Code,
    kind: Code,
    color: list[int],
) -> "highdicom.seg.SegmentDescription":
    described = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=ALGORITHM,
            version=__version__,
            family=Code("123106", "DCM", "Deformable Models"),
        ),
    )
    described.RecommendedDisplayCIELabValue = color
    return described


class _FewSegments(np.ndarray[Any, Any]):
    """Voxels of 0 and 1. highdicom sums all segments to see whether they overlap, and in eight
    bytes a voxel, as NumPy does, that takes longer than all else.
    """

    def sum(self, *given: Any, **named: Any) -> Any:
        """Return the sum in a byte a voxel, which holds that of 255 segments."""
        return np.asarray(self).sum(*given, **{"dtype": np.uint8} | named)


def _volume(
    highdicom: Any, voxels: np.ndarray, first: int, grid: sitk.Image, source: SourceSeries
) -> "highdicom.Volume":
    """Return voxels (segment, z, y, x), uint8 0/1, as highdicom takes them; the first of their
    planes is that of the grid with the number `first`.
    """
    frame = index_to_lps_mm(grid)
    affine = np.eye(4)
    affine[:3, :3] = frame[:3, 2::-1]  # of z, y and x
    affine[:3, 3] = frame[:3, 3] + first * frame[:3, 2]
    return highdicom.Volume(
        np.moveaxis(voxels, 0, -1).view(_FewSegments),
        affine,
        coordinate_system="PATIENT",
        frame_of_reference_uid=source.frame_of_reference,
        channels={"SegmentNumber": list(range(1, len(voxels) + 1))},
    )
