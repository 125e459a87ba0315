"""The format of texts and numbers in all output."""

import math

from rich.text import Text

_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "�")


def plain(text: object, style: str = "") -> Text:
    """Return text without markup, emoji codes and control characters but newlines and tabs."""
    return Text(str(text).translate(_CONTROL), style=style)


def one_line(text: object, style: str = "") -> Text:
    """Return text on one line, which a table truncates instead of wrapping."""
    line = plain(" ".join(str(text).split()), style)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def duration(seconds: float) -> str:
    """Format a duration as h:mm:ss."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def number(name: str, value: float) -> str:
    """Format a value by its name.

    Losses get four significant digits, learning rates scientific notation, metrics four decimals.
    """
    if math.isnan(value):
        return "undefined"
    if name == "lr":
        return f"{value:.2e}"
    return f"{value:#.4g}" if name.endswith("loss") else f"{value:.4f}"
