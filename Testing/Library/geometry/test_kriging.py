"""The posterior of the vault's maps, held against the textbook's formulas."""

import numpy as np
import pytest

from SkullImplantLib.geometry import radial
from SkullImplantLib.geometry.kriging import Posterior
from SkullImplantLib.geometry.shape_statistics import OUTER, THICKNESS, shipped_population
from SkullImplantLib.geometry.vault_model import VaultModel, log_thickness, vault_model

CHANNELS = (OUTER, THICKNESS)


@pytest.fixture(scope="module")
def model() -> VaultModel:
    return vault_model(shipped_population())


@pytest.fixture(scope="module")
def posterior(model: VaultModel) -> Posterior:
    """A skull of the population of which a disc is to be predicted."""
    maps = shipped_population().maps_mm[0].astype(float)
    maps[THICKNESS] = log_thickness(maps[THICKNESS])
    rows, columns = np.indices(radial.DISC.shape)
    filled = np.hypot(rows - 90, columns - 130) < 15
    return Posterior(maps, radial.DISC & ~filled & (radial.POLAR_RAD < 1.7), filled, model)


@pytest.mark.slow
def test_it_is_the_gaussian_process_of_its_observations(
    model: VaultModel, posterior: Posterior
) -> None:
    at = np.array([90, 95]), np.array([130, 122])
    covariance = posterior.cholesky @ posterior.cholesky.T
    residual = posterior.cholesky @ posterior.whitened
    for channel in CHANNELS:
        factors = model.factors[:, channel, at[0], at[1]]
        cross = posterior.factors.T @ factors
        cross += np.concatenate(
            [model.kernel.between(c, to, channel, at) for c, to in posterior.groups]
        )
        mean = model.mean[channel][at] + cross.T @ np.linalg.solve(covariance, residual)
        own = (factors**2).sum(axis=0) + model.kernel.variance(channel, at)
        variance = own - (cross * np.linalg.solve(covariance, cross)).sum(axis=0)
        np.testing.assert_allclose(posterior.mean(channel, at), mean, atol=1e-3)
        np.testing.assert_allclose(posterior.deviation(channel, at) ** 2, variance, atol=1e-3)
        assert (variance < own).all()


def test_its_covariance_is_that_of_the_model_and_noise(
    model: VaultModel, posterior: Posterior
) -> None:
    covariance = posterior.cholesky @ posterior.cholesky.T
    start = 0
    for channel, at in posterior.groups:
        block = covariance[start : start + len(at[0]), start : start + len(at[0])]
        factors = model.factors[:, channel, at[0], at[1]]
        smooth = factors.T @ factors + model.kernel.between(channel, at, channel, at)
        noise = block - smooth
        assert (np.diag(noise) >= model.noise[channel][at] ** 2 - 1e-3).all()
        np.testing.assert_allclose(noise, np.diag(np.diag(noise)), atol=1e-3)
        start += len(at[0])
    assert start == len(covariance)


def test_bone_in_the_ring_comes_last(posterior: Posterior) -> None:
    ring = len(posterior.ring[0])
    assert ring > 0
    assert [len(at[0]) for _, at in posterior.groups[2:]] == [ring, ring]
    assert (posterior.ring_error_mm() > 0.0).all()


def test_gradients_are_central_differences() -> None:
    points = np.random.default_rng(5).normal(scale=50.0, size=(4, 6, 3))
    distance, gradient = radial.with_gradient(lambda p: (p**2).sum(axis=-1), points, 0.5)
    np.testing.assert_allclose(distance, (points**2).sum(axis=-1))
    np.testing.assert_allclose(gradient, 2 * points)
