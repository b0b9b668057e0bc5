"""How far a design may be off, told from data alone, and which completion is to be trusted.

Features of the hole (where it lies, how sure the prior is, how much bone surrounds it, how far
network and prior disagree) give an expected error by a monotone fit to trials on known skulls, of
the network or of the prior alone (`resources/confidence-*.json`), which
`python -m SkullImplantLib.training.confidence` makes. A design is flagged where that error is too
large, or where the case lies beyond what the trials held.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..core.kept_json import read_json
from ..core.resources import RESOURCES
from ..errors import SkullImplantError
from ..geometry.prior import Prior
from ..geometry.shape_statistics import Population
from ..reading.slice_geometry import COARSE_GAP_MM, EVENNESS_TOLERANCE_MM
from .earlier import Earlier
from .features import Departure, Doubt, deviation_of, features_of

# The sources of a completion.
NETWORK, GEOMETRY, MIRRORED, REFERENCE = "network", "prior", "mirror", "reference"
NEVER_TRIED = (
    "The design is the other side of the head turned over, whose error no trial tells; compare it "
    "with a design of the default model."
)
SURELY_AGREEING = 0.9  # of intact bone with a reference: copies of one skull agree in more
LEAST_DEVIATION_MM = 0.25  # no prediction of a surface is surer than half a voxel
# What a design's features hold beside those that the trials were fitted to, where it is so.
GAP_MM, LIE_UNSURE = "gap_mm", "lie_unsure"
LIE_TOLD = "How the head lies could not be told surely; check that."
OFF_MM = 4.0  # a design whose HD95 is above this is off


@dataclass(frozen=True)
class Condition:
    """A circumstance that a reason names: a feature above `above`.

    `what` begins the sentence, `advice` ends it.
    """

    feature: str
    above: float
    what: str
    advice: str


ELSEWHERE = "compare it with the other side before use"
# In the order in which they are told; a limit is where the circumstance is plainly there.
CONDITIONS = {
    "view": Condition(
        "cut_share", 0.0, "The defect reaches the edge of the image",
        "take a CT that shows all of it if there is one",
    ),
    "unsupported": Condition(
        "unsupported_share", 0.15, "The brow is built without this head's other side to show it",
        "compare it with photographs or an earlier CT before use",
    ),
    "orbit": Condition(
        "brow_share", 0.15, "The defect reaches the orbit or the brow",
        "compare the brow with the other side before use",
    ),
    "base": Condition(
        "base_share", 0.15, "The defect reaches down towards the skull base",
        "compare its lower edge with the other side before use",
    ),
    "border": Condition(
        "open_border", 0.15, "Bone is missing along part of the defect's border",
        "look at the implant's rim there before use",
    ),
    "disagreement": Condition(
        "departure_most_mm", 3.0, "The network and the geometric prediction disagree", ELSEWHERE
    ),
    "misfit": Condition(
        "ring_thickness_error_mm", 1.5, "The bone around the defect is thicker or thinner than "
        "the geometric prediction makes it", "compare the implant's thickness with the bone's",
    ),
    "variable": Condition(
        "spread_mm", 4.0, "The defect lies where skulls differ much from one another", ELSEWHERE
    ),
}  # fmt: skip
# A design is unlike the trials where such a feature is above this many times the largest of theirs.
LIMITED = {
    "area_cm2": (1.25, "The hole of {value:.0f} cm² is larger than those of the trials (up to "
                 "{high:.0f} cm²), so its error is not known; judge the design by eye."),
    "pose_fit_mm": (2.0, "The vault departs from usual shapes by {value:.1f} mm, more than those "
                    "of the trials (up to {high:.1f} mm); judge the design by eye."),
}  # fmt: skip


@dataclass(frozen=True)
class Trials:
    """What the trials taught: log(HD95 in mm) is about `intercept` + sum of `weights` x features.

    `ranges`: the least and the greatest of each feature. `threshold_mm`: designs expected to be off
    by more are flagged. `counts`: of the trials with a condition, by its name, of those that the
    fit flags (`flagged`) and of all (`all`): how many, and how many were off by `OFF_MM` or more.
    `most_departure`: a network farther from the prior than so many of its deviations is not
    trusted; None where no trial tells.
    """

    intercept: float
    weights: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    threshold_mm: float
    counts: Mapping[str, tuple[int, int]]
    most_departure: float | None = None

    def expected_hd95_mm(self, features: Mapping[str, float]) -> float:
        """Return the error that half of such designs stay below, from features within range."""
        total = self.intercept
        for name, weight in self.weights.items():
            total += weight * float(np.clip(features[name], *self.ranges[name]))
        return float(np.exp(total))


@dataclass(frozen=True)
class Confidence:
    """What a design says of itself.

    `expected_hd95_mm`: the error that half of such designs stay below. `reasons`: a sentence each,
    none where the design is not flagged. `source`: `network`, `prior`, `mirror` or `reference`,
    which made it.
    """

    expected_hd95_mm: float
    flagged: bool
    reasons: tuple[str, ...]
    source: str
    features: dict[str, float] = field(default_factory=dict)

    @property
    def warning(self) -> tuple[str, ...]:
        """The one sentence for the user, where there is something to warn of."""
        if not self.flagged:
            return ()
        reason = self.reasons[0][0].lower() + self.reasons[0][1:]
        if self.source == MIRRORED or LIE_UNSURE in self.features:
            return (f"Look twice: {reason}",)
        return (f"Look twice, the error may be about {self.expected_hd95_mm:.0f} mm: {reason}",)

    def as_json(self) -> dict[str, Any]:
        """Return what `design.json` says."""
        return {
            "expected_hd95_mm": round(self.expected_hd95_mm, 2),
            "flagged": self.flagged,
            "reasons": list(self.reasons),
            "source": self.source,
            "features": {name: round(value, 4) for name, value in self.features.items()},
        }


def assess(
    prior: Prior,
    population: Population,
    departure: Departure | None = None,
    source: str = GEOMETRY,
    trials: Trials | None = None,
    doubt: Doubt | None = None,
) -> Confidence:
    """Return what to think of a design whose hole is the prior's.

    `departure` is the network's, where one ran; `trials` replaces the shipped ones; `doubt` is left
    where more than the prior was heard.
    """
    return judged_by(features_of(prior, population, departure, doubt), source, trials)


def assess_reference(earlier: Earlier, spacing_mm: float) -> Confidence:
    """Return what to think of a design by the patient's own earlier bone.

    No trial tells of it: the error expected is what the registration leaves on intact bone (95 % of
    it less) and half of `spacing_mm`, the larger voxel side of the two images.
    """
    reasons: tuple[str, ...] = ()
    if earlier.agreeing < SURELY_AGREEING:
        percent = 100.0 * earlier.agreeing
        reasons = (
            f"Only {percent:.0f} % of the intact bone agree with the reference to a millimetre; "
            "compare the design with one without it.",
        )
    if earlier.scale_off:
        reasons += (
            f"The reference seemed {100.0 * abs(earlier.scale_off):.1f} % "
            f"{'larger' if earlier.scale_off > 0.0 else 'smaller'} than this skull along an axis "
            "and was scaled to fit; check the voxel size of both.",
        )
    features = {
        "registration_residual_mm": earlier.residual_mm,
        "registration_residual_most_mm": earlier.residual_most_mm,
        "agreeing_share": earlier.agreeing,
    }
    expected_mm = earlier.residual_most_mm + spacing_mm / 2.0
    return Confidence(expected_mm, bool(reasons), reasons, REFERENCE, features)


def between_slices(confidence: Confidence, gap_mm: float) -> Confidence:
    """Return what to think of a design whose hole lies among slices so far apart.

    No trial had slices farther apart than `COARSE_GAP_MM`. Where bone begins and ends is seen only
    at slices, so it may lie anywhere between two of them: the standard deviation of that, gap/√12,
    is added to the error (in squares), and the design is flagged.
    """
    if gap_mm <= COARSE_GAP_MM + EVENNESS_TOLERANCE_MM:
        return confidence
    reason = (
        f"The slices at the defect are {gap_mm:.1f} mm apart, more than in any trial, and bone "
        "between them is a guess; take a finer CT if there is one, else check implant and bone "
        "there."
    )
    reasons = (reason, *confidence.reasons)
    if confidence.source == MIRRORED:
        reasons = (*confidence.reasons, reason)
    expected_mm = math.hypot(confidence.expected_hd95_mm, gap_mm / math.sqrt(12.0))
    return replace(
        confidence,
        expected_hd95_mm=expected_mm,
        flagged=True,
        reasons=reasons,
        features=confidence.features | {GAP_MM: gap_mm},
    )


def lying_unsurely(confidence: Confidence, doubts: tuple[str, ...]) -> Confidence:
    """Return what to think of a design of a head that may lie otherwise than its axes say.

    doubts: on that, a sentence each. Every trial's head stood upright, and of one that does not the
    implant may have the shape of another place: no expected error speaks of that.
    """
    if not doubts:
        return confidence
    return replace(
        confidence,
        flagged=True,
        reasons=(*doubts, *confidence.reasons),
        features=confidence.features | {LIE_UNSURE: 1.0},
    )


def judged_by(
    features: dict[str, float], source: str = GEOMETRY, trials: Trials | None = None
) -> Confidence:
    """Return what to think of a design with these features (`features_of`), made by `source`."""
    trials = trials or shipped_trials(is_networked(features, source))
    expected = trials.expected_hd95_mm(features)
    reasons = unlike_the_trials(features, trials)
    if source == MIRRORED:
        reasons.insert(0, NEVER_TRIED)
    too_far = expected > trials.threshold_mm
    if too_far or features["cut_share"] > 0.0:
        reasons += _why(features, trials)
    found = Confidence(expected, bool(reasons), tuple(reasons), source, features)
    found = between_slices(found, features.get(GAP_MM, 0.0))
    return lying_unsurely(found, (LIE_TOLD,) if LIE_UNSURE in features else ())


def is_trusted(departure: Departure, prior: Prior, trials: Trials | None = None) -> bool:
    """Say whether a network that departs so from the prior is to be trusted more than the prior.

    It is, unless it departs farther than the trials found good, measured in the prior's own
    deviation in the hole.
    """
    most = (trials or shipped_trials(networked=True)).most_departure
    return most is None or departures(departure.most_mm, deviation_of(prior)) <= most


def departures(most_mm: float, deviation_mm: float) -> float:
    """Return a network's departure in deviations of the prior."""
    return most_mm / max(deviation_mm, LEAST_DEVIATION_MM)


