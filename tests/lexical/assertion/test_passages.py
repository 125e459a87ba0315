"""Passages as notes have them, written before the cues that they measure were mended.

``passages_LANGUAGE.tsv`` has in each row a passage with marked words, as in `test_reader`, and its
half: the cues were mended by the passages of one half, and never by those of the other (unseen).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
# The marked words that are read rightly, of all, as measured.
_BOUNDS = {
    ("es", "mended"): (193, 196),
    ("es", "unseen"): (211, 219),
    ("ko", "mended"): (135, 141),
    ("ko", "unseen"): (134, 139),
}


@pytest.mark.parametrize(("language", "half"), _BOUNDS)
def test_passages_are_read_as_well_as_measured(
    language: str, half: str, wrong: Callable[[str, str], list[str]]
) -> None:
    table = (_HERE / f"passages_{language}.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    passages = [passage.replace("\\n", "\n") for of, _, passage in rows if of == half]
    marked = sum(passage.count("{") for passage in passages)
    misread = [miss for passage in passages for miss in wrong(passage, language)]
    right, measured = _BOUNDS[language, half]
    assert marked == measured
    assert marked - len(misread) >= right, misread
