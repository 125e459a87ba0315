"""Fits an evidence lexicon, and scores the documents that it was fitted to as if they hadn't been there.

Everything is counted once: which strings stand in which annotated document, and which document says what of them. A lexicon of
some of the documents (a fold left out) is then a matter of subtracting.

Shapes: N documents, P strings, E pairs of a string and a label, C candidates, K features, L labels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from icdcli.lexical.evidence_lexicon import EvidenceLexicon, Finds, content
from icdcli.lexical.phrases import Phrases
from icdcli.lexical.words import words
from icdcli.metrics.newton import newton

FOLDS = 10
_LITTLE_LETTERS, _LITTLE_SHARE = 3, 0.5
# Before anything is learnt: the log-odds that all finds together give; the constant comes first.
_PRIOR_K = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
_STEPS, _SMALL = 50, 1e-8

Targets = Sequence[NDArray[np.int32]]
Annotations = Sequence[Sequence[tuple[int, str]]]
"""Each document's annotations: label and the words marked, fragments joined by a blank (``Evidence.surfaces``)."""


def fit_evidence(
    texts: Iterable[str], targets: Targets, annotations: Annotations, number_of_labels: int
) -> EvidenceLexicon:
    """Fit a lexicon to the documents that have annotations.

    Args:
        texts: The training documents; gone through once.
        targets: Each document's labels.
        annotations: Each document's annotations; none for a document that nobody annotated.
        number_of_labels: L.

    Raises:
        ValueError: Where there aren't as many of each.
    """
    study = _study(texts, targets, annotations, number_of_labels)
    return study.fit(list(range(len(study.finds))))


def fit_evidence_out_of_fold(
    texts: Iterable[str],
    targets: Targets,
    annotations: Annotations,
    number_of_labels: int,
    folds: int = FOLDS,
) -> tuple[EvidenceLexicon, NDArray[np.float32]]:
    """Fit a lexicon, and score its training documents by lexicons of other documents.

    Args:
        texts: The training documents; gone through once.
        targets: Each document's labels.
        annotations: Each document's annotations.
        number_of_labels: L.
        folds: Into how many parts the annotated documents are divided, every so many-th one to a part.

    Returns:
        The lexicon of all documents, and scores (N, L): of each annotated document by a lexicon that its fold had no part in;
        0 for the others, which `EvidenceLexicon.scores` scores as it does new ones.

    Raises:
        ValueError: As `fit_evidence`.
    """
    study = _study(texts, targets, annotations, number_of_labels)
    everything = list(range(len(study.finds)))
    scores_NL = np.zeros((len(targets), number_of_labels), np.float32)
    for fold in range(min(folds, len(everything))):
        others = [document for document in everything if document % folds != fold]
        lexicon = study.fit(others)
        for document in everything[fold::folds]:
            scores_NL[study.rows[document]] = lexicon.score(study.finds[document])
    return study.fit(everything), scores_NL


@dataclass(frozen=True)
class _Study:
    """The annotated documents, counted.

    Attributes:
        lexicon: The strings and pairs, without counts.
        rows: Each annotated document's place among all.
        finds: What stands in each.
        targets: Its labels.
        pairs: The pairs that it is evidence of.
        contains: The strings that it contains whole, or was annotated with.
    """

    lexicon: EvidenceLexicon
    rows: list[int]
    finds: list[Finds]
    targets: Targets
    pairs: list[NDArray[np.intp]]
    contains: list[NDArray[np.intp]]

    def fit(self, documents: Sequence[int]) -> EvidenceLexicon:
        """A lexicon of some of the documents."""
        evidence_E = np.zeros(len(self.lexicon.string_E), np.int32)
        contain_P = np.zeros(len(self.lexicon.strings), np.int32)
        for document in documents:
            evidence_E[self.pairs[document]] += 1
            contain_P[self.contains[document]] += 1
        rows, hits = [np.zeros((0, len(_PRIOR_K)))], [np.zeros(0, bool)]
        for document in documents:
            evidence_E[self.pairs[document]] -= 1
            contain_P[self.contains[document]] -= 1
            labels, features_CK = self.lexicon.features(self.finds[document], contain_P, evidence_E)
            rows.append(features_CK)
            hits.append(np.isin(labels, self.targets[document]))
            evidence_E[self.pairs[document]] += 1
            contain_P[self.contains[document]] += 1
        coefficients_K = _logistic(np.concatenate(rows), np.concatenate(hits))
        return replace(
            self.lexicon, contain_P=contain_P, evidence_E=evidence_E, coefficients_K=coefficients_K
        )


