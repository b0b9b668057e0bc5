"""Read the extension's CMake lists: the commands of a file, its variables, what it installs.

Only what the extension's own lists use is understood: comments, quoted and plain arguments,
`set`, and `${NAME}` of variables set in the same file; any other `${NAME}` stays as it is.
"""

import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

EXTENSION = Path(__file__).resolve().parents[2]

_COMMAND = re.compile(r"(\w+)\s*\(((?:[^()\"]|\"[^\"]*\")*)\)")
_ARGUMENT = re.compile(r"\"([^\"]*)\"|([^\s\"]+)")
_COMMENT = re.compile(r"(\"[^\"]*\")|#[^\n]*")
_REFERENCE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Command:
    """One command of a CMake file: its name in lower case, its arguments with variables put in."""

    name: str
    arguments: tuple[str, ...]

    def after(self, keyword: str, keywords: Iterable[str]) -> list[str]:
        """Return the arguments between `keyword` and the next of `keywords`."""
        start = self.arguments.index(keyword) + 1
        stops = [i for i in range(start, len(self.arguments)) if self.arguments[i] in keywords]
        return list(self.arguments[start : stops[0] if stops else None])


class CMakeList:
    """The commands and variables of one `CMakeLists.txt`, in the order of the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.variables: dict[str, list[str]] = {}
        self.commands: list[Command] = []
        text = _COMMENT.sub(lambda match: match[1] or "", path.read_text(encoding="utf-8"))
        for name, inside in _COMMAND.findall(text):
            arguments = tuple(self._arguments(inside))
            self.commands.append(Command(name.lower(), arguments))
            if name.lower() == "set":
                self.variables[arguments[0]] = list(arguments[1:])

    def _arguments(self, text: str) -> Iterator[str]:
        for quoted, plain in _ARGUMENT.findall(text):
            value = _REFERENCE.sub(self._value, quoted or plain)
            # A variable that holds a list is a semicolon-separated text to CMake.
            yield from value.split(";") if _REFERENCE.search(quoted or plain) else [value]

    def _value(self, reference: re.Match[str]) -> str:
        name = reference[1]
        return ";".join(self.variables[name]) if name in self.variables else reference[0]

    def the(self, command: str) -> Command:
        """Return the only command of that name."""
        (found,) = [c for c in self.commands if c.name == command.lower()]
        return found

    def text(self, variable: str) -> str:
        """Return a variable that is set to one text."""
        (value,) = self.variables[variable]
        return value


def files_below(folder: str) -> set[str]:
    """Return the files in a folder of the extension that belong to it, from the extension's root.

    Git says which (what it tracks or would add); without git, every file does but caches.
    """
    try:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", folder],
            cwd=EXTENSION,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        listed = [
            path.relative_to(EXTENSION).as_posix()
            for path in (EXTENSION / folder).rglob("*")
            if "__pycache__" not in path.parts
        ]
    return {name for name in listed if (EXTENSION / name).is_file()}
