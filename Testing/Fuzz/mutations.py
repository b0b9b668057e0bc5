"""What may become of a file: bytes changed, and fields, elements, members or values of its kind.

A mutation is a list of steps, each a name and a number from which it draws all it needs; applied
again it does the same, also where others are left out, so that a case can be made smaller.
"""

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

Step = tuple[str, int]
Change = Callable[[bytes, random.Random], bytes]

# Numbers at the ends of what fields hold, and what is no number at all.
NUMBERS = ["", "0", "-1", "1", "2", "1e400", "-1e400", "nan", "inf", "1e-400", "1e308", "0x10",
           "4294967295", "2147483648", "99999999999999999999", "0.5", "1,5", "none", "x" * 1500,
           "%d", "../../etc/passwd", "é\x00", "1 2", "1 1 1 1", "((1,0,0)", "(1,0,0)"]  # fmt: skip
WORDS = ["uint8", "short", "int16", "ushort", "float", "double", "block", "raw", "gzip", "text",
         "ascii", "hex", "bzip2", "little", "big", "true", "false", "True", "MET_UCHAR",
         "MET_SHORT", "MET_FLOAT", "LOCAL", "LIST", "left-posterior-superior", "LAS",
         "right-anterior-superior", "left-anterior-superior", "scanner-xyz",
         "3D-right-handed", "domain", "cell", "3", "4",
         "1 0 0 0 1 0 0 0 1", "-1 0 0 0 -1 0 0 0 1", "0.5 0.5 0.5", "3.5 3.25 3"]  # fmt: skip
RAW = [b"\xff" * 4, b"\x00\x00\x00\x80", b"\x7f\xf0\x00\x00", b"\x00\x00\x80\x7f", b"\x00" * 8,
       b"\x00\x00\xc0\x7f", b"\r\n", b"\n\n", b":", b"=", b" " * 50, b"\x1f\x8b"]  # fmt: skip

# Fields of a NIfTI-1 header (nifti.nimh.nih.gov/nifti-1): offset and form.
NIFTI = [(0, "i"), (40, "h"), (42, "h"), (44, "h"), (46, "h"), (48, "h"), (70, "h"), (72, "h"),
         (76, "f"), (80, "f"), (84, "f"), (88, "f"), (108, "f"), (112, "f"), (116, "f"), (123, "b"),
         (252, "h"), (254, "h"), *((at, "f") for at in range(256, 328, 4)), (344, "i")]  # fmt: skip


def bytes_changed(content: bytes, draw: random.Random) -> bytes:
    """Change, cut, double, insert or blank bytes, most of them where headers are."""
    data = bytearray(content)
    if not data:
        return content
    head = min(len(data), 700)
    at = draw.randrange(head) if draw.random() < 0.8 else draw.randrange(len(data))
    span = draw.choice([1, 2, 8, 100, len(data)])
    kind = draw.choice(["byte", "bit", "cut", "end", "double", "insert", "blank"])
    if kind == "byte":
        data[at] = draw.randrange(256)
    elif kind == "bit":
        data[at] ^= 1 << draw.randrange(8)
    elif kind == "cut":
        del data[at : at + span]
    elif kind == "end":
        del data[draw.randrange(len(data)) :]
    elif kind == "double":
        data[at:at] = data[at : at + min(span, 4096)]
    elif kind == "insert":
        data[at:at] = draw.choice([*RAW, draw.randbytes(span if span < 4096 else 64)])
    else:
        span = min(span, 512)
        data[at : at + span] = bytes(len(data[at : at + span]))
    return bytes(data)


def lines_changed(content: bytes, draw: random.Random) -> bytes:
    """Change a line of a header of words (NRRD, MetaImage): its value, its key, or its place."""
    end = _end_of_words(content)
    lines = content[:end].split(b"\n")
    at = draw.randrange(len(lines))
    key, mark, value = lines[at].partition(b": " if b": " in lines[at] else b"=")
    kind = draw.choice(["value", "value", "value", "number", "drop", "double", "swap", "key"])
    new = draw.choice([*NUMBERS, *WORDS]).encode()
    if kind == "value":
        lines[at] = key + mark + new
    elif kind == "number":
        words = value.split()
        if words:
            words[draw.randrange(len(words))] = new
        lines[at] = key + mark + b" ".join(words)
    elif kind == "drop":
        del lines[at]
    elif kind == "double":
        lines.insert(draw.randrange(len(lines) + 1), lines[at])
    elif kind == "swap":
        other = draw.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = draw.choice([key.upper(), key + b" x", b"", b"x" * 1200]) + mark + value
    return b"\n".join(lines) + content[end:]


