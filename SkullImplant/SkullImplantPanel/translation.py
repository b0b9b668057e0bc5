"""The library's sentences in the user's language: they come in English, finished, and are told by their templates."""

import re
from functools import cache

from .librarysentences import SENTENCES, inUsersLanguage

_VALUE = re.compile(r"\{(\d+)\}")
# Between two sentences of one text.
_BETWEEN = re.compile(r"(?<=\.) (?=[A-Z0-9])")


def translated(text: str) -> str:
    """Return a text of the library in the user's language; what no template fits, as it is."""
    return _told(text)[1]


def _told(text: str) -> tuple[int, str]:
    """Return a text in the user's language, and how many of its letters templates know."""
    # Where several ways fit, the one that says most of it.
    ways = [(0, text)]
    for template in SENTENCES:
        # Of the many templates few begin like the text, and only these are compiled.
        if text.startswith(_pieces(template)[0]) and (found := _pattern(template).fullmatch(text)) is not None:
            values = [translated(value) for value in found.groups()]  # which can be words of the library, too
            ways.append((len(_VALUE.sub("", template)), inUsersLanguage(template).format(*values)))
    sentences = _BETWEEN.split(text)
    if len(sentences) > 1:
        known, told = zip(*map(_told, sentences))
        ways.append((sum(known), " ".join(told)))
    return max(ways, key=lambda way: way[0])


@cache
def _pieces(template: str) -> list[str]:
    """Return what stands between the values of a template."""
    return [piece.replace("{{", "{").replace("}}", "}") for piece in _VALUE.split(template)[::2]]


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("(.*)".join(map(re.escape, _pieces(template))), re.DOTALL)
