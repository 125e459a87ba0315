"""The lexicon's tables: TSV files beside this module, one per kind and language.

They were written for icdcode from general medical knowledge, for ICD-10-CM. They have no text of a
dictionary or of a patient.
"""

from collections.abc import Iterator
from importlib.resources import files

LANGUAGES = ("en", "es", "ko")
"""The languages that have tables."""


def rows(kind: str, language: str) -> Iterator[list[str]]:
    """Yield the cells of each row of a table, without its header and comments.

    Args:
        kind: ``synonyms`` or ``abbreviations``.
        language: One of `LANGUAGES`.

    Raises:
        ValueError: There is no such table.
    """
    if language not in LANGUAGES:
        raise ValueError(f"no lexicon for {language!r}; there is one for {', '.join(LANGUAGES)}")
    text = files("icdcli.icd.lexicon").joinpath(f"{kind}_{language}.tsv").read_text("utf-8")
    for line in text.splitlines()[1:]:
        if line and not line.startswith("#"):
            yield line.split("\t")
