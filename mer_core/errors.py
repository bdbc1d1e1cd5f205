"""The one class of exception for what a user can mend."""


class UserError(Exception):
    """Something outside the program is wrong: data on disk, configuration, resources.

    The message is one line that says what is wrong, where (file, row or key), and the remedy.
    Programs print it without a traceback and exit with status 1.
    """
