"""Read the names of the real view widgets and layout manager off their public headers.

    python read_view_api.py SLICER_TREE CTK_TREE

writes `slicer_host/view_api.json`, by the rules of `read_real_api.py`, at the same versions.
`test_views.py` checks the host's views against it.
"""

import json
import sys
from pathlib import Path

import read_real_api

VIEW_CLASSES = [
    "qMRMLSliceControllerWidget",
    "qMRMLSliceView",
    "qMRMLSliceWidget",
    "qMRMLThreeDView",
    "qMRMLThreeDViewControllerWidget",
    "qMRMLThreeDWidget",
    "qSlicerLayoutManager",
]
VIEW_API_FILE = Path(__file__).parent / "slicer_host" / "view_api.json"


def main(slicer_tree: str, ctk_tree: str) -> None:
    read_real_api.CTK_CLASSES = []
    read_real_api.SLICER_CLASSES = VIEW_CLASSES
    api = read_real_api.read_api(Path(slicer_tree), Path(ctk_tree))
    VIEW_API_FILE.write_text(json.dumps(api, indent=1) + "\n", encoding="utf-8")
    print(f"{VIEW_API_FILE}: {len(api['classes'])} classes")


if __name__ == "__main__":
    main(*sys.argv[1:])
