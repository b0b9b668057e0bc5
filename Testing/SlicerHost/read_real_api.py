"""Read the names of real Slicer and CTK widgets off their public headers.

    python read_real_api.py SLICER_TREE CTK_TREE

writes `slicer_host/real_api.json`: for each class that the host stands in for, and for its bases
up to the first Qt class, the names that PythonQt offers to Python code: properties, signals, public
slots, invokable methods and enumerations. Methods are Qt's normalized signatures, without
argument names; nothing else of the headers is kept. `slicer_host` refuses every other name, and
`test_real_api.py` checks its adapters against the list.
"""

import argparse
import json
import re
from pathlib import Path

# The versions that the list in this repository was read from.
SLICER_SOURCE = {
    "repository": "https://github.com/Slicer/Slicer",
    "commit": "583e9b37d50ead7daf7b783dce465ccaecec8809",
}
CTK_SOURCE = {
    "repository": "https://github.com/commontk/CTK",
    "commit": "868d56c72d2899f0f5595745c7c39765fed80eef",
}

CTK_CLASSES = [
    "ctkCheckablePushButton",
    "ctkCheckBox",
    "ctkCollapsibleButton",
    "ctkColorPickerButton",
    "ctkComboBox",
    "ctkDirectoryButton",
    "ctkDoubleRangeSlider",
    "ctkDoubleSlider",
    "ctkDoubleSpinBox",
    "ctkFittedTextBrowser",
    "ctkMessageBox",
    "ctkPathLineEdit",
    "ctkRangeWidget",
    "ctkSliderWidget",
]
SLICER_CLASSES = [
    "qMRMLNodeComboBox",
    "qMRMLRangeWidget",
    "qMRMLSegmentEditorWidget",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
    "qMRMLWidget",
    "qSlicerModulePanel",
    "qSlicerModuleSelectorToolBar",
]

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)
DIRECTIVE = re.compile(r"^[ \t]*#.*$", re.M)
ACCESS = re.compile(r"\b(public|protected|private)?\s*(slots|Q_SLOTS|signals|Q_SIGNALS)?\s*:(?!:)")
# Words of a type that cannot be an argument's name.
TYPE_WORDS = {
    "bool",
    "char",
    "double",
    "float",
    "int",
    "long",
    "short",
    "unsigned",
    "const",
    "void",
}


def find_header(class_name: str, trees: list[Path]) -> Path:
    """The header that is named after the class."""
    found = [path for tree in trees for path in sorted(tree.rglob(f"{class_name}.h"))]
    if not found:
        raise FileNotFoundError(f"No header {class_name}.h in {', '.join(map(str, trees))}")
    return found[0]


def class_definition(text: str, class_name: str) -> tuple[list[str], str]:
    """(names of the public bases, text between the class's braces), comments taken out."""
    text = DIRECTIVE.sub("", COMMENT.sub("", text))
    head = re.search(rf"\bclass\s+(?:\w+\s+)?{class_name}\s*:\s*([^{{;]*)\{{", text)
    if head is None:
        raise ValueError(f"No definition of class {class_name}")
    # Slicer's virtual bases (qSlicerObject) are no QObjects: PythonQt shows nothing of them.
    bases = re.findall(r"\bpublic\s+(?!virtual\b)(\w+)", head.group(1))
    depth, end = 1, head.end()
    while depth:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return bases, text[head.end() : end - 1]


def without_bodies(text: str) -> str:
    """The text with every {...} replaced by a semicolon."""
    while re.search(r"\{[^{}]*\}", text):
        text = re.sub(r"\{[^{}]*\}", ";", text)
    return text


def split_arguments(text: str) -> list[str]:
    """Split at the commas that are outside <> and ()."""
    parts, depth = [""], 0
    for character in text:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def normalized_type(argument: str) -> str:
    """An argument's type as Qt's meta-object system writes it."""
    text = re.sub(r"\s+", " ", argument.split("=")[0]).strip()
    named = re.fullmatch(r"(.*[\s*&>])(\w+)", text)
    if named and named.group(2) not in TYPE_WORDS and named.group(1).strip() != "const":
        text = named.group(1).strip()
    text = re.sub(r"\s*([*&<>,])\s*", r"\1", text)
    by_value = re.fullmatch(r"const ([^*&]+)&", text)
    return by_value.group(1) if by_value else text


