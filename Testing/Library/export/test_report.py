"""The report: one well-formed page with everything in it and nothing from outside."""

import base64
import re
from html.parser import HTMLParser

import pytest

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.report import report_html, write_report
from SkullImplantLib.export.report_facts import way_in_words

VOID = {"meta", "img", "br", "link"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


class Page(HTMLParser):
    """Collects text, tags and attributes, and fails on tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)

    def rows(self) -> int:
        return sum(tag == "tr" for tag, _ in self.tags)


def check(name="rim gap", passed=True, **changes) -> dict:
    found = {
        "name": name,
        "value": 0.714,
        "unit": "mm",
        "limit": 1.5,
        "comparison": "<=",
        "passed": passed,
        "sentence": "The gap is 0.7 mm.",
    }
    return {**found, **changes}


def implant(label=1, **changes) -> dict:
    found = {
        "file": "implant.stl",
        "label": label,
        "volume_cm3": 39.03,
        "area_cm2": 65.1,
        "thickness_mm": 6.0,
        "triangles": 110184,
        "size_mm_xyz": [38.6, 110.6, 73.4],
        "centre_mm_xyz": [60.0, 10.0, 20.0],
        "insertion_direction_lps": [0.8, 0.0, 0.6],
        "insertion_off_normal_deg": 17.6,
        "insertion_lost_percent": 0.26,
        "insertion_bared_rim_mm": 1.26,
        "rim_correction_mm": 1.34,
    }
    return {**found, **changes}


def design(**changes) -> dict:
    found = {
        "disclaimer": "A proposal for review by a qualified person; not a medical device.",
        "version": "1.2.3",
        "input": {"kind": "ct", "sha256": "ab" * 32, "size_xyz": [512, 512, 200]},
        "parameters": {"clearance_mm": 0.5, "bone_threshold_hu": 254.875, "thickness_mm": None},
        "model": {"name": "ch1", "sha256": "cd" * 32},
        "device": "cpu",
        "implant": {
            "volume_cm3": 39.03,
            "hole_area_cm2": 70.2,
            "triangles": 110184,
            "size_mm_xyz": [38.6, 110.6, 73.4],
        },
        "implants": [implant()],
        "checks": [
            check(),
            check("area", value=300.0, unit="cm²", limit=(5.0, 250.0), comparison="between"),
            check("pieces", value=1.0, unit="", limit=1, comparison="="),
        ],
        "passed": True,
        "notes": [],
        "stages": [
            {"name": "skull", "seconds": 2.5, "peak_memory_gib": 1.25},
            {"name": "prior", "seconds": 7.5, "peak_memory_gib": None},
        ],
    }
    return {**found, **changes}


def test_the_page_is_well_formed_and_stands_alone():
    html = report_html(design(), {"preview": PNG})
    page = Page(html)
    assert html.startswith("<!DOCTYPE html>")
    assert "<title>Cranial implant proposal</title>" in html
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "link", "iframe"} & set(tags)
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:")
    for outside in ("http:", "https:", "url(", "@import"):
        assert outside not in html
    (image,) = [attributes for tag, attributes in page.tags if tag == "img"]
    kind, content = image["src"].split(",")
    assert kind == "data:image/png;base64" and base64.b64decode(content) == PNG
    assert image["alt"]


def test_it_says_what_the_design_says():
    text = " ".join(Page(report_html(design(), {})).text)
    for part in (
        "not a medical device",
        "39.03 cm³",
        "38.6 × 110.6 × 73.4 mm",
        "0.71 mm",
        "at most 1.50 mm",
        "5 to 250 cm²",
        "exactly 1",
        "254.9 HU",
        "512 × 512 × 200",
        "ab" * 32,
        "cd" * 32,
        "10.0 s",
        "1.25 GiB",
        "unknown",
        "SkullImplant 1.2.3",
    ):
        assert part in text, part
    assert Page(report_html(design(), {})).rows() == 4 + 15 + 4 + 3 + 2 + 4


def test_names_and_numbers_are_written_as_people_write_them():
    told = design(checks=[check("way in", value=-0.062, limit=-0.05, comparison=">=")])
    text = " ".join(Page(report_html(told, {})).text)
    for part in ("Mass in PEEK", "Mass in PMMA", "Mass in titanium Ti-6Al-4V", "Way in"):
        assert part in text, part
    assert "−0.06 mm" in text and "at least −0.05 mm" in text
    assert "-0.0" not in text


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"name": "prior", "source": "prior"}, ["few adult skulls, most of them from MRI", "geom"]),
        ({"name": "fine", "source": "network"}, ["few adult skulls, most of them", "the network"]),
        ({"name": "own", "source": "network"}, ["told by its own card"]),
        ({"name": "reference", "source": "reference"}, ["the patient's own earlier bone"]),
    ],
)
def test_it_says_who_completed_the_skull_and_what_of_others_that_learnt_from(model, words):
    text = " ".join(Page(report_html(design(model={**model, "sha256": "cd" * 32}), {})).text)
    assert all(part in text for part in words)
    assert ("learnt" in text) == (model["source"] != "reference")


def test_each_implant_has_its_section_and_its_checks():
    limited = check(source="a gap of <1 mm> can be felt", place_mm=[1.0, 2.0, 3.0], kind="fit")
    several = design(
        parameters={
            "insertion_direction": None,
            "holes": [2, [1.5, 2.0, -3.0]],
            "thickness_mm": None,
        },
        implants=[implant(), implant(2, rim_correction_mm=None)],
        checks=[{**limited, "implant": 1}, {**limited, "implant": 2}],
    )
    html = report_html(several, {})
    text = " ".join(Page(html).text)
    for part in (
        "All implants",
        "Limit: a gap of <1 mm> can be felt.",
        "as the bone that is",
        "2, (1.5, 2, -3)",
        "on which least",
    ):
        assert part in text, part
    for number in (1, 2):
        assert (
            html.count(f">Implant {number}</th>") == html.count(f"<h2>Implant {number}</h2>") == 1
        )
    assert text.count("to the left, upwards (0.80, 0.00, 0.60; LPS)") == 2
    assert "up to 1.3 mm" in text and "unknown" in text
    single = report_html(design(), {})
    one = " ".join(Page(single).text)
    assert ">Implant 1<" not in single and "Area of the hole" in one and "0.3 %" in one


def test_a_design_of_the_first_version_has_its_report():
    old = design()
    del old["implants"]
    text = " ".join(Page(report_html(old, {})).text)
    assert "39.03 cm³" in text and "Comes out" not in text


def test_holes_through_the_implant_are_told_in_words():
    drill = {
        "perforation_mm": 4.0,
        "perforation_pitch_mm": 15.0,
        "perforation_from_rim_mm": 8.0,
        "suture_holes": 6,
        "suture_hole_mm": 2.0,
        "suture_from_rim_mm": 5.0,
    }
    text = " ".join(Page(report_html(design(parameters={"drill": drill}), {})).text)
    assert "perforations of 4 mm every 15 mm, 8 mm and more from the rim" in text
    assert "6 suture holes of 2 mm, 5 mm from the rim" in text
    drill |= {"perforation_mm": None, "suture_holes": 0}
    html = report_html(design(parameters={"drill": drill}), {})
    assert "<th>Drilled</th><td>nothing</td>" in html


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        ((0.0, -1.0, 0.0), "forwards (0.00, −1.00, 0.00; LPS)"),
        ((-0.9, 0.1, -0.42), "to the right, downwards (−0.90, 0.10, −0.42; LPS)"),
        ((0.577, 0.577, 0.578), "upwards, to the left, backwards (0.58, 0.58, 0.58; LPS)"),
    ],
)
def test_the_way_in_is_told_in_words(direction, words):
    assert way_in_words(direction) == words


@pytest.mark.parametrize(
    ("failing", "verdict"),
    [
        (0, "All 3 checks passed."),
        (1, "2 of 3 checks passed; 1 check asks for a look."),
        (2, "1 of 3 checks passed; 2 checks ask for a look."),
    ],
)
def test_the_verdict_counts_the_checks(failing, verdict):
    checks = [check(passed=number >= failing) for number in range(3)]
    html = report_html(design(checks=checks), {})
    assert verdict in html
    assert html.count(">look</span>") == failing
    assert html.count(">pass</span>") == 3 - failing


def test_text_from_outside_is_no_markup():
    bad = '<script>alert("x")</script> & <b>'
    html = report_html(
        design(
            notes=[bad],
            checks=[check(sentence=bad)],
            input={"description": bad},
            model={"name": bad, "sha256": None},
        ),
        {bad: PNG},
    )
    page = Page(html)
    assert not any(tag == "script" for tag, _ in page.tags)
    assert "".join(page.text).count(bad) == 4


def test_notes_appear_only_where_there_are_some():
    assert "<h2>Notes</h2>" not in report_html(design(), {})
    html = report_html(design(notes=["One hole stays open.", "The neck was cut."]), {})
    assert re.findall(r"<li>(.*?)</li>", html) == ["One hole stays open.", "The neck was cut."]


def test_it_is_written_whole_or_not_at_all(tmp_path):
    write_report(tmp_path / "report.html", design(), {"preview": PNG})
    assert (tmp_path / "report.html").read_text("utf-8") == report_html(design(), {"preview": PNG})
    with pytest.raises(SkullImplantError, match="Cannot write"):
        write_report(tmp_path / "missing" / "report.html", design(), {})
    broken = design()
    del broken["checks"]
    with pytest.raises(KeyError):
        write_report(tmp_path / "other.html", broken, {})
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_expected_error_and_its_reasons_are_told():
    told = {"expected_hd95_mm": 5.13, "flagged": True, "reasons": ["The brow is <thin>."]}
    html = report_html(design(confidence=told), {})
    assert "5.13 mm" in html and "The brow is &lt;thin&gt;." in html
    assert "Expected error" not in report_html(design(), {})
