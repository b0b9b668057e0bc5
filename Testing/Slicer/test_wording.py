"""What the library says to users of its command line, said to users of the panel."""

import ast
import re

import pytest

from module_fixtures import PROJECT

# What the module never asks of the library: DICOM folders, the other engine, evaluation, training.
ELSEWHERE = {
    "dicom_series.py",
    "dicom_study.py",
    "minkowski.py",
    "arguments.py",
    "cli.py",
    "__main__.py",
    "job.py",
    "commands.py",
}
NOT_ASKED = (":root {", "is not a DICOM folder", "A DICOM folder is read as", "`--model` names")


def sentences_with_options() -> list[str]:
    """Every text of the library that names an option of the command line."""
    found = []
    for path in sorted((PROJECT / "SkullImplantLib").rglob("*.py")):
        if path.name in ELSEWHERE or path.parent.name in ("evaluation", "training"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]
        parts = [
            n for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for n in node.values
        ]
        for node in ast.walk(tree):
            if any(node is other for other in (*docstrings, *parts)):
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "prior"
                    for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            if re.search(r"--[a-z]", text) and not any(part in text for part in NOT_ASKED):
                found.append(text)
    return found


def test_no_option_of_the_command_line_reaches_the_panel(module):
    from SkullImplantPanel.wording import inPanelWords

    sentences = sentences_with_options()
    assert len(sentences) > 5
    assert [text for text in sentences if re.search(r"--[a-z]", inPanelWords(text))] == []


@pytest.mark.parametrize(
    "said, shown",
    [
        ("No bone was left; give a lower --bone-threshold.", "give a lower bone threshold"),
        ("It is no mask; export it, or say what the image is with --input ct|skull.", "tick 'This"),
        ("PyTorch is missing; install it or use --model prior.", "choose the model 'prior'"),
    ],
)
def test_options_become_widgets(module, said, shown):
    from SkullImplantPanel.wording import inPanelWords

    assert shown in inPanelWords(said)
