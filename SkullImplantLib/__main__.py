"""`python -m SkullImplantLib ...` is `skull-implant ...`."""

import sys


def main() -> int:
    """Run the command line; the imports wait until here so that `--help` of others is not slow."""
    from .cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
