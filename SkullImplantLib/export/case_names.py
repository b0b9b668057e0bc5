"""What a case's files are called: a name that tells no patient, or one that somebody typed."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any

from ..errors import SkullImplantError

DEFAULT_PREFIX = "case-"
# Of the input's SHA-256: among a thousand cases two share eight letters once in ten thousand times.
HASH_LETTERS = 8
# A file's name may have 255 bytes; endings, and what writers put before a temporary one, join it.
MOST_BYTES = 120
# What Windows, macOS or a shell do not take in a name.
FORBIDDEN = frozenset('<>:"/\\|?*')
# Windows keeps these for devices, whatever follows a point (Microsoft, "Naming Files, Paths, and
# Namespaces"); superscript digits count as digits there.
RESERVED = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"}
)


def default_case_name(design: Mapping[str, Any]) -> str:
    """Return the name of a design's case (by the contents of `design.json`) that tells no patient.

    It is made of the input's SHA-256: the same CT has the same name on every computer, two CTs have
    two. Where the input is not known it is made of what else the design tells.
    """
    told = design.get("input", {}).get("sha256")
    if not isinstance(told, str) or not told:
        told = json.dumps(design, sort_keys=True)
    return DEFAULT_PREFIX + hashlib.sha256(told.encode()).hexdigest()[:HASH_LETTERS]


def safe_name(text: str) -> str:
    """Return a typed name as the beginning of file names on every system; empty where nothing of it
    can be.

    Letters of all languages stay. What a system forbids or does not show becomes a hyphen; spaces,
    points and hyphens at the ends go, as do leading signs that a shell or a file manager heeds.
    """
    letters = (_allowed(letter) for letter in unicodedata.normalize("NFC", text))
    words = "-".join(part for part in "".join(letters).split("-") if part)
    name = _within(" ".join(words.split())).strip(" .-~")
    # The part before the first point is what Windows looks at, without blanks at its end.
    if name.split(".")[0].rstrip().upper() in RESERVED:
        name = DEFAULT_PREFIX + name
    return name


def checked_name(text: str) -> str:
    """Return `safe_name` of a text; raises `SkullImplantError` where nothing of it is left."""
    name = safe_name(text)
    if not name:
        raise SkullImplantError(
            "The name of the files holds no letter or digit that a file may have; give another."
        )
    return name


def _allowed(letter: str) -> str:
    if letter.isspace():
        return " "
    # Also marks that turn the direction of writing, which hide how a name ends.
    return letter if letter.isprintable() and letter not in FORBIDDEN else "-"


def _within(name: str) -> str:
    return name.encode("utf-8")[:MOST_BYTES].decode("utf-8", errors="ignore")
