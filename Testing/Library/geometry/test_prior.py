"""The geometric completion: what it closes, how well, and what it leaves alone."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from SkullImplantLib.cases.defects import make_defect
from SkullImplantLib.core.images import array_of, crop, image_like, index_to_lps_mm
from SkullImplantLib.geometry import radial
from SkullImplantLib.geometry.frame import Pose, standard_grid
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.prior import Prior, _find_holes, complete_by_prior
from SkullImplantLib.geometry.shape_statistics import (
    OUTER,
    THICKNESS,
    Population,
    shipped_population,
)
from SkullImplantLib.training.population import POST_MM, without_posts

POSE = Pose(
    Rotation.from_euler("zyx", [7.0, -4.0, 10.0], degrees=True).as_matrix(),
    np.array([12.0, -35.0, 500.0]),
    0.0,
)
SPACING_MM = 1.25
HELD_OUT = "brainweb-46"


def standard_points(image: sitk.Image, pose: Pose) -> np.ndarray:
    index = np.stack(np.indices(image.GetSize()[::-1])[::-1], axis=-1)
    frame = index_to_lps_mm(image)
    return pose.to_standard(index @ frame[:3, :3].T + frame[:3, 3])


def shell_prior(outer_mm: np.ndarray, thickness_mm: np.ndarray, pose: Pose = POSE) -> Prior:
    """A prior that knows a whole vault: its depth is a way to draw a skull."""
    covered = np.deg2rad(114) > radial.POLAR_RAD
    nothing = np.zeros(covered.shape)
    return Prior(
        pose=pose,
        outer_mm=outer_mm,
        inner_mm=outer_mm - thickness_mm,
        covered=covered,
        hole=nothing.astype(bool),
        seen=radial.DISC,
        deviation_mm=np.stack([nothing, nothing]),
        hole_area_cm2=0.0,
    )


def scanner_grid(spacing_mm: float = SPACING_MM) -> sitk.Image:
    extent = np.array([230.0, 256.0, 200.0])
    grid = sitk.Image([int(e / spacing_mm) for e in extent], sitk.sitkUInt8)
    grid.SetSpacing([spacing_mm] * 3)
    grid.SetOrigin((POSE.centre_mm - extent / 2 + [0, 0, 25]).tolist())
    return grid


@pytest.fixture(scope="module")
def others() -> Population:
    return shipped_population().without([HELD_OUT])


@pytest.fixture(scope="module")
def skull() -> sitk.Image:
    """A person's vault that the population in use (`others`) does not hold."""
    population = shipped_population()
    outer, thickness = population.maps_mm[population.names.index(HELD_OUT)]
    depth = shell_prior(outer, thickness).depth_on(scanner_grid())
    return sitk.Cast(depth > 0, sitk.sitkUInt8)


def with_cut(skull: sitk.Image, axis: tuple[float, float, float], degrees: float) -> sitk.Image:
    """The skull without the bone within `degrees` of a direction of the standard frame."""
    points = standard_points(skull, POSE)
    cosine = points @ (np.array(axis) / np.linalg.norm(axis)) / np.linalg.norm(points, axis=-1)
    return image_like((array_of(skull) > 0) & (cosine < np.cos(np.deg2rad(degrees))), skull)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def predicted_implant(prior: Prior, defective: sitk.Image) -> np.ndarray:
    """Predicted bone that the defective skull lacks, near the hole, opened; largest piece."""
    hole = array_of(prior.hole_on(defective)) > 0
    depth = array_of(prior.depth_on(defective))
    missing = (depth > 0) & (array_of(defective) == 0) & ndimage.binary_dilation(hole, iterations=4)
    labels, count = ndimage.label(ndimage.binary_opening(missing))
    assert count
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1


CUTS = {"side": ((0.9, 0.1, 0.45), 24.0), "top": ((0.1, 0.2, 1.0), 27.0)}


@pytest.fixture(scope="module", params=CUTS)
def completed(request, skull, others) -> tuple[sitk.Image, Prior]:
    defective = with_cut(skull, *CUTS[request.param])
    return defective, complete_by_prior(defective, POSE, others)


def test_a_cut_is_closed_close_to_the_truth(skull, completed) -> None:
    defective, prior = completed
    implant = array_of(skull).astype(bool) & ~array_of(defective).astype(bool)
    assert dice(predicted_implant(prior, defective), implant) > 0.85
    assert prior.notes == ()


