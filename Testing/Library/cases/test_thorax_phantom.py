"""The procedural thorax: occupancies as published, organs in one piece that branch and touch."""

import numpy as np
import pytest
from scipy import ndimage

from SkullImplantLib.cases.thorax_phantom import (
    FIELD_MM,
    OCCUPANCY,
    ORGANS,
    ThoraxOptions,
    ThoraxSubject,
    make_thorax,
)
from SkullImplantLib.cases.thorax_shapes import (
    Ellipsoid,
    ellipsoid_field,
    lattice_over,
    tube,
    tube_field,
    union,
)
from SkullImplantLib.core.images import array_of

GRID = ThoraxOptions(size=(192, 192, 100))
SEEDS = (0, 1, 2)
TOUCHING = np.ones((3, 3, 3))


@pytest.fixture(scope="module")
def subjects() -> list[ThoraxSubject]:
    return [make_thorax(seed, GRID) for seed in SEEDS]


def mask_of(subject: ThoraxSubject, organ: str) -> np.ndarray:
    return array_of(subject.labels) == ORGANS[organ]


@pytest.mark.slow
@pytest.mark.parametrize("organ", ORGANS)
def test_occupancies_are_those_of_the_published_data(
    subjects: list[ThoraxSubject], organ: str
) -> None:
    shares = [mask_of(subject, organ).mean() for subject in subjects]
    # What a neighbour takes where they overlap is missing.
    assert np.mean(shares) == pytest.approx(OCCUPANCY[organ], rel=0.15)
    assert len({round(share, 6) for share in shares}) == len(SEEDS)  # nobody is like another


@pytest.mark.slow
@pytest.mark.parametrize("organ", ORGANS)
def test_an_organ_is_one_piece(subjects: list[ThoraxSubject], organ: str) -> None:
    for subject in subjects:
        labels, _ = ndimage.label(mask_of(subject, organ), TOUCHING)
        sizes = np.bincount(labels.ravel())[1:]
        assert sizes.max() >= 0.999 * sizes.sum()


@pytest.mark.slow
def test_organs_touch_where_they_do_in_a_body(subjects: list[ThoraxSubject]) -> None:
    neighbours = [("trachea", "oesophagus"), ("aorta", "oesophagus"), ("heart", "aorta")]
    for one, other in neighbours:
        for subject in subjects:
            grown = ndimage.binary_dilation(mask_of(subject, one), TOUCHING)
            assert (grown & mask_of(subject, other)).sum() > 5, (one, other)


@pytest.mark.slow
def test_trachea_and_aorta_branch(subjects: list[ThoraxSubject]) -> None:
    for subject in subjects:
        trachea, aorta = (mask_of(subject, name) for name in ("trachea", "aorta"))
        parts = [ndimage.label(row)[1] for row in trachea]
        lowest = next(k for k, count in enumerate(parts) if count)
        assert 2 in parts[lowest : lowest + 20] and parts[len(parts) - 10] == 1
        across = [ndimage.label(row)[1] for row in aorta]
        assert max(across) >= 3  # the three branches of the arch
        assert across[5:15] == [1] * 10  # the descending aorta leaves the chest
        assert 2 in across  # ascending and descending


@pytest.mark.slow
def test_it_looks_like_a_ct(subjects: list[ThoraxSubject]) -> None:
    subject = subjects[0]
    ct = array_of(subject.ct).astype(float)
    assert np.percentile(ct[mask_of(subject, "trachea")], 10) < -900  # air in it
    heart = ndimage.binary_erosion(mask_of(subject, "heart"), iterations=3)
    assert 30 < np.median(ct[heart]) < 300
    air = ct[:, :10, :10]
    assert 5 < air.std() < 25 and abs(air.mean() + 1000) < 15
    lungs = ndimage.binary_fill_holes(ct > -500) & (ct < -700)
    assert 0.02 < lungs.mean() < 0.12
    # Partial volume: values between air and tissue along the trachea's wall.
    rim = ndimage.binary_dilation(mask_of(subject, "trachea")) & ~heart_like(ct)
    assert ((ct[rim] > -800) & (ct[rim] < -200)).mean() > 0.1


def heart_like(ct: np.ndarray) -> np.ndarray:
    return ct > 0


@pytest.mark.slow
def test_the_same_body_on_another_grid(subjects: list[ThoraxSubject]) -> None:
    coarse = make_thorax(0, ThoraxOptions(size=(96, 96, 50)))
    for organ in ORGANS:
        fine = mask_of(subjects[0], organ).reshape(50, 2, 96, 2, 96, 2).mean((1, 3, 5))
        made = mask_of(coarse, organ)
        assert 2 * (made & (fine >= 0.5)).sum() / (made.sum() + (fine >= 0.5).sum()) > 0.8
    spacing = np.multiply(coarse.ct.GetSpacing(), coarse.ct.GetSize())
    np.testing.assert_allclose(spacing, FIELD_MM)


@pytest.mark.slow
def test_the_same_seed_is_the_same_subject() -> None:
    small = ThoraxOptions(size=(64, 64, 40))
    one, two = (make_thorax(5, small) for _ in range(2))
    assert array_of(one.ct).tobytes() == array_of(two.ct).tobytes()
    assert array_of(one.labels).tobytes() == array_of(two.labels).tobytes()


def test_depths_are_millimetres() -> None:
    lattice = lattice_over((60.0, 60.0, 60.0))
    round_tube = tube_field(lattice, tube([(0, 0, -60), (0, 0, 60)], [10.0, 10.0]))
    ball = ellipsoid_field(lattice, Ellipsoid(np.zeros(3), np.full(3, 20.0)))
    for field, radius, axes in ((round_tube, 10.0, 2), (ball, 20.0, 3)):
        places = lattice.places_mm[field.box][..., :axes]
        true = radius - np.linalg.norm(places, axis=-1)
        near = np.abs(true) < 5
        np.testing.assert_allclose(field.depth_mm[near], true[near], atol=0.3)
    both = union(lattice, [round_tube, ball])
    assert both.depth_mm.max() == pytest.approx(20.0, abs=0.5)
