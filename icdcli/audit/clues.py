"""The clues to errors, from scores and words: for each gold code, each other code, and both.

All of them come from other documents: scores from models that haven't seen the document, and words
as `icdcli.audit.mentions` counts them. Rare codes have low scores even if they are right, so a
score is also compared with those of the same code in other documents that have it, or of codes as
frequent if there are few.

Shapes: N documents, L labels.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray

from icdcli.audit.documents import AuditDocument
from icdcli.audit.mentions import Mentions, PhraseTable
from icdcli.data.corpus.annotations import AnnotatedFragment
from icdcli.lexical.assertion.memory import RememberingReader
from icdcli.metrics.arrays import Floats

CANDIDATES = 40
"""The most codes per document that may be missing, by score."""

_LEAST_LOGIT = -4.0
_LEAST_OF_SIBLINGS = -6.0
_LEAST_OF_OTHERS = -1.5
_FLOOR = -9.0
_LIKELY = 0.1
_TYPICAL_WEIGHT = 3.0
_GROUPS = 8


class GoldClues(NamedTuple):
    """What is known of a gold code of a document."""

    logit: float
    """The log-odds of the score."""
    surprise: float
    """The log-odds above those that the code usually has where it is gold."""
    others: float
    """The logarithm of one more than the other documents with the code."""
    mention: float
    """The log-odds of its likeliest mention."""
    affirmed: float
    """The log-odds of its likeliest mention that is affirmed."""
    mentioned: float
    """1 if it is mentioned."""
    annotated: float
    """1 if its words are annotated."""
    marked: float
    """The log-odds that its annotated words mean the code in other documents; 0: not annotated."""
    marked_other: float
    """The log-odds that they mean the likeliest other code."""
    unknown: float
    """1 if an annotation of it has words that mean nothing in other documents."""
    sibling: float
    """The highest log-odds of a code of its category that the document doesn't have."""
    lead: float
    """How far they are above its own."""
    gold_sibling: float
    """The highest log-odds of a code of its category that the document has, too."""
    best_other: float
    """The highest log-odds of a code that the document doesn't have."""
    rank: float
    """The logarithm of its rank in the document."""
    predictable: float
    """The logarithm of how often it is gold elsewhere, relative to what the scores predict."""


class OtherClues(NamedTuple):
    """What is known of a code that a document doesn't have; see `GoldClues`."""

    logit: float
    surprise: float
    others: float
    mention: float
    affirmed: float
    unexplained: float
    """The log-odds of its likeliest mention that isn't the evidence of a gold code."""
    mentioned: float
    gold_siblings: float
    """The number of gold codes of its category."""
    gold_sibling: float
    rank: float
    predictable: float
    expected: float
    """The number of gold codes that the scores predict."""


class PairClues(NamedTuple):
    """How a gold code and one that may be right instead belong together."""

    same_category: float
    same_place: float
    """1 if the words annotated for the gold code mention the other."""


