"""Fits a model of mentions to annotated documents.

Shapes: C pairs of a mention and a code, K coefficients.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.boosting.fitting import TreeOptions, fit_trees
from icdcli.boosting.trees import Trees
from icdcli.icd.lexicon.translation import TRANSLATED
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.mentions.label_strings import LabelStrings, String
from icdcli.lexical.mentions.marked_words import Marks, marks_of
from icdcli.lexical.mentions.mention_model import MentionModel, described_strings
from icdcli.lexical.mentions.pairs import NUMBERS, MentionPairs
from icdcli.lexical.mentions.string_vectors import string_frequencies
from icdcli.lexical.mentions.tagger import Tagger
from icdcli.lexical.targets import Annotations
from icdcli.lexical.words import words
from icdcli.metrics.newton import logistic

_FOLDS = 3
_MOST_DOCUMENTS = 1_000
_DOUBT = 0.5
_OPTIONS = TreeOptions(trees=200, learning_rate=0.06)
_LEAST_DOCUMENTS, _MOST_PAIRS = 100, 1 << 20
# The prior multiplies the odds of the mention with the worth of the string.
_PRIOR_K = np.zeros(NUMBERS)
_PRIOR_K[[0, 1, 7]] = 1.0


class _Document(NamedTuple):
    words: list[str]
    marks: Marks
    strings: set[tuple[int, String]]


def fit_mentions(
    texts: Iterable[str],
    annotations: Annotations,
    descriptions: Descriptions,
    language: str | None = None,
) -> MentionModel:
    """Fit to the documents that have annotations.

    The trees are fitted to mentions and strings as new documents have them: those of each document
    come from a tagger, and from strings, of other documents. Fewer than a hundred annotated
    documents are too few for trees; a regression is fitted in the same way instead.

    Args:
        texts: The training documents; read once.
        annotations: The annotations of each, empty for one that nobody annotated.
        descriptions: The descriptions of each label.
        language: The language of the documents; None: it doesn't matter.
    """
    documents = [
        _document(text, marked) for text, marked in zip(texts, annotations, strict=True) if marked
    ]
    language = language if language in TRANSLATED else None
    described = described_strings(descriptions, language, range(len(descriptions)))
    strings = {pair for document in documents for pair in document.strings}
    idf_H = string_frequencies(sorted({string for _, string in (*described, *strings)}))
    model = MentionModel(
        tagger=Tagger.fit([]),
        idf_H=idf_H,
        marked=LabelStrings.of({}, idf_H),
        described=LabelStrings.of(described, idf_H),
        coefficients_K=_PRIOR_K,
        number_of_labels=len(descriptions),
        language=language,
    )
    some = documents[:: max(1, -(-len(documents) // _MOST_DOCUMENTS))]
    numbers, hits = [np.zeros((0, NUMBERS))], [np.zeros(0, bool)]
    features: list[NDArray[np.float32]] = []
    for fold in range(min(_FOLDS, len(some)) if len(some) > 1 else 0):
        held_out = some[fold::_FOLDS]
        left_out = {id(document) for document in held_out}
        others = _fit(model, [each for each in documents if id(each) not in left_out])
        for document in held_out:
            found = others.find(document.words)
            numbers.append(found.features_CK)
            hits.append(_marked_so(found, document.marks))
            features.append(others.features(found))
    hit_C = np.concatenate(hits)
    coefficients_K, trees = _PRIOR_K, None
    if len(some) >= _LEAST_DOCUMENTS:
        trees = _fit_trees(np.concatenate(features), hit_C)
    if trees is None:
        coefficients_K = logistic(np.concatenate(numbers), hit_C, _PRIOR_K)
    return replace(_fit(model, documents), coefficients_K=coefficients_K, trees=trees)


def _fit_trees(features_CX: NDArray[np.float32], hit_C: NDArray[np.bool_]) -> Trees | None:
    """Fit to at most a million pairs; None if all are of one kind."""
    step = max(1, -(-len(hit_C) // _MOST_PAIRS))
    features_CX, hit_C = features_CX[::step], hit_C[::step]
    if hit_C.all() or not hit_C.any():
        return None
    return fit_trees(features_CX, hit_C, _OPTIONS)


def _document(text: str, annotations: Sequence[tuple[int, str]]) -> _Document:
    document = words(text)
    strings = {(label, tuple(words(marked))) for label, marked in annotations}
    return _Document(
        document, marks_of(document, annotations), {pair for pair in strings if pair[1]}
    )


def _fit(model: MentionModel, documents: Sequence[_Document]) -> MentionModel:
    """Return a model with the tagger and the marked strings of some documents."""
    counts = Counter(pair for document in documents for pair in document.strings)
    totals: dict[String, int] = defaultdict(int)
    for (_, string), count in counts.items():
        totals[string] += count
    worth = {pair: count / (totals[pair[1]] + _DOUBT) for pair, count in counts.items()}
    return replace(
        model,
        tagger=Tagger.fit((document.words, document.marks) for document in documents),
        marked=LabelStrings.of(worth, model.idf_H),
    )


def _marked_so(found: MentionPairs, marks: Marks) -> NDArray[np.bool_]:
    """Return whether annotators marked any of a mention's words for the code of each pair."""
    words_of: dict[int, set[int]] = defaultdict(set)
    for label, places in marks.codes:
        words_of[label].update(places)
    return np.array(
        [
            not words_of[label].isdisjoint(range(*found.mentions[mention][:2]))
            for mention, label in zip(found.mention_C.tolist(), found.label_C.tolist(), strict=True)
        ],
        bool,
    )
