"""The exceptions that users may meet, each with its exit code.

Any other exception that reaches the command line is a bug of icdcode; the exit code is then 1.
"""

import difflib
import os
import shlex
from collections.abc import Iterable


class IcdcodeError(Exception):
    """A problem with a message for the user: what is wrong, where, and what to do."""

    exit_code = 1


class ConfigError(IcdcodeError):
    """A wrong argument, a wrong configuration, or options that exclude each other."""

    exit_code = 2


class DataError(IcdcodeError):
    """Source tables, notes or a prepared corpus that can't be used."""

    exit_code = 3


class ResumeError(IcdcodeError):
    """A run that can't be continued or a checkpoint that can't be loaded."""

    exit_code = 4


def in_shell(word: object) -> str:
    """Return a path or another word as part of a command, in quotes if a shell needs them."""
    if os.name == "nt":
        return f'"{word}"' if " " in str(word) else str(word)
    return shlex.quote(str(word))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the hint `` (did you mean 'x'?)`` if a word is similar to a known one, else ``""``."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, e.g. ``1 label`` or ``1,200 labels``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
