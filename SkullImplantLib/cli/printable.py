"""What is printed steers no terminal: names of files, series and skulls are anybody's."""

from unicodedata import category

REPLACED = "\ufffd"
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """Return a text without what would steer a terminal, or cannot be printed at all.

    Control characters (C0, DEL and C1 of ISO 6429, but line feed and tab), marks that turn the
    writing direction (Unicode Standard Annex 9), and bytes of a path that are no UTF-8.
    """
    return "".join(REPLACED if _is_unsafe(letter) else letter for letter in text)


def _is_unsafe(letter: str) -> bool:
    kind = category(letter)
    if kind == "Cc":
        return letter not in "\n\t"
    return kind == "Cs" or letter in TURNING
