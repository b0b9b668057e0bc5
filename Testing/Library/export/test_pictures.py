"""The preview: the right side on the right side, from any geometry, with and without OpenGL."""

import io

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from scipy.spatial.transform import Rotation

from SkullImplantLib.core.images import image_like
from SkullImplantLib.export import pictures, renders
from SkullImplantLib.export.picture_mesh import picture_mesh
from SkullImplantLib.export.pictures import compose_preview
from SkullImplantLib.export.renders import (
    ABOVE,
    FRONT,
    PicturesUnavailable,
    Viewpoint,
    render,
    three_quarter_view,
)
from SkullImplantLib.export.slices import slice_panel
from SkullImplantLib.implant.surface import surface_of_mask

CENTRE = np.array([-20.0, 150.0, 700.0])


@pytest.fixture(scope="module")
def opengl() -> None:
    if not renders.rendering_works():
        pytest.skip("VTK cannot draw on this machine: OpenGL is missing")


def head(direction=None, spacing=(2.0, 2.0, 2.5)) -> tuple[sitk.Image, sitk.Image, sitk.Image]:
    """CT, skull and implant of a ball: the hole is on the patient's left and towards the front."""
    direction = np.eye(3) if direction is None else direction
    grid = sitk.Image([round(200 / s) for s in spacing], sitk.sitkUInt8)
    grid.SetSpacing(spacing)
    grid.SetDirection(direction.ravel().tolist())
    middle = grid.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in grid.GetSize()])
    grid.SetOrigin((CENTRE - np.array(middle)).tolist())
    index = np.stack(np.meshgrid(*map(np.arange, grid.GetSize()[::-1]), indexing="ij")[::-1], -1)
    p = index @ (direction * spacing).T.astype(np.float32)
    p += (np.array(grid.GetOrigin()) - CENTRE).astype(np.float32)
    radius = np.linalg.norm(p, axis=-1)
    bone = (radius > 70) & (radius < 78)
    towards = np.array([0.8, -0.5, 0.33]) / np.linalg.norm([0.8, -0.5, 0.33])
    hole = p @ towards > 0.88 * radius
    ct = np.where(bone & ~hole, 1200, np.where(radius < 85, 40, -1000)).astype(np.int16)
    return (
        image_like(ct, grid),
        image_like(bone & ~hole, grid),
        image_like(bone & hole, grid),
    )


def teal(picture: np.ndarray) -> np.ndarray:
    """Where a picture shows the implant: more green and blue than red."""
    r, g, b = (picture[..., k].astype(int) for k in range(3))
    return (g - r > 35) & (b - r > 35)


def middle_of(flags: np.ndarray) -> tuple[float, float]:
    """Row and column of the middle of what is set, from the picture's middle, as shares of it."""
    rows, columns = np.nonzero(flags)
    return rows.mean() / flags.shape[0] - 0.5, columns.mean() / flags.shape[1] - 0.5


def test_slices_show_the_implant_on_the_patient_s_side():
    panel = slice_panel(*head(), size=(916, 300))
    assert panel.shape == (300, 916, 3) and panel.dtype == np.uint8
    axial, coronal, sagittal = (panel[:, k * 308 : k * 308 + 300] for k in range(3))
    row, column = middle_of(teal(axial))
    assert row < -0.05 and column > 0.1  # anterior is up, left is on the right
    row, column = middle_of(teal(coronal))
    assert row < -0.02 and column > 0.1  # superior is up
    row, column = middle_of(teal(sagittal))
    assert row < -0.02 and column < -0.03  # anterior is on the left


@pytest.mark.parametrize("handed", [1, -1])
def test_slices_do_not_depend_on_the_image_s_own_axes(handed):
    direction = Rotation.from_euler("xyz", [90, 25, -70], degrees=True).as_matrix()
    direction[:, 1] *= handed
    plain = slice_panel(*head(spacing=(1.6, 1.6, 1.6)), size=(616, 200)).astype(int)
    turned = slice_panel(*head(direction, (1.6, 1.6, 1.6)), size=(616, 200)).astype(int)
    for k in range(3):
        one, other = (panel[:, k * 208 : k * 208 + 200] for panel in (plain, turned))
        np.testing.assert_allclose(middle_of(teal(one)), middle_of(teal(other)), atol=0.03)
        assert teal(one).sum() == pytest.approx(teal(other).sum(), rel=0.25)


def test_a_mask_as_background_is_shown_as_bone():
    _, skull, implant = head()
    panel = slice_panel(skull, skull, implant, size=(916, 300))
    greys = panel[:, :300][np.ptp(panel[:, :300], axis=-1) == 0]
    assert np.count_nonzero(np.abs(greys[:, 0] - 158.0) < 8) > 500


