"""A lexicon of the strings that annotators marked as evidence of codes, matched in other documents.

Every annotated string (the stems of its words, without stop words) is evidence of codes: of code c
with reliability k / (n + 1), if it is marked for c in k of the n annotated training documents that
contain it. A string matches exactly if its stems occur in a row; overlapping matches all count,
because a part of a longer string is often evidence by itself. It matches partially by the largest
share of its words' weight within any window of `WINDOW` words (`icdcli.lexical.phrases`), even if
inflected, reordered or interrupted; a string annotated in several fragments can only match so.

A logistic regression on five numbers (`EvidenceLexicon.features`) combines the matches of a code.
It is fitted to the annotated documents, each scored without its own annotations. On CodiEsp's dev
split (Spanish) the best k / (n + 1) of a code alone gives MAP .533 and micro-F1 .692; with partial
matches .609 and .679; with the regression .638 and .702. Taking only the longest match gives MAP
.505; the words beside a match, negations among them, changed it by less than .003.

Only annotated documents are used. If few documents of a corpus are annotated, the others would
count as documents that contain the strings without their codes.

Shapes: N documents, P strings, E pairs of a string and a label, C candidates or a document's
content words, K features or requested labels, W words of a document, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from icdcli.data.relabeling import Relabeling, share_counts
from icdcli.io.npz import Arrays
from icdcli.lexical.phrases import Phrases
from icdcli.lexical.words import stem, words

WINDOW = 8
_POWER = 3
_LEAST_SCORE = 0.02
FEATURES = 6
_LEAST_COVERAGE = 0.27
_MOST = 0.99


@dataclass(frozen=True)
class Matches:
    """The strings found in one document.

    Attributes:
        strings: The strings that match at least partially.
        coverage: The share of each string that was found; 1 if it matches exactly.
        exact: Whether each matches exactly.
    """

    strings: NDArray[np.int32]
    coverage: NDArray[np.float32]
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class EvidenceLexicon:
    """Strings, the codes they are evidence of, and the weights of the features.

    Attributes:
        stop_words: Words left out of strings and documents.
        strings: The stems of each string; the strings are sorted.
        weight_V: The weight of each stem, in the order of ``Phrases.vocabulary``.
        contain_P: n, the number of annotated training documents that contain the string.
        string_E: The string of each pair.
        label_E: The label of each pair.
        evidence_E: k, the number of documents in which the string is evidence of the label.
        coefficients_K: The coefficients of the logistic regression, the constant first.
        number_of_labels: L.
    """

    stop_words: frozenset[str] = field(repr=False)  # words of notes
    strings: tuple[tuple[str, ...], ...] = field(repr=False)
    weight_V: NDArray[np.float32]
    contain_P: NDArray[np.int32]
    string_E: NDArray[np.int32]
    label_E: NDArray[np.int32]
    evidence_E: NDArray[np.int32]
    coefficients_K: NDArray[np.float64]
    number_of_labels: int

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL from 0 to 1; 0 if no evidence of a label was found."""
        scores_NL = np.zeros((len(texts), self.number_of_labels), np.float32)
        for row, text in enumerate(texts):
            scores_NL[row] = self.score(self.match(text))
        return scores_NL

    def relabeled(self, relabeling: Relabeling) -> "EvidenceLexicon":
        """Return the lexicon of another label space.

        Labels that share a source share the documents in which a string is evidence of it.
        """
        followers = relabeling.followers()
        pairs = sorted(
            (string, label, evidence)
            for string, source, evidence in zip(
                self.string_E.tolist(), self.label_E.tolist(), self.evidence_E.tolist(), strict=True
            )
            for label in followers[source]
        )
        string_E, label_E, evidence_E = np.array(pairs, np.int32).reshape(-1, 3).T
        return replace(
            self,
            string_E=string_E,
            label_E=label_E,
            evidence_E=share_counts(evidence_E, relabeling.shares_L[label_E]),
            number_of_labels=len(relabeling),
        )

    def match(self, text: str) -> Matches:
        """Find the strings in one document."""
        return self._match(content_stems(text, self.stop_words))

    def _match(self, stems: Sequence[str]) -> Matches:
        coverage_P = self._phrases.coverage(stems, WINDOW, _LEAST_COVERAGE)
        exact_P = np.zeros(len(self.strings), bool)
        for start, first in enumerate(stems):
            for length in range(1, min(self._longest.get(first, 0), len(stems) - start) + 1):
                found = self._place.get(tuple(stems[start : start + length]))
                if found is not None:
                    exact_P[found] = True
        strings = np.flatnonzero(exact_P | (coverage_P > 0)).astype(np.int32)
        coverage = np.where(exact_P, 1, coverage_P)[strings].astype(np.float32)
        return Matches(strings, coverage, exact_P[strings])

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each word of a document is evidence of some labels, (K, W).

        A match counts -ln(1 - coverage³ · k / (n + 1)), the term that `features` adds up. It counts
        at every exact match of the string, or else at the best partial one, and is divided among
        the words there. Matches that count less than a tenth of the label's best are left out.

        Args:
            document: The words of the document, folded.
            labels: The labels.
        """
        content_C = np.array(
            [place for place, word in enumerate(document) if word not in self.stop_words],
            np.int64,
        )
        stems = [stem(document[place]) for place in content_C.tolist()]
        matches = self._match(stems)
        coverage_P = np.zeros(len(self.strings))
        coverage_P[matches.strings] = matches.coverage
        found_KW = np.zeros((len(labels), len(document)), np.float32)
        for row, label in enumerate(labels):
            pairs = np.flatnonzero(
                (self.label_E == label) & (coverage_P[self.string_E] > 0) & (self.evidence_E > 0)
            )
            strings = self.string_E[pairs]
            share = coverage_P[strings] ** _POWER * _reliable(
                self.evidence_E[pairs], self.contain_P[strings]
            )
            counted = -np.log1p(-np.minimum(share, _MOST))
            kept = np.flatnonzero(counted >= 0.1 * counted.max(initial=0))
            for match, places_C in zip(
                kept, self._places(stems, strings[kept].tolist()), strict=True
            ):
                found_KW[row, content_C] += counted[match] * places_C
        return found_KW

    def _places(self, stems: Sequence[str], strings: Sequence[int]) -> NDArray[np.float32]:
        """Return the share of each stem in the match of each string, (strings, stems).

        The shares of a partial match add up to 1, and so do those of every exact match.
        """
        places_SC = self._phrases.found(stems, strings, WINDOW)
        places_SC /= np.maximum(places_SC.sum(axis=1, keepdims=True), 1e-9)
        for row, string in enumerate(strings):
            wanted = self.strings[string]
            starts = [
                at
                for at, first in enumerate(stems)
                if first == wanted[0] and tuple(stems[at : at + len(wanted)]) == wanted
            ]
            if starts:
                places_SC[row] = 0
            for start in starts:
                places_SC[row, start : start + len(wanted)] += 1 / len(wanted)
        return places_SC

    def score(self, matches: Matches) -> NDArray[np.float32]:
        """Return the scores_L of a document from its matches."""
        labels, features_CK = self.features(matches, self.contain_P, self.evidence_E)
        scores_L: NDArray[np.float32] = np.zeros(self.number_of_labels, np.float32)
        scores_L[labels] = 1 / (1 + np.exp(-(features_CK @ self.coefficients_K)))
        return scores_L

    def features(
        self, matches: Matches, contain_P: NDArray[np.int32], evidence_E: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the labels that the matches are evidence of, and the features of each.

        Args:
            matches: The matches in a document.
            contain_P: n of each string.
            evidence_E: k of each pair; a pair with 0 is not evidence.

        Returns:
            The candidate labels, (C), and the features of the regression, (C, K): 1; the log-odds
            of the best k / (n + 1) of exact matches; whether there is an exact match; the log-odds
            that any match is right, with probability coverage³ · k / (n + 1) each; the largest
            coverage³ times the string's weight; the largest ln k of exact matches.
        """
        coverage_P, exact_P = np.zeros(len(self.strings)), np.zeros(len(self.strings), bool)
        coverage_P[matches.strings] = matches.coverage
        exact_P[matches.strings] = matches.exact
        pairs = np.flatnonzero((coverage_P[self.string_E] > 0) & (evidence_E > 0))
        strings, label, evidence = self.string_E[pairs], self.label_E[pairs], evidence_E[pairs]
        reliable = _reliable(evidence, contain_P[strings])
        share = coverage_P[strings] ** _POWER
        exact = exact_P[strings]
        best_L, exact_L, many_L, weighty_L = np.zeros((4, self.number_of_labels))
        none_L = np.zeros(self.number_of_labels)
        np.maximum.at(best_L, label, share * reliable)
        np.maximum.at(exact_L, label[exact], reliable[exact])
        np.maximum.at(many_L, label[exact], np.log(evidence[exact]))
        np.maximum.at(weighty_L, label, share * self._weight_P[strings])
        np.add.at(none_L, label, np.log1p(-np.minimum(share * reliable, _MOST)))
        labels = np.flatnonzero(best_L > _LEAST_SCORE)
        columns = (
            np.ones(len(labels)),
            _log_odds(exact_L[labels]),
            exact_L[labels] > 0,
            _log_odds(1 - np.exp(none_L[labels])),
            weighty_L[labels],
            many_L[labels],
        )
        return labels, np.column_stack(columns).astype(np.float64)

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs besides the strings and stop words."""
        return {
            "weights": self.weight_V,
            "contain": self.contain_P,
            "string": self.string_E,
            "label": self.label_E,
            "evidence": self.evidence_E,
            "coefficients": self.coefficients_K,
        }

    @classmethod
    def from_arrays(
        cls,
        arrays: Arrays,
        strings: Sequence[Sequence[str]],
        stop_words: Sequence[str],
        number_of_labels: int,
    ) -> "EvidenceLexicon":
        """Make a lexicon from its arrays and words.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
        """
        vocabulary, pairs = {word for string in strings for word in string}, len(arrays["string"])
        lengths = {
            **{"weights": len(vocabulary), "contain": len(strings), "coefficients": FEATURES},
            **{"string": pairs, "label": pairs, "evidence": pairs},
        }
        if any(arrays[name].shape != (length,) for name, length in lengths.items()) or not all(
            strings
        ):
            raise ValueError(f"the arrays don't fit {len(strings)} strings")
        for name, length in (("string", len(strings)), ("label", number_of_labels)):
            if pairs and not 0 <= arrays[name].min() <= arrays[name].max() < length:
                raise ValueError("strings or labels out of range")
        return cls(
            stop_words=frozenset(stop_words),
            strings=tuple(tuple(string) for string in strings),
            weight_V=arrays["weights"],
            contain_P=arrays["contain"],
            string_E=arrays["string"],
            label_E=arrays["label"],
            evidence_E=arrays["evidence"],
            coefficients_K=arrays["coefficients"],
            number_of_labels=number_of_labels,
        )

    @cached_property
    def _phrases(self) -> Phrases:
        phrases = Phrases(self.strings)
        phrases.weigh(self.weight_V, 1)
        return phrases

    @cached_property
    def _weight_P(self) -> NDArray[np.float64]:
        return np.asarray(
            (self._phrases.weights_PV != 0) @ self.weight_V.astype(np.float64), dtype=np.float64
        )

    @cached_property
    def _place(self) -> dict[tuple[str, ...], int]:
        return {string: place for place, string in enumerate(self.strings)}

    @cached_property
    def _longest(self) -> dict[str, int]:
        longest: dict[str, int] = {}
        for string in self.strings:
            longest[string[0]] = max(longest.get(string[0], 0), len(string))
        return longest


def content_stems(text: str, stop_words: frozenset[str]) -> list[str]:
    """Return the stems of a text's words, without stop words."""
    return [stem(word) for word in words(text) if word not in stop_words]


def _reliable(evidence: NDArray[np.int32], contain: NDArray[np.int32]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = evidence / (np.maximum(contain, evidence) + 1)
    return share


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = share.clip(0.003, 0.99)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds
