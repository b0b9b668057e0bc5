"""MUG500+: 500 complete skulls, and 29 real craniotomies with the implants of an expert.

Each skull lies in a folder of its own somewhere below: `A0001.nrrd` (with `A0001.stl` and
`A0001_clear.stl`, which are not needed), `B0001.nrrd` with `B0001_implant.stl`. The archives nest
them differently, so they are found by their names.
"""

import re
from pathlib import Path

from ..errors import SkullImplantError
from .data_folders import CaseFile, CompleteFile, Found, folders_in, twice
from .data_sets import MUG500

CRANIOTOMY = "craniotomy"
SKULL_FILE = re.compile(r"([AB]\d{4})\.nrrd", re.IGNORECASE)
IMPLANT_FILE = re.compile(r"(B\d{4})_implant\.stl", re.IGNORECASE)


def find_mug500(folder: Path) -> Found:
    """Return what a folder holds of MUG500+.

    Raises `SkullImplantError` where two files have one name.
    """
    skulls: dict[str, Path] = {}
    implants: dict[str, Path] = {}
    for where in folders_in(folder):
        for path in sorted(path for path in where.iterdir() if path.is_file()):
            for pattern, found in ((SKULL_FILE, skulls), (IMPLANT_FILE, implants)):
                match = pattern.fullmatch(path.name)
                if match is None:
                    continue
                name = match[1].upper()
                if name in found:
                    raise SkullImplantError(twice(name))
                found[name] = path
    healthy = {name: path for name, path in skulls.items() if name.startswith("A")}
    cases = [
        CaseFile(_name(name), _name(name), CRANIOTOMY, path, implants.get(name), None)
        for name, path in sorted(skulls.items())
        if name not in healthy
    ]
    complete = [CompleteFile(_name(name), path, None) for name, path in sorted(healthy.items())]
    alone = sorted(set(implants) - set(skulls))
    notes = (f"{len(alone)} implants have no skull and are left out.",) if alone else ()
    return Found(tuple(cases), tuple(complete), notes)


def _name(skull: str) -> str:
    return f"{MUG500}-{skull}"
