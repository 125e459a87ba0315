"""The text cleaning of two papers, to compare with them; language models do better on raw text."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType


def caml(text: str) -> str:
    r"""Clean as CAML does (Mullenbach et al. 2018): lower-case tokens ``\w+`` except numbers."""
    return " ".join(token.lower() for token in re.findall(r"\w+", text) if not token.isnumeric())


def edin(text: str) -> str:
    """Clean as Edin et al. (2023) do: lower case, only a-z and digits, without lone numbers."""
    return " ".join(
        token for token in re.findall(r"[a-z0-9]+", text.lower()) if not token.isdigit()
    )


def kept_words(text: str, cleaning: str) -> Iterator[tuple[str, int, int]]:
    """Yield the words that a cleaning keeps, each with its start and end in the original text.

    The words joined by blanks are the cleaned text.

    Args:
        text: The original text.
        cleaning: ``caml`` or ``edin``.
    """
    if cleaning == "caml":
        found = ((match.group().lower(), *match.span()) for match in re.finditer(r"\w+", text))
        yield from (word for word in found if not word[0].isnumeric())
        return
    # Some letters become two in lower case.
    place = [place for place, letter in enumerate(text) for _ in letter.lower()]
    for match in re.finditer(r"[a-z0-9]+", text.lower()):
        if not match.group().isdigit():
            yield match.group(), place[match.start()], place[match.end() - 1] + 1


CLEANERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"none": str, "caml": caml, "edin": edin}
)
"""``text_cleaning:`` to the function that cleans a text."""
