"""Only the command line's own files speak of its options; all others name a remedy."""

import argparse
import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import SkullImplantLib
from SkullImplantLib.cli.main import build_parser
from SkullImplantLib.cli.wording import WORDS, sentence_of
from SkullImplantLib.errors import OutOfMemory, Remedy, SkullImplantError

LIBRARY = Path(SkullImplantLib.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a parser and of its verbs."""
    found: set[str] = set()
    for action in parser._actions:
        found |= {name for name in action.option_strings if name.startswith("--")}
        if isinstance(action, argparse._SubParsersAction):
            found = found.union(*(options_of(verb) for verb in action.choices.values()))
    return found


def texts_of(path: Path) -> Iterator[str]:
    """Yield the strings of a file that are sentences, not names or docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    stated = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        text = node.value if isinstance(node, ast.Constant) and id(node) not in stated else None
        if isinstance(text, str) and " " in text:
            yield text


@pytest.mark.parametrize("remedy", Remedy)
def test_every_remedy_has_words_that_name_options_there_are(remedy: Remedy) -> None:
    named = set(OPTION.findall(WORDS[remedy]))
    assert named and named <= options_of(build_parser())


def test_no_text_outside_the_command_line_names_an_option() -> None:
    known = options_of(build_parser())
    naming = [
        (str(path.relative_to(LIBRARY)), text)
        for path in sorted(LIBRARY.rglob("*.py"))
        if path.parent.name != "cli"
        for text in texts_of(path)
        if known & set(OPTION.findall(text))
    ]
    assert not naming


def test_a_sentence_is_message_and_remedy() -> None:
    for message, remedy, sentence in (
        ("It is none.", None, "It is none."),
        ("It is none.", Remedy.USE_CPU, "It is none; use --device cpu."),
        ("It is none; look.", Remedy.USE_CPU, "It is none; look, or use --device cpu."),
    ):
        assert sentence_of(SkullImplantError(message, remedy)) == sentence


def test_an_error_comes_out_of_another_process_as_it_was() -> None:
    error = pickle.loads(pickle.dumps(OutOfMemory("It is none.", Remedy.FEWER_JOBS)))
    assert type(error) is OutOfMemory
    assert (str(error), error.remedy) == ("It is none.", Remedy.FEWER_JOBS)
