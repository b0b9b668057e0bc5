"""The standard pose: found from skulls in any position, with holes, of any size and sampling."""

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from SkullImplantLib.core.images import array_of, image_like, index_to_lps_mm, resample
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.geometry.frame import BOX_HIGH_MM, BOX_LOW_MM, Pose, standard_grid
from SkullImplantLib.geometry.pose import estimate_pose
from SkullImplantLib.geometry.radial import look_up, to_map
from SkullImplantLib.geometry.shape_statistics import shipped_population

angles = st.floats(-180, 180)
shifts = st.floats(-300, 300)


def degrees_between(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.rad2deg(Rotation.from_matrix(a.T @ b).magnitude()))


def points_of(image: sitk.Image) -> np.ndarray:
    """The centre of every voxel, LPS mm, shape (z, y, x, 3)."""
    index = np.stack(np.indices(image.GetSize()[::-1])[::-1], axis=-1)
    frame = index_to_lps_mm(image)
    return index @ frame[:3, :3].T + frame[:3, 3]


def bone_at(points: np.ndarray, size: float = 1.0) -> np.ndarray:
    """Whether standard-frame points lie in the bone of the population's mean vault, scaled."""
    outer, thickness = shipped_population().mean_mm()
    rows, columns, radius = to_map(points / size)
    within = np.arccos(np.clip(points[..., 2] / np.maximum(radius * size, 1), -1, 1)) < 1.9
    reach = look_up(outer, rows, columns)
    return within & (radius < reach) & (radius > reach - look_up(thickness, rows, columns))


def skull_in(pose: Pose, spacing_mm: tuple[float, float, float], size: float = 1.0) -> sitk.Image:
    """The mean skull, lying as `pose` says, in an image along the scanner's axes."""
    extent = np.array([260.0, 260.0, 240.0])
    voxels = [int(e / s) for e, s in zip(extent, spacing_mm)]
    image = sitk.Image(voxels, sitk.sitkUInt8)
    image.SetSpacing(spacing_mm)
    image.SetOrigin((pose.centre_mm - extent / 2).tolist())
    return image_like(bone_at(pose.to_standard(points_of(image)), size), image)


def tilted(yaw: float, roll: float, pitch: float, centre: tuple[float, float, float]) -> Pose:
    rotation = Rotation.from_euler("zyx", [yaw, roll, pitch], degrees=True).as_matrix()
    return Pose(rotation, np.array(centre), 0.0)


@given(st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts))
def test_points_go_to_the_standard_frame_and_back(turn, shift) -> None:
    pose = tilted(*turn, shift)
    points = np.array([[[10.0, -20.0, 30.0], [0.0, 0.0, 0.0]]])
    np.testing.assert_allclose(pose.to_standard(pose.to_patient(points)), points, atol=1e-9)
    np.testing.assert_allclose(pose.to_patient(np.zeros(3)), pose.centre_mm)
    apart = pose.to_patient(points[0, 0]) - pose.to_patient(points[0, 1])
    assert np.linalg.norm(apart) == pytest.approx(np.linalg.norm(points[0, 0]))


@given(st.tuples(angles, angles, angles), st.tuples(shifts, shifts, shifts), st.floats(0.8, 4.0))
def test_standard_grid_covers_the_box_along_the_standard_axes(turn, shift, spacing_mm) -> None:
    pose = tilted(*turn, shift)
    grid = standard_grid(pose, spacing_mm)
    last = [n - 1 for n in grid.GetSize()]
    first_mm = pose.to_standard(np.array(grid.TransformIndexToPhysicalPoint((0, 0, 0))))
    last_mm = pose.to_standard(np.array(grid.TransformIndexToPhysicalPoint(last)))
    np.testing.assert_allclose(first_mm - spacing_mm / 2, BOX_LOW_MM, atol=1e-6)
    assert (last_mm + spacing_mm / 2 > BOX_HIGH_MM - 1e-6).all()
    assert (last_mm - spacing_mm / 2 < BOX_HIGH_MM + 1e-6).all()
    assert grid.GetPixelID() == sitk.sitkUInt8


@pytest.mark.parametrize(
    ("turn", "spacing_mm", "size"),
    [
        ((0.0, 0.0, 0.0), (2.0, 2.0, 2.0), 1.0),
        ((25.0, 0.0, 0.0), (1.2, 1.2, 2.5), 1.0),
        ((0.0, -25.0, 0.0), (2.5, 1.3, 1.3), 0.87),
        ((0.0, 0.0, 27.0), (2.0, 2.0, 2.0), 1.13),
        ((-14.0, 16.0, -20.0), (2.0, 2.0, 2.0), 1.08),
        ((20.0, -12.0, 17.0), (2.0, 2.0, 2.0), 0.92),
    ],
)
def test_pose_is_found_in_any_position_size_and_sampling(turn, spacing_mm, size) -> None:
    truth = tilted(*turn, (40.0, -130.0, 700.0))
    pose = estimate_pose(skull_in(truth, spacing_mm, size), shipped_population())
    assert degrees_between(pose.rotation, truth.rotation) < 1.0
    # What a scaled head's centre is, is a matter of the population's mean; the plane is not.
    assert abs(pose.to_standard(truth.centre_mm)[0]) < 0.5
    assert np.linalg.norm(pose.centre_mm - truth.centre_mm) < 1.5
    assert np.linalg.det(pose.rotation) == pytest.approx(1.0)
    assert pose.fit_mm < 1.5


