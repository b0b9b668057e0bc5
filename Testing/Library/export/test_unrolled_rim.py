"""The rim unrolled: from the top, clockwise from outside, as long as it is, with its values."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest
from bent_plate import WIDE_MM, bent_plate

from SkullImplantLib.export.map_legends import map_legends
from SkullImplantLib.export.unrolled_rim import rim_drawing, unrolled_rim
from SkullImplantLib.implant.meshes import arrays_of

pytest.importorskip("manifold3d")
LEFT = np.array([1.0, 0.0, 0.0])  # the way out of an implant on the patient's left


@pytest.fixture(scope="module")
def rim():
    """A round plate on the left; its gap grows towards the back, in front its face stands out."""
    mesh = bent_plate(LEFT)
    points = arrays_of(mesh)[0]
    on_wall = np.hypot(points[:, 1], points[:, 2]) > WIDE_MM - 0.5
    gap = np.where(on_wall, 0.5 + (points[:, 1] + WIDE_MM) / (2 * WIDE_MM), np.nan)
    outside = np.linalg.norm(points, axis=1) > 77.5
    front = points[:, 1] < -WIDE_MM + 3
    step = np.where(on_wall & outside, np.where(front, 0.7, 0.1), np.nan)
    step[on_wall & ~outside] = -0.3
    return unrolled_rim(mesh, {"gap_mm": gap, "step_mm": step}, LEFT)


def test_it_is_as_long_as_the_rim(rim):
    assert rim.length_mm == pytest.approx(2 * np.pi * WIDE_MM, rel=0.02)
    assert np.isfinite(rim.gap_mm).mean() > 0.95


def test_it_begins_at_the_top_and_goes_clockwise_for_who_looks_from_outside(rim):
    """On the patient's left, seen from there, the face is on the left: clockwise goes backwards."""
    letters = {letter: along for along, letter in rim.letters}
    assert set(letters) == {"S", "P", "I", "A"}
    assert min(letters["S"], rim.length_mm - letters["S"]) < 3
    for letter, share in (("P", 0.25), ("I", 0.5), ("A", 0.75)):
        assert letters[letter] == pytest.approx(share * rim.length_mm, abs=3)


def test_values_stand_where_they_were_measured(rim):
    at = {letter: int(along / rim.length_mm * len(rim.gap_mm)) for along, letter in rim.letters}
    assert rim.gap_mm[at["P"]] == pytest.approx(1.5, abs=0.03)
    assert rim.gap_mm[at["A"]] == pytest.approx(0.5, abs=0.03)
    assert rim.outer_mm[at["A"]] == pytest.approx(0.7)
    assert rim.outer_mm[at["I"]] == pytest.approx(0.1)
    assert np.allclose(rim.inner_mm[np.isfinite(rim.inner_mm)], -0.3)


def test_the_drawing_is_well_formed_and_says_its_limits(rim):
    drawn = rim_drawing(rim, map_legends({}), "Rim of <one> & two")
    root = ElementTree.fromstring(drawn)
    texts = [element.text for element in root.iter() if element.text]
    assert texts[0] == "Rim of <one> & two"
    for text in ("Gap, mm (thin: the largest)", "1.0", "0.8"):
        assert text in texts
    assert "Outer step, mm (the largest)" in texts and "Inner step, mm (the largest)" in texts
    lines = [element for element in root.iter() if element.tag == "polyline"]
    assert len(lines) >= 4


def test_no_value_is_cut_off(rim):
    """A gap of 5.9 mm, far over the limit, is drawn as high as it is, as are steps."""
    far = replace(
        rim, most_gap_mm=rim.most_gap_mm.copy(), inner_mm=np.full_like(rim.inner_mm, -3.2)
    )
    far.most_gap_mm[10] = 5.9
    root = ElementTree.fromstring(rim_drawing(far, map_legends({}), "Rim"))
    texts = [element.text for element in root.iter() if element.tag == "text"]
    assert "6.0" in texts and "−4.0" in texts and "1.0" in texts
    fields = [float(box.get("y")) for box in root.iter("rect")]
    height = float(next(root.iter("rect")).get("height"))
    curves = [line.get("points").split() for line in root.iter("polyline")]
    heights = [float(point.split(",")[1]) for line in curves for point in line]
    assert min(heights) == pytest.approx(fields[0] + height * 0.1 / 6.0, abs=0.2)
    assert max(heights) == pytest.approx(fields[2] + height * 7.2 / 8.0, abs=0.2)
    limit = [float(line.get("y1")) for line in root.iter("line") if line.get("stroke-dasharray")]
    assert limit[0] == pytest.approx(fields[0] + height * 5.0 / 6.0, abs=0.2)


def test_a_design_without_maps_has_no_drawing():
    assert unrolled_rim(bent_plate(), {}, (0.0, 0.0, 1.0)) is None
