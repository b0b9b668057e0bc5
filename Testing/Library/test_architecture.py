"""Who may import whom: the library knows no Slicer, and its rooms' arrows run downward only."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import SkullImplantLib

LIBRARY = Path(SkullImplantLib.__file__).parent
FILES = sorted(LIBRARY.rglob("*.py"))
APPLICATION = {"slicer", "qt", "ctk", "PythonQt", "mrml"}
# What design.py tells one after the other; they hand nothing to one another themselves.
VERBS = {
    "skull", "symmetry", "prior", "completion", "implant", "left_out", "rearrangement", "surface",
    "checks", "export",
}  # fmt: skip
ABOVE_DESIGN = {"cli", "commands", "edited", "evaluation", "results", "watch"}


def name_of(path: Path) -> str:
    """`networks.weights` for `networks/weights.py`, `sparse` for `sparse/__init__.py`."""
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path: Path) -> Iterator[str]:
    """Yield what a file imports, anywhere in it; its own library's rooms as `.room`. What is there
    for type checkers alone does not count.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = [
        node
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and getattr(guard.test, "id", "") == "TYPE_CHECKING"
        for node in ast.walk(guard)
    ]
    package = [*path.relative_to(LIBRARY).parent.parts]
    for node in ast.walk(tree):
        if node in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ("." + ".".join([*base, str(name)]) for name in names)


def rooms_of(path: Path) -> set[str]:
    """Return the rooms of the library, by their first name, that a file imports."""
    return {name.split(".")[1] for name in imports_of(path) if name.startswith(".")}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_imports_the_application(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports_of(path)} & APPLICATION


def test_imports_are_seen_as_they_are() -> None:
    assert {".design", ".images", "numpy"} <= set(imports_of(LIBRARY / "commands.py"))
    assert ".networks.autoencoder" in set(imports_of(LIBRARY / "networks" / "weights.py"))
    assert "sparse" in rooms_of(LIBRARY / "networks" / "weights.py")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_arrows_run_downward(path: Path) -> None:
    room, used = name_of(path).split(".")[0], rooms_of(path)
    if room in VERBS:
        assert not used & (VERBS - {room} | ABOVE_DESIGN | {"design", "training"})
    if room == "design":
        assert not used & (ABOVE_DESIGN | {"training"})
    if room == "networks":
        assert not used & (VERBS | ABOVE_DESIGN | {"design", "training"})
    if room == "sparse":
        assert used <= {"sparse", "errors"}
    if name_of(path).startswith("training.") and name_of(path) != "training.commands":
        assert not used & (ABOVE_DESIGN | {"design"})
