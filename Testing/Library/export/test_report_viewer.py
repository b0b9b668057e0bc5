"""The report's 3-D view in a real browser: it renders, turns, cuts, colors, fetches nothing."""

import base64
import math

import numpy as np
import pytest
import SimpleITK as sitk
import vtkmodules.vtkRenderingOpenGL2  # noqa: F401
from report_browser import Browser, needs_browser
from test_report import PNG, check, design
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersSources import vtkSphereSource
from vtkmodules.vtkRenderingCore import (
    vtkActor,
    vtkPolyDataMapper,
    vtkRenderer,
    vtkRenderWindow,
    vtkWindowToImageFilter,
)

from SkullImplantLib.export.deviations import deviation_mm
from SkullImplantLib.export.map_colours import FROM_OTHER_SIDE, MapScale
from SkullImplantLib.export.map_legends import MapLegend, map_legends
from SkullImplantLib.export.report import write_report
from SkullImplantLib.export.shown_scene import ShownImplant, shown_scene
from SkullImplantLib.export.shown_skull import simplified
from SkullImplantLib.implant.meshes import arrays_of

pytestmark = [needs_browser, pytest.mark.slow]
HEAD_MM, IMPLANT_MM = 80.0, 22.0
PLACE_MM = (70.0, -10.0, 20.0)  # of the implant's middle: left, before, above
WORST_MM = [80.0, -12.0, 30.0]
# Two renderers draw edges differently, by a pixel all round.
ALIKE = 0.97


def sphere(radius_mm: float, middle_mm=(0.0, 0.0, 0.0)) -> vtkPolyData:
    source = vtkSphereSource()
    source.SetRadius(radius_mm)
    source.SetCenter(*middle_mm)
    source.SetThetaResolution(96)
    source.SetPhiResolution(64)
    source.Update()
    return source.GetOutput()


BONE, IMPLANT = sphere(HEAD_MM), sphere(IMPLANT_MM, PLACE_MM)


def ct() -> sitk.Image:
    """A ball of bone in air, 2 mm voxels along LPS."""
    size = [100] * 3
    image = sitk.Image(size, sitk.sitkInt16) - 1000
    image.SetSpacing([2.0] * 3)
    image.SetOrigin([-100.0] * 3)
    distance = sitk.GetArrayFromImage(image)
    z, y, x = np.meshgrid(*[2.0 * np.arange(100) - 100.0] * 3, indexing="ij")
    distance[x**2 + y**2 + z**2 < HEAD_MM**2] = 1200
    filled = sitk.GetImageFromArray(distance)
    filled.CopyInformation(image)
    return filled


HEIGHTS = MapLegend("height_mm", "Height", MapScale(0.0, IMPLANT_MM, 5, None), "Over the middle.")


def heights() -> np.ndarray:
    """How high each point of the implant is over its middle; the lower half has no value."""
    above = arrays_of(IMPLANT)[0][:, 2] - PLACE_MM[2]
    return np.where(above >= 0, above, np.nan)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    shown = ShownImplant(IMPLANT, PLACE_MM, (0.9, 0.0, math.sqrt(0.19)), {"height_mm": heights()})
    told = design(checks=[check(place_mm=WORST_MM), check("pieces", unit="")])
    write_report(
        path, told, {"preview": PNG}, shown_scene(simplified(BONE), [shown], ct(), [HEIGHTS])
    )
    return path


@pytest.fixture(scope="module")
def browser():
    found = Browser()
    yield found
    found.close()


@pytest.fixture
def page(browser, report):
    browser.open_report(report)
    return browser


def implant_share(picture: np.ndarray) -> float:
    """Return which share of a picture has the implant's color, which is no gray and no bone."""
    red, blue = picture[..., 0].astype(int), picture[..., 2].astype(int)
    return float(np.mean(blue - red > 40))


def choose(page, element: str, value) -> None:
    page.run(
        "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
        "e.dispatchEvent(new Event('change')); e.dispatchEvent(new Event('input'));",
        element,
        value,
    )


