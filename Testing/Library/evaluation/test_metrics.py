"""The metrics against their definitions written out, and on shapes with known answers."""

import json
import math

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.evaluation.metrics import evaluate_implant

SPACINGS = st.sampled_from([0.4, 0.5, 0.7, 1.0, 2.5])


def image(array: np.ndarray, spacing_xyz=(1.0, 1.0, 1.0)) -> sitk.Image:
    made = sitk.GetImageFromArray(array.astype(np.uint8))
    made.SetSpacing(spacing_xyz)
    return made


def ball(shape, centre, radius) -> np.ndarray:
    grid = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    return (grid**2).sum(axis=0) <= radius**2


def naive_surface(mask: np.ndarray) -> np.ndarray:
    """Points (z, y, x) of voxels with one of six neighbours outside the mask or the image."""
    padded = np.pad(mask, 1)
    kept = []
    for z, y, x in np.argwhere(mask) + 1:
        six = ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))
        if not all(padded[z + a, y + b, x + c] for a, b, c in six):
            kept.append((z - 1, y - 1, x - 1))
    return np.array(kept)


def naive_nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - others[None]) ** 2).sum(-1)).min(axis=1)


def naive_dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * (a & b).sum() / (a.sum() + b.sum()) if a.any() or b.any() else 0.0


def naive_border_dice(made, true, skull, unit) -> float:
    near = np.zeros(made.shape, bool)
    every = np.argwhere(np.ones(made.shape, bool))
    distance = naive_nearest(every * unit, np.argwhere(skull) * unit)
    near[tuple(every[distance <= 10 + 1e-4].T)] = True
    return naive_dice(made & near, true & near)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(2, 7), st.integers(2, 16), st.integers(2, 40)),
    spacing_xyz=st.tuples(SPACINGS, SPACINGS, SPACINGS),
)
def test_agrees_with_the_definitions_written_out(seed, shape, spacing_xyz):
    rng = np.random.default_rng(seed)
    made, true = (
        ball(shape, rng.uniform(0, shape), rng.uniform(1, 6)) & (rng.random(shape) < 0.9)
        for _ in range(2)
    )
    made[tuple(rng.integers(0, shape))] = True
    true[tuple(rng.integers(0, shape))] = True
    skull = rng.random(shape) < rng.choice([0.002, 0.02, 0.3])
    skull[tuple(rng.integers(0, shape))] = True
    unit = np.array(spacing_xyz[::-1])

    metrics = evaluate_implant(*(image(m, spacing_xyz) for m in (made, true, skull)))

    a, b = naive_surface(made) * unit, naive_surface(true) * unit
    from_made, from_true = naive_nearest(a, b), naive_nearest(b, a)
    pooled = np.concatenate([from_made, from_true])
    assert metrics.dice == pytest.approx(naive_dice(made, true))
    assert metrics.border_dice_10mm == pytest.approx(naive_border_dice(made, true, skull, unit))
    assert metrics.border_dice_10vox == pytest.approx(naive_border_dice(made, true, skull, 1.0))
    assert metrics.hd95_mm == pytest.approx(np.percentile(pooled, 95))
    assert metrics.hd_mm == pytest.approx(pooled.max())
    surfaces = naive_surface(made), naive_surface(true)
    in_voxels = [naive_nearest(surfaces[k], surfaces[1 - k]) for k in (0, 1)]
    assert metrics.hd95_vox == pytest.approx(np.percentile(np.concatenate(in_voxels), 95))
    assert metrics.surface_distance_mm == pytest.approx(pooled.mean())
    assert metrics.coverage_2mm == pytest.approx((from_true <= 2 + 1e-4).mean())
    assert metrics.volume_ratio == pytest.approx(made.sum() / true.sum())
    assert metrics.overlap_cm3 == pytest.approx((made & skull).sum() * unit.prod() / 1000)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), spacing=st.tuples(SPACINGS, SPACINGS, SPACINGS))
