"""The posterior of the vault's maps, held against the textbook's formulas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.geometry import radial
from SkullImplantLib.geometry.kriging import (
    RIM,
    RING,
    SURE,
    Observations,
    Posterior,
    chosen_pixels,
    observations,
)
from SkullImplantLib.geometry.shape_statistics import OUTER, shipped_population
from SkullImplantLib.geometry.vault_model import (
    INNER,
    VaultModel,
    shapes_model,
    tables_model,
    tables_of,
)

AT = np.array([90, 95]), np.array([130, 122])


@pytest.fixture(scope="module", params=[shapes_model, tables_model])
def model(request: pytest.FixtureRequest) -> VaultModel:
    return request.param(shipped_population())


@pytest.fixture
def posterior(model: VaultModel) -> Posterior:
    """A skull of the population of which a disc is to be predicted; a ring and a rim on trial."""
    channels = model.kernel.channels
    maps = tables_of(shipped_population()).maps_mm[0][:channels]
    rows, columns = np.indices(radial.DISC.shape)
    away = np.hypot(rows - 90, columns - 130)
    bone = (away >= 15) & (radial.POLAR_RAD < 1.7)
    known = np.stack([bone] * channels)
    known[OUTER] &= away >= 17
    rank = np.zeros(known.shape, np.intp)
    rank[:, (away >= 17) & (away < 24)] = RING
    rank[INNER:, away < 17] = RIM
    # Fewer than a design has: the formulas hold of any.
    chosen = chosen_pixels(known.any(axis=0), away < 15) & (rows % 2 == 0)
    return Posterior(maps, known, observations(chosen, known, rank), model)


def crossed(posterior: Posterior) -> np.ndarray:
    """The covariance (observations, channels, 2) of what is observed and of the pixels `AT`."""
    model, seen = posterior.model, posterior.seen
    own = model.factors[(slice(None), seen.channels, *seen.pixels)]
    factors = model.factors[:, :, AT[0], AT[1]]
    cross = np.tensordot(own, factors, axes=(0, 0))
    return cross + model.kernel.between(seen.at, AT)[seen.channels, seen.places]


def test_it_is_the_gaussian_process_of_its_observations(
    model: VaultModel, posterior: Posterior
) -> None:
    covariance = posterior.cholesky @ posterior.cholesky.T
    residual = posterior.cholesky @ posterior.whitened
    factors = model.factors[:, :, AT[0], AT[1]]
    cross = crossed(posterior)
    solved = np.linalg.solve(covariance, cross.reshape(len(residual), -1)).reshape(cross.shape)
    mean = model.mean[:, AT[0], AT[1]] + np.tensordot(residual, solved, axes=1)
    own = np.einsum("fcn,fdn->cdn", factors, factors) + model.kernel.variance(AT)
    expected = own - np.einsum("ocn,odn->cdn", cross, solved)
    np.testing.assert_allclose(posterior.mean(AT), mean, atol=1e-3)
    np.testing.assert_allclose(posterior.covariance(AT), expected, atol=1e-3)
    assert (np.einsum("ccn->cn", expected) < np.einsum("ccn->cn", own)).all()


def test_its_covariance_is_that_of_the_model_and_noise(
    model: VaultModel, posterior: Posterior
) -> None:
    seen = posterior.seen
    factors = model.factors[(slice(None), seen.channels, *seen.pixels)]
    count = len(seen.at[0])
    smooth = model.kernel.between(seen.at, seen.at).reshape([model.kernel.channels * count] * 2)
    rows = seen.channels * count + seen.places
    noise = posterior.cholesky @ posterior.cholesky.T - factors.T @ factors
    noise -= smooth[np.ix_(rows, rows)]
    assert (np.diag(noise) >= seen.of(model.noise) ** 2 - 1e-3).all()
    np.testing.assert_allclose(noise, np.diag(np.diag(noise)), atol=1e-3)


def test_what_is_on_trial_comes_last_and_is_predicted_from_the_rest(posterior: Posterior) -> None:
    seen = posterior.seen
    assert (np.diff(seen.ranks) >= 0).all()
    assert {SURE, RING} <= set(seen.ranks)
    covariance = posterior.cholesky @ posterior.cholesky.T
    sure = seen.ranks == SURE
    cross = covariance[np.ix_(~sure, sure)]
    gain = np.linalg.solve(covariance[np.ix_(sure, sure)], cross.T).T
    error, expected = posterior.trial_errors()
    residual = posterior.residual
    np.testing.assert_allclose(error, residual[~sure] - gain @ residual[sure], atol=1e-6)
    np.testing.assert_allclose(
        expected, covariance[np.ix_(~sure, ~sure)] - gain @ cross.T, atol=1e-6
    )


@pytest.mark.parametrize("model", [tables_model], indirect=True)
def test_without_some_on_trial_it_is_as_if_they_had_never_been_observed(
    posterior: Posterior,
) -> None:
    trials = posterior.seen.ranks[posterior.seen.sure :]
    covariance = posterior.cholesky @ posterior.cholesky.T
    before = posterior.mean(AT)
    dropped = trials == RIM
    assert dropped.any()
    posterior.without(dropped)
    assert not (posterior.seen.ranks == RIM).any()
    keep = np.concatenate([np.ones(posterior.seen.sure, bool), ~dropped])
    np.testing.assert_allclose(
        posterior.cholesky @ posterior.cholesky.T, covariance[np.ix_(keep, keep)], atol=1e-9
    )
    assert np.abs(posterior.mean(AT) - before).max() > 0.0


pixels = st.tuples(st.integers(0, radial.SIZE - 1), st.integers(0, radial.SIZE - 1))
on_the_map = pixels.filter(lambda pixel: bool(radial.DISC[pixel]))


@settings(max_examples=20, deadline=None)
@given(
    chosen=st.lists(on_the_map, min_size=2, max_size=25, unique=True),
    make=st.sampled_from([shapes_model, tables_model]),
)
def test_the_kernel_is_a_covariance_and_alike_left_and_right(chosen, make) -> None:
    kernel = make(shipped_population()).kernel
    at = tuple(np.array(chosen).T)
    mirrored = at[0], radial.SIZE - 1 - at[1]
    size = kernel.channels * len(chosen)
    covariance = kernel.between(at, at).astype(float)
    np.testing.assert_allclose(covariance, kernel.between(mirrored, mirrored), atol=1e-3)
    variance = np.einsum("cndn->cdn", covariance)
    np.testing.assert_allclose(variance, kernel.variance(at), rtol=1e-3, atol=1e-3)
    matrix = covariance.reshape(size, size)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-4)
    assert np.linalg.eigvalsh(matrix).min() > -1e-3


@settings(max_examples=10, deadline=None)
@given(
    chosen=st.lists(on_the_map, min_size=1, max_size=20, unique=True),
    make=st.sampled_from([shapes_model, tables_model]),
    seed=st.integers(0, 99),
)
def test_a_product_with_the_kernel_is_that_with_its_matrix(chosen, make, seed: int) -> None:
    kernel = make(shipped_population()).kernel
    at = tuple(np.array(chosen).T)
    weights = np.random.default_rng(seed).normal(size=(kernel.channels, len(chosen)))
    whole = np.tensordot(kernel.between(at, at).astype(float), weights, axes=2)
    np.testing.assert_allclose(kernel.times(at, at, weights), whole, rtol=1e-3, atol=1e-3)


def test_the_inner_table_moves_with_the_outer_one() -> None:
    """A wider head has both tables farther out, and hardly thicker bone for that."""
    at = (np.array([104]), np.array([60]))
    kernel = tables_model(shipped_population()).kernel
    (outer, shared), (_, inner) = kernel.variance(at)[..., 0]
    thickness = outer + inner - 2 * shared
    assert thickness < min(outer, inner)


def test_observations_hold_what_is_known_of_the_pixels_chosen() -> None:
    known = np.zeros((2, *radial.DISC.shape), bool)
    known[OUTER, 100, 100:103] = True
    known[INNER, 100, 101:104] = True
    chosen = np.zeros(radial.DISC.shape, bool)
    chosen[100, 100:105:2] = True
    rank = np.zeros(known.shape, np.intp)
    rank[OUTER, 100, 102] = RING
    seen: Observations = observations(chosen, known, rank)
    found = list(zip(seen.channels, *seen.pixels, seen.ranks))
    assert found == [(OUTER, 100, 100, SURE), (INNER, 100, 102, SURE), (OUTER, 100, 102, RING)]


def test_gradients_are_central_differences() -> None:
    points = np.random.default_rng(5).normal(scale=50.0, size=(4, 6, 3))
    distance, gradient = radial.with_gradient(lambda p: (p**2).sum(axis=-1), points, 0.5)
    np.testing.assert_allclose(distance, (points**2).sum(axis=-1))
    np.testing.assert_allclose(gradient, 2 * points)
