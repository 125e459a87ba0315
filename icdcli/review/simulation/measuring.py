"""How good a model is on notes that nobody has reviewed, over the codes of the complete corpus.

A model of the first rounds knows few codes. All gold codes count, also those that it doesn't know:
it can't find them.

Shapes: N documents, L labels of the corpus, B documents of a batch, W words.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus
from icdcli.explain.evidence import evidence_finder
from icdcli.io.progress import Progress
from icdcli.lexical.words import placed_words
from icdcli.metrics.metrics import evaluate
from icdcli.model.coding_model import CodingModel
from icdcli.review.simulation.gold import gold_notes

METRICS = ("map", "f1_micro", "precision_micro", "recall_micro", "precision_at_5")
_AT_ONCE = 64


@dataclass(frozen=True)
class SimulatedMeasures:
    """What a model reaches on a split.

    Attributes:
        split: The split.
        documents: The number of its documents.
        metrics: Metric name to value, over all codes of the corpus; NaN: undefined.
        known: The share of the gold codes, counted by document, that the model knows.
        evidence: F1 of the words that the model shows for gold codes that it predicts, compared
            with those that annotators marked; None: not measured.
        evidence_pairs: The number of pairs of a document and a code that it is measured on.
    """

    split: str
    documents: int
    metrics: Mapping[str, float]
    known: float
    evidence: float | None
    evidence_pairs: int

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        values = {
            "documents": self.documents,
            **self.metrics,
            "known": self.known,
            "evidence_f1": self.evidence,
            "evidence_pairs": self.evidence_pairs,
        }
        return {
            name: None if value is not None and np.isnan(value) else value
            for name, value in values.items()
        }


def measure_model(
    model: CodingModel,
    corpus: Corpus,
    split: str,
    evidence_notes: int,
    on_progress: Progress | None = None,
) -> SimulatedMeasures:
    """Measure a model on a split of a corpus whose codes it may know only in part.

    Args:
        model: The model.
        corpus: The corpus.
        split: The split.
        evidence_notes: The most notes with annotated words on which evidence is measured.
        on_progress: Receives the progress.
    """
    documents, labels = corpus.documents(split), len(corpus.labels)
    targets_NL = documents.targets_NL(labels)
    scores_NL = np.zeros(targets_NL.shape, np.float32)
    thresholds_L = np.full(labels, 2, np.float32)  # of codes that it doesn't know: never
    codes = model.labels.codes
    own = [place for place, code in enumerate(codes) if code in corpus.labels.index]
    places = [corpus.labels.index[codes[place]] for place in own]
    thresholds_L[places] = model.threshold.values_L(len(codes))[own]
    done = 0
    for scores_B in model.score_batches(_batches(corpus.texts(split))):
        rows = slice(done, done + len(scores_B.scores_NL))
        scores_NL[rows, places] = scores_B.scores_NL[:, own]
        done = rows.stop
        if on_progress is not None:
            on_progress(f"scoring the {split} split", done, len(documents))
    known_L = np.isin(np.arange(labels), places)
    gold = int(targets_NL.sum())
    evidence, pairs = None, 0
    if evidence_notes and len(corpus.evidence(split)):
        evidence, pairs = _evidence(model, corpus, split, evidence_notes)
    return SimulatedMeasures(
        split,
        len(documents),
        evaluate(scores_NL, targets_NL, thresholds_L, names=METRICS),
        float((targets_NL & known_L).sum() / gold) if gold else float("nan"),
        evidence,
        pairs,
    )


def _evidence(
    model: CodingModel, corpus: Corpus, split: str, number: int
) -> tuple[float | None, int]:
    """Return F1 over words, pooled over pairs, and the number of pairs."""
    find, index = evidence_finder(model), model.labels.index
    threshold_L = model.threshold.values_L(len(index))
    hits_3, pairs, read = np.zeros(3), 0, 0
    for note in gold_notes(corpus, split):
        marked = {code: spans for code, spans in note.evidence.items() if spans}
        if not marked:
            continue
        if read == number:
            break
        read += 1
        scored = model.score_notes([note.text])
        mine = [
            code
            for code in marked
            if code in index and scored.scores_NL[0, index[code]] >= threshold_L[index[code]]
        ]
        found = find(note.text, [index[code] for code in mine], scored.windows[0])
        _, places_W2 = placed_words(note.text)
        for code, spans in zip(mine, found, strict=True):
            shown_W = words_of_spans([(span.begin, span.end) for span in spans], places_W2)
            marked_W = words_of_spans(marked[code], places_W2)
            hits_3 += (shown_W & marked_W).sum(), shown_W.sum(), marked_W.sum()
            pairs += 1
    right, shown, gold = hits_3
    return (float(2 * right / (shown + gold)) if shown + gold else None), pairs


def words_of_spans(
    spans: Iterable[tuple[int, int]], places_W2: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which words have a character in one of some spans.

    Args:
        spans: The spans.
        places_W2: The begin and end of each word.
    """
    begins_W, ends_W = places_W2.T
    found_W = np.zeros(len(places_W2), bool)
    for begin, end in spans:
        found_W |= (begins_W < end) & (ends_W > begin)
    return found_W


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(texts, _AT_ONCE)):
        yield batch
