"""Where bone begins: points on the surface between voxels, and the way out of the bone there."""

import numpy as np
import pytest
import SimpleITK as sitk

from SkullImplantLib.core.images import index_to_lps_mm
from SkullImplantLib.geometry.bone_field import bone_field, surface_points, thinned

RADIUS_MM, CENTRE_MM = 20.0, np.array([11.0, -7.0, 3.0])


def ball(spacing_mm: tuple[float, float, float], as_ct: bool) -> sitk.Image:
    """A ball in a turned image: a mask, or a CT whose grey falls by 500 HU a millimetre."""
    size = [int(54.0 / s) for s in spacing_mm]
    grid = sitk.Image(size, sitk.sitkUInt8)
    grid.SetSpacing(spacing_mm)
    grid.SetDirection([0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0])
    middle = np.array(grid.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in size]))
    grid.SetOrigin((CENTRE_MM - middle).tolist())
    index = np.stack(np.indices(size[::-1])[::-1], axis=-1)
    frame = index_to_lps_mm(grid)
    depth = RADIUS_MM - np.linalg.norm(index @ frame[:3, :3].T + frame[:3, 3] - CENTRE_MM, axis=-1)
    values = 300.0 + 500.0 * np.clip(depth, -2.0, 2.0) if as_ct else depth > 0.0
    image = sitk.GetImageFromArray(values.astype(np.float32 if as_ct else np.uint8))
    image.CopyInformation(grid)
    return image


@pytest.mark.parametrize(("as_ct", "off_mm"), [(True, 0.02), (False, 0.25)])
def test_points_lie_on_the_surface_and_normals_lead_out(as_ct: bool, off_mm: float) -> None:
    spacing_mm = (0.8, 1.0, 1.3)
    mask = ball(spacing_mm, False)
    field = bone_field(mask, ball(spacing_mm, True) if as_ct else None, 300.0 if as_ct else None)
    points = surface_points(field)
    out = points.places_mm - CENTRE_MM
    radius = np.linalg.norm(out, axis=1)
    assert abs(radius.mean() - RADIUS_MM) < 0.1
    assert np.percentile(np.abs(radius - RADIUS_MM), 95) < off_mm
    along = (points.normals * out / radius[:, None]).sum(axis=1)
    assert np.percentile(along, 5) > 0.98 and along.min() > 0.9


def test_thinned_points_are_as_far_apart_as_asked_and_leave_no_gap() -> None:
    points = surface_points(bone_field(ball((1.0, 1.0, 1.0), False)))
    few = points.at(thinned(points.places_mm, 6.0))
    cells = np.floor(few.places_mm / 6.0)
    assert len(np.unique(cells, axis=0)) == len(few) < len(points) / 20
    apart = np.linalg.norm(points.places_mm[:, None] - few.places_mm[None], axis=-1).min(axis=1)
    assert apart.max() < 6.0 * np.sqrt(3.0)