class CorpusClues:
    """What all documents of an audit say, counted once."""

    def __init__(
        self,
        documents: Sequence[AuditDocument],
        logits_NL: NDArray[np.float32],
        phrases: PhraseTable,
        categories: Sequence[str],
        reader: RememberingReader | None,
    ) -> None:
        """Count.

        Args:
            documents: The documents.
            logits_NL: The log-odds of each code, by models that haven't seen the document.
            phrases: The phrases of the documents.
            categories: The category of each label.
            reader: Reads assertion classes; None: everything is affirmed.
        """
        self.documents, self.logits_NL, self.phrases = documents, logits_NL, phrases
        self.categories, self._reader = categories, reader
        self.members: dict[str, list[int]] = {}
        for label, category in enumerate(categories):
            self.members.setdefault(category, []).append(label)
        self.counts_L = np.zeros(len(categories), np.int64)
        self._sums_L = np.zeros(len(categories))
        self._expected_L = np.zeros(len(categories))
        for row, document in enumerate(documents):
            gold = sorted(document.labels)
            self.counts_L[gold] += 1
            self._sums_L[gold] += logits_NL[row, gold]
            self._expected_L += chance(logits_NL[row])
        self._group_L = np.log2(self.counts_L.clip(1)).astype(np.int64).clip(max=_GROUPS - 1)
        counts_G = np.bincount(self._group_L, self.counts_L, _GROUPS)
        self._means_G = np.bincount(self._group_L, self._sums_L, _GROUPS) / counts_G.clip(1)
        self._mentions: dict[int, Mentions] = {}

    def mentions(self, row: int) -> Mentions:
        """Return the mentions in a document."""
        if row not in self._mentions:
            self._mentions[row] = self.phrases.mentions(row, self._reader)
        return self._mentions[row]

    def others(self, row: int, label: int) -> int:
        """Return the number of other documents with a code."""
        return int(self.counts_L[label]) - (label in self.documents[row].labels)

    def typical(self, row: int, label: int) -> float:
        """Return the log-odds that a code usually has in other documents where it is gold."""
        own = self.logits_NL[row, label] if label in self.documents[row].labels else 0.0
        borrowed = _TYPICAL_WEIGHT * self._means_G[self._group_L[label]]
        count = self.others(row, label) + _TYPICAL_WEIGHT
        return float((self._sums_L[label] - own + borrowed) / count)

    def predictable(self, row: int, label: int) -> float:
        """Return the log of how often a code is gold elsewhere, relative to what scores predict."""
        expected = self._expected_L[label] - chance(self.logits_NL[row, label])
        return float(np.log((self.others(row, label) + 1) / (expected + 1)))


