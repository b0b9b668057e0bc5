"""The report's tables of facts: what each implant is, how it was made, and in which units."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

# Names that a reader knows better than the keys of `design.json`.
LABELS = {
    "volume_cm3": "Volume",
    "area_cm2": "Area",
    "hole_area_cm2": "Area of the hole",
    "triangles": "Triangles of the mesh",
    "size_mm_xyz": "Bounding box (x, y, z)",
    "size_xyz": "Voxels (x, y, z)",
    "spacing_mm_xyz": "Voxel size (x, y, z)",
    "sha256": "SHA-256",
    "bone_threshold_hu": "Bone threshold",
    "leave_out_metal": "Metal on the vault left out",
    "refine_mm": "Skull refined to voxels of",
    "clearance_mm": "Clearance, in place and on the way in",
    "thickness_mm": "Thickness asked for",
    "least_wall_mm": "Least wall",
    "insertion_direction": "Way in asked for (x, y, z; LPS)",
    "holes": "Holes asked for",
    "split_gap_mm": "Split in two with a gap of",
    "bevel_mm": "Bevel of the outer edge",
    "drill": "Drilled",
    "leave_out": "Bone left out",
    "limit_to": "Limited to the inside of curves",
    "cut_out": "Taken for a hole within curves",
}
# Of the parameters that are none, what is done instead.
INSTEAD = {
    "leave_out_metal": "no",
    "refine_mm": "as it came",
    "thickness_mm": "as the bone that is missing",
    "insertion_direction": "the one on which least is lost",
    "holes": "every hole of 4 cm² and more",
    "split_gap_mm": "not split",
    "bevel_mm": "none; edges are rounded",
}
# Who completed the skull, by the word of `design.json`.
COMPLETED_BY = {
    "prior": "the geometric prior, with the head's other side where that tells more",
    "network": "the network",
    "mirror": "the head's other side alone",
    "reference": "the patient's own earlier bone",
}
KINDS = {"ct": "CT", "skull": "mask of a skull"}
# Of the models that ship; their cards lie beside them, named by the checksum.
SHIPPED = ("prior", "fine")
FROM_FEW = (
    "It learnt from few adult skulls, most of them from MRI, and was measured on clean artificial "
    "cuts; real holes have healed rims. Its card, in the program's folder, names the data."
)
FROM_ITS_OWN = "What it learnt from is told by its own card."
PLACES = ("insertion_direction", "holes")  # lists that are no sizes
# The way that an implant comes out, by the axis (LPS) that it follows most.
WAYS = (("to the right", "to the left"), ("forwards", "backwards"), ("downwards", "upwards"))
# Of a direction, an axis counts in words from this share of its length on: 25 degrees.
COUNTS_FROM = 0.42
# Of the solid materials: PEEK and PMMA by what makers of implants state, Ti-6Al-4V as ASTM F136's
# alloy.
DENSITIES_G_CM3 = {
    "PEEK (1.30 g/cm³)": 1.30,
    "PMMA (1.18 g/cm³)": 1.18,
    "titanium Ti-6Al-4V (4.43 g/cm³)": 4.43,
}
UNITS = {"cm3": "cm³", "cm2": "cm²", "mm": "mm", "hu": "HU"}


def implant_sections(
    together: Mapping[str, Any], implants: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield a section for each implant; of an older design, which knows one and no way in, one."""
    whole = {"thickness_mm": "Mean thickness (volume by area)"}
    if len(implants) != 1:
        title = "All implants" if implants else "Implant"
        yield section(title, facts_table(together, whole))
    for implant in implants:
        hole = {"hole_area_cm2": together.get("hole_area_cm2")} if len(implants) == 1 else {}
        facts = {
            "file": implant["file"],
            **{key: implant[key] for key in ("volume_cm3", "area_cm2", "thickness_mm")},
            **hole,
            **{key: implant[key] for key in ("triangles", "size_mm_xyz")},
        }
        correction_mm = implant["rim_correction_mm"]
        bared_mm = implant.get("insertion_bared_rim_mm", 0.0)
        told = {
            **{
                f"Mass in {material}": f"{implant['volume_cm3'] * density:.0f} g"
                for material, density in DENSITIES_G_CM3.items()
            },
            "Comes out": way_in_words(implant["insertion_direction_lps"]),
            "Off the mean normal": f"{implant['insertion_off_normal_deg']:.0f}°",
            "Taken away so that it goes in": f"{implant['insertion_lost_percent']:.1f} %",
            "Outer rim bared for that": f"up to {bared_mm:.1f} mm",
            "Bent to be flush at the rim": (
                "unknown" if correction_mm is None else f"up to {correction_mm:.1f} mm"
            ),
        }
        title = "Implant" if len(implants) == 1 else f"Implant {implant['label']}"
        yield section(title, facts_table({**facts, **told}, whole))


