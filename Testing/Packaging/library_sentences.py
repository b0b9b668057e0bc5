"""The library's errors, notes and stages' titles as templates, read off its source for the panel.

`python Testing/Packaging/library_sentences.py` writes the table anew.
"""

import ast
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from SkullImplantLib.checks.cut_edge import NOT_SHARP
from SkullImplantLib.checks.mesh_checks import NONE
from SkullImplantLib.checks.rim_checks import FACES, WAYS
from SkullImplantLib.completion.trust import CONDITIONS
from SkullImplantLib.job.stage_table import STAGE_TITLES

PROJECT = Path(__file__).resolve().parents[2]
LIBRARY = PROJECT / "SkullImplantLib"
TABLE = PROJECT / "SkullImplant" / "SkullImplantPanel" / "librarysentences.py"
ERRORS = {"SkullImplantError", "NoPlaceForDefect", "DiskError", "OutOfMemory"}
# Whose notes, reasons and checks the panel translates.
NOTED_ROOMS = ("reading", "skull", "geometry", "completion", "implant", "checks", "designing")
NOTED_ROOMS += ("organs",)
NOTED_FILES = ("export/renders.py", "export/results.py")
# Words that the library puts into sentences.
WORDS = (
    *(*FACES, *WAYS, *NOT_SHARP, NONE),
    *(words for one in CONDITIONS.values() for words in (one.what, one.advice)),
)
# What no run of the panel reaches.
ELSEWHERE = {"cli", "training", "evaluation", "cases"}
# A named value within a text, its braces doubled (`_plain`).
NAMED = re.compile(r"\{\{[a-z_]+(:[^{}]*)?\}\}")
HEAD = '''\
"""The library's sentences for translation; made by ``Testing/Packaging/library_sentences.py``.

``{0}`` and so on stand for what the library puts in. Not to be changed by hand.
"""

# ruff: noqa: E501
from slicer.i18n import tr


def _(text: str) -> str:
    """Mark a text for Slicer's tools of translation, which look for this name."""
    return text


SENTENCES = (
'''
TAIL = ''')


def inUsersLanguage(template: str) -> str:
    """Return a template in the user's language."""
    return tr(template)
'''


def templates() -> list[str]:
    """Return the templates of all sentences that a run of the panel can end with."""
    found: set[str] = set()
    for path in sorted(LIBRARY.rglob("*.py")):
        if path.relative_to(LIBRARY).parts[0] in ELSEWHERE:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and _name(call.func) in ERRORS and call.args:
                found |= set(_templates(call.args[0], constants))
        place = path.relative_to(LIBRARY)
        if place.parts[0] in NOTED_ROOMS or place.as_posix() in NOTED_FILES:
            found |= set(_notes(tree))
    return sorted(found | set(STAGE_TITLES.values()) | set(WORDS))


def table() -> str:
    """Return the text of the panel's table."""
    return HEAD + "".join(_entry(template) for template in templates()) + TAIL


def _name(function: ast.expr) -> str | None:
    return getattr(function, "id", getattr(function, "attr", None))


def _templates(node: ast.expr, constants: dict[str, ast.expr]) -> Iterator[str]:
    """Yield what an argument can be; nothing for what is another error's own sentence."""
    match node:
        case ast.Constant(value=str(text)):
            yield _plain(text)
        case ast.JoinedStr(values=values):
            text, number = "", 0
            for value in values:
                if isinstance(value, ast.Constant):
                    text += _plain(str(value.value))
                else:
                    text += f"{{{number}}}"
                    number += 1
            yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from _templates(body, constants)
            yield from _templates(orelse, constants)
        case ast.Name(id=name) if name in constants:
            yield from _templates(constants[name], {})


def _notes(tree: ast.Module) -> Iterator[str]:
    """Yield all sentences of a file that are no docstrings, whatever becomes of them."""
    passed_over = {
        part
        for node in ast.walk(tree)
        if isinstance(node, (ast.Expr, ast.JoinedStr))
        for part in ast.iter_child_nodes(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node not in passed_over:
            for text in map(str.strip, _templates(node, {})):
                begins = text[:1].isupper() or text.startswith(("{0} ", "{0}, "))
                if begins and text.endswith(".") and " " in text:
                    yield _numbered(text) if isinstance(node, ast.Constant) else text


def _numbered(text: str) -> str:
    """Return a sentence with its values numbered, where they have names: it is filled in later."""
    numbers = count()
    return NAMED.sub(lambda value: f"{{{next(numbers)}}}", text)


def _plain(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _entry(template: str) -> str:
    literal = template.replace("\\", "\\\\").replace('"', '\\"')
    return f'    _("{literal}"),\n'


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
