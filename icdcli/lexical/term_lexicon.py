"""The terms for codes, matched word by word, with what the training documents say of each.

The terms of a code are its descriptions: title, inclusion terms, synonyms, and abbreviations in
full. Titles are also matched without what nobody writes: "Pneumonia, unspecified organism" as
"pneumonia". A term matches if the stems of its words occur in a row. Of n training documents that
contain it, k have the code, so the code is likely with (k + m·r) / (n + m): r is that share over
all terms and documents, which is the estimate for a term that no training document contains. The
score of a code is the log-odds of its likeliest match, above those of `_LEAST`, or 0.

Fuzzy overlap (`icdcli.lexical.description_overlap`) finds other wordings, but can't tell that
"pain" is nearly always coded and "mass" seldom, and n-grams don't know terms that training hasn't
seen. On CodiEsp's dev split in English, n-grams and overlap have MAP .523 and micro-F1 .550, with
this part .554 and .581. m from .5 to 4 changes the MAP by less than .004; matching only the longest
of overlapping terms, by .003. In Spanish, where annotated evidence knows more, it adds .004.

Shapes: N documents, P terms, E pairs of a term and a label, K requested labels, W words of a
document, L labels.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.data.processes import in_blocks
from icdcli.data.relabeling import Relabeling, share_counts
from icdcli.io.npz import Arrays
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.targets import Targets
from icdcli.lexical.words import stem, words

_PRIOR_DOCUMENTS = 2.0
_LEAST = 0.02
_BLOCK, _LEAST_DOCUMENTS = 64, 2_048
_UNWRITTEN = re.compile(
    r",? (?:not otherwise specified|NOS|not elsewhere classified)\b.*$|, unspecified\b.*$"
    r"|\([^)]*\)|\bunspecified (?:site|part|location)s? of |\bunspecified |^other ",
    re.IGNORECASE,
)

Term = tuple[str, ...]
Counts = tuple[NDArray[np.int32], NDArray[np.int32]]
"""Of some documents: contain_P and coded_E, as in `TermLexicon`."""


@dataclass(frozen=True)
class TermLexicon:
    """Terms, the codes that they are for, and their counts in the training documents.

    Attributes:
        terms: The stems of each term; the terms are sorted.
        term_E: The term of each pair.
        label_E: The label of each pair.
        contain_P: n, the number of training documents that contain the term.
        coded_E: k, the number of training documents that contain the term and have the label.
        number_of_labels: L.
        share: The share r of documents with a term that have its label; None: that of these counts.
    """

    terms: tuple[Term, ...]
    term_E: NDArray[np.int32]
    label_E: NDArray[np.int32]
    contain_P: NDArray[np.int32]
    coded_E: NDArray[np.int32]
    number_of_labels: int
    share: float | None = None

    @classmethod
    def of(cls, descriptions: Descriptions) -> "TermLexicon":
        """Return the terms of the descriptions, which no document has been counted for."""
        pairs = {
            (term, label): 0
            for label, texts in enumerate(descriptions)
            for text in texts
            for written in (text, _UNWRITTEN.sub("", text))
            if (term := tuple(map(stem, words(written))))
        }
        return cls._counted(pairs, {}, len(descriptions))

    @classmethod
    def _counted(
        cls,
        coded: Mapping[tuple[Term, int], int],
        contain: Mapping[Term, int],
        number_of_labels: int,
        share: float | None = None,
    ) -> "TermLexicon":
        """Return a lexicon of pairs with their k, and of terms with their n (0 if not given)."""
        pairs = sorted(coded)
        terms = tuple(sorted({term for term, _ in pairs}))
        place = {term: number for number, term in enumerate(terms)}
        return cls(
            terms,
            np.array([place[term] for term, _ in pairs], np.int32),
            np.array([label for _, label in pairs], np.int32),
            np.array([contain.get(term, 0) for term in terms], np.int32),
            np.array([coded[pair] for pair in pairs], np.int32),
            number_of_labels,
            share,
        )

    @classmethod
    def fit(
        cls, descriptions: Descriptions, texts: Iterable[str], targets: Targets
    ) -> "TermLexicon":
        """Count the terms in training documents.

        Args:
            descriptions: The descriptions of each label.
            texts: The documents; read once.
            targets: The labels of each document.
        """
        lexicon = cls.of(descriptions)
        contain_P, coded_E = lexicon.contain_P.copy(), lexicon.coded_E.copy()
        blocks = in_blocks(lexicon._found_in, texts, _BLOCK, _LEAST_DOCUMENTS)
        contained_P, none = np.zeros(len(contain_P), bool), np.zeros(0, np.int64)
        for found, labels in zip(chain.from_iterable(blocks), targets, strict=True):
            contain_P[found] += 1
            contained_P[found] = True
            for label in set(labels.tolist()):
                pairs = lexicon._pairs_of.get(label, none)
                coded_E[pairs] += contained_P[lexicon.term_E[pairs]]
            contained_P[found] = False
        return replace(lexicon, contain_P=contain_P, coded_E=coded_E)

    def relabeled(self, relabeling: Relabeling) -> "TermLexicon":
        """Return the lexicon of another label space.

        Labels that aren't kept have the terms of their source, whose documents they share, and
        those of their own descriptions, which count as terms that no training document contains
        unless the lexicon has them.
        """
        counted = dict(zip(self.terms, self.contain_P.tolist(), strict=True))
        followers, pairs = relabeling.followers(), dict[tuple[Term, int], int]()
        shares_L = relabeling.shares_L
        for term, source, coded in zip(self.term_E, self.label_E, self.coded_E, strict=True):
            for label in followers[source]:
                coded_here = share_counts(coded, shares_L[label])
                pairs[self.terms[term], label] = int(coded_here)
        own = TermLexicon.of(
            [
                () if kept else texts
                for kept, texts in zip(relabeling.kept_L, relabeling.descriptions, strict=True)
            ]
        )
        for term, label in zip(own.term_E, own.label_E.tolist(), strict=True):
            pairs.setdefault((own.terms[term], label), 0)
        return TermLexicon._counted(pairs, counted, len(relabeling), self._share)

    def out_of_fold(self, texts: Iterable[str], targets: Targets) -> NDArray[np.float32]:
        """Return scores_NL of the training documents, each as by a fit without that document."""
        scores_NL = np.zeros((len(targets), self.number_of_labels), np.float32)
        for row, (text, labels) in enumerate(zip(texts, targets, strict=True)):
            found = self._found(text)
            contained_P, both_E = self._counts(found, labels)
            without = replace(
                self, contain_P=self.contain_P - contained_P, coded_E=self.coded_E - both_E
            )
            scores_NL[row] = without._score(found)
        return scores_NL

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL, at least 0; 0 if no term of a label was found."""
        scores_NL = np.zeros((len(texts), self.number_of_labels), np.float32)
        for row, text in enumerate(texts):
            scores_NL[row] = self._score(self._found(text))
        return scores_NL

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each folded word of a document adds to some labels' scores, (K, W).

        The score of a label is divided among the words of its likeliest term, at every place where
        the term occurs.
        """
        found_KW = np.zeros((len(labels), len(document)), np.float32)
        places = self._places([stem(word) for word in document])
        for row, label in enumerate(labels):
            pairs = [
                pair
                for pair in np.flatnonzero(self.label_E == label).tolist()
                if int(self.term_E[pair]) in places
            ]
            if not pairs:
                continue
            best = max(pairs, key=lambda pair: float(self._weight_E[pair]))
            term = int(self.term_E[best])
            length = len(self.terms[term])
            for start in places[term]:
                found_KW[row, start : start + length] += self._weight_E[best] / length
        return found_KW

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs besides the terms."""
        return {
            "term": self.term_E,
            "label": self.label_E,
            "contain": self.contain_P,
            "coded": self.coded_E,
            **({} if self.share is None else {"share": np.array(self.share)}),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, terms: Sequence[Sequence[str]], number_of_labels: int
    ) -> "TermLexicon":
        """Make a lexicon from its arrays and terms.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
        """
        pairs = len(arrays["term"])
        lengths = {"term": pairs, "label": pairs, "coded": pairs, "contain": len(terms)}
        if any(arrays[name].shape != (length,) for name, length in lengths.items()) or not all(
            terms
        ):
            raise ValueError(f"the arrays don't fit {len(terms)} terms")
        for name, length in (("term", len(terms)), ("label", number_of_labels)):
            if pairs and not 0 <= arrays[name].min() <= arrays[name].max() < length:
                raise ValueError("terms or labels out of range")
        return cls(
            tuple(map(tuple, terms)),
            arrays["term"],
            arrays["label"],
            arrays["contain"],
            arrays["coded"],
            number_of_labels,
            float(arrays["share"]) if "share" in arrays else None,
        )

    def _found_in(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        return [self._found(text) for text in texts]

    def _found(self, text: str) -> NDArray[np.int64]:
        """Return the terms that a document contains."""
        return np.array(sorted(self._places([stem(word) for word in words(text)])), np.int64)

    def _places(self, stems: Sequence[str]) -> dict[int, list[int]]:
        """Return each term that is found, and where it begins."""
        places: dict[int, list[int]] = {}
        begun, number = self._begun, len(stems)
        for start in [place for place, first in enumerate(stems) if first in begun]:
            alone, seconds, most = begun[stems[start]]
            if alone is not None:
                places.setdefault(alone, []).append(start)
            # Most stretches of a document begin like no term.
            if start + 1 < number and stems[start + 1] in seconds:
                for length in range(2, min(most, number - start) + 1):
                    term = self._place.get(tuple(stems[start : start + length]))
                    if term is not None:
                        places.setdefault(term, []).append(start)
        return places

    def _counts(self, found: NDArray[np.int64], labels: NDArray[np.int32]) -> Counts:
        """Return what one document adds to the counts."""
        contained_P = np.zeros(len(self.terms), np.int32)
        contained_P[found] = 1
        has_L = np.zeros(self.number_of_labels, np.int32)
        has_L[labels] = 1
        return contained_P, contained_P[self.term_E] * has_L[self.label_E]

    def _score(self, found: NDArray[np.int64]) -> NDArray[np.float32]:
        contained_P = np.zeros(len(self.terms), bool)
        contained_P[found] = True
        pairs = np.flatnonzero(contained_P[self.term_E])
        scores_L = np.zeros(self.number_of_labels, np.float32)
        np.maximum.at(scores_L, self.label_E[pairs], self._weight_E[pairs])
        return scores_L

    @cached_property
    def _weight_E(self) -> NDArray[np.float32]:
        """Return the score of a label whose only match is this term."""
        contain_E = self.contain_P[self.term_E]
        likely_E = (self.coded_E + _PRIOR_DOCUMENTS * self._share) / (contain_E + _PRIOR_DOCUMENTS)
        above_E: NDArray[np.float64] = np.log(likely_E / (1 - likely_E)) - np.log(
            _LEAST / (1 - _LEAST)
        )
        return above_E.clip(0).astype(np.float32)

    @property
    def _share(self) -> float:
        if self.share is not None:
            return self.share
        return float((self.coded_E.sum() + 1) / (self.contain_P[self.term_E].sum() + 2))

    @cached_property
    def _place(self) -> dict[Term, int]:
        return {term: place for place, term in enumerate(self.terms)}

    @cached_property
    def _begun(self) -> dict[str, "_Begun"]:
        """Return what begins with each word."""
        longest: dict[str, int] = {}
        seconds: dict[str, set[str]] = {}
        for term in self.terms:
            longest[term[0]] = max(longest.get(term[0], 0), len(term))
            seconds.setdefault(term[0], set()).update(term[1:2])
        return {
            first: _Begun(self._place.get((first,)), frozenset(seconds[first]), most)
            for first, most in longest.items()
        }

    @cached_property
    def _pairs_of(self) -> dict[int, NDArray[np.int64]]:
        """Return the pairs of each label."""
        order = np.argsort(self.label_E, kind="stable")
        labels, begins = np.unique(self.label_E[order], return_index=True)
        pairs = np.split(order, begins[1:])
        return dict(zip(labels.tolist(), pairs, strict=True))


class _Begun(NamedTuple):
    """The terms that begin with a word.

    Attributes:
        alone: The term that is this word; None: no term is.
        seconds: The second words of the others.
        longest: The number of words of the longest.
    """

    alone: int | None
    seconds: frozenset[str]
    longest: int
