"""Super-resolution of labels, an organ at a time, and the dense network before it."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.autoencoder import SparseAutoEncoder
from SkullImplantLib.networks.dense_unet import DenseUNet, UNetConfiguration, segmented
from SkullImplantLib.networks.label_superres import coarse_masks, labels_configuration
from SkullImplantLib.networks.superres import (
    CoarseView,
    coarse_view,
    logits_by_network,
    rearranged_by_network,
    seen,
)
from SkullImplantLib.networks.weights import load_weights, save_weights
from SkullImplantLib.sparse import Sites
from SkullImplantLib.training.losses import rearranging_loss

CPU = torch.device("cpu")
# 3 fine voxels a coarse one, and 2 along z.
AT = [(np.arange(12 * r) + 0.5) / r - 0.5 for r in (2, 3, 3)]


def view() -> CoarseView:
    """A box, beside another that touches it."""
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[3:9, 3:9, 2:6] = 4
    labels[4:8, 4:10, 6:9] = 9
    box, _ = coarse_masks(labels, [4, 9], (2, 3, 3))
    return coarse_view(box, AT)


def untrained(silent: bool = True) -> SparseAutoEncoder:
    """A network that adds nothing, where it is `silent`, to the interpolation."""
    configuration = replace(labels_configuration(), channels=(4, 6, 8))
    generator = torch.Generator().manual_seed(0)
    network = SparseAutoEncoder(**asdict(configuration), generator=generator).eval()
    if silent:
        for parameter in network.decoder[-1]["classify"].parameters():
            torch.nn.init.zeros_(parameter)
    return network


@pytest.mark.parametrize("said", [-50.0, 50.0])
@pytest.mark.parametrize("training", [False, True])
def test_candidates_are_the_sites_whatever_coarser_levels_say(said: float, training: bool) -> None:
    network = untrained(silent=False).train(training)
    with torch.no_grad():
        network.decoder[0]["classify"].bias.fill_(said)  # type: ignore[index]
        finest = rearranged_by_network(network, [view()], CPU, only_sites=True).levels[-1]
    places = finest.coordinates.numpy()
    places = places[np.lexsort(places.T[::-1])]
    np.testing.assert_array_equal(places, seen(view())[0])


def test_untrained_it_is_the_interpolation() -> None:
    logits = logits_by_network(untrained(), view(), CPU, only_sites=True)
    assert ((logits > 0) == (view().depth_mm > 0)).mean() > 0.999


def test_a_few_steps_teach_it_what_interpolation_does_not_know() -> None:
    network = untrained(silent=False).train()
    depth_mm = view().depth_mm
    thinner = depth_mm > 1.0  # 1 mm thinner than it seems
    mask = torch.from_numpy(thinner)[None]
    target = Sites(torch.nonzero(mask).int(), stride=1)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(30):
        optimiser.zero_grad()
        decoded = rearranged_by_network(network, [view()], CPU, target, only_sites=True)
        loss = rearranging_loss(decoded, mask.float(), 1.0)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.6 * losses[0]
    made = logits_by_network(network.eval(), view(), CPU, only_sites=True) > 0
    assert (made != thinner).sum() < ((depth_mm > 0) != thinner).sum()


def test_the_number_of_labels_is_checked() -> None:
    with pytest.raises(SkullImplantError, match="1 to 255 labels"):
        UNetConfiguration(0)


def test_the_dense_network_labels_a_volume_of_any_size(tmp_path: Path) -> None:
    configuration = UNetConfiguration(4, (2, 4, 6))
    network = DenseUNet(**asdict(configuration), generator=torch.Generator().manual_seed(0))
    hu = np.random.default_rng(0).normal(0, 300, (17, 24, 13)).astype(np.float32)
    labels, sure = segmented(network.eval(), hu, CPU)
    assert sure.min() > 1 / (network.configuration.labels + 1) - 1e-6 and sure.max() <= 1.0
    assert labels.shape == hu.shape and labels.dtype == np.uint8 and labels.max() <= 4
    save_weights(tmp_path / "dense.npz", configuration, network.state_dict(), {"task": "x"})
    again = load_weights(tmp_path / "dense.npz").network()
    np.testing.assert_array_equal(segmented(again, hu, CPU)[0], labels)