def test_it_opens_without_a_word_in_the_console_and_asks_for_nothing(page):
    assert page.run("return document.getElementById('viewer').dataset.state") == "ready"
    assert not page.run("return document.getElementById('viewer').hidden")
    assert page.run("return document.getElementById('viewer-off').hidden")
    assert page.log("browser") == []
    assert page.asked_for() == []


def test_it_draws_what_another_renderer_draws(page):
    """The same camera in VTK: head and implant lie on the same pixels."""
    page.run("window.skullImplantReport.surfaces.arrows.visible = false")
    page.run("window.skullImplantReport.surfaces.look([0.8, -0.9, 0.4])")
    shown = page.picture("#viewer .stage canvas")
    camera = page.run(
        "const {camera, controls} = window.skullImplantReport.surfaces; return {"
        "place: camera.position.toArray(), target: controls.target.toArray(), angle: camera.fov}"
    )
    drawn = drawn_by_vtk(camera, shown.shape[1], shown.shape[0])
    for seen in (lambda p: shown_implant(p), lambda p: ~background(p)):
        one, other = seen(shown), seen(drawn)
        assert one.mean() > 0.01
        assert (one & other).sum() / (one | other).sum() > ALIKE


def shown_implant(picture: np.ndarray) -> np.ndarray:
    return picture[..., 2].astype(int) - picture[..., 0] > 40


def background(picture: np.ndarray) -> np.ndarray:
    return np.abs(picture.astype(int) - picture[2, 2]).max(axis=-1) < 6


def drawn_by_vtk(camera: dict, width: int, height: int) -> np.ndarray:
    renderer = vtkRenderer()
    renderer.SetBackground(0.1, 0.9, 0.1)  # neither bone nor implant
    for mesh, color in ((BONE, (0.97, 0.93, 0.85)), (IMPLANT, (0.10, 0.66, 0.72))):
        mapper = vtkPolyDataMapper()
        mapper.SetInputData(mesh)
        mapper.ScalarVisibilityOff()
        actor = vtkActor()
        actor.SetMapper(mapper)
        actor.GetProperty().SetColor(*color)
        actor.GetProperty().LightingOff()
        renderer.AddActor(actor)
    window = vtkRenderWindow()
    window.OffScreenRenderingOn()
    window.SetSize(width, height)
    window.AddRenderer(renderer)
    eye = renderer.GetActiveCamera()
    eye.SetViewAngle(camera["angle"])
    eye.SetPosition(*camera["place"])
    eye.SetFocalPoint(*camera["target"])
    eye.SetViewUp(0, 0, 1)
    renderer.ResetCameraClippingRange()
    window.Render()
    grabber = vtkWindowToImageFilter()
    grabber.SetInput(window)
    grabber.Update()
    pixels = vtk_to_numpy(grabber.GetOutput().GetPointData().GetScalars())
    window.Finalize()
    return pixels.reshape(height, width, -1)[::-1, :, :3]


@pytest.mark.parametrize("direction", [[0.8, -0.9, 0.4], [1, 0, 0], [0, 0, 1], [-0.3, 0.2, -1]])
def test_all_of_it_is_seen_from_every_side_and_fills_the_view(page, direction):
    page.run("window.skullImplantReport.surfaces.arrows.visible = false")
    page.run("window.skullImplantReport.surfaces.look(arguments[0])", direction)
    rows, columns = np.nonzero(~background(page.picture("#viewer .stage canvas")))
    height, width = page.picture("#viewer .stage canvas").shape[:2]
    assert rows.min() > 4 and rows.max() < height - 5
    assert columns.min() > 4 and columns.max() < width - 5
    assert np.ptp(rows) > 0.8 * height or np.ptp(columns) > 0.8 * width


