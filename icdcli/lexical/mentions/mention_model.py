"""Mentions and their codes: a model that finds what annotators would mark, and for which codes.

A tagger (`icdcli.lexical.mentions.tagger`) finds the stretches of a note that are probably
mentions. Each is compared with the strings that were marked for each code in training documents,
and with the code's descriptions, translated if the notes aren't in English: a code that training
has never seen is found by these. Boosted trees on these numbers, and on what else the document has
(`icdcli.lexical.mentions.pair_context`), give the probability that the mention would be marked for
the code; with few annotated documents, a logistic regression on the numbers alone. A code's score
is that of its best mention.

The lexicon of evidence (`icdcli.lexical.evidence_lexicon`) looks for the strings themselves. It
doesn't know which words are likely to be marked at all, nor whether another code's string is more
similar.

Shapes: W words of a document, C pairs of a mention and a code, K coefficients or requested labels,
L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from icdcli.boosting.trees import Trees
from icdcli.data.relabeling import Relabeling
from icdcli.icd.lexicon.translation import TRANSLATED
from icdcli.io.npz import Arrays
from icdcli.lexical.descriptions import Descriptions, translated
from icdcli.lexical.mentions.label_strings import LabelStrings, description_worth
from icdcli.lexical.mentions.pair_context import CONTEXT, pair_context
from icdcli.lexical.mentions.pairs import NUMBERS, MentionPairs
from icdcli.lexical.mentions.string_vectors import BITS, string_vectors
from icdcli.lexical.mentions.tagger import TaggedMention, Tagger
from icdcli.lexical.words import words

WORTH_OF_DESCRIPTION = 0.5
_LEAST_WORTH, _LEAST_SHARE = 0.02, 0.3
_EXACT = 0.999
_TREES = "pairs"


@dataclass(frozen=True)
class MentionModel:
    """A fitted model.

    Attributes:
        tagger: Finds the mentions.
        idf_H: The weights of the features of strings.
        marked: The strings that were marked for each label; each is worth the share of documents
            with it in which it was marked for this label and no other.
        described: The descriptions of each label.
        coefficients_K: The coefficients of the regression, which counts without trees.
        number_of_labels: L.
        language: The language to translate descriptions to; None: they stay as they are.
        trees: The trees; None: there were too few documents to fit any.
    """

    tagger: Tagger
    idf_H: NDArray[np.float32]
    marked: LabelStrings
    described: LabelStrings
    coefficients_K: NDArray[np.float64]
    number_of_labels: int
    language: str | None = None
    trees: Trees | None = None

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL from 0 to 1; 0 for codes that no mention was compared with."""
        scores_NL = np.zeros((len(texts), self.number_of_labels), np.float32)
        for scores_L, text in zip(scores_NL, texts, strict=True):
            found = self.find(words(text))
            np.maximum.at(scores_L, found.label_C, self._likely(found))
        return scores_NL

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much the words of a document add to some labels' scores, (K, W).

        The probability of a mention is divided among its words. Of mentions of the same words, and
        of several for one code, the best counts, and those at least half as likely.
        """
        found = self.find(document)
        likely_C = self._likely(found)
        by_word_KW = np.zeros((len(labels), len(document)), np.float32)
        for weights_W, label in zip(by_word_KW, labels, strict=True):
            own = np.flatnonzero(found.label_C == label)
            for pair in own[likely_C[own] >= likely_C[own].max(initial=0) / 2].tolist():
                mention = found.mentions[found.mention_C[pair]]
                words_W = weights_W[mention.begin : mention.end]
                np.maximum(words_W, likely_C[pair] / len(words_W), out=words_W)
        return by_word_KW

    def find(self, document: Sequence[str]) -> MentionPairs:
        """Find the mentions of a document, and the codes that each may be marked for."""
        mentions = self.tagger.mentions(document)
        strings = [tuple(document[mention.begin : mention.end]) for mention in mentions]
        distinct = list(dict.fromkeys(strings))
        vectors = string_vectors(distinct, self.idf_H)
        compared = {string: self._compare(vectors[row]) for row, string in enumerate(distinct)}
        labels, features = [np.zeros(0, np.int64)], [np.zeros((0, NUMBERS))]
        for mention, string in zip(mentions, strings, strict=True):
            label_C, compared_CK = compared[string]
            labels.append(label_C)
            own_K = _features_of(mention)
            own_CK = np.broadcast_to(own_K, (len(label_C), len(own_K)))
            features.append(np.concatenate([own_CK, compared_CK], axis=1))
        mention_C = np.repeat(np.arange(len(mentions)), [len(each) for each in labels[1:]])
        return MentionPairs(mentions, mention_C, np.concatenate(labels), np.concatenate(features))

    def features(self, found: MentionPairs) -> NDArray[np.float32]:
        """Return what the trees know about pairs, (C, X)."""
        return pair_context(found, self._strings_L)

    def relabeled(self, relabeling: Relabeling) -> "MentionModel":
        """Return the model of another label space; new codes are known by their descriptions."""
        own = described_strings(relabeling.descriptions, self.language, relabeling.changed)
        described = self.described.relabeled(relabeling, only_kept=True)
        return replace(
            self,
            marked=self.marked.relabeled(relabeling),
            described=described.joined(LabelStrings.of(own, self.idf_H)),
            number_of_labels=len(relabeling),
        )

    def arrays(self) -> Arrays:
        """Return the arrays that `from_arrays` needs."""
        return {
            "coefficients": self.coefficients_K,
            "idf": self.idf_H,
            **{f"tagger_{name}": array for name, array in self.tagger.arrays().items()},
            **{f"marked_{name}": array for name, array in self.marked.arrays().items()},
            **{f"described_{name}": array for name, array in self.described.arrays().items()},
            **{
                f"{_TREES}_{name}": array
                for name, array in (self.trees.arrays() if self.trees else {}).items()
            },
        }

    @classmethod
    def from_arrays(
        cls, arrays: Arrays, number_of_labels: int, language: str | None
    ) -> "MentionModel":
        """Make the model from its arrays.

        Raises:
            ValueError: If they don't fit together.
            KeyError: If one is missing.
        """
        if arrays["coefficients"].shape != (NUMBERS,) or arrays["idf"].shape != (1 << BITS,):
            raise ValueError("the arrays of mentions have other lengths")
        tagger, marked, described, pairs = (
            {
                name.removeprefix(f"{start}_"): array
                for name, array in arrays.items()
                if name.startswith(f"{start}_")
            }
            for start in ("tagger", "marked", "described", _TREES)
        )
        trees = Trees.from_arrays(pairs) if pairs else None
        if trees is not None and trees.feature_D.max(initial=0) >= NUMBERS + CONTEXT:
            raise ValueError("the trees of mentions ask for other features")
        return cls(
            Tagger.from_arrays(tagger),
            arrays["idf"],
            LabelStrings.from_arrays(marked, arrays["idf"], number_of_labels),
            LabelStrings.from_arrays(described, arrays["idf"], number_of_labels),
            arrays["coefficients"],
            number_of_labels,
            language,
            trees,
        )

    @cached_property
    def _strings_L(self) -> NDArray[np.int64]:
        return np.bincount(self.marked.label_E, minlength=self.number_of_labels).astype(np.int64)

    def _likely(self, found: MentionPairs) -> NDArray[np.float32]:
        if self.trees is None:
            # Summed pair by pair: a product of matrices rounds by their shapes.
            sums_C = np.einsum("ck,k->c", found.features_CK, self.coefficients_K)
        else:
            sums_C = self.trees.sums(self.features(found))
        likely_C: NDArray[np.float32] = expit(sums_C).astype(np.float32)
        return likely_C

    def _compare(
        self, vector_H: sparse.csr_matrix
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the labels that a string may be marked for, and what is known of each."""
        similar_L, marked_L = self.marked.compare(vector_H, self.number_of_labels)
        described_L, worth_L = self.described.compare(vector_H, self.number_of_labels)
        worth_L = np.maximum(worth_L, marked_L)
        label_C = np.flatnonzero(worth_L > _LEAST_WORTH)
        worth_C = worth_L[label_C].astype(np.float64)
        second, best = np.sort([0.0, 0.0, *worth_C])[-2:]
        rival_C = np.where(worth_C == best, second, best)
        kept_C = worth_C > _LEAST_SHARE * best
        label_C, worth_C, rival_C = label_C[kept_C], worth_C[kept_C], rival_C[kept_C]
        columns = (
            _log_odds(worth_C),
            similar_L[label_C],
            described_L[label_C] ** 3,
            similar_L[label_C] > _EXACT,
            described_L[label_C] > _EXACT,
            worth_C / best,
            worth_C - rival_C,
        )
        return label_C, np.column_stack(columns).astype(np.float64)


def described_strings(
    descriptions: Descriptions, language: str | None, labels: Sequence[int]
) -> dict[tuple[int, tuple[str, ...]], float]:
    """Return the worth of the descriptions of some labels, translated if there is a language."""
    some = [descriptions[label] for label in labels]
    texts = translated(some, language) if language in TRANSLATED and language is not None else some
    strings = ([tuple(words(text)) for text in own] for own in texts)
    return description_worth(zip(labels, strings, strict=True), WORTH_OF_DESCRIPTION)


def _features_of(mention: TaggedMention) -> NDArray[np.float64]:
    length = mention.end - mention.begin
    return np.array(
        [
            1.0,
            _log_odds(mention.mean),
            _log_odds(mention.least),
            mention.starts,
            mention.stops,
            np.log(length),
            length == 1,
        ]
    )


def _log_odds(share: float | NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(share, 0.003, 0.997)
    odds: NDArray[np.float64] = np.log(clipped / (1 - clipped))
    return odds
