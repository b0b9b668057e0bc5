"""Names of a case's files: no patient's by default, and good on every file system."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.export.case_names import (
    FORBIDDEN,
    MOST_BYTES,
    RESERVED,
    checked_name,
    default_case_name,
    safe_name,
)


def test_default_tells_no_patient_and_tells_cases_apart() -> None:
    one = {"input": {"sha256": "a" * 64, "description": "Doe^Jane"}}
    other = {"input": {"sha256": "b" * 64, "description": "Doe^Jane"}}
    assert default_case_name(one) == default_case_name({**one, "version": "2"})
    assert default_case_name(one) != default_case_name(other)
    unknown = default_case_name({"input": {"sha256": None}, "notes": ["Doe"]})
    for name in (default_case_name(one), unknown):
        assert name.startswith("case-") and name == safe_name(name)
        assert "doe" not in name.lower() and "a" * 8 not in name


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("left parietal", "left parietal"),
        ("Müller, 3. Fall", "Müller, 3. Fall"),
        ("../../etc/passwd", "etc-passwd"),
        ("C:\\Users\\x", "C-Users-x"),
        ("-rf", "rf"),
        (".hidden", "hidden"),
        ("ends. . ", "ends"),
        ("con", "case-con"),
        ("NUL.txt", "case-NUL.txt"),
        ("com¹", "case-com¹"),
        ("console", "console"),
        ("a\u202egnp.b", "a-gnp.b"),
        ("tab\tand\nline", "tab and line"),
        ("\u0065\u0301", "\u00e9"),
    ],
)
def test_typed_names(typed: str, name: str) -> None:
    assert safe_name(typed) == name


@given(st.text(max_size=200))
def test_any_text_is_a_safe_beginning_or_nothing(text: str) -> None:
    name = safe_name(text)
    assert name == safe_name(name), "made safe twice is made safe once"
    if not name:
        with pytest.raises(SkullImplantError, match="name of the files"):
            checked_name(text)
        return
    assert not set(name) & FORBIDDEN and name.isprintable()
    assert name[0] not in "-.~ " and name[-1] not in "-. "
    assert name.split(".")[0].rstrip().upper() not in RESERVED
    assert len(name.encode()) <= MOST_BYTES + len("case-")
