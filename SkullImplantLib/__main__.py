"""`python -m SkullImplantLib ...` is `skull-implant ...`."""

import os
import sys

# Threads that wait by spinning make torch ten times slower on a busy desktop; read at its import.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def main() -> int:
    """Run the command line; the imports wait until here so that `--help` of others is not slow."""
    from .cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
