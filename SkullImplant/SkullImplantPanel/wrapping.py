"""Texts that wrap in a narrow panel, whatever is in them: names and paths have no place to break.
"""

import re

# Qt breaks a line there and draws nothing.
BREAK = "\u200b"
# No piece is longer, so that the widest letters fit beside a section's margins.
LONGEST_PIECE = 18
# What a box to choose from shows of a name.
LONGEST_CHOICE = 18
_AFTER = re.compile(r"(?<=[_/\\\-.,:;])(?=[^\s])")


def breakable(text: str, piece: int = LONGEST_PIECE) -> str:
    """Return a text that looks the same and can be wrapped within long words, after signs where there are some.

    Plain text only; what goes into HTML is escaped afterwards.

    :param piece: so many letters of a long word stay together, at most; fewer for a narrow column.
    """
    long = re.compile(rf"([^\s{BREAK}]{{{piece}}})(?=[^\s{BREAK}])")
    words = (long.sub(rf"\1{BREAK}", _AFTER.sub(BREAK, word)) if len(word) > LONGEST_PIECE else word
             for word in re.split(r"(\s+)", text))
    return "".join(words)


def shortened(text: str) -> str:
    """Return a text for a box to choose from, which does not wrap: the middle of a long one left out."""
    if len(text) <= LONGEST_CHOICE:
        return text
    end = (LONGEST_CHOICE - 1) // 2
    return f"{text[:LONGEST_CHOICE - 1 - end]}…{text[-end:]}"
