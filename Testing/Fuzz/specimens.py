"""A sound file of every kind that the program reads, what reads it, and how its kind changes."""

import gzip
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from bad_inputs import ct_image, mask_image, segmentation
from dicom_files import compressed_by_itk, small_head, write_series
from reading.test_multi_frame import write_enhanced
from SkullImplantLib.completion.trust import read_trials
from SkullImplantLib.core.image_files import read_labels
from SkullImplantLib.core.images import array_of, index_to_lps_mm
from SkullImplantLib.core.resources import RESOURCES
from SkullImplantLib.designing.stored_result import read_account
from SkullImplantLib.geometry.shape_statistics import read_population
from SkullImplantLib.reading.input import Choices, read_input
from SkullImplantLib.skull.left_out import read_left_out

SPACING_MM = (7.0, 6.5, 6.0)


@dataclass(frozen=True)
class Seen:
    """What was read: voxels (z, y, x) and the index-to-LPS matrix (4x4, mm) of an image."""

    values: np.ndarray
    matrix: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Specimen:
    """A kind of input.

    make: writes a sound one into a folder and returns the path that is read; read: reads it, an
    image as `Seen`; changes: names of `mutations.CHANGES` that its files know; changed: the file
    that is changed, where that is not the path itself (of a folder: any of its files).
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    changes: tuple[str, ...]
    changed: str | None = None


def _input(path: Path, segment: str | None = None) -> Seen:
    found = read_input(path, choices=Choices(segment=segment))
    return Seen(array_of(found.image), index_to_lps_mm(found.image), found.notes)


def _labels(path: Path) -> Seen:
    image = read_labels(path)
    return Seen(array_of(image), index_to_lps_mm(image))


def _left_out(path: Path) -> Seen:
    image = read_left_out(path).region
    return Seen(array_of(image), index_to_lps_mm(image))


def _file(image: Callable[[], sitk.Image], name: str, compress: bool) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        sitk.WriteImage(image(), str(folder / name), useCompression=compress)
        return folder / name

    return make


def _gzipped_outside(folder: Path) -> Path:
    plain = _file(ct_image, "plain.nii", False)(folder)
    (folder / "head.nii.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    return folder / "head.nii.gz"


def _series(
    syntax: str = ExplicitVRLittleEndian, compressor: str | None = None
) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        def edit(dataset: Any, z: int) -> None:
            del z
            if compressor:
                compressed_by_itk(dataset, folder, compressor)

        head = small_head()[::2, ::2, ::2]  # few slices, as each is read in each case
        return write_series(folder / "study", head, spacing_mm=SPACING_MM, syntax=syntax, edit=edit)

    return make


def _enhanced(folder: Path) -> Path:
    path = folder / "study" / "CT1"
    path.parent.mkdir()
    write_enhanced(path)
    return path.parent


def _segmentation(folder: Path) -> Path:
    return segmentation(folder / "head.seg.nrrd", ["Skull", "Brain"])


def _account(folder: Path) -> Path:
    told = {"schema_version": 2, "version": "0.1.0", "notes": [], "checks": [], "parameters": {}}
    (folder / "design.json").write_text(json.dumps(told))
    return folder


def _copied(name: str) -> Callable[[Path], Path]:
    return lambda folder: Path(shutil.copy(RESOURCES / name, folder / name))


# What is named more often is drawn more often.
IMAGE = ("bytes", "lines", "lines")
NIFTI = ("bytes", "nifti", "nifti")
DICOM = ("bytes", "element", "element", "folder")

SPECIMENS: dict[str, Specimen] = {
    "CT .nrrd": Specimen(_file(ct_image, "head.nrrd", True), _input, IMAGE),
    "CT .nrrd raw": Specimen(_file(ct_image, "head.nrrd", False), _input, IMAGE),
    "CT .nhdr": Specimen(_file(ct_image, "head.nhdr", False), _input, IMAGE, "head.nhdr"),
    "CT .nii": Specimen(_file(ct_image, "head.nii", False), _input, NIFTI),
    "CT .nii.gz": Specimen(_gzipped_outside, _input, ("bytes",)),
    "CT .mha": Specimen(_file(ct_image, "head.mha", True), _input, IMAGE),
    "CT .mhd": Specimen(_file(ct_image, "head.mhd", False), _input, IMAGE, "head.mhd"),
    "mask .nrrd": Specimen(_file(mask_image, "mask.nrrd", True), _labels, IMAGE),
    "mask .nii": Specimen(_file(mask_image, "mask.nii", False), _labels, NIFTI),
    "mask .mha": Specimen(_file(mask_image, "mask.mha", False), _left_out, IMAGE),
    "segmentation .seg.nrrd": Specimen(_segmentation, lambda p: _input(p, "Skull"), IMAGE),
    "DICOM plain": Specimen(_series(), _input, DICOM),
    "DICOM run lengths": Specimen(_series(RLELossless), _input, DICOM),
    "DICOM JPEG": Specimen(_series(compressor="JPEG"), _input, DICOM),
    "DICOM JPEG 2000": Specimen(_series(compressor="JPEG2000"), _input, DICOM),
    "DICOM enhanced": Specimen(_enhanced, _input, DICOM),
    "shape statistics .npz": Specimen(
        _copied("population.npz"), read_population, ("bytes", "member")
    ),
    "trials .json": Specimen(_copied("confidence-prior.json"), read_trials, ("bytes", "json")),
    "design.json": Specimen(_account, read_account, ("bytes", "json"), "design.json"),
}
