"""Implants and masks for the hospital's archive: the objects of `dicom_stl` and
`dicom_segmentation`, for the patient and in the study of the CT that the design came from.
"""

import io
from collections.abc import Iterator

from PIL import Image

from ..completion.trust import MIRRORED
from ..core.progress import Progress, part
from ..core.result_names import stl_names
from ..reading.input import Input
from ..reading.same_ct import inputs_in
from .design_series import design_series
from .dicom_segmentation import segmentation
from .dicom_source import write_object
from .dicom_stl import ICON_SIDE, encapsulated_stl
from .format_writers import Exported, picture_of
from .formats import COMPLETED, IMPLANT, SKULL, implants_of

TITLE = "Cranial implant, proposal for review"


def write_dicom(exported: Exported, progress: Progress) -> None:
    """Write each implant's STL and one segmentation as DICOM; they carry the patient's name."""
    skull = exported.mask(SKULL)
    series = design_series(_sources(exported, part(progress, 0.0, 0.4)), exported.account, skull)
    names = stl_names(implants_of(exported.account))
    masks = {
        "Skull": skull,
        "Completed skull": exported.mask(COMPLETED),
    }
    progress(0.4)
    made = segmentation(masks, exported.labels(IMPLANT), series, len(names))
    write_object(made, exported.to("segmentation.dcm"))
    # By now a picture that others draw is there.
    icon = _icon(picture_of(exported, part(progress, 0.8, 0.9)))
    mirrored = exported.account.get("model", {}).get("source") == MIRRORED
    for k, name in enumerate(names):
        title = TITLE if len(names) == 1 else f"{TITLE} ({k + 1} of {len(names)})"
        content = exported.stl_bytes(k)
        made = encapsulated_stl(content, series, title, k, icon, mirrored)
        write_object(made, exported.to(name.replace(".stl", ".dcm")))


def _sources(exported: Exported, progress: Progress) -> Iterator[Input]:
    """Read the CTs that the design may have come from; one that other formats use too, once."""
    if exported.series is None:
        return
    if exported.series == exported.ct and (shared := exported.source(progress)) is not None:
        yield shared
    yield from inputs_in(exported.series, progress)


def _icon(picture_png: bytes | None) -> bytes | None:
    """Return the left upper part of a report's picture, the implant in the skull, smaller."""
    if picture_png is None:
        return None
    picture = Image.open(io.BytesIO(picture_png)).convert("RGB")
    side = min(picture.size)
    part_of = picture.crop((0, 0, side, side)).resize((2 * ICON_SIDE, 2 * ICON_SIDE))
    content = io.BytesIO()
    part_of.save(content, "PNG")
    return content.getvalue()
