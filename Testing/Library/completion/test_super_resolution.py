"""A coarse mask becomes a fine one of the same place; what the network adds is added everywhere."""

from dataclasses import asdict

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.completion import super_resolution
from SkullImplantLib.completion.super_resolution import super_resolve
from SkullImplantLib.core.finer_grid import finer_grid
from SkullImplantLib.core.images import array_of, index_to_lps_mm, voxel_volume_mm3
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.models import SUPERRES, shipped_models
from SkullImplantLib.networks.autoencoder import Configuration, SparseAutoEncoder
from SkullImplantLib.networks.superres import FEATURES, TASK, coarse_mask, coarse_view, seen
from SkullImplantLib.networks.weights import Weights, shipped_beside, shipped_weights

TURNED = (0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0, 1.0)


def ball(spacing_mm: tuple[float, float, float], radius_mm: float = 20.0) -> sitk.Image:
    """A hollow ball, 8 mm thick, in a frame of its own."""
    size = [int(56.0 / s) for s in spacing_mm]
    image = sitk.Image(size, sitk.sitkUInt8)
    image.SetSpacing(spacing_mm)
    image.SetOrigin((5.0, -7.0, 11.0))
    image.SetDirection(TURNED)
    axes = [(np.arange(n) + 0.5) * s - 28.0 for n, s in zip(size[::-1], spacing_mm[::-1])]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    away = np.sqrt(z * z + y * y + x * x)
    mask = sitk.GetImageFromArray(((away < radius_mm) & (away > radius_mm - 8.0)).astype(np.uint8))
    mask.CopyInformation(image)
    return mask


def weights(said: float = 0.0) -> Weights:
    """An untrained network whose finest correction is `said` everywhere, with all else kept."""
    configuration = Configuration((2, 3, 4), in_channels=FEATURES, skip="add")
    generator = torch.Generator().manual_seed(1)
    network = SparseAutoEncoder(**asdict(configuration), generator=generator)
    with torch.no_grad():
        for level, decode in enumerate(network.decoder):
            decode["classify"].kernel.zero_()  # type: ignore[index]
            last = level == len(network.decoder) - 1
            decode["classify"].bias.fill_(said if last else 4.0)  # type: ignore[index]
    return Weights(configuration, network.state_dict(), {"task": TASK}, "0" * 64)


@settings(max_examples=10, deadline=None)
@given(
    spacing_mm=st.tuples(*[st.sampled_from([1.0, 1.6, 2.0, 3.5])] * 3),
    to_mm=st.sampled_from([0.7, 0.9]),
)
def test_the_fine_grid_fills_the_same_box(
    spacing_mm: tuple[float, float, float], to_mm: float
) -> None:
    coarse = ball(spacing_mm)
    fine = finer_grid(coarse, to_mm)
    # The outer corner of the first voxel is one place in both; the last differs by a voxel at most.
    low = [index_to_lps_mm(i) @ [-0.5, -0.5, -0.5, 1.0] for i in (coarse, fine)]
    np.testing.assert_allclose(low[0], low[1], atol=1e-6)
    extents = [np.multiply(i.GetSize(), i.GetSpacing()) for i in (coarse, fine)]
    assert ((extents[1] - extents[0] >= -1e-2) & (extents[1] - extents[0] < to_mm)).all()
    assert max(fine.GetSpacing()) <= to_mm * 1.0001


def test_an_axis_that_is_finer_keeps_its_spacing() -> None:
    fine = finer_grid(ball((0.5, 0.5, 4.0)), 1.0)
    assert fine.GetSpacing() == (0.5, 0.5, 1.0)


