"""The text cleaning of two papers, to compare with them; language models do better on raw text."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType


def caml(text: str) -> str:
    r"""Clean as CAML does (Mullenbach et al. 2018): lower-case tokens ``\w+`` except numbers."""
    return " ".join(token.lower() for token in re.findall(r"\w+", text) if not token.isnumeric())


def edin(text: str) -> str:
    """Clean as Edin et al. (2023) do: lower case, only a-z and digits, without lone numbers.

    Their pattern for a lone number needs a character on both sides, so a number with which the text
    itself begins or ends is kept: ``12 mg daily 5`` doesn't change.
    """
    text = text.lower()
    return " ".join(match.group() for match in _edin_words(text))


def _edin_words(lower: str) -> Iterator[re.Match[str]]:
    """Yield the words that the cleaning keeps of a text in lower case."""
    for match in re.finditer(r"[a-z0-9]+", lower):
        if match.start() == 0 or match.end() == len(lower) or not match.group().isdigit():
            yield match


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
    for match in _edin_words(text.lower()):
        yield match.group(), place[match.start()], place[match.end() - 1] + 1


CLEANERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"none": str, "caml": caml, "edin": edin}
)
"""``text_cleaning:`` to the function that cleans a text."""

REVISIONS: Mapping[str, int] = MappingProxyType({"edin": 2})
"""``text_cleaning:`` to the number of its rule's version; without an entry it never changed."""
