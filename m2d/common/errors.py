"""The error a user can act on."""


class UserError(Exception):
    """Bad input or a bad setting: one line that says which file or option, what is wrong and what to do.

    Entry points print it without a traceback and exit with status 1 (see `m2d.common.cli.run`).
    """
