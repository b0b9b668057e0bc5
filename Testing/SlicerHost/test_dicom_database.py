"""The DICOM database of the application: answers and their absence as CTK's source has them."""

import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian


@pytest.fixture
def file(tmp_path):
    made = pydicom.Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, "1.2.3.4"
    made.SeriesInstanceUID, made.StudyInstanceUID = "1.2.3", "1.2"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(tmp_path / "slice.dcm", enforce_file_format=True)
    return tmp_path / "slice.dcm"


@pytest.mark.parametrize("stored", [True, False])
def test_a_file_is_found_by_its_instance_and_series(host, file, tmp_path, stored):
    from slicer_host.dicom_database import ctkDICOMDatabase

    database = ctkDICOMDatabase()
    assert database.fileForInstance("1.2.3.4") == "", "it is not open"
    database.openDatabase(str(tmp_path / "ctkDICOM.sql"))
    assert database.fileForInstance("1.2.3.4") == ""
    database.insert(str(file), stored)
    found = database.fileForInstance("1.2.3.4")
    assert database.filesForSeries("1.2.3") == [found]
    expected = tmp_path / "dicom" / "1.2" / "1.2.3" / "1.2.3.4" if stored else file
    assert found == str(expected) and expected.read_bytes() == file.read_bytes()
    database.closeDatabase()
    assert database.fileForInstance("1.2.3.4") == ""
