"""One of several equal shares of the cases, for as many machines: `2/3` is the second of three.

Every machine sees the same cases in the same order, so that a share depends on nothing but its
number: a queue's array job, a cluster's indexed job or a workflow needs no more than to count.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from ..errors import SkullImplantError

WRITTEN = re.compile(r"(\d+)/(\d+)")


class OfSkull(Protocol):
    """A case, which is of a skull."""

    @property
    def skull(self) -> str: ...


AnyCase = TypeVar("AnyCase", bound=OfSkull)


@dataclass(frozen=True)
class Shard:
    """The share `number` (from 1) of `count`."""

    number: int
    count: int

    def of(self, cases: Sequence[AnyCase]) -> list[AnyCase]:
        """Return the share's cases, in order: all of some skulls, which are read once, where there
        are as many skulls as shares; else every so many'th case.
        """
        skulls = list(dict.fromkeys(case.skull for case in cases))
        if len(skulls) < self.count:
            return list(cases[self.number - 1 :: self.count])
        own = set(skulls[self.number - 1 :: self.count])
        return [case for case in cases if case.skull in own]


def read_shard(text: str) -> Shard:
    """Return the shard that is written as `I/N`.

    Raises `SkullImplantError` where it is none.
    """
    match = WRITTEN.fullmatch(text.strip())
    number, count = (int(part) for part in match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise SkullImplantError(
            f"'{text}' is no share; write I/N with I from 1 to N, such as 1/20 to 20/20."
        )
    return Shard(number, count)
