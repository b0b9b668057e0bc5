"""What an error says is one legible sentence, whatever a file is called or holds."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.errors import DiskError, SkullImplantError, expected

TEMPLATE = "The file {} cannot be read; copy it again."


@given(st.text())
def test_nothing_in_a_sentence_steers_a_terminal(name: str) -> None:
    assert str(SkullImplantError(TEMPLATE.format(name))).isprintable()


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=4000))
def test_a_long_name_leaves_a_sentence(name: str) -> None:
    told = str(SkullImplantError(TEMPLATE.format(name)))
    assert len(told) <= 300 and told.startswith("The file ") and told.endswith("copy it again.")
    assert name in told or "..." in told


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.EACCES, errno.EROFS, errno.EIO])
def test_a_place_that_cannot_be_reached_is_no_bug(number: int) -> None:
    error = expected(OSError(number, "said so", "/a/" + "x" * 300))
    assert isinstance(error, DiskError) and "(said so)" in str(error) and len(str(error)) < 200


@pytest.mark.parametrize("error", [OSError(errno.EBADF, "bad"), ValueError("x"), KeyError("x")])
def test_a_bug_stays_one(error: Exception) -> None:
    assert expected(error) is None