def unlike_the_trials(features: Mapping[str, float], trials: Trials) -> list[str]:
    """Return a sentence for each feature that lies beyond what the trials held."""
    found = []
    for name, (times, sentence) in LIMITED.items():
        high, value = trials.ranges[name][1], features[name]
        if value > times * high:
            found.append(sentence.format(value=value, high=high))
    return found


def conditions_of(features: Mapping[str, float]) -> list[str]:
    """Return the names of the conditions that hold, in the order in which they are told."""
    return [
        name for name, c in CONDITIONS.items() if features.get(c.feature, 0.0) > c.above
    ]  # fmt: skip


def _why(features: Mapping[str, float], trials: Trials) -> list[str]:
    """Return a sentence for each condition under which designs were off more often than usual."""
    count, off = trials.counts["all"]
    usual = off / max(count, 1)
    reasons = []
    for name in conditions_of(features):
        condition = CONDITIONS[name]
        count, off = trials.counts.get(name, (0, 0))
        if not count:
            reasons.append(f"{condition.what}, which no trial did; {condition.advice}.")
        elif off / count > usual:
            reasons.append(
                f"{condition.what}, where designs were off by more than {OFF_MM:.0f} mm in "
                f"{100 * off / count:.0f} % of {count} trials; {condition.advice}."
            )
    if not reasons:
        count, off = trials.counts["flagged"]
        reasons.append(
            "The bone around the hole says little of its shape, and designs were off by more than "
            f"{OFF_MM:.0f} mm in {100 * off / count:.0f} % of {count} trials in such cases; "
            f"{ELSEWHERE}."
        )
    return reasons


