"""The report: one HTML file with everything in it, to read on screen or print, and to file.

It holds what `design.json` holds, in the order of a reviewer's questions: what is this, what does
it look like, what needs a look, how large is it, how was it made. It holds no patient's data.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..completion.trust import MIRRORED, REFERENCE
from ..core.files import atomic_path
from .report_facts import (
    capital,
    implant_sections,
    input_table,
    model_table,
    parameters_table,
    quantity,
    readable,
    section,
)
from .report_viewer import STYLE as VIEWER_STYLE
from .report_viewer import policy, script_html, viewer_html

# The header and the bytes of a scene (`shown_scene`).
Scene = tuple[Mapping[str, Any], bytes]

TITLE = "Cranial implant proposal"
SIGNS = {"<=": "at most", ">=": "at least", "=": "exactly"}
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
th { font-weight: 600; color: var(--faint); font-size: 0.87em; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.sign { display: inline-block; padding: 0 9px; border-radius: 11px; color: #fff; font-size: 0.87em;
  font-weight: 600; white-space: nowrap; }
.pass { background: var(--good); }
.source { color: var(--faint); font-size: 0.8em; }
.group th { color: var(--ink); padding-top: 14px; }
.attention { background: var(--look); }
section th { width: 42%; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 0 40px; }
.hash { font: 0.8em/1.4 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.bar { height: 10px; min-width: 2px; background: var(--teal); border-radius: 2px; }
@media screen and (max-width: 720px) { main { padding: 20px; }
  .columns { grid-template-columns: minmax(0, 1fr); }
  .checks tr { display: grid; grid-template-columns: auto 1fr auto; gap: 0 10px; padding: 6px 0;
    border-bottom: 1px solid var(--line); }
  .checks tr:first-child { display: none; }
  .checks td, .checks th { border: 0; padding: 2px 0; }
  .checks td:nth-child(4), .checks td:last-child { grid-column: 1 / -1; }
  .checks td:nth-child(4)::before { content: "Limit: "; color: var(--faint); }
  .checks td.number:nth-child(4) { text-align: left; }
  .stages th, .stages td { padding: 6px 4px; } }
@page { size: A4; margin: 14mm; }
@media print { body { background: #fff; font-size: 11px; } main { padding: 0; max-width: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { break-after: avoid; } tr, figure, img { break-inside: avoid; } }
"""


def write_report(
    path: Path,
    design: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    scene: Scene | None = None,
    rims: Sequence[str] = (),
) -> None:
    """Write the report of a design, whole or not at all.

    design: the contents of `design.json`. pictures: PNG files by name, shown in their order; may be
    empty. scene: what is shown in 3-D, if anything is. rims: drawings of each implant's rim, SVG.
    Raises `SkullImplantError` where the folder
    cannot be written.
    """
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(report_html(design, pictures, scene, rims), encoding="utf-8")


def report_html(
    design: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    scene: Scene | None = None,
    rims: Sequence[str] = (),
) -> str:
    """Return the report as HTML that refers to nothing outside of itself; see `write_report`."""
    disclaimer = escape(str(design["disclaimer"]))
    parameters = {**design["parameters"], "device": design["device"]}
    parts = [
        f"<h1>{TITLE}</h1>",
        f'<p class="faint">SkullImplant {escape(str(design["version"]))}</p>',
        f'<p class="disclaimer" role="note">{disclaimer}</p>',
        _verdict(design["checks"]),
        _confidence(design.get("confidence")),
        _notes(design["notes"]),
        viewer_html(*scene) if scene else "",
        *(_figure(name, content) for name, content in pictures.items()),
        "<h2>The rim, unrolled</h2>" if rims else "",
        *(f"<figure>{drawing}</figure>" for drawing in rims),
        "<h2>Checks</h2>",
        _checks(design["checks"]),
        '<div class="columns">',
        *implant_sections(design["implant"], design.get("implants", [])),
        section("Parameters", parameters_table(parameters)),
        section("Input", input_table(design["input"])),
        section("Model", model_table(design["model"])),
        "</div>",
        "<h2>Time and memory</h2>",
        _stages(design["stages"]),
        f'<p class="disclaimer">{disclaimer}</p>',
    ]
    style = STYLE + (VIEWER_STYLE if scene else "")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n"
        + (script_html() if scene else "")
        + "\n</body>\n</html>\n"
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
        f'<p class="{kind}">Expected error: {quantity(told["expected_hd95_mm"], "mm")} (HD95, '
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
        place = check.get("place_mm")
        where = f' data-place="{",".join(f"{along:.2f}" for along in place)}"' if place else ""
        rows.append(
            f'<tr{where}><td><span class="sign {kind}">{word}</span></td>'
            f"<td>{escape(capital(str(check['name'])))}</td>"
            f'<td class="number">{quantity(check["value"], check["unit"])}</td>'
            f'<td class="number">{_limit(check)}</td>'
            f"<td>{escape(str(check['sentence']))}"
            + (f'<br><span class="source">Limit: {source}.</span>' if source else "")
            + "</td></tr>"
        )
    head = (
        '<tr><th></th><th>Criterion</th><th class="number">Value</th>'
        '<th class="number">Limit</th><th>In words</th></tr>'
    )
    return f'<table class="checks">{head}{"".join(rows)}</table>'


def _limit(check: Mapping[str, Any]) -> str:
    limit, unit = check["limit"], check["unit"]
    if check["comparison"] == "between":
        return f"{readable(limit[0])} to {quantity(limit[1], unit)}"
    return f"{SIGNS[check['comparison']]} {quantity(limit, unit)}"


def _stages(stages: Iterable[Mapping[str, Any]]) -> str:
    """Return where the time went: seconds with a bar, and the memory's peak."""
    stages = list(stages)
    longest = max((stage["seconds"] for stage in stages), default=0.0) or 1.0
    rows = []
    for stage in stages:
        peak = stage["peak_memory_gib"]
        rows.append(
            f"<tr><td>{escape(capital(stage['name']))}</td>"
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
    return f'<table class="stages">{head}{"".join(rows)}</table>'
