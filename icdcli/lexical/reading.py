"""How a model reads a text: what it leaves out, corrects and writes in full.

Everything that a model computes from a note starts here, in training and afterwards. A reading
knows the places in the original of all that it gives, so that evidence points to the note as it was
written.

Shapes: N stretches of a text, or places in it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from hashlib import sha256
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Labels
from icdcli.icd.code_system import CodeSystem
from icdcli.icd.lexicon.abbreviations import abbreviations
from icdcli.icd.lexicon.synonyms import synonyms, synonyms_of
from icdcli.icd.lexicon.tables import LANGUAGES
from icdcli.icd.terms import inclusion_terms
from icdcli.icd.titles import tabular_titles, titles
from icdcli.lexical.assertion.classes import Assertions
from icdcli.lexical.descriptions import descriptions_of
from icdcli.lexical.normalization.definitions import learn_definitions
from icdcli.lexical.normalization.edited_text import EditedText
from icdcli.lexical.normalization.expansion import NO_EXPANSION, Expansion
from icdcli.lexical.normalization.marked_words import mark_edits, word_begins
from icdcli.lexical.normalization.spelling import NO_SPELLING, Spelling, known_words
from icdcli.lexical.views import COMPLETE, View, Views


class ReadText:
    """A text as a model reads it.

    Attributes:
        kept: The original, with blanks for what the view leaves out.
        text: What the model reads.
    """

    def __init__(
        self,
        kept: str,
        edited: tuple[EditedText, ...] = (),
        assertions: Callable[[], Assertions | None] = lambda: None,
    ) -> None:
        """Join what a reading has found.

        Args:
            kept: The original, with blanks for what the view leaves out.
            edited: What became of it, one edit after another.
            assertions: Returns the assertion classes of the original; None: nobody read them.
        """
        self.kept = kept
        self.text = edited[-1].text if edited else kept
        self._edited = edited
        self._find_assertions = assertions

    def original(self, places_N2: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the begin and end in the original of stretches of the text, (N, 2)."""
        for edited in reversed(self._edited):
            places_N2 = edited.original(places_N2)
        return places_N2

    def classes(self, places_N: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the assertion class at places of the text, uint8; affirmed if there are no cues.

        The numbers are those of `icdcli.lexical.assertion.classes.Assertion`.
        """
        assertions = self._assertions
        if assertions is None:
            return np.zeros(len(places_N), np.uint8)
        stretches_N2 = np.stack([places_N, places_N + 1], axis=1)
        return assertions.at(self.original(stretches_N2)[:, 0])

    def marked(self) -> "ReadText":
        """Return the same with a mark before each word that isn't affirmed."""
        begins_W = word_begins(self.text)
        if edits := list(mark_edits(begins_W, self.classes(begins_W))):
            edited = (*self._edited, EditedText.of(self.text, edits))
            return ReadText(self.kept, edited, self._find_assertions)
        return self

    @cached_property
    def _assertions(self) -> Assertions | None:
        return self._find_assertions()


# The official titles are in English, and Korean notes write many terms in English.
_WITH_ENGLISH_TERMS = ("en", "ko")
FORMAT = 1
"""Raised when the same words and the same text are read in another way."""


@dataclass(frozen=True)
class NoteReading:
    """How a model reads texts.

    Attributes:
        views: The views of documents. The network, the description prior and TF-IDF read the first.
        spelling: The words that misspelt ones are corrected to.
        expansion: The abbreviations that are read in full.
        network_expands: Whether the network and the prior read them in full, too, and not only the
            lexical parts. A network of ``laptop.yaml`` that was trained without then has a dev MAP
            of .462 on CodiEsp in English (.458), and with the lexical parts .559 (.562); one that
            was trained for facts knows all abbreviations in its behavioral tests (.956).
    """

    views: Views = COMPLETE
    spelling: Spelling = NO_SPELLING
    expansion: Expansion = NO_EXPANSION
    network_expands: bool = False

    @classmethod
    def fit(
        cls,
        views: Views,
        texts: Iterable[str],
        labels: Labels,
        system: CodeSystem | None,
        known: Iterable[str] = (),
    ) -> "NoteReading":
        """Learn to read notes with the clinical lexicon, in the language of the views.

        Args:
            views: The views of documents.
            texts: The training documents; read several times.
            labels: The label space.
            system: Its coding system; None: unknown.
            known: Words and texts without mistakes, besides those of the coding systems.
        """
        expansion = Expansion.of(views.language).with_learned(learn_definitions(texts))
        needed = [
            *_needed(labels, system, views.language),
            *(sense.expansion for senses in expansion.senses.values() for sense in senses),
        ]
        without_mistakes = known_words(known) | _official_words(views.language)
        spelling = Spelling.fit(texts, needed, without_mistakes, views.language)
        return cls(views, spelling, expansion, network_expands=True)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "NoteReading":
        """Return what `to_json` returned, after a file had it, perhaps with other keys."""
        spelling = stored.get("spelling")
        return cls(
            Views.from_json(stored.get("views")),
            NO_SPELLING if spelling is None else Spelling.from_json(spelling),
            Expansion.from_json(
                stored.get("abbreviations", {}), stored.get("learned_abbreviations", ())
            ),
            stored.get("network_expands", False),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what a checkpoint keeps; nothing if the complete text is read as it is."""
        stored: dict[str, Any] = {}
        if "affirmed" in self.views.names:
            stored["views"] = asdict(self.views)
        if self.spelling.words:
            stored["spelling"] = self.spelling.to_json()
        if self.expansion.senses:
            stored["abbreviations"] = self.expansion.to_json()
        if self.expansion.learned:
            stored["learned_abbreviations"] = sorted(self.expansion.learned)
        if self.network_expands:
            stored["network_expands"] = True
        return stored

    @property
    def with_lexicon(self) -> bool:
        """Return whether the clinical lexicon is on; without it, models are as in version 0.1."""
        return bool(self.expansion.senses)

    @property
    def key(self) -> str:
        """Return what distinguishes `read` from other readings; empty if it changes nothing."""
        changes = [
            *([self.spelling.to_json()] if self.spelling.words else []),
            *([self.expansion.to_json()] if self.network_expands else []),
        ]
        if not any(changes):
            return self.views.key
        return sha256(repr((FORMAT, self.views.key, changes)).encode()).hexdigest()[:12]

    @property
    def classes_key(self) -> str:
        """Return what distinguishes the classes of `ReadText.classes` from those by other cues."""
        return self.views.cues_key

    def read(self, text: str, view: View | None = None) -> ReadText:
        """Read a text.

        Args:
            text: The text, cleaned as the training texts were.
            view: The view, as a lexical part reads it; None: as the network and TF-IDF do.
        """
        expands = view is not None or self.network_expands
        view = view or self.views.names[0]
        reader = self.views.reader
        kept = self.views.text(view, text)
        edited: tuple[EditedText, ...] = ()
        current = kept
        for editor in (self.spelling, self.expansion) if expands else (self.spelling,):
            if edits := list(editor.edits(current)):
                edited = (*edited, EditedText.of(current, edits))
                current = edited[-1].text
        read = ReadText(
            kept,
            edited,
            lambda: None if reader is None else reader.read(text),
        )
        return read.marked() if view == "marked" else read

    def read_together(self, views: Sequence[View], text: str) -> list[str]:
        """Return a text as several lexical parts read it; it takes less time than one by one.

        Args:
            views: The view of each of them.
            text: The text, cleaned as the training texts were.
        """
        found: dict[View, str] = {}
        # What is said of relatives comes first: the classes for other views are known then.
        for view in sorted(set(views) - {"marked"}, key=lambda view: view != "family"):
            read = self.read(text, view)
            found[view] = read.text
            if view == "all" and "marked" in views:
                found["marked"] = read.marked().text
        if "marked" in views and "marked" not in found:
            found["marked"] = self.read(text, "marked").text
        return [found[view] for view in views]

    def corrected(self, words: str) -> str:
        """Return words of a document with its spelling corrected."""
        return EditedText.of(words, self.spelling.edits(words)).text


UNCHANGED = NoteReading()
"""The complete text as it is."""


def _needed(labels: Labels, system: CodeSystem | None, language: str) -> Iterator[str]:
    """Yield the descriptions of labels that are in the language of the notes."""
    if language in _WITH_ENGLISH_TERMS:
        yield from chain.from_iterable(descriptions_of(labels, system, language))
    elif system is not None and system.shape is not None:
        for code, kind in zip(labels.codes, labels.kinds, strict=True):
            yield from synonyms_of(code, kind, system.shape, language)


@cache
def _official_words(language: str) -> frozenset[str]:
    return known_words(_official_texts(language))


def _official_texts(language: str) -> Iterator[str]:
    """Yield the titles and terms of the coding systems, and the words of the lexicon.

    Notes in any language have English words.
    """
    for system, kind in (("icd10", "diagnosis"), ("icd9", "diagnosis"), ("icd9", "procedure")):
        yield from titles(system, kind).values()
    yield from tabular_titles().values()
    yield from chain.from_iterable(inclusion_terms(code) for code in tabular_titles())
    for each in {"en", language}.intersection(LANGUAGES):
        yield from chain.from_iterable(synonyms(each).values())
        for short, senses in abbreviations(each).items():
            yield from (short, *(sense.expansion for sense in senses))
