"""The text cleaning of two papers, for comparing with them. Language models do better on the raw text."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType


def caml(text: str) -> str:
    r"""Clean as CAML does (Mullenbach et al. 2018): tokens ``\w+``, those that are numbers left out, lower case."""
    return " ".join(token.lower() for token in re.findall(r"\w+", text) if not token.isnumeric())


def edin(text: str) -> str:
    """Clean as Edin et al. (2023) do: lower case, letters a-z and digits only, lone numbers left out."""
    return " ".join(
        token for token in re.findall(r"[a-z0-9]+", text.lower()) if not token.isdigit()
    )


def kept_words(text: str, cleaning: str) -> Iterator[tuple[str, int, int]]:
    """The words that a cleaning leaves, with where each begins and ends in the text; joined by blanks they are what it gives.

    Args:
        text: The text as it was.
        cleaning: ``caml`` or ``edin``.
    """
    if cleaning == "caml":
        found = ((match.group().lower(), *match.span()) for match in re.finditer(r"\w+", text))
        yield from (word for word in found if not word[0].isnumeric())
        return
    place = [
        place for place, letter in enumerate(text) for _ in letter.lower()
    ]  # some letters become two
    for match in re.finditer(r"[a-z0-9]+", text.lower()):
        if not match.group().isdigit():
            yield match.group(), place[match.start()], place[match.end() - 1] + 1


CLEANERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"none": str, "caml": caml, "edin": edin}
)
"""``text_cleaning:`` to what it does to a text."""
