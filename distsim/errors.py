"""The exceptions that a user sees as one message: what cannot be done, and why."""


class InputError(ValueError):
    """Bad input: what was given, what is allowed, where. Every rank leaves with status 2."""


class OutputError(OSError):
    """A file cannot be written: disk full, folder gone. Names the file and the reason."""
