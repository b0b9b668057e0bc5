"""Titles and seconds of the stages, held against the stages that the library runs."""

import ast
from pathlib import Path

import pytest

import SkullImplantLib
from SkullImplantLib.job.stage_table import STAGE_SECONDS, STAGE_TITLES

LIBRARY = Path(SkullImplantLib.__file__).parent
# Stages of verbs that no program with a window runs.
OTHER_PACKAGES = ("evaluation", "training")


def stages_of(file: Path) -> set[str]:
    """Return the names in calls of `stage("n")`, `stage_of(_, "n")` and `report("n")`."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        called = node.func.id if isinstance(node.func, ast.Name) else called
        place = {"stage": 0, "report": 0, "stage_of": 1}.get(called)
        if place is not None and len(node.args) > place:
            name = node.args[place]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                names.add(name.value)
    return names


def test_every_stage_that_a_run_tells_of_has_a_title_and_every_title_a_stage() -> None:
    files = [
        file
        for file in LIBRARY.rglob("*.py")
        if not any(name in file.stem for name in OTHER_PACKAGES)
        and file.parent.name not in OTHER_PACKAGES
    ]
    # Both are run by the panel, too.
    files += [LIBRARY / "evaluation" / name for name in ("mirrored_side.py", "design_distance.py")]
    found = set().union(*map(stages_of, files))
    assert found == set(STAGE_TITLES)


@pytest.mark.parametrize("verb", sorted(STAGE_SECONDS))
def test_every_stage_with_seconds_has_a_title(verb: str) -> None:
    assert set(STAGE_SECONDS[verb]) <= set(STAGE_TITLES)
    assert all(seconds > 0.0 for seconds in STAGE_SECONDS[verb].values())
