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
    voxels = [array_of(mask) > 0 for mask in masks.values()]
    described = [
        _segment(highdicom, k, label, ANATOMY, SKULL, color)
        for k, (label, color) in enumerate(zip(masks, MASK_COLORS, strict=True), 1)
    ]
    labels = array_of(implants)
    count = int(labels.max())
    for label in range(1, count + 1):
        title = "Implant" if count == 1 else f"Implant {label}"
        voxels.append(labels == label)
        described.append(_segment(highdicom, len(voxels), title, OBJECT, IMPLANT, IMPLANT_COLOR))
    made = highdicom.seg.Segmentation(
        source_images=_quick(source.headers),
        pixel_array=_volume(highdicom, np.stack(voxels, axis=-1), implants, source),
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


def _volume(
    highdicom: Any, voxels: np.ndarray, grid: sitk.Image, source: SourceSeries
) -> "highdicom.Volume":
    """Return voxels (z, y, x, segment) on a grid as highdicom takes them."""
    frame = index_to_lps_mm(grid)
    affine = np.eye(4)
    affine[:3, :3] = frame[:3, 2::-1]  # of z, y and x
    affine[:3, 3] = frame[:3, 3]
    return highdicom.Volume(
        voxels.astype(np.uint8),
        affine,
        coordinate_system="PATIENT",
        frame_of_reference_uid=source.frame_of_reference,
        channels={"SegmentNumber": list(range(1, voxels.shape[-1] + 1))},
    )
