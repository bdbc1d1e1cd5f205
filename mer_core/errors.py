"""The one class of exception for what a user can mend."""


class UserError(Exception):
    """Something outside the program is wrong: data on disk, configuration, resources.

    The message is one line that says what is wrong, where (file, row or key), and the remedy.
    Programs print it without a traceback and exit with status 1.
    """


class Unreadable(UserError):
    """The system does not give a file that may be whole, so that it is not to be taken for a damaged one.

    Whoever leaves out what is damaged must let it pass: with the disk back, it would be missing still.
    """