def signatures(declaration: str) -> list[str]:
    """One signature for the declaration, and one for each default argument left away."""
    match = re.search(r"(\w+)\s*\((.*)\)[^)]*$", declaration, re.S)
    if match is None or re.search(r"\boperator\b|~", declaration):
        return []
    name, arguments = match.group(1), split_arguments(match.group(2))
    if arguments == ["void"]:
        arguments = []
    required = sum("=" not in argument for argument in arguments)
    types = [normalized_type(argument) for argument in arguments]
    return [f"{name}({','.join(types[:n])})" for n in range(len(types), required - 1, -1)]


def read_class(class_name: str, header: Path) -> dict[str, object]:
    """What the header declares for PythonQt: names only."""
    bases, body = class_definition(header.read_text(encoding="utf-8"), class_name)
    enumerations = {
        name: re.findall(r"(?:^|,)\s*(\w+)", values)
        for name, values in re.findall(r"\benum\s+(\w+)\s*\{([^}]*)\}", body)
    }
    flags = re.findall(r"Q_DECLARE_FLAGS\s*\(\s*(\w+)\s*,\s*(\w+)\s*\)", body)
    exposed = set(
        re.findall(r"\w+", " ".join(re.findall(r"Q_(?:ENUM|FLAG)S?\s*\(([^)]*)\)", body)))
    )
    exposed |= {enum_name for flag_name, enum_name in flags if flag_name in exposed}
    properties = re.findall(r"Q_PROPERTY\s*\(\s*[\w:<>,*\s]+?[\s*>](\w+)\s+READ\b", body)
    body = re.sub(r"\bQ_[A-Z_]*PROPERTY\s*\((?:[^()]|\([^)]*\))*\)\s*;?", "", body)
    body = re.sub(
        r"\bQ_(?!INVOKABLE|SLOTS|SIGNALS)\w+\s*(?:\([^()]*(?:\([^)]*\))?[^()]*\))?\s*;?", "", body
    )
    body = re.sub(r"\bQVTK_OBJECT\b", "", body)
    found: dict[str, list[str]] = {"signals": [], "slots": [], "invokables": []}
    section = "private"
    for statement in without_bodies(body).split(";"):
        while access := ACCESS.match(statement.strip()):
            statement = statement.strip()[access.end() :]
            signals = access.group(2) in ("signals", "Q_SIGNALS")
            section = "signals" if signals else f"{access.group(1)} {access.group(2) or ''}".strip()
        if "(" not in statement:
            continue
        if section == "signals":
            found["signals"] += signatures(statement)
        elif section.startswith("public "):
            found["slots"] += signatures(statement)
        elif section == "public" and "Q_INVOKABLE" in statement:
            found["invokables"] += signatures(statement)
    return {
        "bases": bases,
        "properties": sorted(set(properties)),
        **{kind: sorted(set(names)) for kind, names in found.items()},
        "enums": {name: values for name, values in enumerations.items() if name in exposed},
    }


def read_api(slicer_tree: Path, ctk_tree: Path) -> dict[str, object]:
    """The whole list: the classes asked for and their bases."""
    trees = [slicer_tree, ctk_tree]
    classes: dict[str, dict[str, object]] = {}
    waiting = [*CTK_CLASSES, *SLICER_CLASSES]
    while waiting:
        name = waiting.pop()
        if name in classes or re.match(r"Q[A-Z]", name):
            continue
        classes[name] = read_class(name, find_header(name, trees))
        waiting += classes[name]["bases"]
    return {"source": [SLICER_SOURCE, CTK_SOURCE], "classes": dict(sorted(classes.items()))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("slicer_tree", type=Path, help=f"Slicer at {SLICER_SOURCE['commit']}")
    parser.add_argument("ctk_tree", type=Path, help=f"CTK at {CTK_SOURCE['commit']}")
    arguments = parser.parse_args()
    api = read_api(arguments.slicer_tree, arguments.ctk_tree)
    output = Path(__file__).parent / "slicer_host" / "real_api.json"
    output.write_text(json.dumps(api, indent=1) + "\n", encoding="utf-8")
    print(f"{output}: {len(api['classes'])} classes")


if __name__ == "__main__":
    main()