def test_what_lies_far_away_changes_nothing(seed, spacing):
    """The work is done in a box: the same masks in a much larger image give the same numbers."""
    rng = np.random.default_rng(seed)
    shape = (14, 15, 16)
    made, true = (ball(shape, rng.uniform(4, 10, 3), rng.uniform(2, 4)) for _ in range(2))
    skull = (rng.random(shape) < 0.02) & ~true
    skull[0, 0, 0] = True
    pad = [tuple(rng.integers(0, 60, 2)) for _ in range(3)]
    centre = rng.uniform(0, 15, 3) * spacing
    moved = centre + [before * s for (before, _), s in zip(pad[::-1], spacing)]
    masks = made, true, skull
    small = evaluate_implant(*(image(m, spacing) for m in masks), centre)
    large = evaluate_implant(*(image(np.pad(m, pad), spacing) for m in masks), moved)
    known = [{k: v for k, v in m.as_json().items() if v is not None} for m in (small, large)]
    assert known[0] == pytest.approx(known[1], rel=1e-9)


def test_perfect_implant():
    true = ball((30, 30, 30), (15, 15, 15), 8)
    skull = ~ball((30, 30, 30), (15, 15, 15), 9)
    metrics = evaluate_implant(image(true), image(true), image(skull))
    assert (metrics.dice, metrics.border_dice_10mm, metrics.border_dice_10vox) == (1, 1, 1)
    assert (metrics.hd95_mm, metrics.hd_mm, metrics.surface_distance_mm) == (0, 0, 0)
    assert (metrics.volume_ratio, metrics.coverage_2mm, metrics.overlap_cm3) == (1, 1, 0)


def test_slab_moved_by_three_millimetres():
    true = np.zeros((40, 40, 40), bool)
    true[10:14] = True
    skull = np.zeros_like(true)
    skull[0] = True
    metrics = evaluate_implant(
        image(np.roll(true, 3, axis=0), (1, 1, 1)), image(true), image(skull)
    )
    fine = [image(mask, (0.4, 0.4, 0.4)) for mask in (np.roll(true, 3, axis=0), true, skull)]
    assert evaluate_implant(*fine).hd95_vox == pytest.approx(metrics.hd95_vox)
    assert metrics.hd95_vox == pytest.approx(metrics.hd95_mm)
    # Rims of the slab lie on the image's border, so each keeps neighbours of the other slab.
    assert metrics.dice == pytest.approx(0.25)
    assert metrics.hd_mm == pytest.approx(3.0)
    assert metrics.volume_ratio == 1.0


def test_one_direction_alone_does_not_hide_in_the_percentile():
    """Pooling: a spur on the implant counts, though the truth is everywhere covered."""
    true = np.zeros((20, 20, 60), bool)
    true[8:12, 8:12, 4:8] = True
    made = true.copy()
    made[9:11, 9:11, 8:58] = True
    metrics = evaluate_implant(image(made), image(true), image(np.roll(true, 6, axis=0)))
    assert metrics.coverage_2mm == 1.0
    assert metrics.hd_mm == pytest.approx(50.0)
    assert metrics.hd95_mm > 40


def test_border_in_millimetres_and_in_voxels_differ():
    true = np.zeros((60, 12, 12), bool)
    true[:, 3:9, 3:9] = True
    made = true.copy()
    made[:12] = False
    skull = np.zeros_like(true)
    skull[:, 0, 0] = True
    skull[30:] = False
    spacing = (0.5, 0.5, 0.5)
    metrics = evaluate_implant(*(image(m, spacing) for m in (made, true, skull)))
    assert metrics.border_dice_10mm > metrics.border_dice_10vox > 0


def test_empty_implant_has_numbers_and_valid_json():
    true = ball((20, 20, 20), (10, 10, 10), 5)
    metrics = evaluate_implant(
        image(np.zeros_like(true)), image(true), image(np.roll(true, 8, axis=0))
    )
    assert metrics.dice == metrics.border_dice_10mm == metrics.volume_ratio == 0
    assert metrics.coverage_2mm == 0
    assert math.isinf(metrics.hd95_mm) and math.isinf(metrics.hd_mm)
    read = json.loads(json.dumps(metrics.as_json(), allow_nan=False))
    assert read["hd95_mm"] is None and read["dice"] == 0


