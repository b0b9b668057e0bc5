"""Where the files lie that ship with the program: weights, shape statistics, trials."""

from pathlib import Path

RESOURCES = Path(__file__).resolve().parent.parent / "resources"
