"""Passages with marked words: ``{negated|fever}`` must have the class negated."""

import re
from collections.abc import Callable

import pytest

from icdcli.lexical.assertion.cues import built_in_cues
from icdcli.lexical.assertion.reader import reader_of

_MARKED = re.compile(r"\{(\w+)\|([^}]*)\}")


def _wrong(marked: str, language: str) -> list[str]:
    """Return the marked words whose class differs, with the class that was read."""
    expected, text = [], ""
    end = 0
    for match in _MARKED.finditer(marked):
        text += marked[end : match.start()]
        expected.append((match[1], len(text), len(text) + len(match[2])))
        text += match[2]
        end = match.end()
    text += marked[end:]
    read = reader_of(built_in_cues(language)).read(text)
    return [
        f"{text[begin:after]}: {read.of_span(begin, after).label}, expected {label}"
        for label, begin, after in expected
        if read.of_span(begin, after).label != label
    ]


@pytest.fixture(scope="session")
def wrong() -> Callable[[str, str], list[str]]:
    """Return the function that reads a marked passage in a language."""
    return _wrong
