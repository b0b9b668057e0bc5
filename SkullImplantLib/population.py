"""What is known of skulls in general: the mean and the main variations of their radial maps.

Read from `Resources/population.npz`, which `python -m SkullImplantLib.training.population` makes.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .errors import SkullImplantError
from .radial import SIZE

POPULATION_FILE = Path(__file__).resolve().parent.parent / "Resources" / "population.npz"
OUTER, THICKNESS = 0, 1


@dataclass(frozen=True)
class Population:
    """Radial maps of adult skulls in the standard pose; channel 0 outer radius, 1 thickness, mm.

    `mean_mm`  (2, SIZE, SIZE), left-right symmetric.
    `modes_mm` (modes, 2, SIZE, SIZE), each scaled to one standard deviation.
    `share`    (SIZE, SIZE), the share of the skulls that have vault bone in a direction.
    `spread_mm` (SIZE, SIZE), the standard deviation of the outer radius once size is taken out.
    """

    mean_mm: np.ndarray
    modes_mm: np.ndarray
    share: np.ndarray
    spread_mm: np.ndarray


@lru_cache(maxsize=1)
def shipped_population() -> Population:
    """Return the population in `Resources/population.npz`.

    Raises `SkullImplantError` where the file is missing or of another make.
    """
    try:
        with np.load(POPULATION_FILE, allow_pickle=False) as stored:
            arrays = {name: stored[name].astype(np.float32) for name in stored.files}
        population = Population(**arrays)
        if population.mean_mm.shape != (2, SIZE, SIZE):
            raise ValueError("another map size")
    except (OSError, TypeError, ValueError) as error:
        raise SkullImplantError(
            f"The shape statistics {POPULATION_FILE.name} are missing or damaged; "
            "install the program again."
        ) from error
    return population
