"""The report's interactive part as HTML: the scene, the script that shows it, and who may run.

The page's policy lets nothing be fetched, and no script run but the one that is part of it: a name
in the page cannot become one. Without JavaScript or WebGL a sentence says that pictures follow.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).resolve().parents[1] / "resources" / "report-viewer.js"
OFF = "The 3-D view needs JavaScript, which is off here; the pictures below show the same."
STYLE = """
#viewer[hidden] { display: none; }
#viewer .stage { position: relative; height: 560px; background: #e9edf0;
  border: 1px solid var(--line); }
#viewer .stage canvas { display: block; width: 100%; height: 100%; touch-action: none; }
#viewer .stage canvas:focus-visible { outline: 3px solid var(--teal); outline-offset: -3px; }
#viewer .legend { position: absolute; left: 12px; bottom: 12px; width: 240px; padding: 8px 12px;
  background: rgba(255, 255, 255, 0.92); border: 1px solid var(--line); font-size: 13px; }
#viewer .legend[hidden] { display: none; }
#viewer .bar-of-colors { height: 12px; margin: 5px 0 2px; }
#viewer .ticks { display: flex; justify-content: space-between;
  font-variant-numeric: tabular-nums; }
#viewer .remark { color: var(--faint); font-size: 12px; }
#viewer .controls { display: flex; flex-wrap: wrap; gap: 8px 14px; margin: 10px 0 0; }
#viewer fieldset { min-width: 0; margin: 0; padding: 4px 10px 8px; border: 1px solid var(--line); }
#viewer fieldset > legend { color: var(--faint); font-size: 12px; font-weight: 600; }
#viewer .buttons { display: flex; flex-wrap: wrap; gap: 4px; margin-bottom: 4px; }
#viewer button, tr button.show, #viewer select { font: inherit; font-size: 13px; padding: 3px 9px;
  border: 1px solid #b9c2ca; border-radius: 4px; background: #f7f9fa; color: var(--ink);
  cursor: pointer; }
#viewer label { display: inline-flex; align-items: center; gap: 6px; font-size: 14px; }
#viewer .part { display: flex; align-items: center; justify-content: space-between; gap: 12px; }
#viewer .swatch { width: 12px; height: 12px; border: 1px solid #8a949c; }
#viewer input[type="range"] { width: 120px; }
#viewer .slices { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px; }
#viewer .slices figure { margin: 10px 0 0; }
#viewer .slices canvas { display: block; width: 100%; background: #000; }
#viewer .slices input[type="range"] { width: 100%; }
#viewer figcaption { font-size: 13px; color: var(--faint); font-variant-numeric: tabular-nums; }
@media (max-width: 720px) { #viewer .stage { height: 360px; }
  #viewer .slices { grid-template-columns: 1fr; } }
@media print { #viewer .controls, #viewer input, tr button.show { display: none; }
  #viewer .stage { height: 420px; break-inside: avoid; }
  #viewer .stage canvas { object-fit: contain; } #viewer-off { display: none; } }
"""


@cache
def _script() -> str:
    return SCRIPT.read_text(encoding="ascii")


def policy() -> str:
    """Return the `Content-Security-Policy` of a page with the viewer."""
    digest = hashlib.sha256(_script().encode("ascii")).digest()
    allowed = base64.b64encode(digest).decode("ascii")
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )


def viewer_html(header: Mapping[str, Any], content: bytes) -> str:
    """Return the part of the page that shows a scene (`shown_scene`)."""
    # A closing tag within would end the element early; JSON may write its bracket as an escape.
    told = json.dumps(header, allow_nan=False).replace("<", "\\u003c")
    packed = base64.b64encode(content).decode("ascii")
    return (
        "<h2>In 3-D</h2>\n"
        f'<p class="faint" id="viewer-off">{OFF}</p>\n'
        '<section id="viewer" hidden></section>\n'
        f'<script type="application/json" id="scene-header">{told}</script>\n'
        f'<script type="application/gzip" id="scene-bytes">{packed}</script>\n'
    )


def script_html() -> str:
    """Return the script, for the end of the page."""
    return f"<script>{_script()}</script>"
