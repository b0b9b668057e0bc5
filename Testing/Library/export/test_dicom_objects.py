"""Implant and masks as DICOM: by the validator, by other readers, and through an archive."""

import json
import shutil
import socket
import subprocess
import time
import urllib.request

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from bent_plate import bent_plate
from PIL import Image
from pydicom.uid import EncapsulatedSTLStorage, SegmentationStorage, generate_uid

from dicom_files import PATIENT, write_series
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.dicom_segmentation import segmentation
from SkullImplantLib.export.dicom_source import source_series, write_object
from SkullImplantLib.export.dicom_stl import encapsulated_stl
from SkullImplantLib.export.stl import write_stl
from SkullImplantLib.reading.input import read_input

STUDY, FRAME = generate_uid(entropy_srcs=["study"]), generate_uid(entropy_srcs=["frame"])
WAIT_S = 30.0


def needs(*commands: str):
    missing = [name for name in commands if shutil.which(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def complete(dataset, z) -> None:
    """What a scanner writes beside what a CT needs to be read."""
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = STUDY, FRAME
    dataset.PatientBirthDate, dataset.PatientSex = "19700101", "F"
    dataset.StudyDate, dataset.StudyTime, dataset.StudyID = "20250102", "101112", "S1"
    dataset.AccessionNumber, dataset.ReferringPhysicianName = "A1", "Doctor^Who"
    dataset.SeriesNumber, dataset.Manufacturer = 3, "Scanner"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20250102", "101213"
    dataset.PositionReferenceIndicator = ""


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct")
    return read_input(write_series(folder, edit=complete))


@pytest.fixture(scope="module")
def stl(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("stl") / "implant.stl"
    write_stl(bent_plate(), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def picture() -> bytes:
    import io

    content = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").resize((640, 480)).save(content, "PNG")
    return content.getvalue()


def masks(ct) -> tuple[dict[str, sitk.Image], sitk.Image]:
    """A skull, the completed one, and two implants, on the CT's grid."""
    head = sitk.GetArrayFromImage(ct.image)
    skull = (head > 500).astype(np.uint8)
    implants = np.zeros_like(skull)
    implants[30:34, 10:14, 10:16] = 1
    implants[30:34, 30:34, 10:16] = 2
    skull[implants > 0] = 0
    found = [skull, skull | (implants > 0), implants]
    images = [sitk.GetImageFromArray(np.ascontiguousarray(each, np.uint8)) for each in found]
    for image in images:
        image.CopyInformation(ct.image)
    return {"Skull": images[0], "Completed skull": images[1]}, images[2]


@pytest.fixture(scope="module")
def objects(ct, stl, picture, tmp_path_factory):
    pytest.importorskip("highdicom")
    folder = tmp_path_factory.mktemp("objects")
    source = source_series(ct)
    title = "Cranial implant, proposal for review"
    write_object(encapsulated_stl(stl, source, title, 0, picture), folder / "implant.dcm")
    write_object(segmentation(*masks(ct), source, 1), folder / "segmentation.dcm")
    return folder


def test_the_stl_comes_back_byte_for_byte(objects, stl):
    found = pydicom.dcmread(objects / "implant.dcm")
    length = found.EncapsulatedDocumentLength
    assert found.EncapsulatedDocument[:length] == stl and length == len(stl)
    assert found.MIMETypeOfEncapsulatedDocument == "model/stl"
    assert found.SOPClassUID == EncapsulatedSTLStorage


def test_it_is_in_the_patients_study_and_the_cts_frame_in_millimeters(objects, ct):
    """What another tool had wrong though the validator took it: units, frame, burned in."""
    source = pydicom.dcmread(ct.files[0])
    slices = {str(pydicom.dcmread(path).SOPInstanceUID) for path in ct.files}
    for name in ("implant.dcm", "segmentation.dcm"):
        found = pydicom.dcmread(objects / name)
        assert found.PatientName == PATIENT and found.PatientID == source.PatientID
        assert found.StudyInstanceUID == STUDY and found.FrameOfReferenceUID == FRAME
        assert found.SeriesInstanceUID != source.SeriesInstanceUID
        (series,) = found.ReferencedSeriesSequence
        assert series.SeriesInstanceUID == source.SeriesInstanceUID
    found = pydicom.dcmread(objects / "implant.dcm")
    assert {str(i.ReferencedSOPInstanceUID) for i in found.SourceInstanceSequence} == slices
    (unit,) = found.MeasurementUnitsCodeSequence
    assert (unit.CodeValue, unit.CodingSchemeDesignator) == ("mm", "UCUM")
    assert found.BurnedInAnnotation == "NO"
    (usage,) = found.ModelUsageCodeSequence
    assert usage.CodeMeaning == "Implant Fabrication"
    (icon,) = found.IconImageSequence
    assert max(icon.Rows, icon.Columns) == 128
    assert "REVIEW" in found.ContentDescription


def test_segments_lie_where_the_masks_do(objects, ct):
    """Read by plain arithmetic from the standard's own attributes, not by the writer's library."""
    found = pydicom.dcmread(objects / "segmentation.dcm")
    assert found.SOPClassUID == SegmentationStorage
    labels = [str(item.SegmentLabel) for item in found.SegmentSequence]
    assert labels == ["Skull", "Completed skull", "Implant 1", "Implant 2"]
    # Two of one color would be one to whoever looks at them; implants are alike.
    colors = [tuple(item.RecommendedDisplayCIELabValue) for item in found.SegmentSequence]
    assert len(set(colors)) == 3 and colors[2] == colors[3]
    frames = found.pixel_array
    skulls, implants = masks(ct)
    numbers = sitk.GetArrayFromImage(implants)
    wanted = [sitk.GetArrayFromImage(image) > 0 for image in skulls.values()]
    wanted += [numbers == 1, numbers == 2]
    seen = np.zeros((4, *numbers.shape), bool)
    for frame, told in zip(frames, found.PerFrameFunctionalGroupsSequence):
        number = told.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = [float(v) for v in told.PlanePositionSequence[0].ImagePositionPatient]
        index = ct.image.TransformPhysicalPointToContinuousIndex(place)
        assert np.allclose(index[:2], 0, atol=1e-3) and abs(index[2] - round(index[2])) < 1e-3
        seen[number - 1, round(index[2])] = frame > 0
    assert np.array_equal(seen, np.array(wanted))


@needs("dciodvfy")
@pytest.mark.parametrize("name", ["implant.dcm", "segmentation.dcm"])
def test_the_validator_finds_no_error(objects, name):
    told = subprocess.run(
        ["dciodvfy", str(objects / name)], capture_output=True, text=True, check=False
    )
    said = told.stdout + told.stderr
    assert "Error" not in said, said
    assert ("EncapsulatedSTL" if name == "implant.dcm" else "Segmentation") in said


@needs("dcmdump")
@pytest.mark.parametrize("name", ["implant.dcm", "segmentation.dcm"])
def test_dcmtk_reads_it(objects, name):
    told = subprocess.run(
        ["dcmdump", "-q", "+P", "0020,0052", str(objects / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert FRAME in told.stdout and not told.stderr


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@pytest.fixture
def archive(tmp_path):
    """Orthanc on loopback: (DICOM port, address of its interface)."""
    dicom, http = free_port(), free_port()
    settings = {
        "Name": "Test", "StorageDirectory": str(tmp_path / "db"),
        "IndexDirectory": str(tmp_path / "db"), "DicomAet": "ARCHIVE", "DicomPort": dicom,
        "HttpPort": http, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True, "DicomCheckCalledAet": False, "Plugins": [],
    }  # fmt: skip
    path = tmp_path / "orthanc.json"
    path.write_text(json.dumps(settings))
    command = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    process = subprocess.Popen([command, str(path)], stdout=-3, stderr=-3)
    address = f"http://127.0.0.1:{http}"
    begun = time.monotonic()
    try:
        while True:
            try:
                urllib.request.urlopen(f"{address}/system", timeout=1)
                break
            except OSError:
                assert process.poll() is None and time.monotonic() - begun < WAIT_S
                time.sleep(0.1)
        yield dicom, address
    finally:
        process.terminate()
        process.wait(WAIT_S)


@needs("storescu")
@pytest.mark.skipif(
    not (shutil.which("Orthanc") or shutil.which("/usr/sbin/Orthanc")),
    reason="not installed: Orthanc",
)
def test_an_archive_takes_them_and_gives_the_same_stl_back(archive, objects, stl):
    """C-STORE to Orthanc, and back by its interface."""
    port, address = archive
    files = [str(objects / name) for name in ("implant.dcm", "segmentation.dcm")]
    # Of the many kinds of objects propose those alone that are sent.
    command = ["storescu", "--required", "127.0.0.1", str(port), *files]
    subprocess.run(command, check=True, capture_output=True)
    with urllib.request.urlopen(f"{address}/instances") as answer:
        instances = json.load(answer)
    assert len(instances) == 2
    given = []
    for instance in instances:
        with urllib.request.urlopen(f"{address}/instances/{instance}/file") as answer:
            given.append(pydicom.dcmread(pydicom.filebase.DicomBytesIO(answer.read())))
    (implant,) = [one for one in given if one.SOPClassUID == EncapsulatedSTLStorage]
    assert implant.EncapsulatedDocument[: implant.EncapsulatedDocumentLength] == stl


def test_slices_without_a_frame_of_reference_are_told(tmp_path):
    bare = read_input(write_series(tmp_path))
    with pytest.raises(SkullImplantError, match="in which frame of reference"):
        source_series(bare)
