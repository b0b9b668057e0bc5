"""A slot for tests."""


class Calls(list):
    """A slot that keeps the arguments of each call."""

    def __call__(self, *arguments):
        self.append(arguments)
