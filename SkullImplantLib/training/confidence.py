"""Make `resources/confidence-*.json`: what trials on known skulls teach of a design's error.

    python -m SkullImplantLib.training.confidence SUITE... -o FILE.json

Each SUITE is a folder that `skull-implant evaluate --suite` wrote, of designs by the model that
ships; suites of the geometric prior on the same cases beside it also say how far the network may
depart from the prior. The logarithm of HD95 is fitted by a sum of features with weights that are
not negative (non-negative least squares, Lawson and Hanson 1974, with a ridge), so that a larger
uncertainty never lowers the expected error. The threshold is chosen on predictions for skulls that
were left out of the fit. Deterministic.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from ..completion.trust import (
    CONDITIONS,
    GEOMETRY,
    LIMITED,
    OFF_MM,
    Trials,
    conditions_of,
    departures,
    is_networked,
    unlike_the_trials,
)
from ..core.files import atomic_path
from ..core.kept_json import read_json
from ..errors import SkullImplantError

# What the error is fitted by: few, each of which grows with it.
FEATURES = (
    "doubt_mm",
    "unsupported_share",
    "thickness_deviation_mm",
    "ring_error_mm",
    "ring_thickness_error_mm",
    "departure_mm",
    "departure_most_mm",
)
SENSITIVITY = 0.90  # of the flag, on skulls left out; higher costs false alarms
# Nor shall it be raised for more of the good designs than this: what cries wolf is not heard.
MOST_FALSE_ALARMS = 0.10
# Errors beyond are fitted as these: below the grid decides, and gross errors are all alike.
LEAST_MM, MOST_MM = 1.0, 12.0
RIDGE = 0.05  # of the number of trials: weights that little speaks for stay small
LEAST_SWITCHED = 5  # trials that must speak for taking the prior instead of the network
LEAST_SKULLS = 3
DIGITS = 4


@dataclass(frozen=True)
class TrialRow:
    """One trial: the skull, what was known before, and how it came out."""

    case: tuple[str, ...]
    skull: str
    source: str
    features: Mapping[str, float]
    hd95_mm: float

    @property
    def networked(self) -> bool:
        """Whether a network ran, even where the prior was trusted in the end."""
        return is_networked(self.features, self.source)

    @property
    def off(self) -> bool:
        """Whether the design was off by more than the flag is there for."""
        return self.hd95_mm > OFF_MM


@dataclass(frozen=True)
class LeftOutSkulls:
    """How the flag did on skulls left out of its fit, and which trials it flagged."""

    flagged: list[bool]
    threshold_mm: float
    sensitivity: float
    false_alarms: float


def read_rows(folders: Sequence[Path]) -> list[TrialRow]:
    """Return the trials in suites' folders, in order of their files' names; refusals are none.

    Raises `SkullImplantError` where a folder has none that knows its features.
    """
    rows = []
    for folder in folders:
        found = [_row_of(path) for path in sorted((folder / "cases").glob("*.json"))]
        if not any(found):
            raise SkullImplantError(
                f"{folder} holds no cases with features; give one that `skull-implant evaluate` "
                "wrote of a suite of skulls."
            )
        rows += [row for row in found if row]
    return rows


def _row_of(path: Path) -> TrialRow | None:
    try:
        told: dict[str, Any] = read_json(path)["row"]
    except (OSError, ValueError, KeyError) as error:
        raise SkullImplantError(f"The case {path} is damaged; run the suite again.") from error
    if "error" in told or "not_made" in told or not told.get("features"):
        return None
    hd95_mm = told["hd95_mm"]
    return TrialRow(
        case=tuple(str(told.get(k, "")) for k in ("skull", "kind", "number", "degradation")),
        skull=str(told["skull"]),
        source=str(told.get("model_source", "")),
        features={str(k): float(v) for k, v in told["features"].items()},
        hd95_mm=math.inf if hd95_mm is None else float(hd95_mm),
    )


def fit(rows: Sequence[TrialRow]) -> tuple[Trials, LeftOutSkulls]:
    """Return what the trials teach, and how it did on skulls that were left out.

    Raises `SkullImplantError` for trials on fewer than `LEAST_SKULLS` skulls.
    """
    skulls = sorted({row.skull for row in rows})
    if len(skulls) < LEAST_SKULLS:
        raise SkullImplantError(
            f"The trials are on {len(skulls)} skulls; give suites of at least {LEAST_SKULLS}."
        )
    most_departure = farthest_good_departure(rows)
    judged = judged_rows(rows)
    expected_mm, unlike = np.zeros(len(judged)), np.zeros(len(judged), bool)
    for skull in skulls:
        others = fitted([row for row in judged if row.skull != skull])
        for k, row in enumerate(judged):
            if row.skull == skull:
                expected_mm[k] = others.expected_hd95_mm(row.features)
                unlike[k] = bool(unlike_the_trials(row.features, others))
                unlike[k] |= row.features["cut_share"] > 0.0
    off = np.array([row.off for row in judged])
    anyhow = np.where(unlike, np.inf, expected_mm)
    threshold_mm = threshold_of(expected_mm, off & ~unlike, anyhow[~off])
    flagged = (expected_mm > threshold_mm) | unlike
    whole = fitted(judged)
    counts = {"all": _counted(judged, [True] * len(judged)), "flagged": _counted(judged, flagged)}
    told = [conditions_of(row.features) for row in judged]
    for name in CONDITIONS:
        counts[name] = _counted(judged, [name in names for names in told])
    trials = Trials(
        whole.intercept, whole.weights, whole.ranges, threshold_mm, counts, most_departure
    )
    return trials, LeftOutSkulls(
        flagged.tolist(), threshold_mm, _share(flagged, off), _share(flagged, ~off)
    )


def judged_rows(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """Return the trials of the model that ships: of a case made by network and by prior, and by
    nothing else, the network's.
    """
    networks = {row.case for row in rows if row.networked}
    return [row for row in rows if row.networked or row.case not in networks]


def fitted(rows: Sequence[TrialRow]) -> Trials:
    """Return weights, intercept and ranges; the threshold is not yet known."""
    names = [name for name in FEATURES if all(name in row.features for row in rows)]
    x = np.array([[row.features[name] for name in names] for row in rows])
    y = np.log(np.clip([row.hd95_mm for row in rows], LEAST_MM, MOST_MM))
    middle, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale < 1e-9] = np.inf  # a feature that never varies has no weight
    # Centred, so that the intercept may have either sign.
    ridge = math.sqrt(RIDGE * len(x)) * np.eye(len(names))
    weights, _ = nnls(
        np.concatenate([(x - middle) / scale, ridge]),
        np.concatenate([y - y.mean(), np.zeros(len(names))]),
    )
    weights = weights / scale
    every = dict.fromkeys([*names, *LIMITED, "cut_share"])
    ranges = {}
    for name in every:
        values = [row.features[name] for row in rows]
        ranges[name] = (round(min(values), DIGITS), round(max(values), DIGITS))
    return Trials(
        intercept=round(float(y.mean() - weights @ middle), DIGITS),
        weights={name: round(float(w), DIGITS) for name, w in zip(names, weights)},
        ranges=ranges,
        threshold_mm=OFF_MM,
        counts={},
    )


def threshold_of(expected_mm: np.ndarray, off: np.ndarray, good_mm: np.ndarray) -> float:
    """Return the largest threshold above which `SENSITIVITY` of the trials that are `off` are
    expected; a larger one where that flags more than `MOST_FALSE_ALARMS` of the good trials, of
    which `good_mm` (n,) is expected, infinite where they are flagged anyhow.

    The first lies half-way to the next trial below; none is above what the flag is there for.
    """
    if not off.any():
        return OFF_MM
    worst = np.sort(expected_mm[off])[::-1]
    least = worst[math.ceil(SENSITIVITY * len(worst)) - 1]
    below = expected_mm[expected_mm < least]
    threshold = math.sqrt(least * below.max()) if len(below) else 0.99 * least
    if len(good_mm):
        highest = np.sort(good_mm)[::-1]
        threshold = max(threshold, float(highest[math.floor(MOST_FALSE_ALARMS * len(highest))]))
    return round(min(float(threshold), OFF_MM), DIGITS)


def farthest_good_departure(rows: Sequence[TrialRow]) -> float | None:
    """Return the departure, in deviations of the prior, beyond which the prior did better than the
    network in all; None where too few trials speak for any.
    """
    prior = {row.case: row.hd95_mm for row in rows if row.source == GEOMETRY}
    pairs = sorted(
        (
            departures(row.features["departure_most_mm"], row.features["deviation_mm"]),
            min(row.hd95_mm, MOST_MM) - min(prior[row.case], MOST_MM),
        )
        for row in rows
        if row.source != GEOMETRY and row.case in prior
    )
    if len(pairs) < 2 * LEAST_SWITCHED:
        return None
    gain_mm = np.cumsum([gain for _, gain in reversed(pairs)])[::-1]  # of taking the prior from k
    gain_mm = gain_mm[: len(pairs) - LEAST_SWITCHED + 1]
    best = int(gain_mm.argmax())
    if gain_mm[best] <= 0.0 or best == 0:
        return None
    return round((pairs[best - 1][0] + pairs[best][0]) / 2, DIGITS)


def _counted(rows: Sequence[TrialRow], chosen: Iterable[bool]) -> tuple[int, int]:
    """Return how many trials are chosen, and how many of them were off."""
    own = [row.off for row, yes in zip(rows, chosen) if yes]
    return len(own), sum(own)


def _share(flagged: np.ndarray, of: np.ndarray) -> float:
    return float(flagged[of].mean()) if of.any() else math.nan


def as_json(trials: Trials, rows: Sequence[TrialRow], left_out: LeftOutSkulls) -> dict[str, Any]:
    """Return the file's contents: what `completion.trust.read_trials` reads, and its sources."""
    return {
        "intercept": trials.intercept,
        "weights": dict(trials.weights),
        "ranges": {name: list(pair) for name, pair in trials.ranges.items()},
        "threshold_mm": trials.threshold_mm,
        "counts": {name: list(pair) for name, pair in trials.counts.items()},
        "most_departure": trials.most_departure,
        "trials": len(rows),
        "skulls": sorted({row.skull for row in rows}),
        "sources": sorted({row.source for row in rows}),
        "left_out_skulls": {
            name: None if math.isnan(value) else round(value, DIGITS)
            for name, value in (
                ("sensitivity", left_out.sensitivity),
                ("false_alarms", left_out.false_alarms),
            )
        },
    }


