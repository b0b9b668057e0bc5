"""Super-resolution of several labels: one sparse network that starts from the interpolation."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.dense_unet import DenseUNet, UNetConfiguration, segmented
from SkullImplantLib.networks.label_superres import (
    coarse_masks,
    decoded_labels,
    labels_by_network,
    labels_configuration,
    labels_view,
    seen_of_labels,
)
from SkullImplantLib.networks.superres import (
    FEATURES,
    OF_MASK,
    OF_PLACE,
    coarse_mask,
    coarse_view,
    seen,
)
from SkullImplantLib.networks.weights import load_weights, save_weights
from SkullImplantLib.sparse import Sites
from SkullImplantLib.training.losses import labels_loss

CPU = torch.device("cpu")
# 3 fine voxels a coarse one, and 2 along z.
AT = [(np.arange(12 * r) + 0.5) / r - 0.5 for r in (2, 3, 3)]


def coarse_labels() -> np.ndarray:
    """Two boxes that touch, 4 and 9."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[3:9, 3:9, 2:6] = 4
    labels[4:8, 4:10, 6:9] = 9
    return labels


def untrained(labels: int, silent: bool = True) -> SparseAutoEncoder:
    """A network that adds nothing, where it is `silent`, to the interpolation."""
    configuration = replace(labels_configuration(labels), channels=(4, 6, 8))
    generator = torch.Generator().manual_seed(0)
    network = SparseAutoEncoder(**asdict(configuration), generator=generator).eval()
    if silent:
        for parameter in network.decoder[-1]["classify"].parameters():
            torch.nn.init.zeros_(parameter)
    return network


@pytest.mark.parametrize("said", [-50.0, 50.0])
@pytest.mark.parametrize("training", [False, True])
def test_candidates_are_the_sites_whatever_coarser_levels_say(said: float, training: bool) -> None:
    view = labels_view(coarse_masks(coarse_labels(), [4, 9], (2, 3, 3)), AT)
    network = untrained(2, silent=False).train(training)
    with torch.no_grad():
        network.decoder[0]["classify"].bias.fill_(said)  # type: ignore[index]
        finest = decoded_labels(network, [view], CPU).levels[-1]
    places = finest.coordinates.numpy()
    places = places[np.lexsort(places.T[::-1])]
    np.testing.assert_array_equal(places, seen_of_labels(view)[0])


def test_one_label_is_seen_as_one_mask_is() -> None:
    mask = coarse_labels() == 4
    single = seen(coarse_view(coarse_mask(mask, (2, 3, 3)), AT))
    view = labels_view(coarse_masks(coarse_labels(), [4], (2, 3, 3)), AT)
    for one, other in zip(single, seen_of_labels(view)):
        np.testing.assert_array_equal(one, other)
    assert single[1].shape[1] == FEATURES == OF_MASK + OF_PLACE


def test_a_mirror_image_is_seen_mirrored() -> None:
    labels = coarse_labels()
    labels[5, 5, 10] = 9
    masks = coarse_masks(labels, [4, 9], (2, 3, 3))
    mirrored = coarse_masks(labels[:, :, ::-1], [4, 9], (2, 3, 3))
    there = labels_view(masks, [AT[0], AT[1], AT[2][::-1]])
    here = labels_view(mirrored, AT)
    np.testing.assert_allclose(there.views[1].depth_mm, here.views[1].depth_mm, atol=1e-5)
    for one, other in zip(seen_of_labels(there), seen_of_labels(here)):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_untrained_it_is_the_interpolation() -> None:
    view = labels_view(coarse_masks(coarse_labels(), [4, 9], (2, 3, 3)), AT)
    made = labels_by_network(untrained(2), view, CPU)
    depth = np.stack([each.depth_mm for each in view.views])
    expected = np.where(depth.max(0) > 0, depth.argmax(0) + 1, 0)
    assert (made == expected).mean() > 0.999 and set(np.unique(made)) == {0, 1, 2}


def test_a_few_steps_teach_it_what_interpolation_does_not_know() -> None:
    torch.manual_seed(0)
    network = untrained(2, silent=False).train()
    view = labels_view(coarse_masks(coarse_labels(), [4, 9], (2, 3, 3)), AT)
    depth = np.stack([each.depth_mm for each in view.views])
    thinner = np.where(depth.max(0) > 1.0, depth.argmax(0) + 1, 0)  # 1 mm thinner than it seems
    labels = torch.from_numpy(thinner)[None]
    target = Sites(torch.nonzero(labels).int(), stride=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = labels_loss(decoded_labels(network, [view], CPU, target), labels, 1.0)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    made = labels_by_network(network.eval(), view, CPU)
    before = np.where(depth.max(0) > 0, depth.argmax(0) + 1, 0)
    assert (made != thinner).sum() < (before != thinner).sum()


def test_configurations_of_labels(tmp_path) -> None:
    configuration = labels_configuration(4)
    assert (configuration.labels, configuration.in_channels) == (4, 4 * OF_MASK + OF_PLACE)
    with pytest.raises(SkullImplantError, match="1 to 255 labels"):
        Configuration((4, 8), labels=0)
    network = SparseAutoEncoder(**asdict(configuration))
    save_weights(tmp_path / "labels.npz", configuration, network.state_dict(), {})
    assert load_weights(tmp_path / "labels.npz").configuration == configuration


def test_the_dense_network_labels_a_volume_of_any_size(tmp_path) -> None:
    configuration = UNetConfiguration(4, (2, 4, 6))
    network = DenseUNet(**asdict(configuration), generator=torch.Generator().manual_seed(0))
    hu = np.random.default_rng(0).normal(0, 300, (17, 24, 13)).astype(np.float32)
    labels, sure = segmented(network.eval(), hu, CPU)
    assert sure.min() > 1 / (network.configuration.labels + 1) - 1e-6 and sure.max() <= 1.0
    assert labels.shape == hu.shape and labels.dtype == np.uint8 and labels.max() <= 4
    save_weights(tmp_path / "dense.npz", configuration, network.state_dict(), {"task": "x"})
    again = load_weights(tmp_path / "dense.npz").network()
    np.testing.assert_array_equal(segmented(again, hu, CPU)[0], labels)
