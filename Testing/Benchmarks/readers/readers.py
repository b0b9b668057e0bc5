"""What other readers make of awkward DICOM series: the rows marked as tried in `readers.md`.

Needs, in a Python of its own, pydicom with its decoders, SimpleITK, dcm2niix, pytest and
hypothesis (for the tests' writers), and dcmtk's programs; what is absent is left out:

    pip install pydicom pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls SimpleITK dcm2niix scipy \
        pytest hypothesis
    PYTHONPATH=.:Testing/Library:Testing/Library/reading \
        python Testing/Benchmarks/readers/readers.py Testing/Benchmarks/readers/readers.md
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import CTImageStorage, JPEGLosslessSV1, JPEGLSLossless
from test_multi_frame import write_enhanced

from code_streams import COLUMNS, EXACT, LAYOUTS, ROWS, compressed, dataset_of, pixels, streams
from dicom_files import small_head, write_series
from SkullImplantLib.core.images import array_of
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.reading.dicom_pixels import read_file, stored_values
from SkullImplantLib.reading.dicom_series import read_series

SPACING_MM = (3.5, 3.25, 3.0)
TILT_SHIFT_MM = 0.8  # a slice against the one below: 15 degrees
# Maker, protocol, patient's position, and instance number of an enhanced file: no test writes them.
NOT_WRITTEN = ("(0008,0070)", "(0018,1030)", "(0018,5100)", "(0020,0013)")
SAGITTAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))

# A series, and what its slices are (z, y, x; HU): None where a reader has to make some.
Series = Callable[[Path], np.ndarray | None]


def plain(folder: Path) -> np.ndarray | None:
    write_series(folder)
    return small_head()


def media_directory(folder: Path) -> np.ndarray | None:
    write_series(folder)
    directory = Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory.FileSetID = "CD"
    directory.save_as(folder / "INDEX", enforce_file_format=True)
    return small_head()


def one_uid(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"

    write_series(folder, edit=edit)
    return small_head()


def no_series_uid(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        del dataset.SeriesInstanceUID

    write_series(folder, edit=edit)
    return small_head()


def doubled(folder: Path) -> np.ndarray | None:
    write_series(folder)
    for path in sorted(folder.iterdir())[:2]:
        shutil.copy(path, path.with_name(path.name + "-again"))
    return small_head()


def missing(folder: Path) -> np.ndarray | None:
    write_series(folder, edit=lambda dataset, z: z != 20)
    return None


def uneven(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.ImagePositionPatient[2] += 1.2 * max(z - 20, 0)

    write_series(folder, edit=edit)
    return None


def tilted(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        dataset.GantryDetectorTilt = 15

    write_series(folder, shear_mm=(0.0, TILT_SHIFT_MM, 0.0), edit=edit)
    return None


def scout(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        if z == 0:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.ImageOrientationPatient = [1, 0, 0, 0, 0, -1]

    write_series(folder, edit=edit)
    return small_head()[1:]


def short(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        if z == 10:
            dataset.PixelData = dataset.PixelData[:-1000]

    write_series(folder, edit=edit)
    return None


def own_rescale(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        if z == 10:
            stored = np.frombuffer(dataset.PixelData, "<u2") - 24
            dataset.RescaleIntercept, dataset.PixelData = "-1000", stored.tobytes()

    head = np.maximum(small_head(), -1000)
    write_series(folder, head, edit=edit)
    return head


def enhanced(folder: Path) -> np.ndarray | None:
    write_enhanced(folder / "IM1")
    return small_head()


def two_patients(folder: Path) -> np.ndarray | None:
    def edit(dataset: Dataset, z: int) -> None:
        if z >= 20:
            dataset.PatientID, dataset.PatientName = "4712", "Roe^Richard"

    write_series(folder, edit=edit)
    return None


def sagittal(folder: Path) -> np.ndarray | None:
    write_series(folder, orientation=SAGITTAL)
    return small_head()


SERIES: dict[str, Series] = {
    "as a scanner writes it": plain,
    "a media directory under another name": media_directory,
    "one instance UID on all files": one_uid,
    "no series UID": no_series_uid,
    "two slices doubled": doubled,
    "a slice missing": missing,
    "steps of 3, then 4.2 mm": uneven,
    "gantry tilted by 15 degrees": tilted,
    "a scout within the series": scout,
    "pixels of one slice cut short": short,
    "a rescale of its own on one slice": own_rescale,
    "enhanced multi-frame, a rescale for each frame": enhanced,
    "slices of two patients in one series": two_patients,
    "sagittal slices": sagittal,
}


def told(values: np.ndarray, due: np.ndarray | None) -> str:
    """Say how voxels (z, y, x) in the order of the slices are to what they should be."""
    if due is None:
        return f"{len(values)} slices"
    if values.shape != due.shape:
        return f"{len(values)} of {len(due)} slices"
    worst = float(np.abs(values.astype(float) - due).max())
    return "exact" if worst == 0 else f"{len(values)} slices, values wrong by up to {worst:g}"


def ours(folder: Path, due: np.ndarray | None) -> str:
    try:
        volume = read_series(folder)
    except SkullImplantError as error:
        return f"refused: {error}"
    notes = " ".join(volume.notes)
    return told(array_of(volume.image), due) + (f"; note: {notes}" if notes else "")


def by_itk(folder: Path, due: np.ndarray | None) -> str:
    """The usual recipe: names from GDCM, then the series reader."""
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    if not names:
        return "finds no series"
    reader = sitk.ImageSeriesReader()
    reader.MetaDataDictionaryArrayUpdateOn()
    reader.SetFileNames(names)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        return f"refused: {str(error).strip().splitlines()[-1][:90]}"
    warned = any("non_uniform" in key for key in image.GetMetaDataKeys())
    note = ", with a warning" if warned else ""
    return f"{told(sitk.GetArrayFromImage(image), due)}, {image.GetSpacing()[2]:.2f} mm apart{note}"


def by_dcm2niix(folder: Path, due: np.ndarray | None) -> str:
    with tempfile.TemporaryDirectory() as out:
        command = ["dcm2niix", "-f", "%s_%d", "-z", "n", "-o", out, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        volumes = []
        for path in sorted(Path(out).glob("*.nii")):
            image = sitk.DICOMOrient(sitk.ReadImage(str(path)), "LPS")
            kind = path.stem.split("_")[-1]
            name = f"{kind}: " if kind in ("Tilt", "Eq", "1") else ""
            if due is not None and folder.name == "sagittal":
                image = sitk.DICOMOrient(image, "PIR")
            values = sitk.GetArrayFromImage(image)
            volumes.append(f"{name}{told(values, due)}, {image.GetSpacing()[2]:.2f} mm apart")
        said = complaints(done.stdout)
        text = "; ".join(volumes) or "no volume"
        return text + (f"; says: {said[0]}" if said else "")


def complaints(text: str) -> list[str]:
    """Return what dcm2niix complains of, but for names that no test writes."""
    lines = [line.strip()[:110] for line in text.splitlines()]
    said = [line for line in lines if "arning" in line or "rror" in line]
    return [line for line in said if not any(tag in line for tag in NOT_WRITTEN)]


COMPRESSIONS = {
    "JPEG lossless (SV1)": ("dcmtk-sv1", "s16"),
    "JPEG lossless (predictor 6)": ("dcmtk-predictor-6", "s12"),
    "JPEG-LS, 16 bits with a sign": ("charls", "s16"),
    "JPEG-LS, 12 in 16 bits with a sign": ("charls", "s12"),
    "JPEG 2000, 12 bits with a sign": ("openjpeg", "s12"),
    "HTJ2K, 16 bits with a sign": ("openjph-rpcl", "s16"),
    "HTJ2K, 12 bits": ("openjph-lrcp", "u12"),
}


def compressed_files() -> Iterator[tuple[str, Dataset, np.ndarray | None]]:
    """Yield compressed files of one frame, and their stored values: None for damaged ones."""
    for name, (writer, layout) in COMPRESSIONS.items():
        yield name, compressed(writer, layout), pixels(LAYOUTS[layout], 0)
    dataset = compressed("openjpeg", "u12")
    dataset.PixelRepresentation = 1
    yield "JPEG 2000 without a sign, a header with one", dataset, None
    stream = streams()["dcmtk-sv1", "u16", 0].rstrip(b"\0")
    cut = encapsulate([stream[: len(stream) // 2] + stream[-2:]])
    yield (
        "JPEG lossless without its second half",
        dataset_of(LAYOUTS["u16"], JPEGLosslessSV1, cut),
        None,
    )
    frames = [streams()["openjpeg", "u16", frame] for frame in (0, 1)]
    more = dataset_of(LAYOUTS["u16"], EXACT["openjpeg"], encapsulate(frames), 1)
    yield "JPEG 2000, two frames where one is said", more, None


def whole_file(dataset: Dataset, path: Path) -> None:
    uid = dataset.file_meta.MediaStorageSOPInstanceUID
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, uid
    dataset.Modality, dataset.SeriesInstanceUID = "CT", "1.2.826.0.1.5"
    dataset.StudyInstanceUID = "1.2.826.0.1.6"
    dataset.PatientID, dataset.PatientName = "4711", "Doe^Jane"
    dataset.ImagePositionPatient, dataset.PixelSpacing = [0, 0, 0], [1, 1]
    dataset.ImageOrientationPatient, dataset.SliceThickness = [1, 0, 0, 0, 1, 0], 1
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    if dataset.NumberOfFrames == 1:
        del dataset.NumberOfFrames
    dataset.save_as(path, enforce_file_format=True)


def values_told(values: np.ndarray, due: np.ndarray | None) -> str:
    values = values.reshape(ROWS, COLUMNS) if values.size == ROWS * COLUMNS else values
    if due is None:
        return "reads it without a word"
    if np.array_equal(values, due):
        return "exact"
    if values.shape != due.shape:
        return f"wrong: of shape {values.shape}"
    return f"wrong in {np.mean(values != due):.0%} of the pixels"


def stored_by_ours(path: Path, due: np.ndarray | None) -> str:
    try:
        return values_told(stored_values(read_file(path.read_bytes()), 0, "A slice"), due)
    except SkullImplantError as error:
        return f"refused: {error}"


def stored_by_pydicom(path: Path, due: np.ndarray | None) -> str:
    try:
        return values_told(pydicom.dcmread(path).pixel_array, due)
    except Exception as error:
        return f"refused: {str(error).splitlines()[0][:80]}"


def stored_by_itk(path: Path, due: np.ndarray | None) -> str:
    try:
        return values_told(sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO")),
                           due)  # fmt: skip
    except RuntimeError as error:
        return f"refused: {str(error).strip().splitlines()[-1][:60]}"


def stored_by_dcm2niix(path: Path, due: np.ndarray | None) -> str:
    with tempfile.TemporaryDirectory() as out:
        command = ["dcm2niix", "-s", "y", "-z", "n", "-o", out, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = sorted(Path(out).glob("*.nii"))
        if not found:
            said = complaints(done.stdout)
            return f"no volume: {said[0]}" if said else "no volume"
        image = sitk.DICOMOrient(sitk.ReadImage(str(found[0])), "LPS")
        return values_told(sitk.GetArrayFromImage(image), due)


def stored_by_dcmtk(path: Path, due: np.ndarray | None) -> str:
    syntax = pydicom.dcmread(path).file_meta.TransferSyntaxUID
    program = "dcmdjpls" if syntax == JPEGLSLossless else "dcmdjpeg"
    plain_path = path.with_name("plain.dcm")
    done = subprocess.run([program, path, plain_path], capture_output=True, text=True, check=False)
    said = done.stderr.strip().splitlines()
    if done.returncode == 0:
        text = values_told(pydicom.dcmread(plain_path).pixel_array, due)
        return text.replace("without a word", f"and says: {said[0]}") if said else text
    return f"refused: {said[0].removeprefix('F: ')[:60] if said else ''}"


def versions() -> str:
    dcmtk = subprocess.run(["dcmdump", "--version"], capture_output=True, text=True).stdout
    return (
        f"pydicom {version('pydicom')} (pylibjpeg-libjpeg {version('pylibjpeg-libjpeg')}, "
        f"pylibjpeg-openjpeg {version('pylibjpeg-openjpeg')}, pyjpegls {version('pyjpegls')}), "
        f"SimpleITK {version('SimpleITK')} (its own GDCM), dcm2niix {version('dcm2niix')}, "
        f"dcmtk {dcmtk.split()[2].lstrip('v')}"
    )


def main(target: Path) -> None:
    lines = [
        "# Other readers, tried",
        "",
        f"Made by `readers.py` with {versions()}. What they promise, and their addresses:",
        "[DICOM, other readers](../../../docs/reference/dicom-readers.md).",
        "",
        "## Series",
        "",
        "The small head of the tests, 40 slices 3 mm apart. *Exact*: every voxel, in HU.",
        "",
        "| series | ours | ITK's series reader (GDCM) | dcm2niix |",
        "| --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for name, write in SERIES.items():
            folder = Path(temporary) / write.__name__
            folder.mkdir()
            due = write(folder)
            cells = [reader(folder, due) for reader in (ours, by_itk, by_dcm2niix)]
            lines.append(f"| {name} | {' | '.join(cell.replace('|', ' ') for cell in cells)} |")
        lines += [
            "",
            "## Compressed pixels",
            "",
            "The frames of `Testing/Library/code_streams.zip`. *Exact*: every stored value.",
            "",
            "| file | ours | pydicom | ITK (GDCM) | dcm2niix | dcmtk |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for name, dataset, due in compressed_files():
            path = Path(temporary) / "file.dcm"
            whole_file(dataset, path)
            cells = [
                reader(path, due)
                for reader in (
                    stored_by_ours, stored_by_pydicom, stored_by_itk, stored_by_dcm2niix,
                    stored_by_dcmtk,
                )
            ]  # fmt: skip
            lines.append(f"| {name} | {' | '.join(cell.replace('|', ' ') for cell in cells)} |")
    target.write_text("\n".join([*lines, ""]).replace(temporary, ""), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