def test_hole_has_the_area_of_the_cut(completed, request) -> None:
    _, prior = completed
    degrees = CUTS[request.node.callspec.params["completed"]][1]
    outer_mm = float(prior.outer_mm[prior.hole].mean())
    cap_cm2 = 2 * np.pi * (1 - np.cos(np.deg2rad(degrees))) * outer_mm**2 / 100
    # The smoothed rim counts as bone.
    assert prior.hole_area_cm2 == pytest.approx(cap_cm2, rel=0.15)


def test_deviation_is_in_the_hole_and_grows_away_from_the_rim(completed) -> None:
    _, prior = completed
    assert (prior.deviation_mm[:, prior.hole] > 0.05).all()
    deep = ndimage.distance_transform_edt(prior.hole)
    rim = prior.hole & (deep < 3)
    middle = deep > 0.8 * deep.max()
    for channel in (OUTER, THICKNESS):
        assert prior.deviation_mm[channel][middle].mean() > prior.deviation_mm[channel][rim].mean()
    far = ndimage.distance_transform_edt(~prior.hole) > 8
    assert (prior.deviation_mm[:, far] == 0).all()


def test_deviation_is_about_the_error_made(completed) -> None:
    _, prior = completed
    truth = shipped_population().maps_mm[shipped_population().names.index(HELD_OUT)]
    error = prior.outer_mm - truth[OUTER]
    rms = float(np.sqrt((error[prior.hole] ** 2).mean()))
    expected = float(np.sqrt((prior.deviation_mm[OUTER][prior.hole] ** 2).mean()))
    assert expected / 3 < rms < expected * 3


def test_no_step_at_the_rim(completed) -> None:
    _, prior = completed
    for surface in (prior.outer_mm, prior.inner_mm):
        steps = np.abs(np.diff(surface, axis=0))
        filled = ndimage.binary_dilation(prior.hole, iterations=5)
        border = (filled[1:] != filled[:-1]) & prior.covered[1:] & prior.covered[:-1]
        elsewhere = ~ndimage.binary_dilation(border, iterations=2) & prior.covered[1:]
        elsewhere &= prior.covered[:-1]
        assert steps[border].mean() < steps[elsewhere].mean() + 0.25
        assert steps[border].max() < 1.5


@pytest.mark.slow
def test_the_slope_of_a_burr_hole_makes_no_dent(skull, completed, others, request) -> None:
    """Bone drilled away beside the cut, nearly through, says nothing of the missing table."""
    defective, plain = completed
    axis, degrees = CUTS[request.node.callspec.params["completed"]]
    towards = np.array(axis) / np.linalg.norm(axis)
    aside = np.cross(towards, [0.0, 1.0, 0.0])
    rim = np.deg2rad(degrees + 2.0)
    middle = np.cos(rim) * towards + np.sin(rim) * aside / np.linalg.norm(aside)
    points = standard_points(defective, POSE)
    radius = np.linalg.norm(points, axis=-1)
    rows, columns, _ = radial.to_map(points)
    deep = radius > radial.look_up(plain.outer_mm - 6.0, rows, columns)
    drilled = deep & (points @ middle > np.cos(np.deg2rad(5.0)) * radius)
    sloped = image_like((array_of(defective) > 0) & ~drilled, defective)
    prior = complete_by_prior(sloped, POSE, others)
    change_mm = (prior.outer_mm - plain.outer_mm)[plain.hole & prior.hole]
    assert change_mm.min() > -0.4


def test_observed_bone_stays_as_it_is(skull, completed) -> None:
    _, prior = completed
    skull = sitk.Shrink(skull, [2, 2, 2])
    away = ndimage.distance_transform_edt(~prior.hole) > 8
    away &= (np.deg2rad(95) > radial.POLAR_RAD) & prior.covered
    depth = array_of(prior.depth_on(skull))
    points = standard_points(skull, POSE)
    rows, columns, _ = radial.to_map(points)
    inside = radial.look_up(away.astype(float), rows, columns) > 0.99
    inside &= points[..., 2] > 0
    assert dice((depth > 0) & inside, (array_of(skull) > 0) & inside) > 0.9


def test_a_whole_skull_has_no_hole(skull, others) -> None:
    prior = complete_by_prior(skull, POSE, others)
    assert prior.hole_area_cm2 == 0.0
    assert not array_of(prior.hole_on(skull)).any()
    assert not prior.deviation_mm.any()
    assert (array_of(prior.depth_on(skull)) > 0).any()


@pytest.mark.slow
def test_a_burr_hole_is_no_defect(skull, others) -> None:
    drilled = with_cut(skull, (0.5, 0.3, 0.8), 5.0)  # 15 mm across
    assert complete_by_prior(drilled, POSE, others).hole_area_cm2 == 0.0


