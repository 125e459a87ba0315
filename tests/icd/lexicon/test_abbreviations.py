"""An abbreviation's sense depends on the words around it."""

import pytest

from icdcli.icd.lexicon.abbreviations import Sense, abbreviations, sense_of
from icdcli.icd.lexicon.synonyms import synonyms

SENSES = (
    Sense("mental status", "", ()),
    Sense("multiple sclerosis", "G35", ("interferon", "demyelinating")),
    Sense("mitral stenosis", "I05.0", ("valve", "murmur")),
)


@pytest.mark.parametrize(
    ("around", "expansion"),
    [
        (set(), "mental status"),
        ({"aspirin"}, "mental status"),
        ({"interferon"}, "multiple sclerosis"),
        ({"valve", "murmur", "interferon"}, "mitral stenosis"),
    ],
)
def test_the_context_decides(around: set[str], expansion: str) -> None:
    assert sense_of(SENSES, around).expansion == expansion


def test_a_language_without_tables_is_refused() -> None:
    with pytest.raises(ValueError, match="no lexicon for 'fi'"):
        abbreviations("fi")
    with pytest.raises(ValueError, match="no lexicon for 'fi'"):
        synonyms("fi")
