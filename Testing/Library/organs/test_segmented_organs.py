"""What is told of organs that were found, and what a person is warned of."""

from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from SkullImplantLib.cases.thorax_phantom import AORTA, ORGANS, TRACHEA
from SkullImplantLib.completion.network import NetworkPlace
from SkullImplantLib.core.images import array_of, image_like
from SkullImplantLib.core.stages import Stages
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder
from SkullImplantLib.networks.dense_unet import SEGMENTATION_TASK, DenseUNet, UNetConfiguration
from SkullImplantLib.networks.label_superres import LABELS_TASK, labels_configuration
from SkullImplantLib.networks.weights import Weights
from SkullImplantLib.organs import segmented_organs
from SkullImplantLib.organs.organ_networks import OrganLabels
from SkullImplantLib.organs.segmented_organs import OrganSegmentation, segment_organs

ON_CPU = NetworkPlace("cpu")


def ct() -> sitk.Image:
    image = sitk.Image(48, 48, 40, sitk.sitkInt16)
    image.SetSpacing((2.0, 2.0, 3.0))
    return image


def coarse(*boxes: tuple[int, tuple[slice, slice, slice]]) -> sitk.Image:
    """Labels on 24 x 24 x 20 voxels over the same box."""
    array = np.zeros((20, 24, 24), np.uint8)
    for label, box in boxes:
        array[box] = label
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((4.0, 4.0, 6.0))
    image.SetOrigin((1.0, 1.0, 1.5))
    return image


def refining(bias: float = 0.0) -> Weights:
    """Weights that add `bias`, and nothing else, to the interpolation's logits."""
    configuration = labels_configuration()
    network = SparseAutoEncoder(**asdict(configuration))
    with torch.no_grad():
        network.decoder[-1]["classify"].kernel.zero_()  # type: ignore[index]
        network.decoder[-1]["classify"].bias.fill_(bias)  # type: ignore[index]
    return Weights(configuration, network.state_dict(), {"task": LABELS_TASK}, "")


def segmenting() -> Weights:
    configuration = UNetConfiguration(len(ORGANS), (2, 4))
    metadata = {"task": SEGMENTATION_TASK, "trained_on": ["Patient_01"]}
    return Weights(configuration, DenseUNet(**asdict(configuration)).state_dict(), metadata, "")


MIDDLE = (slice(6, 14), slice(8, 16), slice(8, 16))


def refined(labels: sitk.Image, bias: float = 0.0) -> OrganSegmentation:
    return segment_organs(ct(), None, refining(bias), Stages(), ON_CPU, labels)


def test_volume_and_share_are_those_of_the_labels() -> None:
    found = refined(coarse((AORTA, MIDDLE)))
    (aorta,) = found.organs
    voxels = np.count_nonzero(array_of(found.labels) == AORTA)
    assert aorta.volume_cm3 == pytest.approx(voxels * 12.0 / 1000)
    assert aorta.occupancy == pytest.approx(voxels / array_of(found.labels).size)
    assert aorta.coarse_cm3 == pytest.approx(8 * 8 * 8 * 96.0 / 1000)
    assert aorta.sure is None and not aorta.at_border
    assert [n for n in found.notes if "not found" in n] == [
        f"The {name} was not found." for name in ORGANS if name != "aorta"
    ]


def test_an_organ_at_the_edge_is_told() -> None:
    found = refined(coarse((AORTA, (slice(0, 14), *MIDDLE[1:]))))
    assert found.organs[0].at_border
    assert any(note.startswith("The aorta reaches the edge of the CT") for note in found.notes)


def test_a_volume_that_refining_changes_is_told() -> None:
    found = refined(coarse((AORTA, MIDDLE)), bias=9.0)
    assert any("changed the volume of the aorta from 49 to" in note for note in found.notes)


def test_others_labels_are_left_out_and_none_is_an_error() -> None:
    with pytest.raises(SkullImplantError, match="hold no organ"):
        refined(coarse((99, MIDDLE)))


def found_by(monkeypatch: pytest.MonkeyPatch, labels: sitk.Image, sure: float) -> OrganSegmentation:
    """What is made of labels that the dense network found, so sure of all."""
    shape = array_of(labels).shape
    answer = OrganLabels(labels, "cpu", np.full(shape, sure, np.float32))
    monkeypatch.setattr(segmented_organs, "segment_coarse", lambda *_: answer)
    return segment_organs(ct() + 40, segmenting(), refining(), Stages(), ON_CPU)


def test_small_pieces_apart_go_and_large_ones_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = coarse(
        (AORTA, MIDDLE),
        (AORTA, (slice(16, 19), slice(8, 14), slice(8, 14))),  # beyond the arch, say
        (AORTA, (slice(1, 3), slice(1, 3), slice(1, 3))),
        (AORTA, (slice(4, 6), slice(6, 8), slice(6, 8))),  # at a corner of the largest
        (TRACHEA, (slice(4, 16), slice(2, 5), slice(2, 5))),
    )
    found = found_by(monkeypatch, labels, 0.99)
    kept = array_of(found.coarse)
    assert np.count_nonzero(kept == AORTA) == 8**3 + 3 * 6 * 6 + 2**3
    assert np.count_nonzero(kept == TRACHEA) == 12 * 3 * 3
    apart = [note for note in found.notes if "Small pieces" in note]
    assert len(apart) == 1 and "aorta" in apart[0]
    assert not any("made by formulas" in note for note in found.notes)  # they saw a patient


def test_a_ct_of_air_is_refused() -> None:
    with pytest.raises(SkullImplantError, match="hardly anything but air"):
        segment_organs(ct() - 1000, segmenting(), refining(), Stages(), ON_CPU)


def test_an_unsure_network_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = found_by(monkeypatch, coarse((AORTA, MIDDLE)), 0.6)
    assert found.organs[0].sure == pytest.approx(0.6)
    assert any("unsure of the aorta (60 %)" in note for note in found.notes)


def test_the_axes_of_coarse_labels_must_be_the_cts() -> None:
    labels = image_like(array_of(coarse((AORTA, MIDDLE))), coarse((AORTA, MIDDLE)))
    labels.SetDirection((0.98, -0.199, 0, 0.199, 0.98, 0, 0, 0, 1))
    with pytest.raises(SkullImplantError, match="other axes"):
        refined(labels)