def _end_of_words(content: bytes) -> int:
    """Return where the header of words ends and voxels begin."""
    if content.startswith(b"NRRD"):
        end = content.find(b"\n\n")
    else:
        start = content.find(b"ElementDataFile")
        end = content.find(b"\n", start) if start >= 0 else -1
    return end if end >= 0 else min(len(content), 700)


def nifti_changed(content: bytes, draw: random.Random) -> bytes:
    """Write an odd number into a field of a plain NIfTI-1 header."""
    data = bytearray(content)
    at, form = draw.choice(NIFTI)
    size = struct.calcsize(form)
    if len(data) < at + size:
        return content
    if form == "f":
        odd = [0.0, -1.0, 1.0, 0.5, 1e30, -1e30, 1e-30, float("nan"), float("inf"), 352.0, 348.0]
        value: Any = draw.choice(odd)
    else:
        last = 2 ** (8 * size - 1) - 1
        value = draw.choice([0, 1, 2, 3, 4, 5, 8, 16, 64, 127, 128, 256, 512, -1, last, -last - 1])
        value = max(min(value, last), -last - 1)
    struct.pack_into("<" + form, data, at, value)
    return bytes(data)


def element_changed(content: bytes, draw: random.Random) -> bytes:
    """Drop or change an element of a DICOM file, also within sequences, as an archive might."""
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        owner: Any = dataset
        tags = [e.tag for e in owner if e.keyword != "PixelData"]
        while True:
            element = owner[draw.choice(tags)]
            if element.VR != "SQ" or not element.value or draw.random() < 0.2:
                break
            owner = draw.choice(list(element.value))
            tags = [e.tag for e in owner]
        kind = draw.choice(["drop", "value", "value", "number", "meta"])
        if kind == "meta" and dataset.file_meta:
            element = draw.choice(list(dataset.file_meta))
            element.value = draw.choice(["", "1.2.3", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"])
        elif kind == "drop":
            del owner[element.tag]
        elif kind == "number" and element.VR in ("DS", "IS", "FD", "FL"):
            values = element.value if element.VM > 1 else [element.value]
            values = [float(v) for v in values]
            at = draw.randrange(len(values))
            values[at] = draw.choice([0, -values[at], values[at] * 10, values[at] + 0.5, 1e9, 1])
            element.value = [f"{v:g}" if element.VR in ("DS", "IS") else v for v in values]
        elif element.VR in ("US", "SS", "UL", "SL"):
            element.value = draw.choice([0, 1, 2, 8, 12, 16, 17, 65535])
        else:
            element.value = draw.choice(
                ["", "0", "1", "-1", "NaN", "1e400", "x", "1\\2", "CT", "MR"]
            )
        written = io.BytesIO()
        dataset.save_as(written, enforce_file_format=False)
        return written.getvalue()
    except Exception:  # pydicom writes not everything that it can hold
        return bytes_changed(content, draw)


def json_changed(content: bytes, draw: random.Random) -> bytes:
    """Drop, rename or replace a value anywhere in a tree of JSON."""
    try:
        tree = json.loads(content)
    except ValueError:
        return bytes_changed(content, draw)
    owner: Any = tree
    while isinstance(owner, dict | list) and owner:
        keys = list(owner) if isinstance(owner, dict) else list(range(len(owner)))
        key = draw.choice(keys)
        if isinstance(owner[key], dict | list) and owner[key] and draw.random() < 0.6:
            owner = owner[key]
            continue
        odd = [
            None,
            True,
            -1,
            0,
            1e308,
            10**400,
            "",
            "x" * 5000,
            [],
            {},
            [[]] * 9,
            {"a": 1},
            "é\x1b",
        ]
        kind = draw.choice(["drop", "value", "value", "value", "key"])
        if kind == "drop":
            del owner[key]
        elif kind == "key" and isinstance(owner, dict):
            owner[draw.choice(["", "x", "é" * 200, "schema_version"])] = owner.pop(key)
        else:
            owner[key] = draw.choice(odd)
        break
    text = json.dumps(tree)
    return text.replace("1e+308", draw.choice(["1e999", "NaN", "1e+308"])).encode()


def member_changed(content: bytes, draw: random.Random) -> bytes:
    """Drop, rename or change an array of an archive (.npz), its header's claims included."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:
        return bytes_changed(content, draw)
    if not members:
        return content
    name = draw.choice(sorted(members))
    kind = draw.choice(["drop", "name", "array", "array", "array", "header", "bytes"])
    if kind == "drop":
        del members[name]
    elif kind == "name":
        members[draw.choice(["x.npy", "../x.npy", name.upper(), "x"])] = members.pop(name)
    elif kind == "array":
        try:
            members[name] = _other_array(members[name], draw)
        except (ValueError, MemoryError):  # changed before, or of a type that becomes no other
            return bytes_changed(content, draw)
    elif kind == "header":
        claims = [b"(99999, 99999, 99999)", b"(-1,)", b"(10**9,)", b"()", b"(0,)"]
        start, end = members[name].find(b"("), members[name].find(b")")
        if 0 <= start < end:
            new = draw.choice(claims).ljust(end + 1 - start)
            members[name] = members[name][:start] + new + members[name][end + 1 :]
    else:
        members[name] = bytes_changed(members[name], draw)
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return written.getvalue()


def _other_array(member: bytes, draw: random.Random) -> bytes:
    array = np.load(io.BytesIO(member), allow_pickle=False)
    kind = draw.choice(["type", "shape", "value", "pickle", "text"])
    with np.errstate(all="ignore"):
        if kind == "type":
            array = array.astype(draw.choice(["f8", "i1", "c8", "?", "U5"]))
        elif kind == "shape":
            array = draw.choice([array.ravel(), array[None], array.ravel()[:1], array.ravel()[:0]])
        elif kind == "value" and array.size and array.dtype.kind in "fiu":
            array = array.copy()
            flat = array.reshape(-1)
            odd = [0, 1, 127] if array.dtype.kind != "f" else [np.nan, np.inf, 0, 1e30, -1]
            flat[draw.randrange(flat.size)] = draw.choice(odd)
        elif kind == "pickle":
            array = np.array([{"a": 1}, None], dtype=object)
        elif kind == "text":
            array = np.array(draw.choice(["", "{}", "[" * 5000, '{"a": NaN}', "x"]))
    written = io.BytesIO()
    np.save(written, array, allow_pickle=True)
    return written.getvalue()


CHANGES: dict[str, Change] = {
    "bytes": bytes_changed,
    "lines": lines_changed,
    "nifti": nifti_changed,
    "element": element_changed,
    "json": json_changed,
    "member": member_changed,
}


def folder_changed(folder: Path, draw: random.Random) -> None:
    """Lose, double, exchange or empty a file of a folder, or lay one of another kind beside it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        return
    one, other = draw.choice(files), draw.choice(files)
    kind = draw.choice(["lose", "double", "exchange", "empty", "stranger", "deeper", "link"])
    if kind == "lose":
        one.unlink()
    elif kind == "double":
        (folder / f"copy-{draw.randrange(9)}").write_bytes(one.read_bytes())
    elif kind == "exchange":
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
    elif kind == "empty":
        one.write_bytes(b"")
    elif kind == "stranger":
        strangers = [
            b"hello",
            b"PK\x03\x04" + bytes(40),
            b"\x89PNG\r\n\x1a\n",
            bytes(128) + b"DICM",
        ]
        (folder / draw.choice(["DICOMDIR", "a.txt", "IM99999", ".hidden"])).write_bytes(
            draw.choice(strangers)
        )
    elif kind == "deeper":
        (folder / "deep").mkdir(exist_ok=True)
        one.rename(folder / "deep" / one.name)
    elif not (folder / "again").exists():
        (folder / "again").symlink_to(folder, target_is_directory=True)


def drawn(draw: random.Random, changes: tuple[str, ...]) -> list[Step]:
    """Draw one to four steps of the changes that a kind of file knows."""
    count = draw.choice([1, 1, 1, 2, 2, 3, 4])
    return [(draw.choice(changes), draw.getrandbits(32)) for _ in range(count)]


def apply(steps: list[Step], place: Path, changed: str | None) -> None:
    """Apply all steps to a file, or to a folder: to its file `changed`, or one drawn each time."""
    for name, seed in steps:
        draw = random.Random(seed)
        path = place
        if name == "folder":
            folder_changed(place, draw)
            continue
        if place.is_dir():
            files = sorted(path for path in place.iterdir() if path.is_file())
            if not files:
                return
            path = place / changed if changed else draw.choice(files)
        elif changed:
            path = place.with_name(changed)
        path.write_bytes(CHANGES[name](path.read_bytes(), draw))