@pytest.mark.slow
def test_pose_does_not_depend_on_the_direction_in_which_voxels_are_stored() -> None:
    truth = tilted(8.0, -5.0, 12.0, (0.0, 0.0, 0.0))
    skull = skull_in(truth, (2.0, 2.0, 2.0))
    reoriented = sitk.DICOMOrient(skull, "SRP")
    a, b = (
        estimate_pose(skull, shipped_population()),
        estimate_pose(reoriented, shipped_population()),
    )
    assert degrees_between(a.rotation, b.rotation) < 0.3
    np.testing.assert_allclose(a.centre_mm, b.centre_mm, atol=0.5)
    left_handed = sitk.Flip(skull, [True, False, False])
    c = estimate_pose(left_handed, shipped_population())
    assert degrees_between(a.rotation, c.rotation) < 0.3


@pytest.mark.slow
def test_a_hole_of_130_cm2_hardly_moves_the_pose() -> None:
    truth = tilted(5.0, 8.0, -15.0, (10.0, 20.0, 30.0))
    skull = skull_in(truth, (2.0, 2.0, 2.0))
    whole = estimate_pose(skull, shipped_population())
    points = truth.to_standard(points_of(skull))
    for axis in ([0.9, -0.2, 0.5], [0.1, -0.9, 0.4], [0.4, 0.5, 0.8]):
        axis = np.array(axis) / np.linalg.norm(axis)
        cosine = points @ axis / np.maximum(np.linalg.norm(points, axis=-1), 1)
        cut = (array_of(skull) > 0) & (cosine < np.cos(np.deg2rad(44)))
        pose = estimate_pose(image_like(cut, skull), shipped_population())
        assert degrees_between(pose.rotation, whole.rotation) < 1.5
        assert np.linalg.norm(pose.centre_mm - whole.centre_mm) < 1.5


def test_same_mask_gives_the_same_bytes() -> None:
    skull = skull_in(tilted(3.0, 2.0, 1.0, (0.0, 0.0, 0.0)), (2.5, 2.5, 2.5))
    seen: list[float] = []
    a = estimate_pose(
        skull, shipped_population(), lambda fraction, message="": seen.append(fraction)
    )
    b = estimate_pose(skull, shipped_population())
    assert seen[-1] == 1.0
    assert a.rotation.tobytes() == b.rotation.tobytes()
    assert a.centre_mm.tobytes() == b.centre_mm.tobytes()


def shape_of(kind: str) -> sitk.Image:
    image = sitk.Image([110, 110, 110], sitk.sitkUInt8)
    image.SetSpacing((2.0, 2.0, 2.0))
    points = points_of(image) - 110.0
    radius = np.linalg.norm(points, axis=-1)
    masks = {
        "empty": radius < -1,
        "all ones": radius > -1,
        "solid ball": radius < 85,
        "small ball": radius < 30,
        "plate": np.abs(points[..., 0]) < 4,
        "rod": np.hypot(points[..., 0], points[..., 1]) < 12,
        "box": (np.abs(points).max(axis=-1) < 80) & (np.abs(points).max(axis=-1) > 72),
        "face only": (radius < 85) & (radius > 78) & (points[..., 1] < -55),
    }
    return image_like(masks[kind], image)


@pytest.mark.parametrize(
    "kind",
    ["empty", "all ones", "solid ball", "small ball", "plate", "rod", "box", "face only"],
)
def test_what_is_no_skull_is_refused(kind: str) -> None:
    with pytest.raises(SkullImplantError, match="does not look like a skull"):
        estimate_pose(shape_of(kind), shipped_population())


@pytest.mark.parametrize("name", ["brainweb-06", "visible-human-male"])
def test_pose_of_a_real_skull_follows_its_motion(shared_data, name: str) -> None:
    skull = sitk.ReadImage(str(shared_data / "train" / f"{name}.nii.gz"), sitk.sitkUInt8)
    whole = estimate_pose(skull, shipped_population())
    assert whole.fit_mm < 1.5
    motion = Rotation.from_euler("zyx", [9.0, -7.0, 5.0], degrees=True).as_matrix()
    moved = sitk.Image(skull)
    moved.SetDirection((motion @ np.reshape(skull.GetDirection(), (3, 3))).ravel().tolist())
    moved.SetOrigin((motion @ np.array(skull.GetOrigin()) + [30.0, -20.0, 10.0]).tolist())
    pose = estimate_pose(moved, shipped_population())
    assert degrees_between(pose.rotation, motion @ whole.rotation) < 1.0
    expected = motion @ whole.centre_mm + [30.0, -20.0, 10.0]
    assert np.linalg.norm(pose.centre_mm - expected) < 0.5


def test_real_skull_in_standard_pose_mirrors_onto_itself(shared_data) -> None:
    skull = sitk.ReadImage(str(shared_data / "train" / "visible-human-male.nii.gz"), sitk.sitkUInt8)
    grid = standard_grid(estimate_pose(skull, shipped_population()), 2.0)
    filled = array_of(resample(skull, grid, sitk.sitkNearestNeighbor)) > 0
    vault = filled[-60:]
    # Within 4 mm of bone on one side there is bone on the other.
    near = array_of(
        sitk.BinaryDilate(sitk.GetImageFromArray(vault.astype(np.uint8)), [2, 2, 2])
    ).astype(bool)
    assert (near[:, :, ::-1] & vault).sum() / vault.sum() > 0.93
