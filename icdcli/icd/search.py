"""Search in an edition: codes by the words of their titles, inclusion terms and synonyms.

The words are in a full-text index of SQLite (FTS5), ranked by BM25 (Robertson et al. 1994). A word
also matches longer ones that begin with it. A word that the edition doesn't have is replaced by
those at most one letter away, or that sound alike. Everyday words also stand for the official ones
("broken" for "fracture"). Of the terms found, those with the fewest further words come first. The
index is built at the first search, in a few seconds, and is kept in the user's cache folder.
"""

import os
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache, lru_cache
from hashlib import sha256
from itertools import combinations
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from platformdirs import user_cache_path

from icdcli.icd.codes import System
from icdcli.icd.editions.catalog import find_edition
from icdcli.icd.editions.edition import Edition, NoteKind
from icdcli.icd.equivalents import equivalents
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import synonyms
from icdcli.icd.lexicon.tables import LANGUAGES
from icdcli.icd.search_words import (
    STOP_WORDS,
    distance,
    everyday_words,
    likest,
    one_letter_away,
    shortest,
    sound_of,
    words_in,
)

_FORMAT = 4
_CODE = re.compile(r"[A-Z0-9.]{1,8}", re.IGNORECASE)
_LEAST_OF_A_BEGINNING, _LEAST_OF_A_TYPO = 3, 5
_MOST_WORDS = 8
_EQUIVALENTS: Mapping[str, tuple[System, System, str]] = {
    "icd10cm": ("icd9", "icd10", "ICD-9-CM"),
    "icd9cm": ("icd10", "icd9", "ICD-10-CM"),
}
_TERMS: tuple[NoteKind, ...] = ("terms", "includes")
_FREQUENT = 10_000
"""Terms with a word that make it frequent."""
_CANDIDATES = 300
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


def search_codes(query: str, edition: Edition, most: int = 20) -> list[Hit]:
    """Return the codes of an edition that match a query best.

    The first search in an edition builds its index, in a few seconds.

    Args:
        query: Words, or the beginning of a code, also of an ICD-9-CM code in ICD-10-CM.
        edition: The edition.
        most: The largest number of codes.
    """
    return _search_in(edition).find(query, most)


