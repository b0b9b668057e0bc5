"""Endless cases: skulls in standard pose warped to one another, with holes that the truth fills."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from SkullImplantLib.cases.sample import SampleOptions, make_sample_patient
from SkullImplantLib.cases.skull_folder import skulls_in
from SkullImplantLib.core.images import write_image
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.networks.weights import load_weights
from SkullImplantLib.training.endless import Shapes, endless_case, held_back_cases
from SkullImplantLib.training.log import read_log
from SkullImplantLib.training.prepared import CaseOptions
from SkullImplantLib.training.registration import STEP_MM, displacement, prepare_fields
from SkullImplantLib.training.standard_skulls import (
    DEEPEST_MM,
    DEPTH_GRID_MM,
    DEPTH_STEP_MM,
    REGION_MM,
    StandardSkull,
    cells,
    prepare_standard_skulls,
    share_lattice,
    through_any_skull,
)
from SkullImplantLib.training.train import train
from SkullImplantLib.training.training_options import TrainOptions

SPACING_MM = 8.0
REGISTERED = TrainOptions(
    network="ch1",
    channels=("skull",),
    residual=False,
    hole_weight=0.0,
    shapes="registered",
    batch=2,
    spacing_mm=SPACING_MM,
    cases_per_skull=2,
    iterations=6,
    validate_every=3,
    validation_share=0.34,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small complete skulls."""
    folder = tmp_path_factory.mktemp("skulls")
    for seed in range(3):
        options = SampleOptions(spacing_mm=(2.5, 2.5, 2.5))
        write_image(make_sample_patient(seed, options).complete, folder / f"head-{seed}.nrrd")
    return folder


