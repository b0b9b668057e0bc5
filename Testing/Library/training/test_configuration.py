"""A training's configuration file: what is written is read again, and mistakes are named."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.training.configuration import read_configuration, write_configuration
from SkullImplantLib.training.training_options import TrainOptions


def written(folder: Path, content: object) -> Path:
    path = folder / "configuration.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    options = TrainOptions(channels=("skull", "prior"), minutes=2.5, seed=7, residual=False)
    path = tmp_path / "configuration.json"
    write_configuration(path, options)
    assert set(json.loads(path.read_text())) == {field.name for field in fields(TrainOptions)}
    assert TrainOptions(**read_configuration(path)) == options


def test_a_file_says_only_what_is_particular(tmp_path: Path) -> None:
    read = read_configuration(written(tmp_path, {"seed": 3, "learning_rate": 1}))
    assert read == {"seed": 3, "learning_rate": 1.0}
    assert isinstance(read["learning_rate"], float)


def test_an_unknown_name_is_refused_and_the_one_that_is_meant_is_named(tmp_path: Path) -> None:
    with pytest.raises(SkullImplantError, match=r'"learning-rate"; is learning_rate meant\?'):
        read_configuration(written(tmp_path, {"learning-rate": 0.1}))
    with pytest.raises(SkullImplantError, match="start from a configuration"):
        read_configuration(written(tmp_path, {"qqqqq": 0.1}))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("iterations", "many", "a whole number"),
        ("iterations", 2.5, "a whole number"),
        ("iterations", True, "a whole number"),
        ("minutes", "long", "a number or null"),
        ("residual", 1, "true or false"),
        ("channels", "skull", "a list of words"),
        ("channels", [1], "a list of words"),
        ("areas_cm2", [5], "a list of two numbers"),
        ("areas_cm2", [5, "many"], "a list of two numbers"),
        ("skip", "some", '"none" or "add"'),
        ("network", 1, "a word in quotes"),
    ],
)
def test_a_value_of_another_kind_is_refused(
    tmp_path: Path, name: str, value: object, sentence: str
) -> None:
    with pytest.raises(SkullImplantError, match=f"{name} is .*{sentence}"):
        read_configuration(written(tmp_path, {name: value}))


def test_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SkullImplantError, match="not JSON"):
        read_configuration(written(tmp_path, "seed = 3"))
    with pytest.raises(SkullImplantError, match="one JSON object"):
        read_configuration(written(tmp_path, [1, 2]))
    with pytest.raises(SkullImplantError, match="cannot be read"):
        read_configuration(tmp_path / "none.json")
