"""How a network is trained: what a person can choose, without the code that obeys."""

from dataclasses import dataclass, replace
from typing import Literal

FINE = "fine"  # the sparse U-Net around the defect; the others are auto-encoders of the whole head
FINE_SPACING_MM, COARSE_SPACING_MM = 1.5, 2.0
# Super-resolution, by the auto-encoder that does it.
SUPERRES_NETWORKS = {"superres": "ch1", "superres-ch2": "ch2"}
# Of chests, by their tasks: the dense network, and what brings its labels to the CT's own grid.
ORGAN_NETWORKS = {"organs-segmentation": "segmentation", "organs-superres": "superres"}
REGISTERED = "registered"  # shapes without end, by registration of the skulls with each other


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    What is trained:
        network: `fine`, a published auto-encoder, `ch1` or `ch2`; one of `SUPERRES_NETWORKS`, for
            which the options of inputs, prior and defects say nothing; or one of `ORGAN_NETWORKS`,
            which has recipes of its own (`organ_options.py`).
        channels: what it sees (`networks.inputs.CHANNELS`).
        spacing_mm: of its grid; None is 1.5 for `fine` and 2 for an auto-encoder.
        activation, skip, keep_from, keep_in_training, hole_weight, residual: of the auto-encoders
            alone. `keep_from` is the least probability at which coarser levels keep a candidate in
            use and validation, `keep_in_training` the same while training, where the target is kept
            too; the papers' are 0.5. From nothing only 0.5 learns to fill a hole, as there what is
            offered in it mostly is bone; a lower one then teaches to tell it from what is not.
            `hole_weight` is the weight of the Dice term on the hole, 0 is the papers' loss.
            `residual`: the finest level adds to the prior's belief
            (`networks.inputs.starting_logit`) instead of beginning from nothing.

    On what:
        shapes: `own`: each skull as it is, with the defects cut into it. `registered`: endless
            cases of skulls warped towards one another (`training/endless.py`), for auto-encoders
            that see the skull alone; these have no flaws.
        leave_out: names of skulls in the folder that are not used, nor known to the prior.
        population: the file of the prior's shape statistics; empty is the shipped one.
        provenance: sentences for the model card: where the skulls come from, whether from CT or
            MRI, and under which terms.
        cases_per_skull: defects cut into each skull.
        areas_cm2: the least and the greatest area of a defect; the clinic's are 58 to 120 cm², but
            a network shall know what lies beyond too.
        flaws: share of the cases that get flaws of patients and scanners (`cases/mask_flaws.py`).
        validation_share: of the skulls, held back to choose the best iteration; with 0 all are
            learnt from, and the last iteration's weights are kept.

    How long and how:
        start: a weight file to start from instead of from nothing, of the same network and inputs:
            weights of many skulls learn a hospital's few in less time. Or a checkpoint (`.pth`) of
            a published auto-encoder, whose one channel is `skull`.
        batch: cases an iteration, normalised together in an auto-encoder.
        iterations: one batch each; the learning rate falls along half a cosine to the last.
        minutes: stop after so long even if iterations are left; None is never.
        patience: stop after so many validations without a better one; None is never.
        validate_every: iterations.
        precision: of the products; `auto` is bfloat16 on a GPU that has it, and float32 elsewhere.
        memory: what is kept between the passes of an iteration: `plain` keeps one tensor a block,
            `packed` rounds it to 16 bits, `recomputed` keeps a level's input alone and works the
            level out again (of an auto-encoder), exactly.
        surplus: candidates outside the target that a level of an auto-encoder passes on at most, as
            a multiple of the target's; the surest are taken. An untrained network sees bone
            everywhere, which would need many times the memory of a trained one.
        seed: of defects, weights, order and augmentation.
        jobs: skulls prepared at the same time.
    """

    network: str = FINE
    channels: tuple[str, ...] = ("skull", "mirror", "prior", "hole", "deviation", "place")
    spacing_mm: float | None = None
    activation: Literal["relu", "elu"] = "relu"
    skip: Literal["none", "add"] = "add"
    keep_from: float = 0.5
    keep_in_training: float = 0.5
    hole_weight: float = 2.0
    residual: bool = True
    shapes: Literal["own", "registered"] = "own"
    leave_out: tuple[str, ...] = ()
    population: str = ""
    provenance: str = ""
    cases_per_skull: int = 20
    areas_cm2: tuple[float, float] = (5.0, 150.0)
    flaws: float = 0.5
    validation_share: float = 0.15
    start: str = ""
    batch: int = 1
    iterations: int = 3000
    minutes: float | None = None
    patience: int | None = None
    validate_every: int = 250
    learning_rate: float = 1e-3
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    memory: Literal["plain", "packed", "recomputed"] = "plain"
    surplus: float = 1.0
    seed: int = 0
    device: str = "cpu"
    jobs: int = 1

    @property
    def grid_mm(self) -> float:
        """The spacing of the network's grid, also where it was left to the network."""
        if self.spacing_mm is not None:
            return self.spacing_mm
        return FINE_SPACING_MM if self.network == FINE else COARSE_SPACING_MM


def resolved(options: TrainOptions) -> TrainOptions:
    """Return the options with what depends on others filled in."""
    return replace(options, spacing_mm=options.grid_mm)
