"""What Slicer imports when it starts and finds the module: only what every Slicer brings along."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cmake_lists import EXTENSION

MODULE_FOLDER = EXTENSION / "SkullImplant"
LIBRARY_FOLDER = EXTENSION / "SkullImplantLib"

AT_START_OF_SLICER = {"vtk", "slicer"}
# Slicer 5.12 brings these along; torch comes later, through the PyTorch extension.
IN_EVERY_SLICER = AT_START_OF_SLICER | {
    "qt", "ctk", "numpy", "SimpleITK", "scipy", "pydicom", "PIL", "vtkmodules",
}  # fmt: skip
# Where our own modules are found: beside the module's file, and beside the library.
IMPORT_FOLDERS = (MODULE_FOLDER, EXTENSION)


def executed_on_import(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run when a file is imported: those outside of functions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def imported_names(path: Path) -> set[str]:
    """Return the full names of what a file imports on import, submodules and names alike."""
    names: set[str] = set()
    for node in executed_on_import(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
            continue
        base = node.module or ""
        if node.level:
            folder = next(f for f in IMPORT_FOLDERS if path.is_relative_to(f))
            package = path.relative_to(folder).parts[: -node.level]
            base = ".".join([*package, *filter(None, [base])])
        names.update({base, *(f"{base}.{alias.name}" for alias in node.names)})
    return names


def own_files(name: str) -> list[Path]:
    """Return our files that importing a name runs: of the packages around it, and its own."""
    parts = name.split(".")
    stems = [
        folder.joinpath(*parts[:n]) for folder in IMPORT_FOLDERS for n in range(1, len(parts) + 1)
    ]
    candidates = [
        file for stem in stems for file in (stem / "__init__.py", stem.with_suffix(".py"))
    ]
    return [file for file in candidates if file.is_file()]


def reached_from(path: Path) -> dict[str, list[str]]:
    """Return the foreign top-level modules that importing a file runs, and our files that do so."""
    reached: dict[str, list[str]] = {}
    seen, waiting = {path}, [path]
    while waiting:
        file = waiting.pop()
        for name in imported_names(file):
            ours = own_files(name)
            waiting.extend(f for f in ours if f not in seen)
            seen.update(ours)
            top = name.partition(".")[0]
            if not ours and top not in sys.stdlib_module_names:
                reached.setdefault(top, []).append(file.relative_to(EXTENSION).as_posix())
    return reached


def module_files() -> list[Path]:
    return sorted(MODULE_FOLDER.rglob("*.py"))


def test_the_modules_own_file_imports_little():
    """Slicer imports it whenever it starts, with all of our files that it imports in turn."""
    assert set(reached_from(MODULE_FOLDER / "SkullImplant.py")) <= AT_START_OF_SLICER


@pytest.mark.parametrize(
    "path", module_files(), ids=lambda p: p.relative_to(MODULE_FOLDER).as_posix()
)
def test_importing_the_module_reaches_only_what_every_slicer_has(path):
    strangers = {
        name: files for name, files in reached_from(path).items() if name not in IN_EVERY_SLICER
    }
    assert not strangers


def test_what_is_reached_is_found_through_our_own_files():
    package = LIBRARY_FOLDER / "sparse" / "__init__.py"
    importing = reached_from(package)["torch"]
    assert "SkullImplantLib/sparse/tensor.py" in importing
    assert package.relative_to(EXTENSION).as_posix() not in importing


def test_the_library_knows_nothing_of_slicer():
    for path in sorted(LIBRARY_FOLDER.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        everywhere = {
            alias.name if isinstance(node, ast.Import) else node.module or ""
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        tops = {name.partition(".")[0] for name in everywhere}
        assert not tops & {"slicer", "qt", "ctk"}, path


def test_an_import_inside_a_function_is_not_executed_on_import(tmp_path):
    file = tmp_path / "lazy.py"
    file.write_text(
        "import json\n"
        "try:\n    import yaml\nexcept ImportError:\n    yaml = None\n"
        "class A:\n    import csv\n"
        "    def f(self):\n        import torch\n"
    )
    assert imported_names(file) == {"json", "yaml", "csv"}
