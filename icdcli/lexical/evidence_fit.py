"""Fits an evidence lexicon, and scores its own training documents out of fold.

Everything is counted once: which strings are in which annotated document, and which document marks
them for which label. A lexicon of some of the documents (without a fold) then only takes
subtractions.

Shapes: N documents, P strings, E pairs of a string and a label, C candidates, K features, L labels.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.evidence_lexicon import EvidenceLexicon, Matches, content_stems
from icdcli.lexical.phrases import Phrases
from icdcli.lexical.targets import Annotations, Targets
from icdcli.lexical.words import words
from icdcli.metrics.newton import logistic

FOLDS = 10
_STOP_WORD_LETTERS, _STOP_WORD_SHARE = 3, 0.5
# The prior is the log-odds from all matches together; the constant comes first.
_PRIOR_K = np.array([0.0, 0.0, 0.0, 1.0, 0.0, 0.0])


def fit_evidence(
    texts: Iterable[str], targets: Targets, annotations: Annotations, number_of_labels: int
) -> EvidenceLexicon:
    """Fit a lexicon to the documents that have annotations.

    Args:
        texts: The training documents; read once.
        targets: The labels of each document.
        annotations: The annotations of each document, empty for one that nobody annotated.
        number_of_labels: L.

    Raises:
        ValueError: If their numbers differ.
    """
    counted = _count(texts, targets, annotations, number_of_labels)
    return counted.fit(list(range(len(counted.matches))))


def fit_evidence_out_of_fold(
    texts: Iterable[str],
    targets: Targets,
    annotations: Annotations,
    number_of_labels: int,
    folds: int = FOLDS,
) -> tuple[EvidenceLexicon, NDArray[np.float32]]:
    """Fit a lexicon, and score its training documents with lexicons of other documents.

    Args:
        texts: The training documents; read once.
        targets: The labels of each document.
        annotations: The annotations of each document.
        number_of_labels: L.
        folds: The number of folds; annotated document i is in fold i modulo this.

    Returns:
        The lexicon of all documents, and scores_NL: for an annotated document those of a lexicon
        fitted without its fold; 0 for the others, which `EvidenceLexicon.scores` scores like new
        documents.

    Raises:
        ValueError: As `fit_evidence`.
    """
    counted = _count(texts, targets, annotations, number_of_labels)
    everything = list(range(len(counted.matches)))
    scores_NL = np.zeros((len(targets), number_of_labels), np.float32)
    for fold in range(min(folds, len(everything))):
        others = [document for document in everything if document % folds != fold]
        lexicon = counted.fit(others)
        for document in everything[fold::folds]:
            scores_NL[counted.rows[document]] = lexicon.score(counted.matches[document])
    return counted.fit(everything), scores_NL


@dataclass(frozen=True)
class _Counted:
    """The annotated documents and all that has to be counted in them.

    Attributes:
        lexicon: The strings and pairs, without counts.
        rows: The index of each annotated document among all documents.
        matches: The strings found in each document.
        targets: The labels of each document.
        pairs: The pairs that each document is evidence of.
        contains: The strings that each document contains exactly, or was annotated with.
    """

    lexicon: EvidenceLexicon
    rows: list[int]
    matches: list[Matches]
    targets: Targets
    pairs: list[NDArray[np.intp]]
    contains: list[NDArray[np.intp]]

    def fit(self, documents: Sequence[int]) -> EvidenceLexicon:
        """Return a lexicon of some of the documents."""
        evidence_E = np.zeros(len(self.lexicon.string_E), np.int32)
        contain_P = np.zeros(len(self.lexicon.strings), np.int32)
        for document in documents:
            evidence_E[self.pairs[document]] += 1
            contain_P[self.contains[document]] += 1
        rows, hits = [np.zeros((0, len(_PRIOR_K)))], [np.zeros(0, bool)]
        for document in documents:
            evidence_E[self.pairs[document]] -= 1
            contain_P[self.contains[document]] -= 1
            labels, features_CK = self.lexicon.features(
                self.matches[document], contain_P, evidence_E
            )
            rows.append(features_CK)
            hits.append(np.isin(labels, self.targets[document]))
            evidence_E[self.pairs[document]] += 1
            contain_P[self.contains[document]] += 1
        coefficients_K = logistic(np.concatenate(rows), np.concatenate(hits), _PRIOR_K)
        return replace(
            self.lexicon, contain_P=contain_P, evidence_E=evidence_E, coefficients_K=coefficients_K
        )


def _count(
    texts: Iterable[str], targets: Targets, annotations: Annotations, number_of_labels: int
) -> _Counted:
    if len(targets) != len(annotations):
        raise ValueError(f"{len(targets)} targets, but annotations of {len(annotations)} documents")
    rows = [row for row, marked in enumerate(annotations) if marked]
    wanted = set(rows)
    notes = [text for row, text in enumerate(texts) if row in wanted]
    if len(notes) != len(rows):
        raise ValueError(f"{len(notes)} texts for {len(rows)} annotated documents")
    stop_words = _stop_words(notes)
    marked = [
        [(tuple(content_stems(surface, stop_words)), label) for label, surface in annotations[row]]
        for row in rows
    ]
    known = sorted({(string, label) for document in marked for string, label in document if string})
    strings = tuple(sorted({string for string, _ in known}))
    place = {string: number for number, string in enumerate(strings)}
    pair = {key: number for number, key in enumerate(known)}
    lexicon = EvidenceLexicon(
        stop_words=stop_words,
        strings=strings,
        weight_V=_weights(strings, notes, stop_words),
        contain_P=np.zeros(len(strings), np.int32),
        string_E=np.array([place[string] for string, _ in known], np.int32),
        label_E=np.array([label for _, label in known], np.int32),
        evidence_E=np.zeros(len(known), np.int32),
        coefficients_K=_PRIOR_K,
        number_of_labels=number_of_labels,
    )
    matches = [lexicon.match(note) for note in notes]
    pairs = [
        np.array(sorted({pair[key] for key in document if key[0]}), np.intp) for document in marked
    ]
    contains = [
        np.union1d(found.strings[found.exact], lexicon.string_E[mine]).astype(np.intp)
        for found, mine in zip(matches, pairs, strict=True)
    ]
    return _Counted(lexicon, rows, matches, [targets[row] for row in rows], pairs, contains)


def _stop_words(notes: Sequence[str]) -> frozenset[str]:
    """Return the short words of more than half the documents: articles and prepositions mostly.

    This needs no list, and so works in any language.
    """
    documents = Counter(word for note in notes for word in set(words(note)))
    frequent = (word for word, count in documents.items() if count > _STOP_WORD_SHARE * len(notes))
    return frozenset(
        word
        for word in frequent
        if len(word) <= _STOP_WORD_LETTERS and word.isalpha() and len(notes) > 1
    )


def _weights(
    strings: Sequence[Sequence[str]], notes: Sequence[str], stop_words: frozenset[str]
) -> NDArray[np.float32]:
    stems = (content_stems(note, stop_words) for note in notes)
    frequency_V = Phrases(strings).document_frequencies(stems)
    return np.log((len(notes) + 1) / (frequency_V + 1)).clip(0.05).astype(np.float32)