def region_of(row: TrialRow) -> str:
    """Return where a trial's hole lies: at the brow, down to the temple and the base, or above."""
    told = conditions_of(row.features)
    if "orbit" in told:
        return "region: brow without example" if "unsupported" in told else "region: brow"
    return "region: temple, base" if "base" in told else "region: vault"


def _grouped(
    names: Sequence[str], flags: Sequence[bool]
) -> list[tuple[str, list[tuple[int, bool]]]]:
    """Return for each name the numbers and flags of its trials."""
    return [
        (name, [(k, flag) for k, (own, flag) in enumerate(zip(names, flags)) if own == name])
        for name in sorted(set(names))
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and write; print how the flag did on each skull left out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("suites", type=Path, nargs="+", help="folders of an evaluated suite")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the .json to write")
    options = parser.parse_args(arguments)
    try:
        rows = read_rows(options.suites)
        trials, left_out = fit(rows)
        rows = judged_rows(rows)
        with atomic_path(options.output) as temporary:
            text = json.dumps(as_json(trials, rows, left_out), indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    except SkullImplantError as error:
        print(error, file=sys.stderr)
        return 2
    for name, flags in (
        *_grouped([row.skull for row in rows], left_out.flagged),
        *_grouped([region_of(row) for row in rows], left_out.flagged),
    ):
        own = [(rows[k], flag) for k, flag in flags]
        caught = sum(flag for row, flag in own if row.off)
        alarms = sum(flag for row, flag in own if not row.off)
        off = sum(row.off for row, _ in own)
        print(
            f"{name:24s} {caught} of {off} off caught, {alarms} of {len(own) - off} others flagged"
        )
    print(
        f"Skulls left out: sensitivity {left_out.sensitivity:.1%}, false alarms "
        f"{left_out.false_alarms:.1%}, above {left_out.threshold_mm:.2f} mm; {len(rows)} trials."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
