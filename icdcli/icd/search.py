"""Search in an edition: codes by the words of their titles, inclusion terms and synonyms.

The words are in a full-text index of SQLite (FTS5), ranked by BM25 (Robertson et al. 1994). A word
also matches longer ones that begin with it. A word that the edition doesn't have is replaced by
those at most one letter away. The index is built at the first search, in about two seconds, and is
kept in the user's cache folder.
"""

import os
import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_path

from icdcli.icd.editions.edition import Edition, NoteKind
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.icd.lexicon.tables import LANGUAGES

_FORMAT = 1
_WORD = re.compile(r"[^\W_]+")
_CODE = re.compile(r"[A-Z0-9.]{1,8}", re.IGNORECASE)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_LEAST_OF_A_BEGINNING, _LEAST_OF_A_TYPO = 3, 5
_CANDIDATES = 400
"""The best terms, of which the codes are taken; a code may have several."""


class Hit(NamedTuple):
    """A code that a search found.

    Attributes:
        code: The code.
        title: Its title.
        term: The term that matches best; empty if it is the title.
        assignable: Whether the code can be assigned.
    """

    code: str
    title: str
    term: str
    assignable: bool


class CodeSearch:
    """The search in one edition."""

    def __init__(
        self, edition: Edition, synonyms: Mapping[str, Sequence[str]], folder: Path | None = None
    ) -> None:
        """Open the index of an edition, and build it first if necessary.

        Args:
            edition: The edition.
            synonyms: Code to further terms.
            folder: The folder of the index; None: the user's cache folder. If it can't be written,
                the index is in memory.
        """
        self._edition = edition
        key = sha256(repr((_FORMAT, edition.sha256, sorted(synonyms.items()))).encode())
        folder = folder or user_cache_path("icdcode") / "codes"
        path = folder / f"{edition.about.name}-{key.hexdigest()[:12]}.sqlite"
        self._index = _opened(path) or _built(path, edition, synonyms)

    def find(self, query: str, most: int = 20) -> list[Hit]:
        """Return the codes that match a query best.

        Args:
            query: Words, or the beginning of a code.
            most: The largest number of codes.
        """
        rows = self._by_code(query.strip(), most)
        terms: dict[int, str] = {}
        if not rows:
            for row, term in self._by_words(query):
                terms.setdefault(row, term)
                if len(terms) == most:
                    break
        edition = self._edition
        return [
            Hit(
                edition.codes[row],
                edition.titles[row],
                "" if terms.get(row) in (None, edition.titles[row]) else terms[row],
                bool(edition.assignable_R[row]),
            )
            for row in rows or terms
        ]

    def _by_code(self, query: str, most: int) -> list[int]:
        if not _CODE.fullmatch(query) or not any(map(str.isdigit, query)):
            return []
        bare = query.upper().replace(".", "")
        found = self._index.execute(
            "SELECT row FROM codes WHERE bare >= ? AND bare < ? ORDER BY bare LIMIT ?",
            (bare, bare + "\uffff", most),
        )
        return [row for (row,) in found]

    def _by_words(self, query: str) -> Iterator[tuple[int, str]]:
        words = _words(query)
        groups = [group for word in words if (group := self._spelled(word))]
        if not groups:
            return
        for joined in (" AND ", " OR "):
            match = joined.join(f"({' OR '.join(map(_matched, group))})" for group in groups)
            found = self._index.execute(
                "SELECT row, text FROM terms WHERE terms MATCH ? ORDER BY rank LIMIT ?",
                (match, _CANDIDATES),
            ).fetchall()
            if found:
                yield from found
                return

    def _spelled(self, word: str) -> list[str]:
        """Return a word if a term has it or a longer one; else those one letter away."""
        if self._known([word], prefix=True):
            return [word]
        if len(word) < _LEAST_OF_A_TYPO:
            return []
        return self._known(_one_letter_away(word))

    def _known(self, words: Sequence[str], prefix: bool = False) -> list[str]:
        if prefix:
            found = self._index.execute(
                "SELECT word FROM words WHERE word >= ? AND word < ? LIMIT 1",
                (words[0], words[0] + "\uffff"),
            )
        else:
            marks = ",".join("?" * len(words))
            found = self._index.execute(
                f"SELECT word FROM words WHERE word IN ({marks}) ORDER BY terms DESC LIMIT 3",
                words,
            )
        return [word for (word,) in found]


