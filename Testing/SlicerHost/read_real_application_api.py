"""Read the names of Slicer's application, managers and modules off their public headers.

    python read_real_application_api.py SLICER_TREE

writes `slicer_host/real_application_api.json`, in the form of `real_api.json` (`read_real_api.py`
does the reading), with the methods that Slicer's PythonQt decorators add as `decorators`.
`test_host.py` checks `slicer.app` and what belongs to it against the list.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
from pathlib import Path

from read_real_api import SLICER_SOURCE, find_header, read_class

CLASSES = (
    "qSlicerApplication",
    "qSlicerCoreApplication",
    "qSlicerModuleManager",
    "qSlicerModuleFactoryManager",
    "qSlicerAbstractModuleFactoryManager",
    "qSlicerCoreIOManager",
    "qSlicerScriptedLoadableModule",
    "qSlicerLoadableModule",
    "qSlicerAbstractModule",
    "qSlicerAbstractCoreModule",
    "qSlicerScriptedLoadableModuleWidget",
    "qSlicerAbstractModuleWidget",
    "qSlicerAbstractModuleRepresentation",
)
DECORATORS = ("qSlicerBaseQTCorePythonQtDecorators", "qSlicerBaseQTGUIPythonQtDecorators")


def decorated_methods(text: str, class_name: str) -> list[str]:
    """Names that a decorator header adds to the class: static ones, and those of its objects."""
    static = re.findall(rf"\bstatic_{class_name}_(\w+)\s*\(", text)
    of_objects = re.findall(rf"\b(\w+)\s*\(\s*{class_name}\s*\*", text)
    return sorted(set(static + of_objects))


def read_application_api(tree: Path) -> dict[str, object]:
    """The whole list."""
    base = tree / "Base"
    decorators = [find_header(name, [base]).read_text(encoding="utf-8") for name in DECORATORS]
    classes = {}
    for name in CLASSES:
        entry = _read_without_strings(name, find_header(name, [base]))
        found = {method for text in decorators for method in decorated_methods(text, name)}
        classes[name] = {**entry, "decorators": sorted(found)}
    return {"source": [SLICER_SOURCE], "classes": classes}


def _read_without_strings(class_name: str, header: Path) -> dict[str, object]:
    """`read_class`, where a "//" in a string would be taken for a comment."""
    text = re.sub(r'"[^"\n]*"', '""', header.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / header.name
        copy.write_text(text, encoding="utf-8")
        return read_class(class_name, copy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("slicer_tree", type=Path, help=f"Slicer at {SLICER_SOURCE['commit']}")
    api = read_application_api(parser.parse_args().slicer_tree)
    output = Path(__file__).parent / "slicer_host" / "real_application_api.json"
    output.write_text(json.dumps(api, indent=1) + "\n", encoding="utf-8")
    print(f"{output}: {len(api['classes'])} classes")


if __name__ == "__main__":
    main()