def is_networked(features: Mapping[str, float], source: str) -> bool:
    """Say whether a network ran, even where the prior was trusted in the end."""
    return source == NETWORK or features["departure_most_mm"] > 0.0


@lru_cache(maxsize=2)
def shipped_trials(networked: bool) -> Trials:
    """Return what the trials of the network that ships taught, or those of the prior alone.

    Raises `SkullImplantError` where the file is missing or of another make.
    """
    return read_trials(RESOURCES / f"confidence-{NETWORK if networked else GEOMETRY}.json")


def read_trials(path: Path) -> Trials:
    """Return the trials in a file that `training.confidence` wrote.

    Raises `SkullImplantError` where the file is missing or of another make.
    """
    try:
        stored = read_json(path)
        trials = Trials(
            intercept=float(stored["intercept"]),
            weights={str(k): float(v) for k, v in stored["weights"].items()},
            ranges={str(k): (float(a), float(b)) for k, (a, b) in stored["ranges"].items()},
            threshold_mm=float(stored["threshold_mm"]),
            counts={str(k): (int(a), int(b)) for k, (a, b) in stored["counts"].items()},
            most_departure=stored["most_departure"],
        )
        if not {*trials.weights, *LIMITED} <= set(trials.ranges):
            raise ValueError("a range is missing")
        if not {"all", "flagged"} <= set(trials.counts):
            raise ValueError("a count is missing")
    except (OSError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise SkullImplantError(
            f"The record of trials {path.name} is missing or damaged; install the program again."
        ) from error
    return trials
