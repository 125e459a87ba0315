"""The one family of exceptions that a user may meet; each knows the exit code of the command line.

Anything else that reaches the command line is a defect of ours and exits with 1.
"""

import difflib
from collections.abc import Iterable


class IcdcodeError(Exception):
    """A problem that is told in one message: what is wrong, where, and what to do about it."""

    exit_code = 1


class ConfigError(IcdcodeError):
    """A wrong argument, configuration file or combination of options."""

    exit_code = 2


class DataError(IcdcodeError):
    """Raw tables, notes or a prepared corpus that can't be used."""

    exit_code = 3


class ResumeError(IcdcodeError):
    """A run that can't be continued or a checkpoint that can't be loaded."""

    exit_code = 4


def nearest(word: str, known: Iterable[str]) -> str:
    """The hint `` (did you mean 'x'?)`` for a word that nearly is one of the known, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
