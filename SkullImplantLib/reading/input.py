"""Whatever the user gives (a DICOM folder or an image file) to one checked image of a known kind.

A CT comes out in Hounsfield units, a skull as a mask. Geometry is kept as it is: any orientation,
handedness and spacing; the stages after work in physical space.
"""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import SimpleITK as sitk

from ..core.axes import axes_of, checked_code, rename_axes
from ..core.files import checked_file, for_native
from ..core.header_parts import ImageHeader
from ..core.headers import MAX_VOXELS, check_size, is_dicom, read_header
from ..core.image_files import checked_image
from ..core.images import straighten_axes
from ..core.memory_need import Extent, Foresee, unforeseen
from ..core.placement import check_place, check_voxel_size
from ..core.progress import Progress, part, silent
from ..errors import Remedy, SkullImplantError
from .coarser import averaged
from .hounsfield import in_hounsfield_units, slabs_of, value_range
from .labels import labels_in, the_label, told, whole_numbers
from .segments import segment_mask, segment_of

log = logging.getLogger(__name__)

# A piece of a skull smaller than this has neither a mirror side nor a vault to go by.
MIN_VOXELS_PER_AXIS = 20
MIN_EXTENT_MM, MIN_THIRD_EXTENT_MM = 80.0, 40.0
# Along two axes no scanner sees so far.
MAX_SECOND_EXTENT_MM = 1000.0
# A skull and what lies around it; even a mask cropped to the skull is half air and brain.
MAX_BONE_SHARE = 0.5

Kind = Literal["ct", "skull"]


@dataclass(frozen=True)
class Choices:
    """What is said of an input that its file does not say, or says wrongly.

    label: the skull's, in a map of several. segment: its name or ID, in a segmentation of several.
    orientation: where the voxel axes really go to, as `core.axes` calls them (RAS, say).
    coarser: how many times to halve the resolution (`coarser.averaged`).
    """

    label: int | None = None
    segment: str | None = None
    orientation: str | None = None
    coarser: int = 0


@dataclass(frozen=True)
class Input:
    """A checked input.

    image: a CT in HU (int16, or float32 where values do not fit), or a skull mask (uint8, 0/1).
    sha256: in hex; of the file's bytes (of a header with its voxels in a second file: the header's
    bytes, then the other file's), or of the bytes of the DICOM files in slice order.
    description: what it was, without patient data. notes: warnings, a sentence each. resampled: the
    slices of a DICOM series lay askew or unevenly, or the CT was averaged as `Choices` said, and
    the image is what was made of them; gaps_mm: how far apart those slices were that each (third
    axis) was made of, nothing for other inputs. files: the DICOM files in slice order, each once;
    none for other inputs.
    """

    image: sitk.Image
    kind: Kind
    sha256: str
    description: str
    notes: tuple[str, ...] = ()
    resampled: bool = False
    gaps_mm: tuple[float, ...] = ()
    files: tuple[Path, ...] = ()


def read_input(
    path: Path | str,
    kind: Literal["auto", "ct", "skull"] = "auto",
    series_uid: str | None = None,
    progress: Progress = silent,
    whole: bool = True,
    choices: Choices = Choices(),
    foresee: Foresee = unforeseen,
) -> Input:
    """Read a DICOM folder or an NRRD, NIfTI or MetaImage file, and check it.

    With kind "auto" a CT and a skull mask are told apart by their values; otherwise the input is
    taken as said. `series_uid` chooses a series of a DICOM folder. `whole`: the image must be large
    enough for a head; a bone flap's may be smaller. `choices` go before what the file says.
    `foresee` is told what the headers say before voxels are loaded, and may raise. Raises
    `SkullImplantError` for everything that is not one usable image.
    """
    if kind not in ("auto", "ct", "skull"):
        raise ValueError(f"there is no kind of input {kind!r}")
    path = Path(path)
    for_native(path)
    orientation = checked_code(choices.orientation) if choices.orientation else None
    try:
        with _warnings_off():
            if path.is_dir():
                found = _read_folder(path, kind, series_uid, progress, whole, choices, foresee)
            else:
                found = _read_file(path, kind, series_uid, progress, whole, choices, foresee)
            return _logged(_renamed(_averaged(found, choices.coarser), orientation))
    except FileNotFoundError as error:
        raise SkullImplantError(f"{path} does not exist; check the path.") from error
    except OSError as error:
        raise SkullImplantError(
            f"{path.name} cannot be read ({error.strerror}); check its permissions and the disk."
        ) from error