def test_json_has_the_promised_keys():
    true = ball((20, 20, 20), (10, 10, 10), 5)
    keys = evaluate_implant(image(true), image(true), image(~true)).as_json().keys()
    promised = {"dice", "border_dice_10mm", "border_dice_10vox", "hd95_mm", "hd_mm", "volume_ratio"}
    assert promised <= set(keys)


@pytest.mark.parametrize("what", ["truth grid", "skull grid", "empty truth", "empty skull"])
def test_bad_input_is_one_sentence(what):
    true = image(ball((20, 20, 20), (10, 10, 10), 5))
    skull = image(ball((20, 20, 20), (3, 3, 3), 2))
    moved = sitk.Image(true)
    moved.SetOrigin((0.5, 0, 0))
    empty = true * 0
    truth, defective = {
        "truth grid": (moved, skull),
        "skull grid": (true, sitk.RegionOfInterest(skull, [20, 20, 10], [0, 0, 0])),
        "empty truth": (empty, skull),
        "empty skull": (true, empty),
    }[what]
    with pytest.raises(SkullImplantError, match=r"\w+; \w+.*\.$"):
        evaluate_implant(true, truth, defective)


def cap(spacing_xyz, low_mm, high_mm, cosine, shift_mm=0.0):
    """The part of a ball's shell around the z axis, and the ball's centre (LPS, mm)."""
    count = [round(90 / s) for s in spacing_xyz]
    z, y, x = (np.arange(n) * s for n, s in zip(count[::-1], spacing_xyz[::-1]))
    centre = np.array([45.0, 45.0, 5.0])
    dz, dy, dx = np.meshgrid(z - centre[2] - shift_mm, y - centre[1], x - centre[0], indexing="ij")
    radius = np.sqrt(dx**2 + dy**2 + dz**2)
    return (radius > low_mm) & (radius < high_mm) & (dz > cosine * radius), centre


@pytest.mark.parametrize("spacing_xyz", [(1.0, 1.0, 1.0), (0.7, 0.7, 1.5)])
def test_outer_error_sees_the_outside_alone(spacing_xyz):
    shell, centre = cap(spacing_xyz, 60, 66, 0.4)
    true, _ = cap(spacing_xyz, 60, 66, 0.8)
    images = image(true, spacing_xyz), image(shell & ~true, spacing_xyz)

    def error(made):
        metrics = evaluate_implant(image(made, spacing_xyz), *images, centre)
        return metrics.outer_error_mm, metrics.outer_error95_mm

    assert error(true) == (0.0, 0.0)
    thick, _ = cap(spacing_xyz, 52, 66, 0.8)
    assert max(error(thick)) == pytest.approx(0.0, abs=0.3)
    high, _ = cap(spacing_xyz, 60, 66, 0.8, shift_mm=3.0)
    mean, most = error(high)
    # Moved along z, seen at up to 37 degrees from it.
    assert mean == pytest.approx(2.7, abs=0.4) and most == pytest.approx(3.0, abs=0.5)
    half = true & (np.arange(true.shape[2]) < true.shape[2] // 2)
    assert error(half)[0] > 5.0


def test_outer_error_is_silent_where_nothing_is_seen():
    shell, centre = cap((1.0, 1.0, 1.0), 60, 66, 0.4)
    true, _ = cap((1.0, 1.0, 1.0), 60, 66, 0.8)
    roof, _ = cap((1.0, 1.0, 1.0), 74, 77, 0.6)
    covered = evaluate_implant(image(true), image(true), image((shell & ~true) | roof), centre)
    assert covered.outer_error_mm is None and covered.outer_error95_mm is None
    skull = image(shell & ~true)
    empty = evaluate_implant(image(true & False), image(true), skull, centre)
    assert math.isinf(empty.outer_error_mm) and empty.as_json()["outer_error_mm"] is None
    assert evaluate_implant(image(true), image(true), skull).outer_error_mm is None
