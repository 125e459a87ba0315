"""Where a note mentions codes: their terms, and words that annotators marked for them elsewhere.

A phrase is a term for a code (`icdcli.lexical.term_lexicon`) or a string that somebody marked as
evidence of it, as the stems of its words. It is matched where its stems occur in a row. Of the n
*other* documents that contain it, k have the code, so that the code is likely with
(k + m·r) / (n + m), as in the lexicon of terms; a document's own labels and annotations never count
for its own mentions.

Shapes: W words of a document, P phrases, L labels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icdcli.audit.documents import AuditDocument
from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.memory import RememberingReader
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.term_lexicon import TermLexicon
from icdcli.lexical.words import placed_words, stem, words

Phrase = tuple[str, ...]

_PRIOR_DOCUMENTS = 2.0
_LEAST = 0.03
_SAID = (Assertion.AFFIRMED, Assertion.HISTORICAL)


@dataclass(frozen=True, slots=True)
class Mention:
    """A place at which a document mentions a code.

    Attributes:
        phrase: The number of the phrase.
        begin: The first character.
        end: The character after the last.
        likely: The share of other documents with the phrase that have the code, smoothed.
        assertion: How the document mentions it.
    """

    phrase: int
    begin: int
    end: int
    likely: float
    assertion: Assertion

    @property
    def affirmed(self) -> bool:
        """Return whether the patient has it, or had it."""
        return self.assertion in _SAID


Mentions = Mapping[int, Sequence[Mention]]
"""Of one document: label to its mentions, the likeliest first."""


class PhraseTable:
    """The phrases of a label space, counted in documents.

    Attributes:
        own: For each document, the labels that each of its annotated phrases is marked for.
    """

    def __init__(self, documents: Sequence[AuditDocument], descriptions: Descriptions) -> None:
        """Find the phrases, and count the documents that have them.

        Args:
            documents: The documents.
            descriptions: The descriptions of each label.
        """
        self._documents = documents
        self._number: dict[Phrase, int] = {}
        self._marked: list[Counter[int]] = []  # a term counts as if no document could take it back
        terms = TermLexicon.of(descriptions)
        for term, label in zip(terms.term_E.tolist(), terms.label_E.tolist(), strict=True):
            self._marked[self._add(terms.terms[term])][label] += 2
        self.own: list[list[tuple[int, int]]] = []
        for document in documents:
            own = sorted(
                {
                    (self._add(stems), label)
                    for label, fragments in document.marked()
                    if (stems := _stems(words(document.words_of(fragments))))
                }
            )
            for phrase, label in own:
                self._marked[phrase][label] += 1
            self.own.append(own)
        self._longest: dict[str, int] = {}
        for stems in self._number:
            self._longest[stems[0]] = max(self._longest.get(stems[0], 0), len(stems))
        self._count()

    def _add(self, phrase: Phrase) -> int:
        number = self._number.setdefault(phrase, len(self._marked))
        if number == len(self._marked):
            self._marked.append(Counter())
        return number

    def _count(self) -> None:
        """Count the documents that contain each phrase, and those of them with each label."""
        self._lengths = [len(phrase) for phrase in self._number]
        self._contain = [0] * len(self._marked)
        self._coded: list[Counter[int]] = [Counter() for _ in self._marked]
        self._places = []
        for document, own in zip(self._documents, self.own, strict=True):
            found, places_W2 = placed_words(document.text)
            starts = self._find(_stems(found))
            self._places.append((starts, places_W2))
            for phrase in starts.keys() | {phrase for phrase, _ in own}:
                self._contain[phrase] += 1
                for label in self._marked[phrase].keys() & document.labels:
                    self._coded[phrase][label] += 1
        pairs = zip(self._contain, self._marked, strict=True)
        matches = sum(contain * len(labels) for contain, labels in pairs)
        self._share = (sum(map(Counter.total, self._coded)) + 1) / (matches + 2)

    def _find(self, stems: Phrase) -> dict[int, list[int]]:
        """Return each phrase that is found, and the words where it begins."""
        found: dict[int, list[int]] = {}
        for start, first in enumerate(stems):
            for length in range(1, min(self._longest.get(first, 0), len(stems) - start) + 1):
                phrase = self._number.get(stems[start : start + length])
                if phrase is not None:
                    found.setdefault(phrase, []).append(start)
        return found

    def counts(self, document: int, phrase: int, label: int) -> tuple[int, int]:
        """Return how many other documents with a phrase have a label, and how many there are.

        Args:
            document: The number of the document, which contains the phrase.
            phrase: The phrase.
            label: The label, one of the phrase's.
        """
        coded = self._coded[phrase][label] - (label in self._documents[document].labels)
        return coded, self._contain[phrase] - 1

    def number(self, text: str) -> int | None:
        """Return the phrase that has the words of a text; None: there is none."""
        return self._number.get(_stems(words(text)))

    def likely(self, document: int, phrase: int, label: int) -> float:
        """Return how likely a document with a phrase has a label, by the other documents."""
        coded, contain = self.counts(document, phrase, label)
        return (coded + _PRIOR_DOCUMENTS * self._share) / (contain + _PRIOR_DOCUMENTS)

    def meanings(self, document: int, phrase: int) -> dict[int, float]:
        """Return what a phrase means by its terms and the other documents: label to `likely`."""
        own = [label for marked, label in self.own[document] if marked == phrase]
        return {
            label: likely
            for label, count in self._marked[phrase].items()
            if count > own.count(label)
            and (likely := self.likely(document, phrase, label)) >= _LEAST
        }

    def mentions(self, document: int, reader: RememberingReader | None) -> Mentions:
        """Return the mentions in a document, of all labels.

        Args:
            document: The document's number.
            reader: Reads assertion classes; None: everything is affirmed.
        """
        assertions = None if reader is None else reader.read(self._documents[document].text)
        found: dict[int, list[Mention]] = {}
        starts, places_W2 = self._places[document]
        for phrase, begins in starts.items():
            meanings = self.meanings(document, phrase)
            for first in begins if meanings else ():
                begin = int(places_W2[first, 0])
                end = int(places_W2[first + self._lengths[phrase] - 1, 1])
                said = Assertion.AFFIRMED if assertions is None else assertions.of_span(begin, end)
                for label, likely in meanings.items():
                    found.setdefault(label, []).append(Mention(phrase, begin, end, likely, said))
        for mentions in found.values():
            mentions.sort(key=lambda mention: (-mention.likely, mention.begin))
        return found


def _stems(found: Sequence[str]) -> Phrase:
    return tuple(map(stem, found))