@pytest.mark.parametrize(
    "way", [[-0.58, -0.58, 0.57], [0.0, 0.0, 1.0], [0.0, -0.8, 0.6], [0.9, 0.3, -0.3]]
)
def test_from_outside_the_arrow_of_the_way_out_is_one(page, way):
    """Seen at 23 degrees to it, wherever it points; straight along it, it would be a dot."""
    seen = page.run(
        "const {surfaces, header} = window.skullImplantReport; const kept = header.ways_out;"
        "header.ways_out = [{...kept[0], direction: arguments[0]}];"
        "window.skullImplantReport.outside(); header.ways_out = kept;"
        "return surfaces.camera.position.clone().sub(surfaces.controls.target).toArray()",
        way,
    )
    cosine = np.dot(seen, way) / np.linalg.norm(seen) / np.linalg.norm(way)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(23.3, abs=1.0)


def test_a_telephone_shows_all_of_its_width(browser, tmp_path):
    """At 390 pixels nothing of text, tables and views is beside the page, in its words as well."""
    path = tmp_path / "narrow.html"
    checks = [check("outer step along 30 mm", place_mm=WORST_MM, source="a step " * 20)]
    checks += [check("thickness difference", value=-123.45, limit=(-1234.5, 1234.5))]
    checks[1]["comparison"] = "between"
    shown = ShownImplant(IMPLANT, PLACE_MM, (1.0, 0.0, 0.0), {"height_mm": heights()})
    write_report(
        path, design(checks=checks), {}, shown_scene(simplified(BONE), [shown], ct(), [HEIGHTS])
    )
    narrow = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    try:
        browser.open_report(path)
        assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [
            390,
            390,
        ]
        beyond = browser.run(
            "return [...document.querySelectorAll('td, th, button, canvas, p, svg')]"
            ".filter((e) => e.getBoundingClientRect().right > 390).map((e) => e.textContent)"
        )
        assert beyond == []
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_keys_turn_it_and_zoom(page):
    canvas = "#viewer .stage canvas"
    before = page.picture(canvas)
    press = (
        "document.querySelector('#viewer .stage canvas')"
        ".dispatchEvent(new KeyboardEvent('keydown', {key: arguments[0]}))"
    )
    # The implant lies on the left: seen from there it is large, half a turn on it is hidden.
    for _ in range(24):
        page.run(press, "ArrowRight")
    assert implant_share(before) > 5 * implant_share(page.picture(canvas))
    for _ in range(24):
        page.run(press, "ArrowRight")
    again = page.picture(canvas)
    assert np.abs(again.astype(int) - before).mean() < 1.0
    page.run(press, "+")
    assert implant_share(page.picture(canvas)) > 1.1 * implant_share(before)


def test_a_part_can_be_left_out_and_seen_through(page):
    canvas = "#viewer .stage canvas"
    page.run("window.skullImplantReport.surfaces.arrows.visible = false")
    page.run("window.skullImplantReport.surfaces.look([-1, 0, 0])")  # the head hides the implant
    assert implant_share(page.picture(canvas)) < 0.001
    page.run("document.getElementById('show-skull').click()")
    assert implant_share(page.picture(canvas)) > 0.01
    page.run("document.getElementById('show-implant-1').click()")
    page.run("document.getElementById('show-skull').click()")
    page.run("window.skullImplantReport.surfaces.look([1, 0, 0])")
    assert implant_share(page.picture(canvas)) < 0.001


