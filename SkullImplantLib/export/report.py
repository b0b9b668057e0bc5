"""The report: one HTML file with everything in it, to read on screen or print, and to file.

It holds what `design.json` holds, in the order of a reviewer's questions: what is this, what does
it look like, what needs a look, how large is it, how was it made. It holds no patient's data.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..completion.trust import MIRRORED, REFERENCE
from ..core.files import atomic_path

TITLE = "Cranial implant proposal"
SIGNS = {"<=": "at most", ">=": "at least", "=": "exactly"}
# Names that a reader knows better than the keys of `design.json`.
LABELS = {
    "volume_cm3": "Volume",
    "area_cm2": "Area",
    "hole_area_cm2": "Area of the hole",
    "triangles": "Triangles of the mesh",
    "size_mm_xyz": "Bounding box (x, y, z)",
    "size_xyz": "Voxels (x, y, z)",
    "spacing_mm_xyz": "Voxel size (x, y, z)",
    "sha256": "SHA-256",
    "bone_threshold_hu": "Bone threshold",
    "leave_out_metal": "Metal on the vault left out",
    "refine_mm": "Skull refined to voxels of",
    "clearance_mm": "Clearance, in place and on the way in",
    "thickness_mm": "Thickness asked for",
    "least_wall_mm": "Least wall",
    "insertion_direction": "Way in asked for (x, y, z; LPS)",
    "holes": "Holes asked for",
    "split_gap_mm": "Split in two with a gap of",
    "bevel_mm": "Bevel of the outer edge",
    "drill": "Drilled",
    "leave_out": "Bone left out",
    "limit_to": "Limited to the inside of curves",
    "cut_out": "Taken for a hole within curves",
}
# Of the parameters that are none, what is done instead.
INSTEAD = {
    "leave_out_metal": "no",
    "refine_mm": "as it came",
    "thickness_mm": "as the bone that is missing",
    "insertion_direction": "the one on which least is lost",
    "holes": "every hole of 4 cm² and more",
    "split_gap_mm": "not split",
    "bevel_mm": "none; edges are rounded",
}
PLACES = ("insertion_direction", "holes")  # lists that are no sizes
# The way that an implant comes out, by the axis (LPS) that it follows most.
WAYS = (("to the right", "to the left"), ("forwards", "backwards"), ("downwards", "upwards"))
# Of a direction, an axis counts in words from this share of its length on: 25 degrees.
COUNTS_FROM = 0.42
UNITS = {"cm3": "cm³", "cm2": "cm²", "mm": "mm", "hu": "HU"}
STYLE = """
:root { --ink: #22282e; --faint: #66707a; --line: #d9dee3; --good: #1c7c4a; --look: #a85b00;
  --teal: #0f7f8a; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef1f3; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 40px 48px; background: #fff; }
h1 { margin: 0; font-size: 28px; letter-spacing: -0.01em; }
h2 { margin: 36px 0 10px; font-size: 18px; border-bottom: 2px solid var(--teal);
  padding-bottom: 4px; }
p { margin: 6px 0; }
.faint { color: var(--faint); }
.disclaimer { margin: 16px 0; padding: 10px 14px; border-left: 5px solid var(--look);
  background: #fff6e8; font-weight: 600; }
.verdict { padding: 10px 14px; border-left: 5px solid var(--good); background: #edf8f1; }
.verdict.look { border-color: var(--look); background: #fff6e8; }
figure { margin: 18px 0 0; }
img { display: block; width: 100%; height: auto; border: 1px solid var(--line); }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
th { font-weight: 600; color: var(--faint); font-size: 13px; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.sign { display: inline-block; padding: 0 9px; border-radius: 11px; color: #fff; font-size: 13px;
  font-weight: 600; white-space: nowrap; }
.pass { background: var(--good); }
.source { color: var(--faint); font-size: 12px; }
.group th { color: var(--ink); padding-top: 14px; }
.attention { background: var(--look); }
section th { width: 42%; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 0 40px; }
.hash { font: 12px/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.bar { height: 10px; min-width: 2px; background: var(--teal); border-radius: 2px; }
@media (max-width: 720px) { main { padding: 20px; } .columns { grid-template-columns: 1fr; } }
@page { size: A4; margin: 14mm; }
@media print { body { background: #fff; font-size: 11px; } main { padding: 0; max-width: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { break-after: avoid; } tr, figure, img { break-inside: avoid; } }
"""


def write_report(path: Path, design: Mapping[str, Any], pictures: Mapping[str, bytes]) -> None:
    """Write the report of a design, whole or not at all.

    design: the contents of `design.json`. pictures: PNG files by name, shown in their order; may be
    empty. Raises `SkullImplantError` where the folder cannot be written.
    """
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(report_html(design, pictures), encoding="utf-8")


def report_html(design: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """Return the report as HTML that refers to nothing outside of itself; see `write_report`."""
    disclaimer = escape(str(design["disclaimer"]))
    parts = [
        f"<h1>{TITLE}</h1>",
        f'<p class="faint">SkullImplant {escape(str(design["version"]))}</p>',
        f'<p class="disclaimer" role="note">{disclaimer}</p>',
        _verdict(design["checks"]),
        _confidence(design.get("confidence")),
        _notes(design["notes"]),
        *(_figure(name, content) for name, content in pictures.items()),
        "<h2>Checks</h2>",
        _checks(design["checks"]),
        '<div class="columns">',
        *_implants(design["implant"], design.get("implants", [])),
        _section("Parameters", _parameters({**design["parameters"], "device": design["device"]})),
        _section("Input", _facts(design["input"])),
        _section("Model", _facts(design["model"])),
        "</div>",
        "<h2>Time and memory</h2>",
        _stages(design["stages"]),
        f'<p class="disclaimer">{disclaimer}</p>',
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def _verdict(checks: Iterable[Mapping[str, Any]]) -> str:
    """Return the line that says whether something needs a look."""
    verdicts = [bool(check["passed"]) for check in checks]
    passed = sum(verdicts)
    if passed == len(verdicts):
        return f'<p class="verdict">All {passed} checks passed.</p>'
    asking = len(verdicts) - passed
    ask = "1 check asks" if asking == 1 else f"{asking} checks ask"
    return (
        f'<p class="verdict look">{passed} of {len(verdicts)} checks passed; {ask} for a look.</p>'
    )


def _confidence(told: Mapping[str, Any] | None) -> str:
    """Return what error is to be expected, and why; nothing where nobody knows it."""
    if not told:
        return ""
    kind = "verdict look" if told["flagged"] else "verdict"
    reasons = " ".join(escape(reason) for reason in told["reasons"])
    if told.get("source") == MIRRORED:
        return f'<p class="{kind}">{reasons}</p>'
    basis = (
        "by what the registration of the reference leaves on intact bone, and half a voxel"
        if told.get("source") == REFERENCE
        else "which half of such designs stay below"
    )
    return (
        f'<p class="{kind}">Expected error: {_quantity(told["expected_hd95_mm"], "mm")} (HD95, '
        f"{basis}). {reasons}</p>"
    )


def _notes(notes: Iterable[str]) -> str:
    """Return the warnings of the stages as a list; nothing where there are none."""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<h2>Notes</h2>\n<ul>{items}</ul>" if items else ""


def _figure(name: str, content: bytes) -> str:
    """Return a picture with its bytes inside the page."""
    encoded = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><img alt="{escape(name)}: the implant in the skull, '
        f'and slices through it" src="data:image/png;base64,{encoded}"></figure>'
    )


def _checks(checks: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of checks, grouped by implant where there are several; each verdict is a
    word as well as a colour.
    """
    rows, group = [], None
    for check in checks:
        if check.get("implant") != group:
            group = check["implant"]
            rows.append(f'<tr class="group"><th colspan="5">Implant {group}</th></tr>')
        kind, word = ("pass", "pass") if check["passed"] else ("attention", "look")
        source = escape(str(check.get("source", "")))
        rows.append(
            f'<tr><td><span class="sign {kind}">{word}</span></td>'
            f"<td>{escape(str(check['name']).capitalize())}</td>"
            f'<td class="number">{_quantity(check["value"], check["unit"])}</td>'
            f'<td class="number">{_limit(check)}</td>'
            f"<td>{escape(str(check['sentence']))}"
            + (f'<br><span class="source">Limit: {source}.</span>' if source else "")
            + "</td></tr>"
        )
    head = (
        '<tr><th></th><th>Criterion</th><th class="number">Value</th>'
        '<th class="number">Limit</th><th>In words</th></tr>'
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _implants(together: Mapping[str, Any], implants: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a section for each implant; of an older design, which knows one and no way in, one."""
    whole = {"thickness_mm": "Mean thickness"}
    if len(implants) != 1:
        title = "All implants" if implants else "Implant"
        yield _section(title, _facts(together, whole))
    for implant in implants:
        hole = {"hole_area_cm2": together.get("hole_area_cm2")} if len(implants) == 1 else {}
        facts = {
            "file": implant["file"],
            **{key: implant[key] for key in ("volume_cm3", "area_cm2", "thickness_mm")},
            **hole,
            **{key: implant[key] for key in ("triangles", "size_mm_xyz")},
        }
        correction_mm = implant["rim_correction_mm"]
        bared_mm = implant.get("insertion_bared_rim_mm", 0.0)
        told = {
            "Comes out": way_in_words(implant["insertion_direction_lps"]),
            "Off the mean normal": f"{implant['insertion_off_normal_deg']:.0f}°",
            "Taken away so that it goes in": f"{implant['insertion_lost_percent']:.1f} %",
            "Outer rim bared for that": f"up to {bared_mm:.1f} mm",
            "Bent to be flush at the rim": (
                "unknown" if correction_mm is None else f"up to {correction_mm:.1f} mm"
            ),
        }
        title = "Implant" if len(implants) == 1 else f"Implant {implant['label']}"
        yield _section(title, _facts({**facts, **told}, whole))


def way_in_words(direction_lps: Sequence[float]) -> str:
    """Return the direction (unit vector, LPS) along which an implant comes out, in words, the axis
    that it follows most first, with its numbers.
    """
    order = sorted(range(3), key=lambda axis: -abs(direction_lps[axis]))
    words = [
        WAYS[axis][direction_lps[axis] > 0.0]
        for axis in order
        if abs(direction_lps[axis]) >= COUNTS_FROM
    ]
    numbers = ", ".join(f"{along:.2f}" for along in direction_lps)
    return f"{', '.join(words)} ({numbers}; LPS)"


def _limit(check: Mapping[str, Any]) -> str:
    limit, unit = check["limit"], check["unit"]
    if check["comparison"] == "between":
        return f"{_number(limit[0])} to {_quantity(limit[1], unit)}"
    return f"{SIGNS[check['comparison']]} {_quantity(limit, unit)}"


def _quantity(value: float, unit: str) -> str:
    return f"{_number(value)} {escape(unit)}".strip()


def _number(value: float) -> str:
    """Return a number with as many decimals as a reader can use."""
    return f"{value:.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.2f}"


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}</section>"


def _parameters(parameters: Mapping[str, Any]) -> str:
    """Return the parameters as a table; what was not asked for says what is done instead."""
    told = {
        key: INSTEAD[key] if key in INSTEAD and not value else value
        for key, value in parameters.items()
    }
    drilled = {"drill": _drilled(parameters["drill"])} if "drill" in parameters else {}
    return _facts({**told, **drilled})


def _drilled(drill: Mapping[str, Any]) -> str:
    """Return the holes through the implant that were asked for, in words."""
    told = []
    if drill["perforation_mm"]:
        told.append(
            f"perforations of {drill['perforation_mm']:g} mm every "
            f"{drill['perforation_pitch_mm']:g} mm, "
            f"{drill['perforation_from_rim_mm']:g} mm and more from the rim"
        )
    if drill["suture_holes"]:
        told.append(
            f"{drill['suture_holes']} suture holes of {drill['suture_hole_mm']:g} mm, "
            f"{drill['suture_from_rim_mm']:g} mm from the rim"
        )
    return "; ".join(told) or "nothing"


def _facts(facts: Mapping[str, Any], labels: Mapping[str, str] = LABELS) -> str:
    """Return names and values as a table; units are taken from the keys, which state them."""
    rows = []
    for key, value in facts.items():
        label = labels.get(key) or LABELS.get(key, key.replace("_", " ").capitalize())
        kind = ' class="hash"' if key == "sha256" else ""
        rows.append(f"<tr><th>{escape(label)}</th><td{kind}>{escape(_text(key, value))}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _text(key: str, value: Any) -> str:
    """Return a value of `design.json` for people."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{LABELS.get(name, name)} {_text(name, value[name])}" for name in value)
    if key in PLACES and not isinstance(value, str):
        return ", ".join(
            f"({_text(key, item)})" if isinstance(item, (list, tuple)) else f"{item:g}"
            for item in value
        )
    unit = next((UNITS[word] for word in key.split("_") if word in UNITS), "")
    if isinstance(value, (list, tuple)):
        return " × ".join(_text("", item) for item in value) + (f" {unit}" if unit else "")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    number = str(value) if isinstance(value, int) else f"{value:.4g}"
    return f"{number} {unit}".strip()


def _stages(stages: Iterable[Mapping[str, Any]]) -> str:
    """Return where the time went: seconds with a bar, and the memory's peak."""
    stages = list(stages)
    longest = max((stage["seconds"] for stage in stages), default=0.0) or 1.0
    rows = []
    for stage in stages:
        peak = stage["peak_memory_gib"]
        rows.append(
            f"<tr><td>{escape(stage['name'].capitalize())}</td>"
            f'<td class="number">{stage["seconds"]:.1f} s</td>'
            f'<td style="width: 45%"><div class="bar" '
            f'style="width: {100 * stage["seconds"] / longest:.0f}%"></div></td>'
            f'<td class="number">{"unknown" if peak is None else f"{peak:.2f} GiB"}</td></tr>'
        )
    total = sum(stage["seconds"] for stage in stages)
    rows.append(
        f'<tr><th>Together</th><td class="number"><b>{total:.1f} s</b></td><td></td><td></td></tr>'
    )
    head = (
        '<tr><th>Stage</th><th class="number">Time</th><th></th>'
        '<th class="number">Peak memory</th></tr>'
    )
    return f"<table>{head}{''.join(rows)}</table>"
