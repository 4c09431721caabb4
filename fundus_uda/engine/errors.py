"""The two failures a user can do something about. The commands print them without a traceback."""


class InputError(ValueError):
    """A wrong argument, setting, file or folder (exit code 2): expected, found, what to do."""


class WorkError(RuntimeError):
    """Right input, yet the work failed (exit code 1): what happened, and what to do."""
