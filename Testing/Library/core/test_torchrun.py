"""Which process this is, as launchers tell it."""

import pytest

from SkullImplantLib.core.torchrun import VARIABLES, Launched, launched


def tell(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    for name, value in zip(VARIABLES, values):
        monkeypatch.setenv(name, value)


def test_torchrun_tells_which_process_this_is(monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, "5", "8", "1", "4", "host", "29500")
    assert launched() == Launched(rank=5, count=8, local_rank=1, local_count=4)


@pytest.mark.parametrize(
    "values",
    [
        ("0", "1", "0", "1", "host", "29500"),  # alone
        ("5", "8", "1", "4", "", "29500"),  # somebody else's RANK
        ("x", "8", "1", "4", "host", "29500"),
    ],
)
def test_anything_else_is_one_process(
    monkeypatch: pytest.MonkeyPatch, values: tuple[str, ...]
) -> None:
    tell(monkeypatch, *values)
    assert launched() is None
