"""What annotators marked as evidence of a code, looked up in other documents.

Every annotated string (its words cut to stems, little words left out) stands for codes: for code c with k / (n + 1), k the
annotated training documents where the string is evidence of c, n those that contain it. A string is found in a document
where its stems follow each other; overlapping finds all count, for a part of a longer string is often evidence of itself.
It is found in part, by the share of its words' weight that stands in some window of `WINDOW` words (`icdcli.lexical.phrases`),
however inflected, reordered or interrupted; a string annotated in several fragments can only be found so.

What the finds of a code say together is weighed by a logistic regression on five numbers (`EvidenceLexicon.features`), fitted
to the annotated documents, each of them scored without its own annotations. On CodiEsp's dev split (Spanish) the best
k / (n + 1) of a code alone gives MAP .533 and micro-F1 .692; with finds in part .609 and .679; weighed .638 and .702. Taking
the longest find only gives MAP .505; the words beside a find, negations among them, changed it by less than .003.

Only documents with annotations are learnt from: where few of a corpus are annotated, the others would pass for documents that
contain the strings without meaning them.

Shapes: N documents, P strings, E pairs of a string and a label, C candidates or a document's content words, K features or
labels that are asked for, W words of a document, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

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
class Finds:
    """What of the strings stands in one document.

    Attributes:
        strings: The strings found at least in part.
        coverage: How much of each, 1 where whole.
        whole: Whether its stems follow each other.
    """

    strings: NDArray[np.int32]
    coverage: NDArray[np.float32]
    whole: NDArray[np.bool_]


@dataclass(frozen=True)
class EvidenceLexicon:
    """Strings, what they are evidence of, and how finds are weighed.

    Attributes:
        little_words: Left out of strings and documents.
        strings: Each string's stems, sorted.
        weight_V: Each stem's weight, in the order of ``Phrases.vocabulary``.
        contain_P: n: the annotated training documents that contain the string.
        string_E: The string of each pair.
        label_E: Its label.
        evidence_E: k: the documents where the string is evidence of the label.
        coefficients_K: Of the logistic regression, the constant first.
        number_of_labels: L.
    """

    little_words: frozenset[str]
    strings: tuple[tuple[str, ...], ...]
    weight_V: NDArray[np.float32]
    contain_P: NDArray[np.int32]
    string_E: NDArray[np.int32]
    label_E: NDArray[np.int32]
    evidence_E: NDArray[np.int32]
    coefficients_K: NDArray[np.float64]
    number_of_labels: int

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score documents, 0 to 1, as (N, L); 0 where nothing of a label's evidence was found."""
        scores_NL = np.zeros((len(texts), self.number_of_labels), np.float32)
        for row, text in enumerate(texts):
            scores_NL[row] = self.score(self.find(text))
        return scores_NL

    def find(self, text: str) -> Finds:
        """Look the strings up in one document."""
        return self._find(content(text, self.little_words))

    def _find(self, stems: Sequence[str]) -> Finds:
        coverage_P = self._phrases.coverage(stems, WINDOW, _LEAST_COVERAGE)
        whole_P = np.zeros(len(self.strings), bool)
        for start, first in enumerate(stems):
            for length in range(1, min(self._longest.get(first, 0), len(stems) - start) + 1):
                found = self._place.get(tuple(stems[start : start + length]))
                if found is not None:
                    whole_P[found] = True
        strings = np.flatnonzero(whole_P | (coverage_P > 0)).astype(np.int32)
        return Finds(
            strings, np.where(whole_P, 1, coverage_P)[strings].astype(np.float32), whole_P[strings]
        )

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """How much each word of a document is found as evidence of some labels, as (K, W).

        A find counts -ln(1 - coverage³ · k / (n + 1)), which is what `features` sums up, at each place where the string is
        whole, or at the best one; its words share that. Finds that count less than a tenth of the label's best are left out.

        Args:
            document: Its words, folded.
            labels: The labels.
        """
        content_C = np.array(
            [place for place, word in enumerate(document) if word not in self.little_words],
            np.int64,
        )
        stems = [stem(document[place]) for place in content_C.tolist()]
        finds = self._find(stems)
        coverage_P = np.zeros(len(self.strings))
        coverage_P[finds.strings] = finds.coverage
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
            for find, places_C in zip(
                kept, self._places(stems, strings[kept].tolist()), strict=True
            ):
                found_KW[row, content_C] += counted[find] * places_C
        return found_KW

    def _places(self, stems: Sequence[str], strings: Sequence[int]) -> NDArray[np.float32]:
        """What share of a find each stem of a document has, (strings, stems): 1 together, at each place of a whole string."""
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

    def score(self, finds: Finds) -> NDArray[np.float32]:
        """Score a document by what was found in it, as (L)."""
        labels, features_CK = self.features(finds, self.contain_P, self.evidence_E)
        scores_L: NDArray[np.float32] = np.zeros(self.number_of_labels, np.float32)
        scores_L[labels] = 1 / (1 + np.exp(-(features_CK @ self.coefficients_K)))
        return scores_L

    def features(
        self, finds: Finds, contain_P: NDArray[np.int32], evidence_E: NDArray[np.int32]
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Say what finds are evidence of.

        Args:
            finds: What was found in a document.
            contain_P: Each string's n.
            evidence_E: Each pair's k; a pair with none is no evidence.

        Returns:
            The candidate labels (C), and for each what the regression weighs (C, K): 1; the log-odds of the best k / (n + 1)
            of what is found whole; whether anything is; the log-odds that any find is right, each with
            coverage³ · k / (n + 1); the greatest coverage³ times the string's weight; ln k of what is found whole.
        """
        coverage_P, whole_P = np.zeros(len(self.strings)), np.zeros(len(self.strings), bool)
        coverage_P[finds.strings], whole_P[finds.strings] = finds.coverage, finds.whole
        pairs = np.flatnonzero((coverage_P[self.string_E] > 0) & (evidence_E > 0))
        strings, label, evidence = self.string_E[pairs], self.label_E[pairs], evidence_E[pairs]
        reliable = _reliable(evidence, contain_P[strings])
        share = coverage_P[strings] ** _POWER
        whole = whole_P[strings]
        best_L, whole_L, many_L, weighty_L = np.zeros((4, self.number_of_labels))
        none_L = np.zeros(self.number_of_labels)
        np.maximum.at(best_L, label, share * reliable)
        np.maximum.at(whole_L, label[whole], reliable[whole])
        np.maximum.at(many_L, label[whole], np.log(evidence[whole]))
        np.maximum.at(weighty_L, label, share * self._weight_P[strings])
        np.add.at(none_L, label, np.log1p(-np.minimum(share * reliable, _MOST)))
        labels = np.flatnonzero(best_L > _LEAST_SCORE)
        columns = (
            np.ones(len(labels)),
            _log_odds(whole_L[labels]),
            whole_L[labels] > 0,
            _log_odds(1 - np.exp(none_L[labels])),
            weighty_L[labels],
            many_L[labels],
        )
        return labels, np.column_stack(columns).astype(np.float64)

    def arrays(self) -> Arrays:
        """What `from_arrays` makes it of, besides the strings and little words."""
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
        little_words: Sequence[str],
        number_of_labels: int,
    ) -> "EvidenceLexicon":
        """Make it of its arrays and words.

        Raises:
            ValueError: Where they don't fit together.
            KeyError: Where one is missing.
        """
        vocabulary, pairs = {word for string in strings for word in string}, len(arrays["string"])
        lengths = {
            **{"weights": len(vocabulary), "contain": len(strings), "coefficients": FEATURES},
            **{"string": pairs, "label": pairs, "evidence": pairs},
        }
        if any(arrays[name].shape != (length,) for name, length in lengths.items()) or not all(
            strings
        ):
            raise ValueError(f"arrays that don't fit {len(strings)} strings")
        for name, length in (("string", len(strings)), ("label", number_of_labels)):
            if pairs and not 0 <= arrays[name].min() <= arrays[name].max() < length:
                raise ValueError("strings or labels beyond the last")
        return cls(
            little_words=frozenset(little_words),
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


def content(text: str, little_words: frozenset[str]) -> list[str]:
    """The stems of a text's words, the little words left out."""
    return [stem(word) for word in words(text) if word not in little_words]


def _reliable(evidence: NDArray[np.int32], contain: NDArray[np.int32]) -> NDArray[np.float64]:
    share: NDArray[np.float64] = evidence / (np.maximum(contain, evidence) + 1)
    return share


def _log_odds(share: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = share.clip(0.003, 0.99)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds
