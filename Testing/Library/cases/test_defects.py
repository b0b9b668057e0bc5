"""Craniectomies cut into skulls: where they lie, how large they are, what they leave behind."""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from SkullImplantLib.cases.defects import (
    KINDS,
    Cut,
    apply_to_ct,
    cut_defect,
    index_to_standard,
    make_defect,
    vault_of,
)
from SkullImplantLib.core.images import array_of, image_like, index_to_lps_mm
from SkullImplantLib.errors import SkullImplantError

SEMI_AXES_MM = np.array([72.0, 90.0, 80.0])
THICK_MM = 6.0
CENTRE_MM = np.array([11.0, -7.0, 23.0])
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class StraightPose:
    """A head that lies straight, its vault's centre at `centre_mm`."""

    centre_mm: np.ndarray = field(default_factory=lambda: CENTRE_MM)

    def to_standard(self, points: np.ndarray) -> np.ndarray:
        return np.asarray(points) - self.centre_mm


def grid_around_head(spacing_mm, rotation: np.ndarray = np.eye(3)) -> sitk.Image:
    """An image of a head's size about `CENTRE_MM`, its axes turned by `rotation`."""
    spacing_mm = np.broadcast_to(spacing_mm, 3).astype(float)
    size = np.ceil(np.abs(rotation.T) @ np.array([190.0, 220.0, 190.0]) / spacing_mm).astype(int)
    grid = sitk.Image(size.tolist(), sitk.sitkUInt8)
    grid.SetSpacing(spacing_mm.tolist())
    grid.SetDirection(rotation.ravel().tolist())
    grid.SetOrigin((CENTRE_MM - rotation @ (spacing_mm * (size - 1) / 2)).tolist())
    return grid


def standard_points(grid: sitk.Image) -> np.ndarray:
    """The voxels' places, (z, y, x, 3), in mm from the centre of the vault."""
    z, y, x = np.indices(grid.GetSize()[::-1], dtype=np.float32)
    matrix = index_to_lps_mm(grid)
    return np.stack([x, y, z], -1) @ matrix[:3, :3].T + (matrix[:3, 3] - CENTRE_MM)


def ellipsoid_skull(grid: sitk.Image) -> sitk.Image:
    """An ellipsoid's shell without a floor, with two orbits below the forehead."""
    p = standard_points(grid)
    skull = ((p / SEMI_AXES_MM) ** 2).sum(-1) <= 1
    skull &= ((p / (SEMI_AXES_MM - THICK_MM)) ** 2).sum(-1) > 1
    skull &= p[..., 2] > -60
    for side in (-1, 1):
        skull &= ((p - np.array([side * 32, -78, -38])) ** 2).sum(-1) > 20**2
    return image_like(skull, grid)


@cache
def coarse_skull():
    """A skull at 2 mm with what the fast core needs, made once."""
    skull = ellipsoid_skull(grid_around_head(2.0))
    pose = StraightPose()
    return array_of(skull) != 0, index_to_standard(skull, pose), vault_of(skull, pose)


def implant_points(cut, to_standard) -> np.ndarray:
    zyx = np.argwhere(cut.implant) + [s.start for s in cut.box]
    return zyx[:, ::-1] @ to_standard[:3, :3].T + to_standard[:3, 3]


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=seeds)
def test_every_cut_is_one_piece_and_leaves_one_piece(kind, seed):
    skull, to_standard, vault = coarse_skull()
    cut = cut_defect(skull, to_standard, vault, kind, np.random.default_rng(seed))
    implant = np.zeros(skull.shape, bool)
    implant[cut.box] = cut.implant
    region = np.zeros(skull.shape, bool)
    region[cut.box] = cut.region
    np.testing.assert_array_equal(region & skull, implant)
    assert implant.any()
    assert ndimage.label(implant)[1] == 1
    assert ndimage.label(skull & ~implant)[1] == 1
    assert 20 * 0.88 <= cut.area_cm2 <= 120 * 1.12