@pytest.mark.slow
def test_where_not_everybody_has_bone_the_other_side_tells_a_hole_from_an_opening(
    skull, others
) -> None:
    axis, mirrored = (0.9, -0.1, 0.3), (-0.9, -0.1, 0.3)
    bone = others.bone.copy()
    for one in (axis, mirrored):
        near = radial.DIRECTIONS @ (np.array(one) / np.linalg.norm(one)) > np.cos(np.deg2rad(25.0))
        bone[: len(bone) // 3, near] = False
    fewer = replace(others, bone=bone)
    one_sided = with_cut(skull, axis, 14.0)
    hole = complete_by_prior(one_sided, POSE, fewer).hole
    assert radial.DIRECTIONS[hole] @ np.array(axis) / np.linalg.norm(axis) == pytest.approx(1, 0.05)
    on_both_sides = with_cut(one_sided, mirrored, 14.0)
    assert complete_by_prior(on_both_sides, POSE, fewer).hole_area_cm2 == 0.0
    assert complete_by_prior(on_both_sides, POSE, others).hole_area_cm2 > 0.0


@pytest.mark.slow
def test_two_holes_are_both_closed_and_twice_alike(skull, others) -> None:
    defective = with_cut(with_cut(skull, (0.8, 0.2, 0.5), 18.0), (-0.7, -0.3, 0.6), 15.0)
    prior = complete_by_prior(defective, POSE, others)
    _, count = ndimage.label(prior.hole)
    assert count == 2
    again = complete_by_prior(defective, POSE, others)
    assert prior.outer_mm.tobytes() == again.outer_mm.tobytes()
    assert prior.inner_mm.tobytes() == again.inner_mm.tobytes()


def test_a_strip_at_the_lower_edge_beside_a_deep_hole_is_the_head_s_own_edge() -> None:
    """Alone it is a hole, whose width nothing gainsays; narrow ones within the vault stay holes."""
    full, outer = np.ones(radial.DISC.shape), np.full(radial.DISC.shape, 85.0)
    bone = radial.DISC & (radial.POLAR_RAD < radial.FLOOR_RAD)
    x, y, polar = radial.DIRECTIONS[..., 0], radial.DIRECTIONS[..., 1], radial.POLAR_RAD
    deep = polar < 0.35
    lower = (polar > radial.VAULT_RAD - 0.15) & (np.abs(x) < 0.4) & (y < 0.0)
    narrow = (np.abs(polar - 0.9) < 0.07) & (y > 0.0)

    def found(*missing: np.ndarray) -> list[str]:
        gone = np.logical_or.reduce(missing)
        holes, unfilled = _find_holes(bone & ~gone, radial.DISC, full, outer)
        slivers = np.zeros_like(holes)
        for strip in unfilled:
            rows, columns, _ = radial.to_map(strip.points_mm)
            slivers[np.rint(rows).astype(int), np.rint(columns).astype(int)] = strip.why == "edge"
        assert not (holes & slivers).any()
        return [
            "hole" if holes[m].mean() > 0.5 else "edge" if slivers[m].any() else "" for m in missing
        ]

    assert found(deep, lower) == ["hole", "edge"]
    assert found(lower) == ["hole"]
    assert found(deep, narrow) == ["hole", "hole"]


def test_defect_at_the_edge_of_the_image_is_noted(skull, others) -> None:
    defective = with_cut(skull, (0.1, 0.0, 1.0), 30.0)
    top = standard_points(defective, POSE)[..., 2].max(axis=(1, 2))
    keep = int(np.flatnonzero(top < 80).max())
    x, y, _ = defective.GetSize()
    cropped = crop(defective, (slice(0, keep), slice(0, y), slice(0, x)))
    prior = complete_by_prior(cropped, POSE, others)
    assert any("edge of the image" in note for note in prior.notes)


def test_depth_is_that_of_the_maps_on_any_grid() -> None:
    """A ball's shell, whose depth has a formula, on a grid with other axes and spacings."""
    flat = np.ones((radial.SIZE, radial.SIZE))
    prior = shell_prior(80.0 * flat, 6.0 * flat)
    grid = sitk.Image([61, 83, 47], sitk.sitkUInt8)
    grid.SetSpacing((2.9, 2.3, 3.7))
    grid.SetDirection(Rotation.from_euler("zyx", [30, 20, 10], degrees=True).as_matrix().ravel())
    grid.SetOrigin((POSE.centre_mm - 90).tolist())
    points = standard_points(grid, POSE)
    radius = np.linalg.norm(points, axis=-1)
    polar = np.rad2deg(np.arccos(points[..., 2] / radius))
    depth = array_of(prior.depth_on(grid))
    assert depth.dtype == np.float32
    expected = np.clip(np.minimum(radius - 74.0, 80.0 - radius), -8, 8)
    np.testing.assert_allclose(depth[polar < 112], expected[polar < 112], atol=2e-3)
    assert (depth[polar > 116] == -8.0).all()


def test_depth_on_a_part_of_a_grid_is_a_part_of_the_depth(completed) -> None:
    _, prior = completed
    grid = standard_grid(prior.pose, 2.0)
    box = (slice(37, 90), slice(11, 77), slice(5, 60))
    whole, piece = prior.depth_on(grid), prior.depth_on(crop(grid, box))
    np.testing.assert_allclose(array_of(whole)[box], array_of(piece), atol=1e-3)
    hole = array_of(prior.hole_on(grid))
    assert hole.dtype == np.uint8 and hole.any()
    assert (array_of(whole)[hole > 0] > 0).all()


def test_the_ring_tells_of_the_error_and_is_zero_without_a_hole(skull, completed, others) -> None:
    _, prior = completed
    assert all(0.05 < error < 2.0 for error in prior.ring_error_mm)
    assert complete_by_prior(skull, POSE, others).ring_error_mm == (0.0, 0.0)


@pytest.mark.slow
def test_real_skull_held_out_of_the_population(shared_data) -> None:
    name = "visible-human-male"
    mask = sitk.ReadImage(str(shared_data / "train" / f"{name}.nii.gz"), sitk.sitkUInt8)
    share = radial.share_of_bone(mask, 1.0)
    skull = image_like(array_of(share) >= 0.5, share)
    rng = np.random.default_rng(5)
    defect = make_defect(skull, "bilateral", rng, estimate_pose(skull, shipped_population()), 60.0)
    prior = complete_by_prior(
        defect.defective,
        estimate_pose(defect.defective, shipped_population()),
        shipped_population().without([name]),
    )
    implant = predicted_implant(prior, defect.defective)
    assert dice(implant, array_of(defect.implant) > 0) > 0.85
    assert prior.hole_area_cm2 == pytest.approx(60.0, rel=0.3)


@settings(max_examples=10, deadline=None)
@given(row=st.integers(60, 148), column=st.integers(60, 148), height_mm=st.floats(4.0, 25.0))
def test_a_post_on_a_skull_is_no_part_of_its_shape(row: int, column: int, height_mm: float) -> None:
    """A screw of 6 mm in a skull of the population is gone; the vault's own shape is not."""
    away = np.hypot(*(np.indices(radial.DISC.shape) - np.array([row, column])[:, None, None]))
    smooth_mm = 85.0 + 3.0 * radial.DIRECTIONS[..., 0] + 2.0 * radial.DIRECTIONS[..., 1] ** 2
    thickness_mm = 6.0 - radial.DIRECTIONS[..., 2]
    post_mm = np.where(away < 2.0, height_mm, 0.0)
    cleaned = without_posts([smooth_mm + post_mm, thickness_mm + post_mm])
    np.testing.assert_allclose(cleaned, [smooth_mm, thickness_mm], atol=0.2)
    untouched = away > 8.0
    assert (cleaned[OUTER] == smooth_mm)[untouched].all()


def test_no_skull_of_the_population_has_posts() -> None:
    population = shipped_population()
    vault = np.deg2rad(95.0) > radial.POLAR_RAD
    for name, maps_mm in zip(population.names, population.maps_mm):
        higher_mm = maps_mm[OUTER] - without_posts(maps_mm)[OUTER]
        assert higher_mm[vault].max() < POST_MM + 0.1, name


@pytest.mark.parametrize("completed", ["side"], indirect=True)
def test_bone_cut_off_by_the_view_is_not_believed(skull, completed, others) -> None:
    """An image that ends within the vault's bone, a few millimetres below the vertex."""
    defective, whole_view = completed
    vertex = int(np.argwhere(array_of(skull).any(axis=(1, 2))).max())
    ending = defective[:, :, : vertex - round(6 / SPACING_MM)]
    prior = complete_by_prior(ending, POSE, others)
    cut = ~prior.seen & (radial.POLAR_RAD < 0.5)
    assert cut.any() and not prior.covered[cut].any()
    both = prior.hole & whole_view.hole
    assert both.sum() > 0.5 * whole_view.hole.sum()
    error_mm = np.abs(prior.outer_mm - whole_view.outer_mm)[both]
    assert np.percentile(error_mm, 95) < 2.0