@contextmanager
def _warnings_off() -> Iterator[None]:
    """Keep the warnings of ITK and pydicom off standard error; what matters is checked here."""
    shown = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(shown)


def _read_folder(
    path: Path,
    kind: str,
    series_uid: str | None,
    progress: Progress,
    whole: bool,
    choices: Choices,
    foresee: Foresee,
) -> Input:
    if choices.label is not None:
        raise SkullImplantError("A DICOM folder holds no labels.", Remedy.NO_LABEL)
    if choices.segment is not None:
        raise SkullImplantError("A DICOM folder holds no segments.", Remedy.NO_SEGMENT)
    if kind == "skull":
        raise SkullImplantError(
            "A DICOM folder is read as a CT; give a mask file.", Remedy.INPUT_IS_NO_SKULL
        )
    from .dicom_series import read_series  # pydicom, which no other input needs

    series = read_series(path, series_uid, part(progress, 0.0, 0.9), MAX_VOXELS, foresee)
    notes = series.notes + _check_geometry(series.image, None, whole)
    image, more = in_hounsfield_units(series.image, forced=kind == "ct")
    progress(1.0, "input read")
    description = f"DICOM series of {series.slices} slices, {_shape(image)}"
    return Input(
        image,
        "ct",
        series.sha256,
        description,
        notes + more,
        series.resampled,
        series.gaps_mm,
        series.files,
    )


def _read_file(
    path: Path,
    kind: str,
    series_uid: str | None,
    progress: Progress,
    whole: bool,
    choices: Choices,
    foresee: Foresee,
) -> Input:
    checked_file(path)
    dicom = is_dicom(path)
    if dicom:
        from .dicom_study import is_multi_frame_ct  # pydicom, which no other input needs

        if is_multi_frame_ct(path):
            return _read_folder(path, kind, series_uid, progress, whole, choices, foresee)
    if series_uid is not None:
        raise SkullImplantError(f"{path.name} is not a DICOM folder.", Remedy.NO_SERIES)
    if path.stat().st_size == 0:
        raise SkullImplantError(f"{path.name} is empty; copy it again from its source.")
    if dicom:
        raise SkullImplantError(
            f"{path.name} is a single DICOM file; give the folder that holds the whole series."
        )
    header = read_header(path)
    _check_size(header)
    voxel_bytes = header.data_bytes / math.prod(header.size)
    foresee(Extent(header.size, header.spacing_mm, voxel_bytes))
    segment = segment_of(header.fields or {}, choices.segment)
    if segment is None and choices.segment is not None:
        raise SkullImplantError(f"{path.name} is no segmentation with segments.", Remedy.NO_SEGMENT)
    image, sha256 = checked_image(path, header, part(progress, 0.0, 0.4))
    image = _one_volume(image, path)
    notes = header.notes + _check_geometry(image, header, whole)
    progress(0.8, "input read")
    if segment is not None:
        image = segment_mask(image, *segment)
    elif image.GetNumberOfComponentsPerPixel() > 1:
        raise SkullImplantError(
            f"{path.name} has several values per voxel (colour or vectors); give a CT or a mask."
        )
    if segment is not None and kind == "ct":
        raise SkullImplantError(
            f"{path.name} is a segmentation, not a CT; give the CT.", Remedy.INPUT_IS_NO_CT
        )
    image = whole_numbers(image)
    if choices.label is not None:
        image = the_label(image, choices.label)
    image, found, more = _told_apart(image, kind)
    progress(1.0, "input read")
    description = f"{header.format} file, {_shape(image)}"
    return Input(image, found, sha256, description, notes + more)


def _averaged(found: Input, halvings: int) -> Input:
    """Return the input at a resolution that was halved so many times, with a note."""
    if not halvings:
        return found
    image, note = averaged(found.image, found.kind == "skull", halvings)
    return replace(found, image=image, notes=(*found.notes, note), resampled=found.kind == "ct")


def _renamed(found: Input, code: str | None) -> Input:
    """Return the input with its axes as they are said to be, and a note where that is new."""
    if code is None:
        return found
    before = axes_of(found.image)
    if before == code:
        return found
    image = sitk.Image(found.image)
    rename_axes(image, code)
    note = (
        f"The axes were taken to be {code}, as you said, and not {before}, as the file says: the "
        "result lies in that space, and not in the file's."
    )
    return replace(found, image=image, notes=(*found.notes, note))


def _logged(found: Input) -> Input:
    """Return the input once the log has told of it, and of nothing that names file or patient."""
    log.info("read as %s: %s", found.kind, found.description)
    direction = np.round(found.image.GetDirection(), 3) + 0.0
    log.info("direction (LPS, row by row): %s", " ".join(f"{cosine:g}" for cosine in direction))
    for note in found.notes:
        log.info("note: %s", note)
    return found