def search_terms(edition: Edition, language: str) -> dict[str, tuple[str, ...]]:
    """Return code to the lexicon's terms for it: synonyms and abbreviations, for ICD-10-CM only.

    Args:
        edition: The edition to search.
        language: The language of the terms; one without a lexicon has none.
    """
    if language not in LANGUAGES or not edition.about.name.startswith("icd10cm"):
        return {}
    terms = dict(synonyms(language))
    for short, senses in abbreviations(language).items():
        for sense in senses:
            if sense.code:
                terms[sense.code] = (*terms.get(sense.code, ()), short)
    return terms


def _matched(word: str) -> str:
    """Return a word as the index looks it up: short ones would match too many longer ones."""
    return f'"{word}"*' if len(word) >= _LEAST_OF_A_BEGINNING else f'"{word}"'


def _words(text: str) -> list[str]:
    apart = unicodedata.normalize("NFKD", text.lower())
    plain = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return _WORD.findall(unicodedata.normalize("NFC", plain))  # which joins Korean syllables


def _one_letter_away(word: str) -> list[str]:
    cuts = [(word[:place], word[place:]) for place in range(len(word) + 1)]
    found = {left + right[1:] for left, right in cuts if right}
    found |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    for letter in _LETTERS:
        found |= {left + letter + right for left, right in cuts}
        found |= {left + letter + right[1:] for left, right in cuts if right}
    return sorted(found - {word})


def _opened(path: Path) -> sqlite3.Connection | None:
    if not path.is_file():
        return None
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)


def _built(
    path: Path, edition: Edition, synonyms: Mapping[str, Sequence[str]]
) -> sqlite3.Connection:
    """Build an index in a file, which appears whole; in memory if it can't be written."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(temporary)) as index:
            _fill(index, edition, synonyms)
        temporary.replace(path)
    except (OSError, sqlite3.OperationalError):  # a full or read-only disk
        with suppress(OSError):
            temporary.unlink()
        index = sqlite3.connect(":memory:", check_same_thread=False)
        _fill(index, edition, synonyms)
        return index
    opened = _opened(path)
    assert opened is not None
    return opened


def _fill(
    index: sqlite3.Connection, edition: Edition, synonyms: Mapping[str, Sequence[str]]
) -> None:
    index.executescript(
        """
        PRAGMA journal_mode = OFF;
        PRAGMA synchronous = OFF;
        CREATE VIRTUAL TABLE terms USING fts5(
            text, row UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2', prefix = '3'
        );
        CREATE TABLE words (word TEXT PRIMARY KEY, terms INTEGER) WITHOUT ROWID;
        CREATE TABLE codes (bare TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID;
        """
    )
    counts: dict[str, int] = {}
    terms = list(_terms(edition, synonyms))
    for text, _ in terms:
        for word in set(_words(text)):
            counts[word] = counts.get(word, 0) + 1
    index.executemany("INSERT INTO terms (text, row) VALUES (?, ?)", terms)
    index.executemany("INSERT INTO words VALUES (?, ?)", counts.items())
    index.executemany(
        "INSERT OR IGNORE INTO codes VALUES (?, ?)",
        (
            (code.replace(".", ""), row)
            for row, code in enumerate(edition.codes)
            if edition.level(row) in ("category", "code")
        ),
    )
    index.execute("INSERT INTO terms (terms) VALUES ('optimize')")
    index.commit()


def _terms(edition: Edition, synonyms: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, int]]:
    """Yield every term with its row: titles of categories and codes, inclusion terms, synonyms."""
    for row, (code, title) in enumerate(zip(edition.codes, edition.titles, strict=True)):
        if title and edition.level(row) in ("category", "code"):
            yield title, row
            for synonym in synonyms.get(code, ()):
                yield synonym, row
    kinds: tuple[NoteKind, ...] = ("terms", "includes")
    for kind in kinds:
        for row, found in edition.noted(kind):
            if edition.level(row) in ("category", "code"):
                yield from ((term, row) for term in found)