@lru_cache(4)
def _search_in(edition: Edition) -> "CodeSearch":
    return CodeSearch(edition, search_terms(edition))


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
            query: Words, or the beginning of a code, also of an ICD-9-CM code in ICD-10-CM.
            most: The largest number of codes.
        """
        found = self._by_code(query.strip(), most) or self._by_words(query, most)
        edition = self._edition
        return [
            Hit(
                edition.codes[row],
                edition.titles[row],
                "" if term == edition.titles[row] else term,
                bool(edition.assignable_R[row]),
            )
            for row, term in found.items()
        ]

    def _by_code(self, query: str, most: int) -> dict[int, str]:
        """Return the rows of codes that begin with a query, with the term that led to each."""
        if not _CODE.fullmatch(query) or not any(map(str.isdigit, query)):
            return {}
        bare = query.upper().replace(".", "")
        found = self._index.execute(
            "SELECT row FROM codes WHERE bare >= ? AND bare < ? ORDER BY bare LIMIT ?",
            (bare, bare + "\uffff", most),
        )
        if rows := {row: "" for (row,) in found}:
            return rows
        return self._by_equivalents(bare, most)

    def _by_equivalents(self, bare: str, most: int) -> dict[int, str]:
        """Return the rows of the equivalents of codes of the other system."""
        found = self._index.execute(
            "SELECT row, term FROM others WHERE bare >= ? AND bare < ? ORDER BY bare LIMIT ?",
            (bare, bare + "\uffff", most),
        )
        return dict(found.fetchall())

    def _by_words(self, query: str, most: int) -> dict[int, str]:
        """Return the rows of the terms that are closest to the words, with these terms."""
        words = words_in(query)
        words = tuple(word for word in words if word not in STOP_WORDS) or words
        groups = [group for word in words[:_MOST_WORDS] if (group := self._spelled(word))]
        wider = [
            [*group, *(one for word in group for one in everyday_words().get(word, ()))]
            for group in groups
        ]
        found = self._matching(groups)
        if len(found) < most and wider != groups:
            found += self._matching(wider)
        if not found:  # a word may exist and still be a typo, or be one of another language
            wider = [[*group, *self._typos(group[0])] for group in wider]
            found = self._matching(wider)
        # Else the terms with all words but one, with all but two …
        for number in range(len(wider) - 1, 0, -1):
            if found:
                break
            several = wider if number > 1 else sorted(wider, key=self._terms)[:2]
            for some in combinations(several, number):
                found += self._matching(some)
        assignable = self._edition.assignable_R
        near = sorted(
            (*distance(text, wider), not assignable[row], place, row, text)
            for place, (row, text) in enumerate(found)
        )
        terms: dict[int, str] = {}
        for *_, row, text in near:
            if len(terms) == most:
                break
            terms.setdefault(row, text)
        return terms

    def _matching(self, groups: Sequence[Sequence[str]]) -> list[tuple[int, str]]:
        """Return the rows and terms that have a word of each group, the best by BM25 first.

        If all words are frequent, the shortest terms come first, which takes less time.
        """
        if not groups:
            return []
        order = "rowid" if min(map(self._terms, groups)) > _FREQUENT else "rank"
        match = " AND ".join(f"({' OR '.join(_matched(group))})" for group in groups)
        return self._index.execute(
            f"SELECT row, text FROM terms WHERE terms MATCH ? ORDER BY {order} LIMIT ?",
            (match, _CANDIDATES),
        ).fetchall()

    def _terms(self, group: Sequence[str]) -> int:
        """Return the number of terms with the first word of a group, to take rare words first."""
        found = self._index.execute(
            "SELECT terms FROM words WHERE word = ?", (group[0],)
        ).fetchone()
        return found[0] if found else 0

    def _spelled(self, word: str) -> list[str]:
        """Return a word if a term has it or a longer one; else the closest ones."""
        return [word] if self._known([word], prefix=True) else self._typos(word)

    def _typos(self, word: str) -> list[str]:
        """Return the closest words one letter away from a word, or that sound alike."""
        if len(word) < _LEAST_OF_A_TYPO:
            return []
        return likest(word, [*self._known(one_letter_away(word)), *self._sounding(word)])

    def _sounding(self, word: str) -> list[str]:
        found = self._index.execute(
            "SELECT word FROM words WHERE sound = ? ORDER BY terms DESC LIMIT 50",
            (sound_of(word),),
        )
        return [one for (one,) in found if one != word]

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


def search_terms(edition: Edition) -> dict[str, tuple[str, ...]]:
    """Return code to the lexicon's terms for it, in all languages: synonyms and abbreviations.

    The lexicon is for ICD-10-CM. A code of ICD-9-CM has the terms, and the inclusion terms, of the
    codes of ICD-10-CM for which the General Equivalence Mappings give it alone; a category has
    those of categories.

    Args:
        edition: The edition to search; others than those of ICD-10-CM and ICD-9-CM have none.
    """
    terms: dict[str, tuple[str, ...]] = {}
    for language in LANGUAGES:
        for code, own in synonyms(language).items():
            terms[code] = (*terms.get(code, ()), *own)
        for short, senses in abbreviations(language).items():
            for sense in senses:
                if sense.code:
                    terms[sense.code] = (*terms.get(sense.code, ()), short)
    if edition.about.name.startswith("icd10cm"):
        return terms
    if not edition.about.name.startswith("icd9cm"):
        return {}
    # The lexicon doesn't repeat inclusion terms.
    newest = find_edition("icd10cm")
    for kind in _TERMS:
        for row, found in newest.noted(kind):
            code = newest.codes[row]
            terms[code] = (*terms.get(code, ()), *found)
    older: dict[str, tuple[str, ...]] = {}
    for code, own in terms.items():
        for before in _icd9_equivalents(code):
            older[before] = (*older.get(before, ()), *own)
    return older


def _icd9_equivalents(code: str) -> list[str]:
    """Return the codes of ICD-9-CM of which each stands alone for one of ICD-10-CM.

    For a category, and a code newer than the mappings, it is the category of most of the
    equivalents of its category.
    """
    found = equivalents("icd10", "icd9").get(code)
    if found is not None:
        return [one.code for one in found if not one.scenario]
    several = _icd9_categories().get(code[:3], Counter())
    return [category for category, _ in several.most_common(1)]


@cache
def _icd9_categories() -> Mapping[str, Counter[str]]:
    """Return the category of ICD-10-CM to the categories of its codes' equivalents."""
    found: dict[str, Counter[str]] = {}
    for code, several in equivalents("icd10", "icd9").items():
        categories = (one.code.partition(".")[0] for one in several)
        found.setdefault(code[:3], Counter()).update(categories)
    return found


