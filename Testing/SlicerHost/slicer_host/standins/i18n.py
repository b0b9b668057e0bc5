"""Stand-in for `slicer.i18n`: texts pass through the application's translator."""

from __future__ import annotations

import inspect
from pathlib import Path


def translate(context: str, text: str) -> str:
    """The text in the application's language."""
    from slicer import app

    return app.translate(context, text)


def getContext(sourceFile: str) -> str:
    """Translation context of a Python file: its name, with its package's name in front if any."""
    file = Path(sourceFile)
    if (file.parent / "__init__.py").is_file():
        return f"{file.parent.name}.{file.stem}"
    return file.stem


def tr(text: str) -> str:
    """The text in the application's language, in the context of the calling file."""
    caller = inspect.currentframe().f_back
    return translate(getContext(inspect.getsourcefile(caller) or caller.f_code.co_filename), text)
