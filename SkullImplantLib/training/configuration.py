"""A training's configuration file: JSON with the names of `TrainOptions`, read and written.

What a file leaves out keeps its default, so that a file says what is particular about a training;
the one that a training writes says everything, so that it can be repeated.
"""

import json
import types
from collections.abc import Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ..core.files import atomic_path
from ..core.kept_json import read_json
from ..errors import SkullImplantError
from .training_options import TrainOptions

FILE_NAME = "configuration.json"
SHOWN = 40  # letters of a value in a sentence


def read_configuration(path: Path) -> dict[str, Any]:
    """Return the settings of a file, as arguments of `TrainOptions`.

    Raises `SkullImplantError` for a file that is no JSON object, has a name that is none of
    `TrainOptions`, or a value of another kind than its name asks for.
    """
    try:
        content = read_json(path)
    except OSError as error:
        raise SkullImplantError(
            f"The configuration {path} cannot be read; check its name."
        ) from error
    except ValueError as error:
        raise SkullImplantError(
            f"The configuration {path.name} is not JSON ({str(error)[:SHOWN]}); start from a "
            f"{FILE_NAME} that a training wrote."
        ) from error
    if not isinstance(content, dict):
        raise SkullImplantError(
            f'The configuration {path.name} must be one JSON object, like {{"seed": 1}}.'
        )
    kinds = get_type_hints(TrainOptions)
    names = [field.name for field in fields(TrainOptions)]
    unknown = sorted(set(content) - set(names))
    if unknown:
        alike = get_close_matches(unknown[0], names, n=1)
        raise SkullImplantError(
            f"The configuration {path.name} has the unknown name {_shown(unknown[0])}; "
            + (f"is {alike[0]} meant?" if alike else f"start from a {FILE_NAME} of a training.")
        )
    return {name: _checked(name, value, kinds[name], path) for name, value in content.items()}


def write_configuration(path: Path, options: TrainOptions | Mapping[str, Any]) -> None:
    """Write all of `options`, or some by name; `read_configuration` returns the same."""
    said = asdict(options) if isinstance(options, TrainOptions) else dict(options)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def _checked(name: str, value: Any, kind: Any, path: Path) -> Any:
    """Return `value` as its annotation `kind` has it: an int for a float becomes one."""
    for wanted in _alternatives(kind):
        if get_origin(wanted) is Literal:
            if value in get_args(wanted):
                return value
        elif get_origin(wanted) is tuple:
            item, length = get_args(wanted)[0], len(get_args(wanted))
            right = isinstance(value, list) and (
                Ellipsis in get_args(wanted) or len(value) == length
            )
            if right and all(_fits(each, item) for each in value):
                return tuple(item(each) for each in value)
        elif _fits(value, wanted):
            return float(value) if wanted is float else value
    raise SkullImplantError(
        f"In the configuration {path.name}, {name} is {_shown(value)}; give "
        f"{' or '.join(_described(wanted) for wanted in _alternatives(kind))}."
    )


def _shown(value: Any) -> str:
    """Return a value as JSON, a long one shortened."""
    text = json.dumps(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _fits(value: Any, kind: type) -> bool:
    """Say whether a value is of a kind; a whole number is a number too."""
    # Python counts True as a number; a person does not.
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)


def _alternatives(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (types.UnionType, Union) else (kind,)


def _described(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(json.dumps(value) for value in get_args(kind))
    if get_origin(kind) is tuple:
        return "a list of two numbers" if float in get_args(kind) else "a list of words in quotes"
    return {
        int: "a whole number",
        float: "a number",
        str: "a word in quotes",
        bool: "true or false",
        type(None): "null",
    }[kind]
