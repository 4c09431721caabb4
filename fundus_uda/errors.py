"""The errors that a user can act on. The commands print them without a traceback."""


class InputError(ValueError):
    """Wrong argument, setting, file or folder (exit code 2).

    The message says what was expected, what was found, and what to do.
    """


class RunError(RuntimeError):
    """Failure of the work in spite of right input (exit code 1).

    The message says what happened, and what to do.
    """


class WriteError(RunError):
    """Failure to write, as on a full disk: what was written before is whole, and is gone on with.

    No other work that is to be written is worth a try before the user has made room.
    """