@pytest.fixture(scope="module")
def cases(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which what registered shapes need is prepared."""
    cases = tmp_path_factory.mktemp("cases")
    train(skulls_in(folder), cases / "run", replace(REGISTERED, iterations=1), cases=cases)
    return cases


def ball(radius_mm: tuple[float, float, float], name: str) -> StandardSkull:
    """A hollow ellipsoid of 8 mm as a skull in standard pose."""
    depths = []
    for spacing_mm in (DEPTH_GRID_MM, SPACING_MM / 2):
        shape = cells(spacing_mm)
        at = np.meshgrid(*[(np.arange(n) + 0.5 - n / 2) * spacing_mm for n in shape], indexing="ij")
        mean_mm = float(np.mean(radius_mm))
        radius = np.sqrt(sum((a / r) ** 2 for a, r in zip(at, radius_mm))) * mean_mm
        depths.append(4.0 - np.abs(radius - mean_mm))
    halves = np.clip(0.5 + depths[1] / (SPACING_MM / 2), 0, 1) * 255
    steps = np.rint(np.clip(depths[0], -DEEPEST_MM, DEEPEST_MM) / DEPTH_STEP_MM)
    region = np.zeros(cells(REGION_MM), bool)
    region[60:, 40:80, 30:60] = True
    return StandardSkull(
        name,
        share_lattice(halves.astype(np.float32)),
        steps.astype(np.int8),
        np.packbits(region)[None],
    )


ROUND, LONG = ball((72.0, 72.0, 72.0), "round"), ball((72.0, 80.0, 68.0), "long")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_a_displacement_turns_one_skull_into_the_other() -> None:
    u_mm = displacement(ROUND, LONG) * STEP_MM
    places = np.indices(LONG.depth.shape) + u_mm[::-1] / DEPTH_GRID_MM
    moved = ndimage.map_coordinates(ROUND.depth.astype(float), places, order=1, mode="nearest")
    vault = np.s_[20:]  # below, nothing is displaced
    before = dice(ROUND.depth[vault] > 0, LONG.depth[vault] > 0)
    after = dice(moved[vault] > 0, LONG.depth[vault] > 0)
    assert before < 0.75 < 0.9 < after
    slopes = np.gradient(u_mm / DEPTH_GRID_MM, axis=(1, 2, 3))
    assert max(np.abs(slope).max() for slope in slopes) < 1.0  # so that it does not fold
    assert not u_mm[:, :4].any()


def test_fields_are_made_once(tmp_path: Path) -> None:
    one = prepare_fields([ROUND, LONG], tmp_path)
    assert set(one) == {("round", "long"), ("long", "round")}
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    two = prepare_fields([ROUND, LONG], tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == files
    for pair, field in one.items():
        np.testing.assert_array_equal(field, two[pair])
    next(iter(files)).write_bytes(b"PK not really")
    with pytest.raises(SkullImplantError, match="damaged"):
        prepare_fields([ROUND, LONG], tmp_path)


def test_a_lattice_holds_the_shares_of_the_grid_at_every_other_point() -> None:
    halves = np.random.default_rng(0).integers(0, 256, (8, 6, 4)).astype(np.uint8)
    lattice = share_lattice(halves)
    assert lattice.shape == (9, 7, 5)
    blocks = halves.reshape(4, 2, 3, 2, 2, 2).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(lattice[1::2, 1::2, 1::2], blocks, atol=0.5)


def test_a_region_reaches_through_thicker_skulls_and_no_wider() -> None:
    shape = cells(REGION_MM)
    z, y, x = np.indices(shape)
    up_mm = -88.0 + (z + 0.5) * REGION_MM
    across_mm = np.hypot(-96.0 + (x + 0.5) * REGION_MM, -120.0 + (y + 0.5) * REGION_MM)
    cone = across_mm < 0.3 * up_mm
    region = through_any_skull(cone & (up_mm > 74.0) & (up_mm < 82.0))
    # Voxels that touch the cone's side may be either.
    assert region[(across_mm < 0.3 * up_mm - 3.0) & (up_mm > 70.0) & (up_mm < 86.0)].all()
    assert not region[(across_mm > 0.3 * up_mm + 3.0) | (up_mm < 62.0) | (up_mm > 94.0)].any()


def test_the_same_generator_makes_the_same_case_on_any_number_of_threads() -> None:
    shapes = Shapes([ROUND, LONG], prepare_two(), SPACING_MM)
    threads = torch.get_num_threads()
    try:
        made = []
        for count in (1, 3):
            torch.set_num_threads(count)
            made.append(endless_case(shapes, np.random.default_rng(5)))
    finally:
        torch.set_num_threads(threads)
    assert made[0].view.skull.tobytes() == made[1].view.skull.tobytes()
    assert made[0].target.tobytes() == made[1].target.tobytes()


def prepare_two() -> dict[tuple[str, str], np.ndarray]:
    return {(a.name, b.name): displacement(a, b) for a, b in ((ROUND, LONG), (LONG, ROUND))}


def test_cases_hold_a_hole_that_the_target_fills_and_differ() -> None:
    shapes = Shapes([ROUND, LONG], prepare_two(), SPACING_MM)
    volumes = []
    for seed in range(6):
        case = endless_case(shapes, np.random.default_rng(seed))
        view = case.view
        taken = case.target - view.skull
        assert (taken >= -1e-6).all() and taken.sum() * SPACING_MM**3 >= 1000
        # Where bone is missing is known to loss and validation, and nowhere else.
        assert view.hole[taken > 1e-6].all()
        missing = view.from_hole_mm() == 0.0
        np.testing.assert_array_equal(missing, view.hole & (case.target > 0.5))
        volumes.append(case.target.sum())
    assert np.std(volumes) > 0.01 * np.mean(volumes)


def test_held_back_skulls_are_as_they_are() -> None:
    (case,) = held_back_cases([ROUND], SPACING_MM, 3)
    np.testing.assert_allclose(case.target * 255, ROUND.share[1::2, 1::2, 1::2], atol=1e-3)
    assert (case.view.skull < case.target).any()


@pytest.mark.slow
def test_resumed_training_on_registered_shapes_ends_like_an_uninterrupted_one(
    folder: Path, cases: Path, tmp_path: Path
) -> None:
    class PowerCut(Exception):
        pass

    def until_iteration_3(fraction: float, message: str = "") -> None:
        if message.startswith("iteration 4"):
            raise PowerCut

    skulls = skulls_in(folder)
    whole = train(skulls, tmp_path / "whole", REGISTERED, cases=cases)
    cut = tmp_path / "cut"
    with pytest.raises(PowerCut):
        train(skulls, cut, REGISTERED, cases=cases, progress=until_iteration_3)
    resumed = train(skulls, cut, REGISTERED, resume=True, cases=cases)
    one, two = load_weights(whole), load_weights(resumed)
    for name, value in one.state.items():
        assert torch.equal(value, two.state[name]), name
    rows = read_log(cut / "log.csv")
    assert [row.iteration for row in rows] == [3, 6]
    assert all(0.0 <= row.skull_dice <= 1.0 and np.isnan(row.prior_dice) for row in rows)
    card = whole.with_suffix(".md").read_text()
    assert "2 new cases each" in card and "prior" not in card.split("## Measured")[1].split("##")[0]


@pytest.mark.slow
def test_prepared_skulls_hold_bone_and_regions(folder: Path, cases: Path) -> None:
    options = CaseOptions(2, "head", SPACING_MM, 0)
    (skull,) = prepare_standard_skulls(skulls_in(folder)[:1], cases, options)
    assert skull.share.shape == tuple(2 * n + 1 for n in cells(SPACING_MM))
    assert 1 <= len(skull.regions) <= 2
    bone = skull.share[1::2, 1::2, 1::2] >= 128
    assert 200 < bone.sum() * SPACING_MM**3 / 1000 < 2000  # cm³


def test_registered_shapes_are_for_auto_encoders_that_see_the_skull_alone(tmp_path: Path) -> None:
    for changes in ({"network": "fine"}, {"channels": ("skull", "prior")}, {"residual": True}):
        with pytest.raises(SkullImplantError, match="without a prior"):
            train([], tmp_path, replace(REGISTERED, **changes))


def test_voxels_must_fill_the_standard_grid(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SkullImplantError, match="do not fill"):
        train(skulls_in(folder), tmp_path, replace(REGISTERED, spacing_mm=5.0))
