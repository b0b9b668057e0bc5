"""In which space an NRRD file says that its voxels lie (teem.sourceforge.net/nrrd/format.html).

ITK passes over what it does not know: a left-handed space, and every space with time, it takes for
LPS, and a skull would come out mirrored. So the words are read here, and only what cannot be
mirrored is passed on.
"""

import re

import numpy as np
from numpy.typing import NDArray

# Names and their abbreviations, small: the signs that take their x, y and z to LPS.
ANATOMICAL = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
}
SHORT = {"lps": "left-posterior-superior", "ras": "right-anterior-superior"}
SHORT |= {"las": "left-anterior-superior"}
# Of these nobody knows where left is, but they are no mirror images; ITK takes them for LPS.
UNNAMED = ("scanner-xyz", "3d-right-handed")
LEFT_HANDED = "3d-left-handed"
# What millimetres are called; the others are of another scale.
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres", "", "???")
# One more axis, time, with which ITK forgets the space.
TIME, SHORT_TIME = "-time", "t"

Matrix = NDArray[np.float64]


def unusable_space(fields: dict[str, str]) -> str | None:
    """Return why the space in an NRRD's fields (names small, without blanks) cannot be used."""
    for unit in re.findall(r'"([^"]*)"', fields.get("spaceunits", ""))[:3]:
        if unit.strip().lower() not in MILLIMETRES:
            return f"its lengths are in {unit[:20]!r} and not in mm"
    said = fields.get("space")
    if said is None:
        if "spacedirections" in fields and "spacedimension" not in fields:
            return "its header gives directions in a space that it does not name"
        return None
    space, timed = _named(said)
    if space == LEFT_HANDED:
        return (
            "its space is called left-handed, which does not say where left is, and it could come "
            "out mirrored"
        )
    if space in UNNAMED:
        return None
    if space not in ANATOMICAL:
        return f"its space {said[:40]!r} is none that NRRD knows, such as LPS, RAS and LAS"
    if timed and space != "left-posterior-superior":
        return (
            f"its space {said[:40]!r} is one with time, in which readers mistake left and front; "
            "it must be one point in time in LPS, RAS or LAS"
        )
    return None


def names_left(fields: dict[str, str]) -> bool:
    """Say whether an NRRD's fields tell which way the patient's left is."""
    return "spacedirections" in fields and _named(fields.get("space", ""))[0] in ANATOMICAL


def index_to_lps(fields: dict[str, str]) -> Matrix | None:
    """Return the matrix (4x4, mm) from a voxel index to LPS that an NRRD's fields state; None where
    its space is not an anatomical one of three axes, or it is not stated so.
    """
    space, timed = _named(fields.get("space", ""))
    if space not in ANATOMICAL or timed:
        return None
    said = re.findall(r"\(([^)]*)\)", fields.get("spacedirections", ""))
    vectors = [_vector(text) for text in said]
    origin = _vector(fields.get("spaceorigin", "(0,0,0)").strip("() "))
    if len(vectors) != 3 or any(len(vector) != 3 for vector in [*vectors, origin]):
        return None
    matrix = np.eye(4)
    matrix[:3, :3] = np.diag(ANATOMICAL[space]) @ np.array(vectors).T
    matrix[:3, 3] = np.array(ANATOMICAL[space]) * origin
    return matrix


def _named(said: str) -> tuple[str, bool]:
    """Return a space by its long name, small and without time, and whether it had time."""
    space = said.strip().lower()
    timed = space.endswith(TIME)
    space = space.removesuffix(TIME)
    if space.removesuffix(SHORT_TIME) in SHORT:
        timed = timed or space not in SHORT
        space = SHORT[space.removesuffix(SHORT_TIME)]
    return space, timed


def _vector(text: str) -> list[float]:
    """Return the numbers of a vector; none where they are not numbers."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        return []
