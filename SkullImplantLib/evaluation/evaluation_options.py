"""What an evaluation can be asked for: which cases, and how they are worked through."""

from dataclasses import dataclass

from ..cases.defects import KINDS, USUAL_CM2
from ..models import PRIOR
from ..options import DesignOptions

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
class RunOptions:
    """How cases are worked through; no row depends on it.

    jobs: cases at a time, each in its own process; 1 runs them in this one. threads: of all jobs
    together; None is as many as there are cores. pictures: whether the best, median and worst cases
    are drawn.
    """

    jobs: int = 1
    threads: int | None = None
    pictures: bool = False