@pytest.mark.usefixtures("opengl")
def test_renders_show_the_implant_where_it_is():
    _, skull, implant = head()
    bone, mesh = picture_mesh(skull), surface_of_mask(implant)
    size = (300, 240)
    views = [(view, size) for view in (FRONT, ABOVE, three_quarter_view(bone, mesh))]
    behind = (Viewpoint((-0.8, 0.5, -0.33)), size)
    front, above, chosen, hidden = render(bone, mesh, [*views, behind])
    assert front.shape == (240, 300, 3) and front.dtype == np.uint8
    row, column = middle_of(teal(front))
    assert row < -0.02 and column > 0.1  # seen from the front, the patient's left is on the right
    row, column = middle_of(teal(above))
    assert row < -0.02 and column < -0.1  # from above, anterior up, left is on the left
    assert teal(chosen).mean() > 0.05
    assert teal(chosen).sum() > max(teal(front).sum(), teal(above).sum())
    assert teal(hidden).mean() < 0.002
    # The head fills the picture and is not cut off.
    ground = np.abs(front.astype(int) - front[:, :1].astype(int)).max(axis=2) > 12
    assert ground[2:-2].any(axis=1).mean() > 0.85
    assert not ground[[0, -1]].any()


@pytest.mark.slow
@pytest.mark.usefixtures("opengl")
def test_the_skull_of_pictures_has_the_mask_s_shape_in_any_geometry():
    direction = Rotation.from_euler("xyz", [0, 30, 10], degrees=True).as_matrix()
    direction[:, 0] *= -1
    for frame in (np.eye(3), direction):
        bone = picture_mesh(head(frame)[1])
        np.testing.assert_allclose(np.array(bone.GetCenter()), CENTRE, atol=4.0)
        bounds = np.reshape(bone.GetBounds(), (3, 2))
        assert np.ptp(bounds, axis=1) == pytest.approx(156.0, abs=4.0)


@pytest.mark.slow
@pytest.mark.usefixtures("opengl")
def test_the_preview_is_a_png_with_everything():
    ct, skull, implant = head()
    seen = []
    preview = compose_preview(
        ct,
        skull,
        implant,
        surface_of_mask(implant),
        lambda fraction, message="": seen.append(fraction),
    )
    assert preview.lacks is None
    picture = Image.open(io.BytesIO(preview.png))
    assert picture.format == "PNG" and picture.width == 1600 and picture.height > 1200
    assert seen == sorted(seen) and seen[-1] == 1.0
    assert teal(np.asarray(picture.convert("RGB"))).mean() > 0.02


def test_without_opengl_the_preview_has_the_slices(monkeypatch):
    ct, skull, implant = head()
    monkeypatch.setattr(renders, "rendering_works", lambda: False)
    monkeypatch.setattr(pictures, "rendering_works", lambda: False)
    mesh = surface_of_mask(implant)
    preview = compose_preview(ct, skull, implant, mesh)
    picture = Image.open(io.BytesIO(preview.png))
    assert picture.width == 1600 and picture.height < 700
    assert preview.lacks is not None
    assert "libgl1 libegl1 libegl-mesa0 libgl1-mesa-dri" in preview.lacks
    with pytest.raises(PicturesUnavailable, match="libegl1"):
        render(mesh, mesh, [(FRONT, (64, 64))])


@pytest.mark.usefixtures("opengl")
@pytest.mark.parametrize("ends", ["import os; os.abort()", "raise MemoryError", "print(1)"])
def test_a_drawing_that_fails_leaves_the_slices_and_says_so(ends, monkeypatch):
    ct, skull, implant = head()
    monkeypatch.setattr(renders, "_DRAW", ends)
    preview = compose_preview(ct, skull, implant, surface_of_mask(implant))
    assert Image.open(io.BytesIO(preview.png)).height < 700
    assert preview.lacks == renders.FAILED


def forget_rendering() -> None:
    renders.try_rendering.cache_clear()
    renders.rendering_works.cache_clear()


def test_a_crash_of_the_driver_is_survived(monkeypatch):
    forget_rendering()
    monkeypatch.setattr(renders, "_PROBE", "import os; os.abort()")
    try:
        assert not renders.rendering_works()
    finally:
        forget_rendering()


def test_a_driver_that_hangs_is_given_up(monkeypatch):
    forget_rendering()
    monkeypatch.setattr(renders, "_PROBE", "import time; time.sleep(600)")
    monkeypatch.setattr(renders, "PROBE_SECONDS", 0.2)
    try:
        assert not renders.rendering_works()
        child = renders.try_rendering()
        assert child is not None and child.returncode is not None  # it does not stay behind
    finally:
        forget_rendering()
