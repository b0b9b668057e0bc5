"""Where the cases of a training come from: the skulls' own, on disk, or endless warped ones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..cases.mask_flaws import smooth_noise
from ..cases.skull_folder import SkullFile
from ..core.progress import Progress, part
from ..errors import SkullImplantError
from ..geometry.shape_statistics import POPULATION_FILE
from ..geometry.view import NOWHERE_MM, View
from .augmentation import AugmentationOptions, augment
from .endless import Shapes, endless_case, held_back_cases
from .prepared import CaseOptions, Region, TrainingCase, load_case, prepare_cases
from .registration import prepare_fields
from .standard_skulls import prepare_standard_skulls
from .training_options import REGISTERED, TrainOptions

AUTOENCODERS = ("ch1", "ch2")
# The prior of a training case is as good as this skull allows; of a patient it may be worse.
PRIOR_NOISE_MM, PRIOR_NOISE_SCALE_MM = 0.2, 30.0


@dataclass(frozen=True)
class CaseSource:
    """`draw`: a new case, which depends on its generator's state alone; `checks`: the cases of the
    skulls held back, one after the other; none where no skull is.
    """

    draw: Callable[[np.random.Generator], TrainingCase]
    checks: Callable[[], Iterator[TrainingCase]]


def checked_shapes(options: TrainOptions) -> TrainOptions:
    """Return the options; raises `SkullImplantError` where registered shapes do not suffice."""
    sees_more = set(options.channels) != {"skull"} or options.residual
    if options.shapes == REGISTERED and (options.network not in AUTOENCODERS or sees_more):
        raise SkullImplantError(
            "Registered shapes come without a prior; use them for ch1 or ch2, with the channel "
            "skull alone and without residual."
        )
    return options


def source_of(
    learning: Sequence[SkullFile],
    held_back: Sequence[SkullFile],
    folder: Path,
    region: Region,
    options: TrainOptions,
    progress: Progress,
) -> CaseSource:
    """Return where cases come from; what they are made from is prepared in `folder`."""
    wanted = CaseOptions(
        options.cases_per_skull,
        region,
        options.grid_mm,
        options.seed,
        options.flaws,
        Path(options.population) if options.population else POPULATION_FILE,
        options.leave_out,
        options.areas_cm2,
    )
    make = _registered if options.shapes == REGISTERED else _own
    return make(learning, held_back, folder, wanted, options.jobs, progress)


def _own(
    learning: Sequence[SkullFile],
    held_back: Sequence[SkullFile],
    folder: Path,
    wanted: CaseOptions,
    jobs: int,
    progress: Progress,
) -> CaseSource:
    made = [
        prepare_cases(some, folder, wanted, jobs, part(progress, *share)) if some else []
        for some, share in ((learning, (0.0, 0.75)), (held_back, (0.75, 1.0)))
    ]
    cases = made[0]
    return CaseSource(
        lambda rng: augmented(load_case(cases[rng.integers(len(cases))]), rng),
        lambda: map(load_case, made[1]),
    )


def _registered(
    learning: Sequence[SkullFile],
    held_back: Sequence[SkullFile],
    folder: Path,
    wanted: CaseOptions,
    _: int,
    progress: Progress,
) -> CaseSource:
    learnt, checked = (
        prepare_standard_skulls(some, folder, wanted, part(progress, *share))
        for some, share in ((learning, (0.0, 0.4)), (held_back, (0.4, 0.5)))
    )
    fields = prepare_fields(learnt, folder, part(progress, 0.5, 1.0))
    shapes = Shapes(learnt, fields, wanted.spacing_mm)
    return CaseSource(
        lambda rng: endless_case(shapes, rng),
        lambda: held_back_cases(checked, wanted.spacing_mm, wanted.count),
    )


def augmented(case: TrainingCase, rng: np.random.Generator) -> TrainingCase:
    """Return the case deformed, everything on it alike, and turned over every other time.

    Mirror image and prior are a little worse than they were: the one laid on less exactly, the
    other with a smooth error.
    """
    view = case.view
    arrays = [view.skull, view.depth_mm, view.hole, *view.deviation_mm]
    arrays += [case.target, case.depth_mm, view.mirror, view.opposite_hole]
    low_mm = view.low_mm
    if rng.random() < 0.5:
        arrays = [np.ascontiguousarray(array[..., ::-1]) for array in arrays]
        last_mm = low_mm[2] + (view.skull.shape[2] - 1) * view.spacing_mm
        low_mm = (*low_mm[:2], -last_mm)
    options = AugmentationOptions(mirror=False)
    skull, depth_mm, hole, outer, thickness, target, true_mm, mirror, opposite = augment(
        arrays[:-2], view.spacing_mm, rng, options, mirrored=arrays[-2:]
    )
    spacings_mm = [view.spacing_mm] * 3
    error_mm = PRIOR_NOISE_MM * smooth_noise(skull.shape, spacings_mm, PRIOR_NOISE_SCALE_MM, rng)
    view = View(
        skull=skull,
        mirror=mirror,
        depth_mm=np.where(depth_mm > -NOWHERE_MM, depth_mm + error_mm, depth_mm),
        hole=hole,
        opposite_hole=opposite,
        deviation_mm=np.stack([outer, thickness]),
        spacing_mm=view.spacing_mm,
        low_mm=low_mm,
    )
    return replace(case, view=view, target=target, depth_mm=true_mm)
