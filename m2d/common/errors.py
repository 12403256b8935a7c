"""The errors a user can act on, and the exit codes of entry points."""

EXIT_INTERRUPTED = 75
"""Asked to stop by a signal, with a checkpoint left: the same command goes on (EX_TEMPFAIL of sysexits.h)."""

EXIT_OTHER_RUN = 65
"""The experiment directory holds a run of other options or data (EX_DATAERR of sysexits.h)."""


class UserError(Exception):
    """Bad input or a bad setting: one line that says which file or option, what is wrong and what to do.

    Entry points print it without a traceback and exit with `status` (see `m2d.common.cli.run`).
    """

    status = 1


class OtherRunError(UserError):
    """An experiment directory holds a run of other options or data than those asked for."""

    status = EXIT_OTHER_RUN
