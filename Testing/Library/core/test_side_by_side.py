"""Formats are written side by side: all are done; a failure stops the others and is told."""

from threading import Barrier, Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from SkullImplantLib.core.read_once import ReadOnce
from SkullImplantLib.core.side_by_side import MOST_AT_ONCE, side_by_side
from SkullImplantLib.core.threads import worker_count
from SkullImplantLib.errors import SkullImplantError

WAIT_S = 20.0


@given(st.lists(st.lists(st.floats(0.0, 1.0), max_size=5), max_size=6))
def test_all_is_done_and_the_progress_only_grows(fractions):
    done, told = [], []

    def work(number):
        def write(progress):
            for fraction in fractions[number]:
                progress(fraction, f"part {number}")
            done.append(number)

        return write

    works = [(f"format {k}", work(k)) for k in range(len(fractions))]
    side_by_side(works, lambda fraction, message="": told.append(fraction))
    assert sorted(done) == list(range(len(fractions)))
    assert told == sorted(told) and all(0.0 <= fraction <= 1.0 + 1e-9 for fraction in told)
    assert not told or told[-1] == pytest.approx(1.0)


def test_a_failure_stops_the_others_and_is_told():
    began, failed = Event(), Event()
    written = []

    def fails(progress):
        assert worker_count() < 2 or began.wait(WAIT_S)
        failed.set()
        raise SkullImplantError("The disk is full.")

    def goes_on(progress):
        began.set()
        assert failed.wait(WAIT_S)
        for _ in range(1_000_000_000):  # until it is stopped
            progress(0.5)
        written.append("all of it")

    works = [
        ("fails", fails),
        *[("goes on", goes_on)] * (MOST_AT_ONCE - 1),
        ("waits", lambda progress: written.append(1)),
    ]
    with pytest.raises(SkullImplantError, match="disk is full"):
        side_by_side(works, lambda fraction, message="": None)
    assert not written


def test_who_cancels_by_the_progress_is_heard():
    class Cancelled(Exception):
        pass

    def cancel(fraction, message=""):
        raise Cancelled

    with pytest.raises(Cancelled):
        side_by_side([("a", lambda progress: progress(0.5))], cancel)


def test_two_that_ask_at_once_are_given_what_was_read_once():
    kept, reads, together = ReadOnce(), [], Barrier(2)
    found = []

    def ask(progress):
        if worker_count() > 1:
            together.wait(WAIT_S)
        found.append(kept.get("skull", lambda: reads.append("read") or object()))

    side_by_side([("one", ask), ("other", ask)], lambda fraction, message="": None)
    assert len(reads) == 1 and found[0] is found[1]
