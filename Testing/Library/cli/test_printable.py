"""Names that hold escape codes, or bytes that are no text, come out harmless."""

from pathlib import Path
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.cli.main import main
from SkullImplantLib.cli.printable import TURNING, printable

NASTY = "clear\x1b[2J\x1b]0;title\x07\u202egnp.\x9b31m"


@given(st.text(st.characters()))
def test_nothing_that_steers_is_left_and_no_letter_is_lost(text: str) -> None:
    shown = printable(text)
    assert len(shown) == len(text)
    for letter, before in zip(shown, text):
        assert letter in "\n\t" or category(letter) not in ("Cc", "Cs")
        assert letter not in TURNING
        assert letter in (before, "\ufffd")
    shown.encode("utf-8")


@pytest.mark.parametrize("name", [NASTY, "caf\udce9", "line\rback"])
def test_a_name_is_told_without_its_codes(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for given_name in (name, f"{name}.nrrd"):
        assert main(["design", str(tmp_path / given_name), "-o", str(tmp_path / "o")]) == 2
        told = capsys.readouterr()
        assert told.out == ""
        assert ("no UTF-8" if "\udce9" in name else "does not exist") in told.err
        assert not any(category(c) in ("Cc", "Cs") for c in told.err.replace("\n", ""))


def test_a_folder_that_native_code_cannot_name_is_told_before_it_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "-o", str(tmp_path / "o\udce9ut")]) == 2
    assert "holds bytes that are no UTF-8; rename" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
