"""What the library's errors are mended with, said to users of the panel."""

import ast
import re
import xml.etree.ElementTree as ET

import pytest

from module_fixtures import MODULE_FILE, PROJECT
from SkullImplantLib.errors import Remedy, SkullImplantError

LIBRARY = PROJECT / "SkullImplantLib"
# What the panel's runs never come to: they measure and train nothing.
OTHER_PACKAGES = {"evaluation", "training"}
# What only an option brings about that the panel never gives: a DICOM folder, the other engine; or
# a file that the panel never writes: masks of several labels or segments.
NOT_ASKED = {
    Remedy.OTHER_SERIES,
    Remedy.NO_SERIES,
    Remedy.USE_TORCH_ENGINE,
    Remedy.CHOOSE_LABEL,
    Remedy.NO_LABEL,
    Remedy.CHOOSE_SEGMENT,
    Remedy.NO_SEGMENT,
    Remedy.LESS_COARSE,
}


def raised_remedies() -> set[Remedy]:
    """Return the remedies of the library's errors that a run of the panel can raise."""
    found = set()
    for path in LIBRARY.rglob("*.py"):
        if path.parent.name in OTHER_PACKAGES or path.parent.name == "cli":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Remedy":
                found.add(Remedy[node.attr])
    return found - NOT_ASKED


def labels_of_the_form() -> set[str]:
    """Return what is written on the widgets of the panel."""
    form = ET.parse(MODULE_FILE.parent / "Resources" / "UI" / "SkullImplant.ui")
    texts = form.iterfind(".//property[@name='text']/string")
    return {text.text.rstrip(":") for text in texts if text.text}


def test_every_remedy_of_the_panels_runs_has_words(module):
    from SkullImplantPanel.remedies import remediesInWords

    raised = raised_remedies()
    assert len(raised) > 5
    assert raised <= set(remediesInWords())


@pytest.mark.parametrize("verb", ["design", "organs"])
def test_the_words_name_widgets_of_the_form(module, verb):
    from SkullImplantPanel.remedies import remediesInWords

    labels = labels_of_the_form()
    for remedy, words in remediesInWords(verb).items():
        named = re.findall(r"'([^']+)'", words)
        # The weights of the organs' networks are not chosen in the form.
        is_named = named or (verb, remedy) == ("organs", Remedy.OTHER_WEIGHTS)
        assert is_named and set(named) <= labels, remedy
        assert "--" not in words


@pytest.mark.parametrize(
    ("remedy", "shown"),
    [
        (None, "The GPU is not there; install one."),
        (Remedy.USE_CPU, "The GPU is not there; install one, or choose the CPU as 'Device'."),
        (Remedy.TRAIN_ANEW, "The GPU is not there; install one."),
    ],
)
def test_an_error_is_said_with_its_remedy(module, remedy, shown):
    from SkullImplantPanel.remedies import sentenceOf

    assert sentenceOf(SkullImplantError("The GPU is not there; install one.", remedy)) == shown


def test_a_sentence_of_the_library_names_no_option_of_the_command_line():
    """Messages and notes are shown by the panel as they are."""
    named = []
    for path in sorted(LIBRARY.rglob("*.py")):
        if path.parent.name in (*OTHER_PACKAGES, "cli", "job") or path.stem == "minkowski":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) else None
            sentence = isinstance(text, str) and id(node) not in docstrings
            if sentence and re.search(r"\s--[a-z][a-z-]*(?![a-z:-])", text):
                named.append((path.name, text))
    assert named == []