def _study(
    texts: Iterable[str], targets: Targets, annotations: Annotations, number_of_labels: int
) -> _Study:
    if len(targets) != len(annotations):
        raise ValueError(
            f"{len(targets)} targets and {len(annotations)} documents' annotations; there must be as many"
        )
    rows = [row for row, marked in enumerate(annotations) if marked]
    wanted = set(rows)
    notes = [text for row, text in enumerate(texts) if row in wanted]
    if len(notes) != len(rows):
        raise ValueError(f"{len(notes)} texts for {len(rows)} annotated documents")
    little = _little_words(notes)
    marked = [
        [(tuple(content(surface, little)), label) for label, surface in annotations[row]]
        for row in rows
    ]
    known = sorted({(string, label) for document in marked for string, label in document if string})
    strings = tuple(sorted({string for string, _ in known}))
    place = {string: number for number, string in enumerate(strings)}
    pair = {key: number for number, key in enumerate(known)}
    lexicon = EvidenceLexicon(
        little_words=little,
        strings=strings,
        weight_V=_weights(strings, notes, little),
        contain_P=np.zeros(len(strings), np.int32),
        string_E=np.array([place[string] for string, _ in known], np.int32),
        label_E=np.array([label for _, label in known], np.int32),
        evidence_E=np.zeros(len(known), np.int32),
        coefficients_K=_PRIOR_K,
        number_of_labels=number_of_labels,
    )
    finds = [lexicon.find(note) for note in notes]
    pairs = [
        np.array(sorted({pair[key] for key in document if key[0]}), np.intp) for document in marked
    ]
    contains = [
        np.union1d(found.strings[found.whole], lexicon.string_E[mine]).astype(np.intp)
        for found, mine in zip(finds, pairs, strict=True)
    ]
    return _Study(lexicon, rows, finds, [targets[row] for row in rows], pairs, contains)


def _little_words(notes: Sequence[str]) -> frozenset[str]:
    """Words of a few letters that more than half of the documents have: articles and prepositions, in whatever language."""
    documents = Counter(word for note in notes for word in set(words(note)))
    frequent = (word for word, count in documents.items() if count > _LITTLE_SHARE * len(notes))
    return frozenset(
        word
        for word in frequent
        if len(word) <= _LITTLE_LETTERS and word.isalpha() and len(notes) > 1
    )


def _weights(
    strings: Sequence[Sequence[str]], notes: Sequence[str], little: frozenset[str]
) -> NDArray[np.float32]:
    frequency_V = Phrases(strings).document_frequencies(content(note, little) for note in notes)
    return np.log((len(notes) + 1) / (frequency_V + 1)).clip(0.05).astype(np.float32)


def _logistic(features_CK: NDArray[np.float64], hits_C: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fit a logistic regression with a ridge penalty of 1 towards the prior coefficients."""

    def derivatives(
        coefficients_K: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        likely_C = expit(features_CK @ coefficients_K)
        gradient_K = features_CK.T @ (likely_C - hits_C) + (coefficients_K - _PRIOR_K)
        weighted_KC = features_CK.T * (likely_C * (1 - likely_C))
        return gradient_K, weighted_KC @ features_CK + np.eye(len(_PRIOR_K))

    return newton(_PRIOR_K, derivatives, _STEPS, _SMALL)