def way_in_words(direction_lps: Sequence[float]) -> str:
    """Return the direction (unit vector, LPS) along which an implant comes out, in words, the axis
    that it follows most first, with its numbers.
    """
    order = sorted(range(3), key=lambda axis: -abs(direction_lps[axis]))
    words = [
        WAYS[axis][direction_lps[axis] > 0.0]
        for axis in order
        if abs(direction_lps[axis]) >= COUNTS_FROM
    ]
    numbers = ", ".join(with_minus(f"{along:.2f}") for along in direction_lps)
    return f"{', '.join(words)} ({numbers}; LPS)"


def quantity(value: float, unit: str) -> str:
    return f"{readable(value)} {escape(unit)}".strip()


def readable(value: float) -> str:
    """Return a number with as many decimals as a reader can use."""
    whole = value == round(value) or abs(value) >= 100
    return with_minus(f"{value:.0f}" if whole else f"{value:.2f}")


def with_minus(number: str) -> str:
    """Return a number with a minus, which is as wide as a plus, for the hyphen before it."""
    return number.replace("-", "\N{MINUS SIGN}")


def capital(words: str) -> str:
    """Return words with a capital first; names among them, as PEEK, stay as they are."""
    return words[:1].upper() + words[1:]


def section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>\n{body}</section>"


def parameters_table(parameters: Mapping[str, Any]) -> str:
    """Return the parameters as a table; what was not asked for says what is done instead."""
    told = {
        key: INSTEAD[key] if key in INSTEAD and not value else value
        for key, value in parameters.items()
    }
    drilled = {"drill": _drilled(parameters["drill"])} if "drill" in parameters else {}
    return facts_table({**told, **drilled})


def input_table(told: Mapping[str, Any]) -> str:
    """Return what the input was as a table."""
    kind = {"kind": KINDS.get(told["kind"], told["kind"])} if "kind" in told else {}
    return facts_table({**told, **kind})


def model_table(told: Mapping[str, Any]) -> str:
    """Return who completed the skull as a table, and what of other heads stands behind it."""
    source = told.get("source")
    facts = {name: told[name] for name in ("name", "sha256") if name in told}
    if source is not None:
        facts["completed by"] = COMPLETED_BY.get(source, source)
    table = facts_table(facts)
    if source not in ("prior", "network"):
        return table
    return f"{table}<p>{FROM_FEW if told.get('name') in SHIPPED else FROM_ITS_OWN}</p>"


def _drilled(drill: Mapping[str, Any]) -> str:
    """Return the holes through the implant that were asked for, in words."""
    told = []
    if drill["perforation_mm"]:
        told.append(
            f"perforations of {drill['perforation_mm']:g} mm every "
            f"{drill['perforation_pitch_mm']:g} mm, "
            f"{drill['perforation_from_rim_mm']:g} mm and more from the rim"
        )
    if drill["suture_holes"]:
        told.append(
            f"{drill['suture_holes']} suture holes of {drill['suture_hole_mm']:g} mm, "
            f"{drill['suture_from_rim_mm']:g} mm from the rim"
        )
    return "; ".join(told) or "nothing"


def facts_table(facts: Mapping[str, Any], labels: Mapping[str, str] = LABELS) -> str:
    """Return names and values as a table; units are taken from the keys, which state them."""
    rows = []
    for key, value in facts.items():
        label = labels.get(key) or LABELS.get(key, capital(key.replace("_", " ")))
        kind = ' class="hash"' if key == "sha256" else ""
        rows.append(f"<tr><th>{escape(label)}</th><td{kind}>{escape(_text(key, value))}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _text(key: str, value: Any) -> str:
    """Return a value of `design.json` for people."""
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{LABELS.get(name, name)} {_text(name, value[name])}" for name in value)
    if key in PLACES and not isinstance(value, str):
        return ", ".join(
            f"({_text(key, item)})" if isinstance(item, (list, tuple)) else f"{item:g}"
            for item in value
        )
    unit = next((UNITS[word] for word in key.split("_") if word in UNITS), "")
    if isinstance(value, (list, tuple)):
        return " × ".join(_text("", item) for item in value) + (f" {unit}" if unit else "")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    number = str(value) if isinstance(value, int) else f"{value:.4g}"
    return f"{number} {unit}".strip()
