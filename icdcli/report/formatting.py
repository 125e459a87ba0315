"""Text and numbers as everything in this room writes them."""

import math

from rich.text import Text

_CONTROL = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "�")


def plain(text: object, style: str = "") -> Text:
    """Text as it is: no markup, no emoji codes, no control characters but newlines and tabs."""
    return Text(str(text).translate(_CONTROL), style=style)


def one_line(text: object, style: str = "") -> Text:
    """Text in one line, which a table shortens rather than wraps."""
    line = plain(" ".join(str(text).split()), style)
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


def duration(seconds: float) -> str:
    """A duration as h:mm:ss."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


def number(name: str, value: float) -> str:
    """A value as its name asks for it: losses to four digits, learning rates as powers of ten, metrics to four decimals."""
    if math.isnan(value):
        return "undefined"
    if name == "lr":
        return f"{value:.2e}"
    return f"{value:#.4g}" if name.endswith("loss") else f"{value:.4f}"
