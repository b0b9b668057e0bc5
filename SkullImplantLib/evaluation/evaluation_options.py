"""What an evaluation can be asked for: which cases, and how they are worked through."""

from dataclasses import dataclass

from ..cases.defects import KINDS, USUAL_CM2
from ..models import PRIOR
from ..options import DesignOptions
from .shards import Shard

# Without clearance, since the truth is the exact complement.
EXACT = DesignOptions(clearance_mm=0.0, model=PRIOR)


@dataclass(frozen=True)
class SuiteOptions:
    """Which defects are cut into the complete skulls and CTs of a suite.

    kinds: of defects. defects: of each kind in each skull. seed: another one is other defects.
    skulls: the names of those to take; None takes all. areas_cm2: the least and the greatest area
    of a defect.
    """

    kinds: tuple[str, ...] = KINDS
    defects: int = 2
    seed: int = 0
    skulls: tuple[str, ...] | None = None
    areas_cm2: tuple[float, float] = USUAL_CM2


@dataclass(frozen=True)
class CohortOptions:
    """Which cases of a public data set are taken.

    data_set: its name (`cases.data_sets`); None tells it by its files. part: `train`, `test` or
    `all`; None takes the test part where its truth is there, else all with truth. kinds: of
    defects; None takes all.
    """

    data_set: str | None = None
    part: str | None = None
    kinds: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RunOptions:
    """How cases are worked through; no row depends on it.

    jobs: cases at a time, each in its own process; 1 runs them in this one. threads: of all jobs
    together; None is as many as there are cores. pictures: whether the best, median and worst cases
    are drawn. shard: the share of the cases that is run here, others being run elsewhere into the
    same folder. cluster: the address of a Dask scheduler whose workers run the cases, or the file
    that it wrote.
    """

    jobs: int = 1
    threads: int | None = None
    pictures: bool = False
    shard: Shard | None = None
    cluster: str | None = None
