"""What is known of skulls in general: the radial maps of a few, their mean and how they vary.

Read from `resources/population.npz`, which `python -m SkullImplantLib.training.population` makes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.archives import read_archive
from ..core.checksums import sha256_of
from ..core.resources import RESOURCES
from ..errors import SkullImplantError
from .brow import Brow, front_box
from .radial import MEAN_RADIUS_MM, POLAR_RAD, SIZE, Map

POPULATION_FILE = RESOURCES / "population.npz"
OUTER, THICKNESS = 0, 1  # the channels of a skull's maps
SMOOTHING_PIXELS = 3


@dataclass(frozen=True, eq=False)
class Population:
    """Radial maps of intact skulls in the standard pose; mm.

    `names`   the skulls; `maps_mm` (skulls, 2, SIZE, SIZE), channel 0 outer radius, 1 thickness;
    `bone`    (skulls, SIZE, SIZE) bool, where there is vault bone; elsewhere maps are filled.
    `sha256`  of the file; None where it is no file's. `brows`: foreheads and orbits of some.
    """

    names: tuple[str, ...]
    maps_mm: Map
    bone: NDArray[np.bool_]
    sha256: str | None = None
    brows: tuple[Brow, ...] = ()

    def without(self, names: Sequence[str]) -> "Population":
        """Return the population less the named skulls (to test on them)."""
        keep = [i for i, name in enumerate(self.names) if name not in names]
        return Population(
            tuple(self.names[i] for i in keep),
            self.maps_mm[keep],
            self.bone[keep],
            brows=tuple(brow for brow in self.brows if brow.name not in names),
        )

    def mean_mm(self) -> Map:
        """Return the mean maps (2, SIZE, SIZE), left-right symmetric."""
        mean = self.maps_mm.mean(axis=0)
        return (mean + mean[..., ::-1]) / 2

    def factors_mm(self) -> Map:
        """Return F (2 skulls, 2, SIZE, SIZE) such that F'F is the covariance of the maps.

        The skulls and their mirror images are the sample.
        """
        both = np.concatenate([self.maps_mm, self.maps_mm[..., ::-1]])
        return (both - self.mean_mm()) / np.sqrt(max(len(both) - 2, 1))

    def share(self) -> Map:
        """Return the share of skulls with bone in a direction, smoothed, (SIZE, SIZE)."""
        share = self.bone.mean(axis=0)
        return ndimage.uniform_filter((share + share[:, ::-1]) / 2, SMOOTHING_PIXELS)

    def spread_mm(self) -> Map:
        """Return the standard deviation of the outer radius, size taken out, (SIZE, SIZE)."""
        outer = self.maps_mm[:, OUTER]
        size = np.median(outer[:, np.pi / 2 > POLAR_RAD], axis=1)
        sized = outer / size[:, None, None] * MEAN_RADIUS_MM
        spread = np.concatenate([sized, sized[..., ::-1]]).std(axis=0)
        return ndimage.uniform_filter(spread, SMOOTHING_PIXELS)

    def skulls_like(self, name: str) -> tuple[str, ...]:
        """Return the names of this population that mean the skull `name`."""
        return tuple(own for own in self.names if same_skull(own, name))


def same_skull(one: str, other: str) -> bool:
    """Say whether two names mean one skull: a CT may be called as its mask, with `-ct` behind."""
    return one.lower().removesuffix("-ct") == other.lower().removesuffix("-ct")


def shipped_population() -> Population:
    """Return the population in `resources/population.npz`.

    Raises `SkullImplantError` where the file is missing or of another make.
    """
    return read_population(POPULATION_FILE)


def read_population(path: Path) -> Population:
    """Return the population in a file that `training.population` wrote.

    The same object while the file stays as it is: what is worked out of it is kept too. Raises
    `SkullImplantError` where the file is missing or of another make.
    """
    try:
        return _population_in(path, path.stat().st_mtime_ns)
    except (OSError, KeyError, ValueError, TypeError) as error:
        mend = (
            "install the program again"
            if path == POPULATION_FILE
            else "make them with `python -m SkullImplantLib.training.population`"
        )
        raise SkullImplantError(
            f"The shape statistics {path.name} are missing or damaged; {mend}."
        ) from error


def _brows_in(stored: Mapping[str, NDArray[Any]]) -> tuple[Brow, ...]:
    """Return the foreheads in a file, none in older ones."""
    if "brows" not in stored:
        return ()
    shape = tuple(s.stop - s.start for s in front_box())
    names, levels = stored["brow_names"], stored["brows"]
    if len(names) == 0 and levels.size == 0:
        return ()
    if levels.dtype != np.uint8 or levels.shape != (len(names), *shape):
        raise ValueError("foreheads that are none")
    return tuple(Brow(str(name), level) for name, level in zip(names, levels))


@lru_cache(maxsize=4)  # the shipped ones, and a user's own
def _population_in(path: Path, changed_ns: int) -> Population:
    """Return the population in a file; `changed_ns` makes a changed file another one."""
    stored = read_archive(path)
    population = Population(
        tuple(str(name) for name in stored["names"]),
        stored["maps_mm"].astype(np.float32),
        stored["bone"].astype(bool),
        sha256_of(path),
        _brows_in(stored),
    )
    count = len(population.names)
    if count == 0 or population.maps_mm.shape != (count, 2, SIZE, SIZE):
        raise ValueError("another map size")
    if population.bone.shape != (count, SIZE, SIZE) or not np.isfinite(population.maps_mm).all():
        raise ValueError("maps that are none")
    return population
