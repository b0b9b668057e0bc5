"""The library's sentences in the user's language: they come in English, finished, and are told by their templates."""

import re

from .librarysentences import SENTENCES, inUsersLanguage

_VALUE = re.compile(r"\{(\d+)\}")


def translated(sentence: str) -> str:
    """Return a sentence of the library in the user's language; one that no template fits, as it is."""
    fits = [(template, found) for template in SENTENCES
            if (found := _pattern(template).fullmatch(sentence)) is not None]
    if not fits:
        return sentence
    # Where several fit, the one that says most of it.
    template, found = max(fits, key=lambda fit: len(_VALUE.sub("", fit[0])))
    return inUsersLanguage(template).format(*found.groups())


def _pattern(template: str) -> re.Pattern[str]:
    pieces = [piece.replace("{{", "{").replace("}}", "}") for piece in _VALUE.split(template)[::2]]
    return re.compile("(.*)".join(map(re.escape, pieces)), re.DOTALL)
