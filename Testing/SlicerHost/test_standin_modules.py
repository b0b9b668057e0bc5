"""Stand-ins of Slicer's own modules."""

import pytest
import slicer


def test_sample_data_refuses_the_network(host):
    import SampleData

    with pytest.raises(ValueError, match="no network"):
        SampleData.downloadFromURL(uris="https://example.org/a.nrrd", fileNames="a.nrrd")


def test_custom_downloader_belongs_to_the_button(host):
    import SampleData

    called = []
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category="Test",
        sampleName="MadeHere",
        uris="https://example.org/none",
        fileNames="none",
        customDownloader=called.append,
    )
    with pytest.raises(ValueError, match="no network"):
        SampleData.downloadSample("MadeHere")
    widget = slicer.modules.sampledata.createNewWidgetRepresentation()
    slicer.util.findChild(widget, "MadeHerePushButton").click()
    assert [source.sampleName for source in called] == ["MadeHere"]
    # As in the application, a source without addresses is refused.
    with pytest.raises(TypeError, match="uris and fileNames"):
        SampleData.SampleDataLogic.registerCustomSampleDataSource(
            sampleName="Nowhere", customDownloader=called.append
        )


def test_pytorch_utils_finds_torch_and_installs_nothing(host):
    import PyTorchUtils

    logic = PyTorchUtils.PyTorchUtilsLogic()
    assert logic.torchInstalled()
    assert str(logic.getDevice()).startswith(("cpu", "cuda"))
    with pytest.raises(RuntimeError, match="no network"):
        logic.installTorch()
