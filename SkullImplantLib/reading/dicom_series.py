"""A folder of DICOM files to one CT volume in HU, or a named reason why there is none.

A slice is what lies in a place and has its pixels, whatever UIDs its file was given: the headers
(`dicom_study`, `dicom_frames`) say where it lies, `slice_geometry` how all are stacked.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ..core.memory_need import Extent, Foresee, unforeseen
from ..core.progress import Progress, part, silent
from ..errors import SkullImplantError
from .dicom_choice import choose_series, notes_on_choice
from .dicom_codecs import Codecs, codecs
from .dicom_frames import WITH_LOSS, Frame, frames_of
from .dicom_pixels import read_file, shifted_bits, stored_values, with_loss
from .dicom_stacks import is_axial, one_scan, one_stack
from .dicom_study import UNREADABLE, find_series
from .hounsfield import OUTSIDE_HU
from .rescales import check_rescales
from .slice_geometry import Stacking, stacked
from .slice_resampling import restacked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SeriesVolume:
    """One series as a volume.

    image: HU, int16 or, where values do not fit, float32; its z axis runs along the slices' normal
    (row direction x column direction). sha256: in hex, of the bytes of the series' files in slice
    order (ascending along the normal), each once. slices: how many there were. resampled: the
    slices did not lie evenly on one another, and the image's do; gaps_mm: for each of the image's,
    how far apart those were that it was made of. notes: a sentence each. files: of the slices in
    that order, each once.
    """

    image: sitk.Image
    sha256: str
    slices: int
    resampled: bool
    gaps_mm: tuple[float, ...]
    notes: tuple[str, ...]
    files: tuple[Path, ...]


def read_series(
    folder: Path,
    series_uid: str | None = None,
    progress: Progress = silent,
    most_voxels: int | None = None,
    foresee: Foresee = unforeseen,
) -> SeriesVolume:
    """Read the largest axial primary CT series in `folder` and the folders in it, or a given one;
    `folder` may be one multi-frame file.

    Localizers, other modalities and files that are no DICOM images are passed over. A gantry's tilt
    and uneven or missing slices are mended by resampling (`slice_geometry`). Raises
    `SkullImplantError` where there is no CT series, the UID is unknown, or the slices do not make
    one volume, of at most `most_voxels`. `foresee`: as `read_input` takes it.
    """
    with codecs() as decoding:
        return _read(folder, _Pixels(decoding), series_uid, progress, most_voxels, foresee)


def _read(
    folder: Path,
    pixels: "_Pixels",
    series_uid: str | None,
    progress: Progress,
    most_voxels: int | None,
    foresee: Foresee,
) -> SeriesVolume:
    """Read a series as `read_series` does."""
    study = find_series(folder, part(progress, 0.0, 0.2))
    chosen = choose_series(study, series_uid)
    log.info(
        "series of %d CT slices chosen, of %d series and %d files in all",
        chosen.slices,
        len(study.series),
        sum(one.files for one in study.series),
    )
    notes = notes_on_choice(chosen, study, series_uid is not None)
    frames, more = frames_of(chosen)
    notes += more
    frames, more = one_stack(frames)
    notes += more
    if series_uid is None and not is_axial(frames[0]):
        notes += ("The folder has no axial CT series; a reformatted one was used.",)
    frames, more = one_scan(frames, pixels.hounsfield)
    notes += more
    first = frames[0]
    axes = np.vstack([first.orientation, first.normal])
    numbers = [frame.number for frame in frames if frame.number is not None]
    stacking = stacked(
        np.array([frame.position_mm for frame in frames]),
        axes,
        first.spacing_mm,
        first.tilt_degrees,
        tuple(numbers) if len(numbers) == len(frames) else None,
    )
    notes += stacking.notes
    _check_size(first, max(stacking.count, len(frames)), most_voxels)
    foresee(_extent(first, stacking, len(frames)))
    array, sha256 = pixels.volume(frames, part(progress, 0.2, 0.8 if stacking.resampled else 1.0))
    if pixels.with_loss and WITH_LOSS not in notes:
        notes += (WITH_LOSS,)
    origin = first.position_mm
    if stacking.resampled:
        array, (x_mm, y_mm) = restacked(array, stacking, first.spacing_mm, part(progress, 0.8, 1.0))
        origin = origin + x_mm * axes[0] + y_mm * axes[1]
    progress(1.0, "slices read")
    image = sitk.GetImageFromArray(array)
    image.SetDirection(axes.T.ravel().tolist())
    image.SetSpacing([*first.spacing_mm, stacking.spacing_mm])
    image.SetOrigin(origin.tolist())
    gaps_mm = tuple(stacking.gaps_mm.tolist())
    files = tuple(dict.fromkeys(frame.path for frame in frames))
    return SeriesVolume(image, sha256, len(frames), stacking.resampled, gaps_mm, notes, files)


def _check_size(first: Frame, slices: int, most_voxels: int | None) -> None:
    """Refuse, before pixels are loaded, what would not fit into memory."""
    columns, rows = first.size
    voxels = columns * rows * slices
    if most_voxels is not None and voxels > most_voxels:
        raise SkullImplantError(
            f"The CT series is too large ({voxels / 1e9:.1f} billion voxels); crop it to the head "
            "or resample it to 0.4 mm."
        )


def _extent(first: Frame, stacking: Stacking, slices: int) -> Extent:
    """Return what the headers say of the volume; for a time both are there that are resampled."""
    size = (*first.size, max(stacking.count, slices))
    stacks = 2 if stacking.resampled else 1
    voxel_bytes = stacks * np.dtype(np.int16).itemsize
    return Extent(size, (*first.spacing_mm, stacking.spacing_mm), voxel_bytes)


class _Pixels:
    """The pixels of slices in HU; the file that was read last is kept.

    decoding: what decodes compressed ones. with_loss: a slice that was read was compressed with
    loss, as its stream says.
    """

    def __init__(self, decoding: Codecs) -> None:
        self.with_loss = False
        self._decoding = decoding
        self._path: Path | None = None
        self._data = b""
        self._dataset = Dataset()
        self._shifted: int | None = None

    def _open(self, path: Path, name: str) -> None:
        if path == self._path:
            return
        self._data = path.read_bytes()
        try:
            self._dataset = read_file(self._data)
        except UNREADABLE as error:
            raise SkullImplantError(
                f"{name} is damaged or cut short; copy the series again."
            ) from error
        self._path = path
        shifted = shifted_bits(self._dataset)
        self._shifted = shifted if self._shifted is None else self._shifted
        if shifted != self._shifted:
            raise SkullImplantError(
                f"{name} does not say as the others do in which bits its pixels lie; export the "
                "series again."
            )

    def hounsfield(self, frame: Frame, name: str) -> NDArray[np.float32]:
        """Return a slice's values (y, x) in HU; padding is air."""
        self._open(frame.path, name)
        stored = stored_values(self._dataset, frame.index, name, self._decoding)
        self.with_loss |= with_loss(self._dataset, frame.index, name)
        slope, intercept = frame.rescale or (1.0, 0.0)
        plane = stored * slope + intercept
        if frame.padding is not None:
            low, high = frame.padding
            plane[(stored >= low) & (stored <= high)] = OUTSIDE_HU
        return plane.astype(np.float32)

    def volume(
        self, frames: list[Frame], progress: Progress
    ) -> tuple[NDArray[np.int16] | NDArray[np.float32], str]:
        """Return the slices in HU (z, y, x), and the SHA-256 of their files, in hex.

        Slices of one file are read together, in whatever order they lie.
        """
        columns, rows = frames[0].size
        array: NDArray[np.int16] | NDArray[np.float32]
        array = np.empty((len(frames), rows, columns), np.int16)
        digest = hashlib.sha256()
        of_files: dict[Path, list[int]] = {}
        for z, frame in enumerate(frames):
            of_files.setdefault(frame.path, []).append(z)
        done = 0
        for places in of_files.values():
            for z in places:
                progress(done / len(frames), f"reading slice {done + 1} of {len(frames)}")
                number = frames[z].number
                called = "" if number is None else f" (number {number})"
                name = f"Slice {z + 1} of {len(frames)} of the CT series{called}"
                plane = self.hounsfield(frames[z], name)
                if array.dtype == np.int16 and plane.max() > np.iinfo(np.int16).max:
                    array = array.astype(np.float32)
                array[z] = np.maximum(np.rint(plane), OUTSIDE_HU)
                done += 1
            digest.update(self._data)
        check_rescales(array, [frame.rescale or (1.0, 0.0) for frame in frames])
        return array, digest.hexdigest()