class DocumentClues:
    """The clues of one document, with the labels that it has or that were planted in it."""

    def __init__(
        self,
        corpus: CorpusClues,
        row: int,
        labels: frozenset[int],
        annotations: Sequence[AnnotatedFragment],
    ) -> None:
        """Prepare what all codes of the document need.

        Args:
            corpus: The clues of all documents.
            row: The number of the document.
            labels: Its labels.
            annotations: Its annotated fragments.
        """
        self.corpus, self.row, self.labels = corpus, row, labels
        self.fragments = annotations
        self.logits_L = corpus.logits_NL[row]
        self.mentions = corpus.mentions(row)
        document = corpus.documents[row]
        self._words: dict[int, list[int | None]] = {}
        self._places: dict[int, int] = {}
        marked: dict[tuple[int, int], list[AnnotatedFragment]] = {}
        for one in annotations:
            marked.setdefault((one.group, one.label), []).append(one)
        for (_, label), fragments in marked.items():
            phrase = corpus.phrases.number(document.words_of(fragments))
            self._words.setdefault(label, []).append(phrase)
            for one in fragments:
                self._places[label] = self._places.get(label, 0) | _bits(one.begin, one.end)
        self._explained = 0
        for label in labels:
            self._explained |= self._places.get(label, 0) or self._mentioned(label)

    def _mentioned(self, label: int) -> int:
        """Return the characters of the likely mentions of a code, as bits."""
        places = 0
        for mention in self.mentions.get(label, ()):
            if mention.likely > _LIKELY:
                places |= _bits(mention.begin, mention.end)
        return places

    @cached_property
    def candidates(self) -> list[int]:
        """Return the codes that may be missing, the highest score first."""
        logits_L = self.logits_L
        most = min(CANDIDATES + len(self.labels), len(logits_L))
        best = np.argpartition(-logits_L, most - 1)[:most]
        ordered = best[np.lexsort((best, -logits_L[best]))].tolist()
        found = [label for label in ordered if label not in self.labels]
        return [label for label in found[:CANDIDATES] if logits_L[label] > _LEAST_LOGIT]

    def instead_of(self, label: int) -> Iterator[int]:
        """Yield the codes that may be right instead of a gold code."""
        members = self.corpus.members[self.corpus.categories[label]]
        for other in members:
            if other not in self.labels and self.logits_L[other] > _LEAST_OF_SIBLINGS:
                yield other
        for other in self.candidates:
            if self.corpus.categories[other] != self.corpus.categories[label] and (
                self.logits_L[other] > _LEAST_OF_OTHERS or self.same_place(label, other)
            ):
                yield other

    def same_place(self, label: int, other: int) -> bool:
        """Return whether the words that are annotated for a gold code mention another code."""
        places = self._places.get(label, 0)
        return bool(places) and any(
            places & _bits(one.begin, one.end) for one in self.mentions.get(other, ())
        )

    def meanings(self, label: int) -> list[Mapping[int, float]]:
        """Return what the annotated words of a code mean in other documents, per annotation."""
        phrases = self.corpus.phrases
        return [
            {} if phrase is None else phrases.meanings(self.row, phrase)
            for phrase in self._words.get(label, ())
        ]

    def is_explained(self, begin: int, end: int) -> bool:
        """Return whether a place is evidence of a gold code."""
        return bool(self._explained & _bits(begin, end))

    def of_gold(self, label: int) -> GoldClues:
        """Return the clues of a gold code."""
        corpus, logit = self.corpus, float(self.logits_L[label])
        siblings = [one for one in corpus.members[corpus.categories[label]] if one != label]
        sibling = self._highest(one for one in siblings if one not in self.labels)
        meanings = self.meanings(label)
        own = max((one.get(label, 0.0) for one in meanings), default=0.0)
        other = max((v for one in meanings for code, v in one.items() if code != label), default=0)
        mentions = self.mentions.get(label, ())
        return GoldClues(
            logit=logit,
            surprise=logit - corpus.typical(self.row, label),
            others=float(np.log1p(corpus.others(self.row, label))),
            mention=_odds(mentions[0].likely if mentions else 0),
            affirmed=_odds(max((one.likely for one in mentions if one.affirmed), default=0)),
            mentioned=float(bool(mentions)),
            annotated=float(bool(meanings)),
            marked=_odds(own) if meanings else 0.0,
            marked_other=_odds(other) if meanings else 0.0,
            unknown=float(any(not one for one in meanings)),
            sibling=sibling,
            lead=sibling - logit,
            gold_sibling=self._highest(one for one in siblings if one in self.labels),
            best_other=self._highest(self.candidates[:1]),
            rank=self._rank(label),
            predictable=corpus.predictable(self.row, label),
        )

    def of_other(self, label: int) -> OtherClues:
        """Return the clues of a code that the document doesn't have."""
        corpus, logit = self.corpus, float(self.logits_L[label])
        siblings = [one for one in corpus.members[corpus.categories[label]] if one in self.labels]
        mentions = self.mentions.get(label, ())
        unexplained = (one for one in mentions if not self.is_explained(one.begin, one.end))
        return OtherClues(
            logit=logit,
            surprise=logit - corpus.typical(self.row, label),
            others=float(np.log1p(corpus.others(self.row, label))),
            mention=_odds(mentions[0].likely if mentions else 0),
            affirmed=_odds(max((one.likely for one in mentions if one.affirmed), default=0)),
            unexplained=_odds(next((one.likely for one in unexplained), 0)),
            mentioned=float(bool(mentions)),
            gold_siblings=float(len(siblings)),
            gold_sibling=self._highest(siblings),
            rank=self._rank(label),
            predictable=corpus.predictable(self.row, label),
            expected=float(chance(self.logits_L[sorted(self.labels)]).sum()),
        )

    def of_pair(self, label: int, other: int) -> PairClues:
        """Return how a gold code and another belong together."""
        categories = self.corpus.categories
        return PairClues(
            float(categories[label] == categories[other]), float(self.same_place(label, other))
        )

    def _highest(self, labels: Iterator[int] | Sequence[int]) -> float:
        return max((float(self.logits_L[one]) for one in labels), default=_FLOOR)

    def _rank(self, label: int) -> float:
        return float(np.log1p((self.logits_L > self.logits_L[label]).sum()))


def chance(logits: npt.ArrayLike) -> Floats:
    """Return the scores of log-odds."""
    scores: Floats = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    return scores


def _bits(begin: int, end: int) -> int:
    """Return characters as the bits of a number, which makes it fast to see if places overlap."""
    return ((1 << (end - begin)) - 1) << begin


def _odds(share: float) -> float:
    clipped = min(max(share, 0.005), 0.995)
    return float(np.log(clipped / (1 - clipped)))