@settings(max_examples=8, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=seeds, area_cm2=st.floats(20, 120))
def test_area_is_met_and_is_that_of_the_outer_surface(kind, seed, area_cm2):
    skull, to_standard, vault = coarse_skull()
    cut = cut_defect(skull, to_standard, vault, kind, np.random.default_rng(seed), area_cm2)
    assert cut.area_cm2 == pytest.approx(area_cm2, rel=0.121)
    # Measured another way: the share of the ellipsoid's outer surface, evenly sampled in direction
    # and weighted by its area element, whose nearest voxels just inside belong to the implant.
    direction = np.random.default_rng(0).normal(size=(200_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    radius = 1 / np.sqrt(((direction / SEMI_AXES_MM) ** 2).sum(-1))
    normal = direction / SEMI_AXES_MM**2
    slant = (normal * direction).sum(-1) / np.linalg.norm(normal, axis=1)
    element_cm2 = 4 * np.pi / len(direction) * radius**2 / slant / 100
    to_index = np.linalg.inv(to_standard)
    below = direction * (radius - 2.0)[:, None]
    x, y, z = np.rint(below @ to_index[:3, :3].T + to_index[:3, 3]).astype(int).T
    implant = np.zeros(skull.shape, bool)
    implant[cut.box] = cut.implant
    # The bevel makes the piece smaller below the surface, voxels of 2 mm blur its border.
    assert element_cm2[implant[z, y, x]].sum() == pytest.approx(cut.area_cm2, rel=0.15)


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(seed=seeds)
def test_kinds_lie_where_their_names_say(seed):
    skull, to_standard, vault = coarse_skull()

    def points(kind):
        cut = cut_defect(skull, to_standard, vault, kind, np.random.default_rng(seed))
        return implant_points(cut, to_standard)

    x = points("bilateral")[:, 0]
    assert 0.15 < (x > 0).mean() < 0.85
    frontal = points("frontoorbital")
    assert frontal[:, 1].mean() < -30  # in front
    assert frontal[:, 2].min() < -10  # the orbits open at 20 mm below the centre
    lateral = points("parietotemporal")
    assert abs(lateral[:, 0].mean()) > 30 and abs(lateral[:, 1].mean()) < 45
    assert lateral[:, 2].min() < 15
    for kind in KINDS:
        assert points(kind)[:, 2].min() > -45  # the base is left alone


def test_both_sides_and_many_places_occur():
    skull, to_standard, vault = coarse_skull()
    for kind in ("frontoorbital", "parietotemporal", "random_1"):
        middles = np.array(
            [
                implant_points(
                    cut_defect(skull, to_standard, vault, kind, np.random.default_rng(seed), 40.0),
                    to_standard,
                ).mean(axis=0)
                for seed in range(8)
            ]
        )
        assert (middles[:, 0] > 10).any() and (middles[:, 0] < -10).any(), kind
        assert len({tuple(np.round(m)) for m in middles}) == 8


def test_same_seed_same_bytes():
    skull, to_standard, vault = coarse_skull()
    cuts = [
        cut_defect(skull, to_standard, vault, "random_1", np.random.default_rng(seed), 50.0)
        for seed in (7, 7, 8)
    ]
    assert cuts[0].box == cuts[1].box
    assert cuts[0].implant.tobytes() == cuts[1].implant.tobytes()
    assert cuts[0].region.tobytes() == cuts[1].region.tobytes()
    assert cuts[0].box != cuts[2].box


def turned(degrees: float) -> np.ndarray:
    versor = sitk.VersorTransform([0.3, -0.5, 0.8], np.deg2rad(degrees))
    return np.reshape(versor.GetMatrix(), (3, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "spacing_mm, rotation",
    [
        ((1.2, 1.2, 2.5), np.eye(3)),
        (2.0, np.diag([-1.0, -1.0, 1.0])),
        (2.0, np.array([[0, 0, 1.0], [1, 0, 0], [0, 1, 0]])),
        (1.8, turned(20)),
        (2.0, turned(20) @ np.diag([1.0, 1.0, -1.0])),
    ],
    ids=["thick slices", "RAS axes", "permuted", "oblique", "left-handed"],
)
def test_any_grid_gives_the_same_defect_in_space(spacing_mm, rotation):
    def middle_and_volume(skull):
        defect = make_defect(skull, "parietotemporal", np.random.default_rng(3), StraightPose(), 60)
        implant = array_of(defect.implant)
        whole = implant + array_of(defect.defective)
        np.testing.assert_array_equal(whole, array_of(skull))
        for image in (defect.implant, defect.defective, defect.region):
            assert image.GetPixelID() == sitk.sitkUInt8
            assert image.GetDirection() == skull.GetDirection()
        points = standard_points(skull)[implant != 0]
        return points.mean(axis=0), len(points) * np.prod(skull.GetSpacing())

    middle, volume = middle_and_volume(ellipsoid_skull(grid_around_head(2.0)))
    other_middle, other_volume = middle_and_volume(
        ellipsoid_skull(grid_around_head(spacing_mm, rotation))
    )
    assert np.abs(middle - other_middle).max() < 3
    assert other_volume == pytest.approx(volume, rel=0.08)


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=seeds)
def test_thin_skulls_with_pinholes_are_cut_too(kind, seed):
    rng = np.random.default_rng(seed)
    grid = grid_around_head(2.0)
    skull = array_of(ellipsoid_skull(grid)).copy()
    depth = ndimage.distance_transform_edt(skull)
    weak = ndimage.gaussian_filter(rng.standard_normal(skull.shape), 3)
    skull[weak > 2.0 * weak.std()] = 0  # holes of some millimetres
    skull[(weak < -1.5 * weak.std()) & (depth > 1)] = 0  # pores
    defect = make_defect(image_like(skull, grid), kind, rng, StraightPose(), 40.0)
    assert ndimage.label(array_of(defect.implant))[1] == 1
    np.testing.assert_array_equal(array_of(defect.implant) + array_of(defect.defective), skull)


def test_what_loses_its_hold_goes_with_the_implant():
    """A lamella that hangs on the inside of the vault alone does not stay behind in the air."""
    grid = grid_around_head(1.5)
    p = standard_points(grid)
    skull = array_of(ellipsoid_skull(grid)) != 0
    # A blade from the vertex down, further than any cut reaches.
    blade = (np.abs(p[..., 0]) < 3) & (np.abs(p[..., 1]) < 10) & (p[..., 2] > 30)
    blade &= p[..., 2] < SEMI_AXES_MM[2] - 3
    skull |= blade
    pose = StraightPose()
    image = image_like(skull, grid)
    for seed in range(20):
        defect = make_defect(image, "bilateral", np.random.default_rng(seed), pose, 90.0)
        assert ndimage.label(array_of(defect.defective))[1] == 1
        if array_of(defect.implant)[blade & (p[..., 2] < 45)].all():
            return
    pytest.fail("no seed cut the blade off, so that nothing was tested")


def test_an_area_is_drawn_between_two_and_one_area_is_the_same_as_twice_it():
    skull, to_standard, vault = coarse_skull()

    def cut(area_cm2: float | tuple[float, float], seed: int) -> Cut:
        rng = np.random.default_rng(seed)
        return cut_defect(skull, to_standard, vault, "random_1", rng, area_cm2)

    areas = [cut((8.0, 16.0), seed).area_cm2 for seed in range(6)]
    assert all(8.0 / 1.13 < area < 16.0 * 1.13 for area in areas)
    assert len({round(area, 2) for area in areas}) == len(areas)
    assert np.array_equal(cut(40.0, 1).implant, cut((40.0, 40.0), 1).implant)


def test_what_cannot_be_cut_is_one_sentence():
    skull, to_standard, vault = coarse_skull()
    rng = np.random.default_rng(0)
    impossible: tuple[tuple[str, float | tuple[float, float]], ...] = (
        ("occipital", 50.0), ("bilateral", 2000.0), ("random_1", -1.0), ("random_2", (60.0, 30.0))
    )  # fmt: skip
    for kind, area_cm2 in impossible:
        with pytest.raises(SkullImplantError, match=r"; .*\.$"):
            cut_defect(skull, to_standard, vault, kind, rng, area_cm2)
    grid = grid_around_head(4.0)
    with pytest.raises(SkullImplantError, match=r"; .*\.$"):
        make_defect(grid, "random_1", rng, StraightPose())  # no bone at all


def head_ct(skull: sitk.Image, level_hu: float, noise_hu: float, rng) -> sitk.Image:
    """A head of soft tissue around a skull of 900 HU, blurred noise throughout."""
    p = standard_points(skull)
    head = ((p / (SEMI_AXES_MM + 6)) ** 2).sum(-1) <= 1
    hu = np.where(head, level_hu, -1000.0)
    hu = ndimage.gaussian_filter(np.where(array_of(skull) != 0, 900.0, hu), 0.4)
    noise = ndimage.gaussian_filter(rng.standard_normal(hu.shape), 0.7)
    hu += noise * noise_hu / noise.std()
    return image_like(np.rint(hu).astype(np.int16), skull)


@pytest.mark.parametrize("level_hu, noise_hu", [(35.0, 8.0), (55.0, 20.0)])
def test_ct_gets_soft_tissue_that_looks_like_its_neighbours(level_hu, noise_hu):
    rng = np.random.default_rng(4)
    skull = ellipsoid_skull(grid_around_head(1.5))
    ct = head_ct(skull, level_hu, noise_hu, rng)
    defect = make_defect(skull, "parietotemporal", rng, StraightPose(), 60.0)
    made = apply_to_ct(ct, defect, rng)
    assert made.GetPixelID() == ct.GetPixelID() and made.GetSpacing() == ct.GetSpacing()

    old, new = array_of(ct).astype(float), array_of(made).astype(float)
    implant, rest = array_of(defect.implant) != 0, array_of(defect.defective) != 0
    inside = implant & ~ndimage.binary_dilation(rest, iterations=3)
    assert new[inside].mean() == pytest.approx(level_hu, abs=3)
    assert new[inside].std() == pytest.approx(noise_hu, rel=0.25)
    ahead = np.roll(inside, -1, axis=2) & inside
    a, b = new[ahead], np.roll(new, -1, axis=2)[ahead]
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(np.exp(-1 / (4 * 0.7**2)), abs=0.15)

    far = ~ndimage.binary_dilation(array_of(defect.region) != 0, iterations=4)
    np.testing.assert_array_equal(new[far], old[far])
    # Read with a threshold, the new CT shows the skull with the defect.
    seen = new > (900 + level_hu) / 2
    assert 2 * (seen & rest).sum() / (seen.sum() + rest.sum()) > 0.985
    assert (seen & implant).sum() < 0.02 * implant.sum()


def test_ct_on_another_grid_is_one_sentence():
    rng = np.random.default_rng(4)
    skull = ellipsoid_skull(grid_around_head(2.0))
    defect = make_defect(skull, "random_2", rng, StraightPose(), 30.0)
    ct = sitk.Image(skull.GetSize(), sitk.sitkInt16)
    with pytest.raises(SkullImplantError, match=r"; .*\.$"):
        apply_to_ct(ct, defect, rng)


@pytest.mark.parametrize("name", ["train/brainweb-05", "train/visible-human-male"])
def test_real_skulls_are_cut_for_every_kind(shared_data, name):
    fine = sitk.ReadImage(str(shared_data / f"{name}.nii.gz"))
    share = sitk.BinShrink(sitk.Cast(fine, sitk.sitkFloat32), [4, 4, 4])
    skull = sitk.Cast(share > 0.4, sitk.sitkUInt8)
    bone = array_of(skull) != 0
    to_lps = index_to_lps_mm(skull)
    points = np.argwhere(bone)[:, ::-1] @ to_lps[:3, :3].T + to_lps[:3, 3]
    top = points[:, 2].max()
    vault_points = points[points[:, 2] > top - 80]
    centre = (vault_points.min(axis=0) + vault_points.max(axis=0)) / 2
    pose = StraightPose(np.array([centre[0], centre[1], top - 85]))
    vault, to_standard = vault_of(skull, pose), index_to_standard(skull, pose)
    for number, kind in enumerate(KINDS):
        for area_cm2 in (25.0, 110.0):
            rng = np.random.default_rng(number)
            cut = cut_defect(bone, to_standard, vault, kind, rng, area_cm2)
            assert cut.area_cm2 == pytest.approx(area_cm2, rel=0.121)
            assert ndimage.label(cut.implant)[1] == 1
            # A wall of 3 to 12 mm, sutures and sinus included.
            thick_mm = cut.implant.sum() * np.prod(skull.GetSpacing()) / (100 * cut.area_cm2)
            assert 2.5 < thick_mm < 12
