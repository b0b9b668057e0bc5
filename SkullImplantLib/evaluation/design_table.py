"""Several designs of one head side by side: what each was made with, and what came of it.

From what `design.json` tells of each; texts, as a person compares them. Values that read alike are
alike.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Told = dict[str, Any]

UNKNOWN = "not known"
# What a design follows, by who completed the skull (`model.source`).
FOLLOWS = {
    "prior": "the bone around, other skulls, and the other side",
    "mirror": "the other side, turned over",
    "network": "a network taught on other skulls",
    "reference": "the patient's own earlier bone",
}
MADE, CAME, CHECKED = "made with", "came of it", "check"


@dataclass(frozen=True)
class Row:
    """One line of the table: its group (`made with`, `came of it` or `check`), its name, and the
    values of the designs in their order.
    """

    group: str
    name: str
    values: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether the designs differ in it."""
        return len(set(self.values)) > 1

    def as_json(self) -> dict[str, Any]:
        """Return the row with its verdict."""
        return {
            "group": self.group,
            "name": self.name,
            "values": list(self.values),
            "differs": self.differs,
        }


def design_table(designs: Sequence[Told]) -> list[Row]:
    """Return the rows for designs as `design.json` tells them, of any version of it."""
    made = [
        Row(MADE, name, tuple(_read(read, told) for told in designs)) for name, read in MADE_WITH
    ]
    came = [Row(CAME, name, tuple(_read(read, told) for told in designs)) for name, read in OUTCOME]
    return [*came, *made, *_checks(designs)]


def expected_error(told: Told) -> str:
    """Return how far a design may be off, and whether it flags itself."""
    confidence = told.get("confidence")
    if confidence is None or confidence["source"] == "mirror":
        return UNKNOWN  # of an edited implant nobody knows, nor of the other side turned over
    flag = ", look twice" if confidence["flagged"] else ""
    return f"{confidence['expected_hd95_mm']:.1f} mm{flag}"


def checks_passed(told: Told) -> str:
    """Return how many checks a design passed, of how many."""
    checks = told["checks"]
    return f"{sum(check['passed'] for check in checks)} of {len(checks)}"


def follows(told: Told) -> str:
    """Return what the shape of a design follows, in words."""
    return FOLLOWS.get(told.get("model", {}).get("source") or "", UNKNOWN)


def _read(read: Callable[[Told], str], told: Told) -> str:
    try:
        return read(told)
    except (KeyError, TypeError, IndexError, ValueError):
        return UNKNOWN  # designs of earlier versions tell less


def _mm(name: str, without: str) -> Callable[[Told], str]:
    def read(told: Told) -> str:
        value = told["parameters"].get(name)
        return without if value is None else f"{value:g} mm"

    return read


def _threshold(told: Told) -> str:
    value = told["parameters"]["bone_threshold_hu"]
    return "none (a mask)" if value is None else f"{value:.0f} HU"


def _direction(told: Told) -> str:
    asked = told["parameters"]["insertion_direction"]
    return "automatic" if asked is None else ", ".join(f"{float(along):.2f}" for along in asked)


def _holes(told: Told) -> str:
    asked = told["parameters"]["holes"]
    return "all" if not asked else f"{len(asked)} chosen"


def _drill(told: Told) -> str:
    drill = told["parameters"]["drill"]
    perforated = drill["perforation_mm"]
    found = [f"{perforated:g} mm perforations"] if perforated else []
    found += [f"{drill['suture_holes']} suture holes"] if drill["suture_holes"] else []
    return ", ".join(found) or "none"


def _left_out(told: Told) -> str:
    left = told["parameters"]["leave_out"]
    return "nothing" if left is None else f"{left['volume_cm3']:.1f} cm³ of bone"


def _edited(told: Told) -> str:
    return "yes, or fitted again" if told.get("edited") else "no"


def _largest(name: str, unit: str) -> Callable[[Told], str]:
    return lambda told: f"{max(one[name] for one in told['implants']):.1f}{unit}"


MADE_WITH: tuple[tuple[str, Callable[[Told], str]], ...] = (
    ("follows", follows),
    ("model", lambda told: str(told["model"]["name"])),
    ("edited by hand", _edited),
    ("thickness asked for", _mm("thickness_mm", "as the missing bone")),
    ("clearance", _mm("clearance_mm", UNKNOWN)),
    ("least wall", _mm("least_wall_mm", UNKNOWN)),
    ("way in", _direction),
    ("holes filled", _holes),
    ("bevel", _mm("bevel_mm", "none")),
    ("split", _mm("split_gap_mm", "one piece")),
    ("drilled holes", _drill),
    ("smoother", lambda told: str(told["parameters"]["smoother"])),
    ("bone threshold", _threshold),
    ("skull refined to", _mm("refine_mm", "as it came")),
    ("left out", _left_out),
)
OUTCOME: tuple[tuple[str, Callable[[Told], str]], ...] = (
    ("expected error", expected_error),
    ("checks passed", checks_passed),
    ("implants", lambda told: str(len(told["implants"]))),
    ("area", lambda told: f"{told['implant']['area_cm2']:.0f} cm²"),
    ("volume", lambda told: f"{told['implant']['volume_cm3']:.1f} cm³"),
    ("mean thickness", lambda told: f"{told['implant']['thickness_mm']:.1f} mm"),
    ("way in, off its normal", _largest("insertion_off_normal_deg", "°")),
    ("lost for the way in", _largest("insertion_lost_percent", " %")),
)


def _checks(designs: Sequence[Told]) -> Iterator[Row]:
    """Return a row for each check of any of the designs, its worst value, of several implants one
    each.
    """
    measured: list[dict[str, str]] = []
    for told in designs:
        several = len(told.get("implants", [])) > 1
        values: dict[str, str] = {}
        for check in told["checks"]:
            name = f"{check.get('implant', 1)}: {check['name']}" if several else check["name"]
            verdict = "" if check["passed"] else ", look at it"
            values[name] = f"{_figures(float(check['value']))} {check['unit']}".strip() + verdict
        measured.append(values)
    for name in dict.fromkeys(name for values in measured for name in values):
        yield Row(CHECKED, name, tuple(values.get(name, "not measured") for values in measured))


def _figures(value: float) -> str:
    """Return a number with two figures: what two designs differ by beyond is no difference."""
    if value == round(value) or abs(value) >= 10.0:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 1.0 else f"{value:.2f}"
