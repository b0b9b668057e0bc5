"""Skulls held back: whole ones, the same for the same names and seed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.cases.skull_folder import SkullFile
from SkullImplantLib.errors import SkullImplantError
from SkullImplantLib.training.split import split_skulls, without


@given(
    names=st.sets(st.text("abc019-", min_size=1, max_size=4), min_size=2, max_size=30),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_split_is_a_partition_that_order_does_not_change(names, share, seed):
    skulls = [SkullFile(name, Path(name)) for name in sorted(names)]
    learning, held = split_skulls(skulls, share, seed)
    assert learning and held
    assert sorted([*learning, *held], key=lambda skull: skull.name) == skulls
    assert abs(len(held) - share * len(skulls)) <= 1
    again, held_again = split_skulls(skulls[::-1], share, seed)
    assert again == learning[::-1] and held_again == held[::-1]


def test_seeds_split_differently():
    skulls = [SkullFile(f"{k:03d}", Path(f"{k:03d}")) for k in range(40)]
    assert split_skulls(skulls, 0.2, 0) == split_skulls(skulls, 0.2, 0)
    assert split_skulls(skulls, 0.2, 0) != split_skulls(skulls, 0.2, 1)


def test_too_few_skulls_or_a_wrong_share_is_one_sentence():
    one = [SkullFile("a", Path("a"))]
    for skulls, share in ((one, 0.2), ([], 0.2), (one * 2, 1.5)):
        with pytest.raises(SkullImplantError):
            split_skulls(skulls, share, 0)


def test_a_name_to_leave_out_that_nobody_has_is_told():
    skulls = [SkullFile(name, Path(name)) for name in "abc"]
    assert [skull.name for skull in without(skulls, ("b",))] == ["a", "c"]
    assert without(skulls, ()) == skulls
    with pytest.raises(SkullImplantError, match="no patient named x to leave out"):
        without(skulls, ("a", "x"), "patient")
