"""Data sets told by the words in their paths: complete, defective, implant.

A role is the deepest folder or file name that holds one of the words; what else the path says is
the case's name, by which the three belong together. SciData (24 CTs, ten defects in each) is read
so, and what else is sorted like that.
"""

import re
from pathlib import Path

from ..errors import SkullImplantError
from .data_folders import (
    CaseFile,
    CompleteFile,
    Found,
    folders_in,
    images_in,
    part_named,
    twice,
)
from .data_sets import SCIDATA

WORDS = {
    "complete": re.compile(r"(complete|healthy)([ _.-]*skulls?)?", re.IGNORECASE),
    "defective": re.compile(r"(defective|defected)([ _.-]*skulls?)?", re.IGNORECASE),
    "implant": re.compile(r"(cranial[ _.-]*)?implants?", re.IGNORECASE),
}
UNCLEAR = "unclear"
SEPARATORS = " _.-"
# A skull's name is what comes before the end of the first number in a case's name: `case01/3`.
SKULL_NAME = re.compile(r"\D*\d+")
Key = tuple[str, ...]


def find_worded(folder: Path) -> Found:
    """Return the cases of a folder by the words in its paths.

    Raises `SkullImplantError` where two images of a role have the same name.
    """
    roles: dict[str, dict[Key, Path]] = {role: {} for role in WORDS}
    unclear = 0
    for where in folders_in(folder):
        for stem, path in images_in(where).items():
            told = _role_and_key((*where.relative_to(folder).parts, stem))
            if told is None:
                continue
            role, key = told
            if role == UNCLEAR:
                unclear += 1
                continue
            if key in roles[role]:
                raise SkullImplantError(twice("/".join(key) or path.name))
            roles[role][key] = path
    complete, defective, implants = roles.values()
    if not defective:
        return Found()
    cases = []
    for key, path in sorted(defective.items()):
        skull = _skull_of(key, complete)
        kind = "/".join(key)[len(skull) :].strip(SEPARATORS + "/") or None
        name = f"{SCIDATA}-{skull}"
        cases.append(
            CaseFile(
                f"{name}/{kind}" if kind else name,
                name.replace("/", "-"),
                kind,
                path,
                implants.get(key),
                complete.get(key) or complete.get(tuple(skull.split("/"))),
                _part(key),
            )
        )
    whole = _of_each_skull(complete)
    alone = len(set(implants) - set(defective))
    notes = [f"{alone} implants have no defective skull and are left out."] if alone else []
    if unclear:
        notes.append(f"{unclear} images have two of the words in one name and are left out.")
    return Found(tuple(cases), whole, tuple(notes))


def _role_and_key(parts: Key) -> tuple[str, Key] | None:
    """Return what an image is, and its path without the word that says so; `UNCLEAR` for several
    words in one name, None for none.
    """
    for place in reversed(range(len(parts))):
        found = [role for role, word in WORDS.items() if word.search(parts[place])]
        if not found:
            continue
        if len(found) > 1:
            return UNCLEAR, parts
        rest = WORDS[found[0]].sub("", parts[place]).strip(SEPARATORS)
        key = (*parts[:place], rest, *parts[place + 1 :])
        return found[0], tuple(part for part in key if part)
    return None


def _skull_of(key: Key, complete: dict[Key, Path]) -> str:
    """Return the name of a case's skull: that of the complete skull that begins as the case does,
    or the case's up to its first number.
    """
    for length in range(len(key) - 1, 0, -1):
        if key[:length] in complete:
            return "/".join(key[:length])
    match = SKULL_NAME.match("/".join(key))
    return match[0] if match else "/".join(key)


def _of_each_skull(complete: dict[Key, Path]) -> tuple[CompleteFile, ...]:
    """Return each complete skull once, where it lies beside each of its cases too."""
    found: dict[str, CompleteFile] = {}
    for key, path in sorted(complete.items()):
        name = f"{SCIDATA}-{_skull_of(key, complete)}".replace("/", "-")
        found.setdefault(name, CompleteFile(name, path, _part(key)))
    return tuple(found.values())


def _part(key: Key) -> str | None:
    return next((part for word in key if (part := part_named(word))), None)