def test_a_cut_takes_half_away_and_closes_what_it_cuts(page):
    canvas = "#viewer .stage canvas"
    page.run("window.skullImplantReport.surfaces.arrows.visible = false")
    page.run("window.skullImplantReport.surfaces.look([0, 0, 1])")
    choose(page, "cut-axis", "axial")
    choose(page, "cut-place", "20")
    shown = page.picture(canvas)
    middle = shown[shown.shape[0] // 2, shown.shape[1] // 2].astype(int)
    # The cut face of the head: one flat color, darker than the surface that lay above it.
    around = shown[
        shown.shape[0] // 2 - 20 : shown.shape[0] // 2 + 20,
        shown.shape[1] // 2 - 20 : shown.shape[1] // 2 + 20,
    ].reshape(-1, 3)
    assert np.ptp(around.astype(int), axis=0).max() <= 2
    assert middle.max() < 225 and middle[0] > middle[2]  # bone, not background
    choose(page, "cut-axis", "none")
    assert np.ptp(page.picture(canvas).reshape(-1, 3), axis=0).max() > 50


def middle_of(picture: np.ndarray) -> np.ndarray:
    """Return the color in the middle of a picture."""
    return picture[picture.shape[0] // 2, picture.shape[1] // 2].astype(int)


def test_a_map_colors_the_implant_and_the_legend_says_what_colors_mean(page):
    page.run("window.skullImplantReport.surfaces.arrows.visible = false")
    page.run("document.getElementById('show-skull').click()")
    choose(page, "color-by", "height_mm")
    legend = page.run("return document.querySelector('#viewer .legend').innerText")
    assert "Height, mm" in legend and "0.0" in legend and "\u2265 22.0" in legend
    look = "window.skullImplantReport.surfaces.look(arguments[0], arguments[1], 100)"
    # From above the top is yellow, the end of the colors.
    page.run(look, [0, 0, 1], PLACE_MM)
    top = middle_of(page.picture("#viewer .stage canvas"))
    assert top[0] > 150 and top[1] > 150 and top[2] < 110
    # From the side, in the middle of the height, violet, their begin.
    page.run(look, [1, 0, 0.12], PLACE_MM)
    side = middle_of(page.picture("#viewer .stage canvas"))
    assert side[2] > side[1] + 25
    # From below there is nothing but points without a value: gray.
    page.run(look, [0, 0, -1], PLACE_MM)
    assert np.ptp(middle_of(page.picture("#viewer .stage canvas"))) < 12
    choose(page, "color-by", "")
    assert page.run("return document.querySelector('#viewer .legend').hidden")


def test_a_deviation_is_a_map_with_its_legend(browser, tmp_path):
    """A plate that stands 2 mm out of the other side: warm, and said to be so; none without one."""
    bent_plate = pytest.importorskip("bent_plate", reason="manifold3d is not installed")
    plate, up = bent_plate.bent_plate(), (0.0, 0.0, 1.0)
    off = deviation_mm(plate, up, [sphere(bent_plate.OUTER_MM - 2.0)])
    legends = map_legends({})
    above = [0.0, 0.0, bent_plate.OUTER_MM]
    for name, maps in (("none", {}), ("one", {FROM_OTHER_SIDE: off})):
        shown = ShownImplant(plate, above, up, maps)
        path = tmp_path / f"{name}.html"
        write_report(
            path, design(), {"preview": PNG}, shown_scene(simplified(BONE), [shown], ct(), legends)
        )
    browser.open_report(tmp_path / "none.html")
    options = "return [...document.querySelectorAll('#color-by option')].map((o) => o.value)"
    assert FROM_OTHER_SIDE not in (browser.run(options) or [])
    browser.open_report(tmp_path / "one.html")
    assert browser.run(options) == ["", FROM_OTHER_SIDE]
    choose(browser, "color-by", FROM_OTHER_SIDE)
    told = browser.run("return document.querySelector('#viewer .legend').innerText")
    for words in ("Deviation from the other side, mm", "-4", "positive stands out of the head"):
        assert words in told.replace("\u2212", "-"), told
    look = "window.skullImplantReport.surfaces.look(arguments[0], arguments[1], 100)"
    browser.run("window.skullImplantReport.surfaces.arrows.visible = false")
    browser.run(look, [0.0, 0.0, 1.0], above)
    red, green, blue = middle_of(browser.picture("#viewer .stage canvas"))
    assert red > blue + 25 and red > green
    assert browser.log("browser") == []


def test_show_goes_to_the_place_of_a_check_in_all_views(page):
    rows = page.run("return document.querySelectorAll('tr[data-place]').length")
    buttons = page.run("return document.querySelectorAll('tr button.show').length")
    assert rows == buttons == 1
    page.run("document.querySelector('tr button.show').click()")
    seen = page.run(
        "const {surfaces, slices} = window.skullImplantReport; return ["
        "surfaces.marker.visible, surfaces.marker.position.toArray(), "
        "surfaces.controls.target.toArray(), slices.place]"
    )
    assert seen[0] is True
    for place in seen[1:]:
        assert np.allclose(place, WORST_MM, atol=1e-3)
    told = page.run("return document.querySelector('#viewer .slices').innerText")
    assert "S 30.0 mm" in told and "P -12.0 mm" in told and "L 80.0 mm" in told


def test_slices_show_bone_where_it_is_and_the_implants_outline_around_it(page):
    """The axial slice through the implant's middle: the outline is a circle of its radius."""
    image = page.run("return window.skullImplantReport.header.image")
    shown = page.run(
        "const c = document.querySelectorAll('#viewer .slices canvas')[0];"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "return [c.width, c.height, Array.from(d.data)]"
    )
    width, height, data = shown
    pixels = np.array(data, np.uint8).reshape(height, width, 4)[..., :3].astype(int)
    mm = image["spacing_mm"] * max(image["size"]) / width
    # Rows go backwards, columns to the left; the image's first voxel begins half a voxel before.
    rows, columns = np.nonzero(pixels[..., 2] - pixels[..., 0] > 90)
    left = image["origin_mm"][0] + (columns + 0.5) * mm - image["spacing_mm"] / 2
    back = image["origin_mm"][1] + (rows + 0.5) * mm - image["spacing_mm"] / 2
    radius = np.hypot(left - PLACE_MM[0], back - PLACE_MM[1])
    assert len(radius) > 100
    assert abs(np.median(radius) - IMPLANT_MM) < 0.3
    assert np.percentile(np.abs(radius - IMPLANT_MM), 95) < 1.0


HOSTILE = '</script><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">'


def test_names_stay_names(browser, tmp_path):
    """What a file or a check is called cannot run, fetch, or end the page."""
    path = tmp_path / "report.html"
    values = np.linspace(0, 1, IMPLANT.GetNumberOfPoints())
    legend = MapLegend(HOSTILE, HOSTILE, MapScale(0.0, 1.0, 5, None, True), HOSTILE, HOSTILE)
    shown = ShownImplant(IMPLANT, PLACE_MM, (1.0, 0.0, 0.0), {HOSTILE: values})
    told = design(
        notes=[HOSTILE],
        checks=[check(HOSTILE, sentence=HOSTILE, place_mm=WORST_MM)],
        model={"name": HOSTILE, "sha256": HOSTILE},
    )
    write_report(path, told, {HOSTILE: PNG}, shown_scene(simplified(BONE), [shown], ct(), [legend]))
    browser.open_report(path)
    assert browser.run("return document.getElementById('viewer').dataset.state") == "ready"
    choose(browser, "color-by", HOSTILE)
    browser.run("document.querySelector('tr button.show').click()")
    assert browser.run("return window.hacked === undefined")
    assert browser.asked_for() == []
    assert "onerror" in browser.run("return document.querySelector('.legend').innerText")


def test_no_other_script_may_run(page):
    """The page's policy knows one script, whatever gets into the page."""
    page.run(
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 3';"
        "document.body.append(s);"
        "const i = new Image(); i.src = 'https://example.com/x.png'; document.body.append(i);"
    )
    assert page.run("return window.hacked === undefined")
    refused = " ".join(line["message"] for line in page.log("browser"))
    assert "Content Security Policy" in refused


def test_without_javascript_it_is_read_all_the_same(report):
    browser = Browser(javascript=False)
    try:
        browser.open(report)
        text = browser.driver.find_element("tag name", "body").text
    finally:
        browser.close()
    assert "needs JavaScript" in text and "39.03 cm³" in text and "Rim gap" in text


def test_it_prints_on_few_pages(page):
    printed = base64.b64decode(page.driver.print_page())
    assert printed.startswith(b"%PDF")
    assert 2 <= printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") <= 8