def test_without_a_correction_it_is_the_interpolated_distance_at_the_coarse_volume() -> None:
    coarse = ball((3.0, 3.0, 3.0))
    fine = super_resolve(coarse, 1.0, weights())
    mask = coarse_mask(array_of(coarse) > 0, (3.0, 3.0, 3.0))
    at = [(np.arange(3 * n) + 0.5) / 3 - 0.5 for n in array_of(coarse).shape]
    depth_mm, filled = coarse_view(mask, at).depth_mm, array_of(fine.mask) > 0
    # A step of a logit is finer than this.
    assert depth_mm[filled].min() > depth_mm[~filled].max() - 0.05
    volumes = [np.count_nonzero(array_of(m)) * voxel_volume_mm3(m) for m in (coarse, fine.mask)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.02)


def test_what_the_network_says_moves_the_surface_outward() -> None:
    coarse = ball((2.0, 2.0, 4.0))
    before, after = (
        np.count_nonzero(array_of(super_resolve(coarse, 1.0, weights(said)).mask))
        for said in (0.0, 3.0)
    )
    assert after > 1.05 * before


def test_slabs_make_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    coarse = ball((2.0, 2.0, 2.0))
    whole = array_of(super_resolve(coarse, 0.5, weights(1.0)).mask)
    monkeypatch.setattr(super_resolution, "SLAB_VOXELS", 24)
    monkeypatch.setattr(super_resolution, "AROUND_VOXELS", 8)
    assert np.array_equal(array_of(super_resolve(coarse, 0.5, weights(1.0)).mask), whole)


def test_sites_hold_all_bone_and_features_are_finite() -> None:
    rng = np.random.default_rng(0)
    mask = coarse_mask(rng.random((6, 7, 8)) > 0.7, (2.0, 1.0, 1.0))
    view = coarse_view(mask, [np.linspace(-0.4, n - 0.6, 3 * n) for n in (6, 7, 8)])
    places, features = seen(view)
    found = np.zeros(view.depth_mm.shape, bool)
    found[tuple(places[:, 1:].T)] = True
    assert found[view.depth_mm > 0.0].all() and not found.all()
    assert features.shape == (len(places), FEATURES) and np.isfinite(features).all()
    assert np.abs(features[:, 3:6]).max() <= 0.5


@pytest.mark.parametrize("to_mm", [2.0, 5.0, 0.0, float("nan")])
def test_nothing_is_made_coarser(to_mm: float) -> None:
    with pytest.raises(SkullImplantError, match="finer spacing"):
        finer_grid(ball((2.0, 2.0, 2.0)), to_mm)


def test_too_fine_is_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(SkullImplantError, match="too large"):
        finer_grid(ball((2.0, 2.0, 2.0)), 0.01)


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(SkullImplantError, match="empty"):
        super_resolve(ball((2.0, 2.0, 2.0)) * 0, 1.0, weights())


def test_a_change_of_volume_is_told_and_an_empty_answer_is_an_error() -> None:
    coarse = ball((4.0, 4.0, 4.0))
    assert super_resolve(coarse, 1.0, weights(0.0)).notes == ()
    (note,) = super_resolve(coarse, 1.0, weights(6.0)).notes
    assert "+" in note and "of bone" in note
    with pytest.raises(SkullImplantError, match="left no bone"):
        super_resolve(coarse, 1.0, weights(-9.0))


def test_weights_are_for_one_of_the_two_tasks() -> None:
    assert "superres" not in shipped_models()
    with pytest.raises(SkullImplantError, match="complete skulls"):
        super_resolve(ball((2.0, 2.0, 2.0)), 1.0, shipped_weights("fine"))


def test_the_shipped_weights_come_nearer_to_a_ball_than_interpolation() -> None:
    """A shape that no training saw, with walls as thick as bone."""
    coarse, truth = ball((4.0, 4.0, 4.0)), array_of(ball((1.0, 1.0, 1.0))) > 0
    dice = []
    for each in (weights(), shipped_beside(SUPERRES)):
        made = array_of(super_resolve(coarse, 1.0, each).mask) > 0
        dice.append(2.0 * np.count_nonzero(made & truth) / (made.sum() + truth.sum()))
    assert dice[1] > dice[0]