def _check_size(header: ImageHeader) -> None:
    """Refuse, before voxels are loaded, what is not one volume of bearable size."""
    check_size(header)
    if sum(n > 1 for n in header.size) < 3:
        raise SkullImplantError(
            f"The image is not a volume (size {_times(header.size)}); give a 3-D image."
        )


def _one_volume(image: sitk.Image, path: Path) -> sitk.Image:
    """Return a file's image in three dimensions; extra axes of length one are dropped."""
    size = list(image.GetSize())
    if any(n > 1 for n in size[3:]):
        raise SkullImplantError(
            f"{path.name} holds {int(np.prod(size[3:]))} volumes (several points in time?); save "
            "the one to use as a 3-D image."
        )
    if len(size) < 3:
        raise SkullImplantError(
            f"{path.name} is not a volume (size {_times(tuple(size))}); give a 3-D image."
        )
    if len(size) > 3:
        image = sitk.Extract(image, size[:3] + [0] * (len(size) - 3))
    if image.GetNumberOfComponentsPerPixel() == 1 and "vector" in image.GetPixelIDTypeAsString():
        image = sitk.VectorIndexSelectionCast(image, 0)
    return image


def _check_geometry(image: sitk.Image, header: ImageHeader | None, whole: bool) -> tuple[str, ...]:
    """Check that the image is a plausible volume in LPS mm, and return notes about it.

    Its axes are straightened on the way.
    """
    check_voxel_size(image)
    spacing = np.asarray(image.GetSpacing())
    size = np.asarray(image.GetSize())
    extent = np.sort(size * spacing)
    if extent[1] > MAX_SECOND_EXTENT_MM:
        raise SkullImplantError(
            f"The image is {_times(np.round(size * spacing))} mm large, and no scanner sees so "
            "far; check its spacing, which may be in the wrong unit."
        )
    if whole and (
        extent[1] < MIN_EXTENT_MM
        or extent[0] < MIN_THIRD_EXTENT_MM
        or size.min() < MIN_VOXELS_PER_AXIS
    ):
        raise SkullImplantError(
            f"The image is too small for a skull ({_times(size)} voxels, "
            f"{_times(np.round(size * spacing))} mm); give the whole head, or check its spacing."
        )
    notes = check_place(header, image) if header else ()
    straighten_axes(image)
    return notes


def _told_apart(image: sitk.Image, kind: str) -> tuple[sitk.Image, Kind, tuple[str, ...]]:
    """Return the image as what it is: a CT in HU or a skull mask, by its values or as told."""
    lowest, highest = value_range(image)
    if lowest == highest:
        raise SkullImplantError(
            "The mask is empty (every voxel is 0); check which image was exported."
            if highest == 0
            else f"Every voxel of the image has the same value ({highest:g}); check the export."
        )
    two_valued = all(((s == lowest) | (s == highest)).all() for s in slabs_of(image))
    if two_valued and kind == "ct":
        raise SkullImplantError(
            "The image holds only two values, so it is a mask and no CT.", Remedy.INPUT_IS_NO_CT
        )
    if two_valued and ((lowest == 0 and highest > 0) or kind == "skull"):
        mask = image > lowest
        share = sum(int(np.count_nonzero(s)) for s in slabs_of(mask)) / mask.GetNumberOfPixels()
        if share > MAX_BONE_SHARE:
            raise SkullImplantError(
                f"The mask fills {share:.0%} of the image; if it marks the background, invert it."
            )
        return mask, "skull", ()
    if len(labels := labels_in(image)) > 1 and kind != "ct":
        raise SkullImplantError(
            f"The image is a map of the labels {told(labels)}, and not a mask of the skull alone.",
            Remedy.CHOOSE_LABEL,
        )
    if kind == "skull":
        raise SkullImplantError(
            f"The image is not a mask (values from {lowest:g} to {highest:g}, more than two); "
            "save the skull alone as 0 and 1.",
            Remedy.INPUT_IS_NO_SKULL,
        )
    ct, notes = in_hounsfield_units(image, forced=kind == "ct")
    return ct, "ct", notes


def _shape(image: sitk.Image) -> str:
    spacing = " x ".join(f"{s:.2f}" for s in image.GetSpacing())
    return f"{_times(image.GetSize())} voxels of {spacing} mm"


def _times(numbers: "tuple[int, ...] | np.ndarray") -> str:
    return " x ".join(f"{n:g}" for n in numbers)
