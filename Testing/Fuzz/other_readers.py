"""What other readers make of an image: pynrrd, NiBabel and pydicom, and MetaImage plainly read.

They share no code with the program; where it reads a changed file otherwise than the sound one, it
must read what they read, say so in a note, or refuse.
"""

import zlib
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pydicom
import SimpleITK as sitk

from specimens import Seen

TO_LPS = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
# 0.01 mm: what a place may differ by, for the digits that headers keep.
PLACE_MM = 0.01
# Of a pixel, within which slices lie on one another; places are written with few digits.
TENTH = 0.1


def other_view(path: Path) -> Seen:
    """Return the image as another reader sees it; raises whatever that reader does."""
    name = path.name
    if path.is_dir():
        return _dicom(path)
    if name.endswith((".nrrd", ".nhdr")):
        return _nrrd(path)
    if name.endswith((".nii", ".nii.gz")):
        image = nibabel.load(path)
        values = np.asarray(image.dataobj).T
        values = values.reshape(values.shape[-3:])
        return Seen(values, np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)
    return _metaimage(path)


def agree(ours: Seen, theirs: Seen) -> bool:
    """Say whether two readers saw the same voxels in the same places, a mask by its value."""
    if ours.values.shape != theirs.values.shape:
        return False
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in ours.values.shape[::-1]])).reshape(3, -1)
    corners = np.vstack([corners, np.ones(corners.shape[1])])
    if not np.abs((ours.matrix - theirs.matrix) @ corners).max() <= PLACE_MM:
        return False
    values = theirs.values
    # What lies below air is air.
    views = [values, np.maximum(np.rint(values), -1024), values > values.min(), values != 0]
    views.append(values == 1)  # the skull's segment
    return any(np.array_equal(ours.values, view) for view in views)


def _nrrd(path: Path) -> Seen:
    values, header = nrrd.read(str(path))
    matrix = np.eye(4)
    directions = header.get("space directions")
    if directions is None:
        matrix[:3, :3] = np.diag(header["spacings"])
    else:
        matrix[:3, :3] = np.asarray(directions)[-3:].T
    matrix[:3, 3] = header.get("space origin", (0.0, 0.0, 0.0))
    signs = TO_LPS[str(header.get("space", "lps")).lower()]
    return Seen(values.T, np.diag([*signs, 1.0]) @ matrix)


def _metaimage(path: Path) -> Seen:
    content = path.read_bytes()
    fields, at = {}, 0
    while "ElementDataFile" not in fields:
        end = content.index(b"\n", at)
        key, _, value = content[at:end].decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
        at = end + 1
    named = fields["ElementDataFile"]
    data = content[at:] if named == "LOCAL" else (path.parent / named).read_bytes()
    if fields.get("CompressedData", "False") == "True":
        data = zlib.decompress(data)
    kinds = {"MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_FLOAT": "f4"}
    order = ">" if fields.get("BinaryDataByteOrderMSB", "False") == "True" else "<"
    size = [int(n) for n in fields["DimSize"].split()]
    kind = np.dtype(order + kinds[fields["ElementType"]])
    values = np.frombuffer(data, kind, int(np.prod(size))).reshape(size[::-1])
    matrix = np.eye(4)
    directions = np.reshape(
        [float(w) for w in fields.get("TransformMatrix", "1 0 0 0 1 0 0 0 1").split()], (3, 3)
    )
    spacing = np.array([float(w) for w in fields["ElementSpacing"].split()])
    matrix[:3, :3] = directions.T * spacing
    matrix[:3, 3] = [float(w) for w in fields.get("Offset", "0 0 0").split()]
    return Seen(values, matrix)


def _stored(one: pydicom.Dataset) -> np.ndarray:
    """Return a slice's stored values; what pydicom cannot decompress here, GDCM does."""
    if hasattr(one, "values_of_frame"):
        return one.values_of_frame
    try:
        return one.pixel_array
    except RuntimeError:
        whole = Path(one.filename).with_suffix(".whole")
        one.save_as(whole, enforce_file_format=True)  # with the marks by which GDCM knows a file
        image = sitk.ReadImage(str(whole), imageIO="GDCMImageIO")
        return (sitk.GetArrayFromImage(image)[0] - float(one.RescaleIntercept)) / float(
            one.RescaleSlope
        )


def _frames(whole: pydicom.Dataset) -> list[pydicom.Dataset]:
    """Return each frame of an enhanced file as a slice of its own."""
    (shared,) = whole.SharedFunctionalGroupsSequence
    frames = []
    for group, values in zip(whole.PerFrameFunctionalGroupsSequence, whole.pixel_array):
        one = pydicom.Dataset()
        for of in (shared, group):
            for element in of:
                if element.VR == "SQ" and element.value:
                    one.update(element.value[0])
        one.values_of_frame = values
        frames.append(one)
    return frames


def _dicom(folder: Path) -> Seen:
    """Stack slices by their place along the normal, in HU, as any tutorial does."""
    slices = [
        pydicom.dcmread(path, force=True) for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    slices = [s for s in slices if "PixelData" in s]
    for one in slices:
        one.PixelRepresentation = one.get("PixelRepresentation") or 0  # which old files leave out
    if "NumberOfFrames" in slices[0]:
        slices = _frames(slices[0])
    first = slices[0]
    row, column = np.reshape([float(v) for v in first.ImageOrientationPatient], (2, 3))
    normal = np.cross(row, column)
    if any(s.ImageOrientationPatient != first.ImageOrientationPatient for s in slices):
        raise ValueError("slices that are not parallel")
    places = [np.array([float(v) for v in s.ImagePositionPatient]) for s in slices]
    order = np.argsort([place @ normal for place in places])
    steps = np.diff([places[i] for i in order], axis=0)
    if np.abs(steps - steps.mean(0)).max() > TENTH * min(map(float, first.PixelSpacing)):
        raise ValueError("slices that are not even")
    planes = []
    for i in order:
        one = slices[i]
        planes.append(_stored(one) * float(one.RescaleSlope) + float(one.RescaleIntercept))
    matrix = np.eye(4)
    down, right = (float(v) for v in first.PixelSpacing)
    matrix[:3, :3] = np.column_stack([row * right, column * down, steps.mean(0)])
    matrix[:3, 3] = places[order[0]]
    return Seen(np.maximum(np.rint(np.stack(planes)), -1024), matrix)
