"""The one exception for bad input: what was given, what is allowed, where."""


class InputError(ValueError):
    """Bad input. The command line prints it once and every rank leaves with status 2."""