def _matched(words: Sequence[str]) -> list[str]:
    """Return words as the index looks them up: short ones would match too many longer ones."""
    least = _LEAST_OF_A_BEGINNING
    return [f'"{word}"*' if len(word) >= least else f'"{word}"' for word in shortest(words, least)]


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
        CREATE TABLE words (word TEXT PRIMARY KEY, terms INTEGER, sound TEXT) WITHOUT ROWID;
        CREATE INDEX sounds ON words (sound);
        CREATE TABLE codes (bare TEXT PRIMARY KEY, row INTEGER) WITHOUT ROWID;
        CREATE TABLE others (bare TEXT, row INTEGER, term TEXT, PRIMARY KEY (bare, row))
            WITHOUT ROWID;
        """
    )
    counts: dict[str, int] = {}
    terms = []
    for text, row in _terms(edition, synonyms):
        words = words_in(text)
        terms.append((len(words), text, row))
        for word in set(words):
            counts[word] = counts.get(word, 0) + 1
    # The shortest first: `_matching` takes them if a word is too frequent to rank all its terms.
    ordered = sorted(terms, key=itemgetter(0))
    index.executemany(
        "INSERT INTO terms (text, row) VALUES (?, ?)", ((text, row) for _, text, row in ordered)
    )
    index.executemany(
        "INSERT INTO words VALUES (?, ?, ?)",
        ((word, number, sound_of(word)) for word, number in counts.items()),
    )
    index.executemany(
        "INSERT OR IGNORE INTO codes VALUES (?, ?)",
        (
            (code.replace(".", ""), row)
            for row, code in enumerate(edition.codes)
            if edition.level(row) in ("category", "code")
        ),
    )
    index.executemany("INSERT OR IGNORE INTO others VALUES (?, ?, ?)", _others(edition))
    index.execute("INSERT INTO terms (terms) VALUES ('optimize')")
    index.commit()


def _others(edition: Edition) -> Iterator[tuple[str, int, str]]:
    """Yield the codes of the other system, without dots, with their equivalents' rows."""
    own = next((one for one in _EQUIVALENTS if edition.about.name.startswith(one)), None)
    if own is None:
        return
    source, target, name = _EQUIVALENTS[own]
    for code, several in equivalents(source, target).items():
        for one in several:
            if (row := edition.row(one.code)) is not None:
                yield code.replace(".", ""), row, f"{code} of {name}"


def _terms(edition: Edition, synonyms: Mapping[str, Sequence[str]]) -> Iterable[tuple[str, int]]:
    """Yield every term with its row: titles of categories and codes, inclusion terms, synonyms."""
    for row, (code, title) in enumerate(zip(edition.codes, edition.titles, strict=True)):
        if edition.level(row) in ("category", "code"):
            if title:
                yield title, row
            for synonym in synonyms.get(code, ()):
                yield synonym, row
    for kind in _TERMS:
        for row, found in edition.noted(kind):
            if edition.level(row) in ("category", "code"):
                yield from ((term, row) for term in found)
