"""The two exceptions that a stage raises on purpose; anything else is a bug."""


class SkullImplantError(Exception):
    """Something the user can mend.

    The message is one sentence that says what is wrong and what to do. The command line prints
    it and exits with 2. It never contains a patient's name or identifier.
    """


class Cancelled(Exception):
    """The user stopped the work; raised out of a progress callback (exit code 130)."""
