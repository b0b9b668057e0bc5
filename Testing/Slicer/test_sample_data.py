"""The module's sample data by the calls of Slicer's module Sample Data."""

import hashlib
import shutil
from pathlib import Path

import pytest
import slicer


@pytest.fixture
def registered(module, scene):
    """The sample data, registered as at the application's start."""
    module.registerSampleData()
    import SampleData

    return SampleData


def test_both_are_registered_once_and_nothing_is_made(registered, module):
    from SkullImplantPanel import sample

    before = sample.sampleFile().exists()
    module.registerSampleData()
    sources = registered.SampleDataLogic.sampleDataSourcesByCategory("SkullImplant")
    assert [source.sampleName for source in sources] == [sample.SAMPLE_NAME, sample.REAL_NAME]
    assert sample.sampleFile().exists() == before
    assert registered.SampleDataLogic.isSampleDataSourceRegistered("SkullImplant", sources[0])
    real = sources[1]
    assert real.uris[0].endswith(f"SHA256/{sample.REAL_SHA256}")
    assert real.checksums == [f"SHA256:{sample.REAL_SHA256}"]


def test_sample_patient_is_downloaded_as_any_sample(registered, small_ct_file, monkeypatch):
    """`downloadSample` calls no `customDownloader`; the file is made at its address."""
    from SkullImplantPanel import sample

    path, made = sample.sampleFile(), []
    path.unlink(missing_ok=True)

    def make(target: Path) -> None:
        made.append(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(small_ct_file, target)

    monkeypatch.setattr(sample, "_makeFile", make)
    for _again in range(2):
        node = registered.downloadSample(sample.SAMPLE_NAME)
        assert node.IsA("vtkMRMLScalarVolumeNode") and node.GetName().startswith("Sample patient")
        assert slicer.util.arrayFromVolume(node).max() > 700
    assert made == [path], "made once, then kept as what is downloaded"
    assert len(registered.downloadSamples(sample.SAMPLE_NAME)) == 1
    path.unlink()


@pytest.mark.slow
def test_sample_patients_file_is_made_by_the_library(registered):
    from SkullImplantPanel import sample

    path = sample.sampleFile()
    path.unlink(missing_ok=True)
    node = registered.downloadSample(sample.SAMPLE_NAME)
    assert node.GetImageData().GetDimensions()[0] > 300
    path.unlink()


def test_real_ct_is_fetched_by_address_and_checksum(
    registered, small_ct_file, tmp_path, monkeypatch
):
    """From a local address: the public one is not tried, as tests have no network."""
    from SkullImplantPanel import sample

    digest = hashlib.sha256(small_ct_file.read_bytes()).hexdigest()
    (tmp_path / "SHA256").mkdir()
    shutil.copy(small_ct_file, tmp_path / "SHA256" / digest)
    monkeypatch.setattr(slicer.util, "TESTING_DATA_URL", f"{tmp_path.as_uri()}/")
    monkeypatch.setattr(sample, "REAL_SHA256", digest)
    monkeypatch.setattr(sample, "REAL_NAME", "Local head CT")
    monkeypatch.setattr(sample, "REAL_FILE", "local-head.nrrd")
    sample.registerSampleData()
    node = registered.downloadSample("Local head CT")
    assert node.IsA("vtkMRMLScalarVolumeNode")
    sources = registered.SampleDataLogic.sampleDataSourcesByCategory("SkullImplant")
    sources.remove(next(source for source in sources if source.sampleName == "Local head CT"))
