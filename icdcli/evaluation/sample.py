"""A few documents with their gold and predicted codes.

Shapes: L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.boundaries import read_boundaries
from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.evaluation.score_split import score_split
from icdcli.explain.spans import EvidenceSpans, FindEvidence
from icdcli.io.progress import Progress
from icdcli.model.coding_model import select_codes

if TYPE_CHECKING:
    from icdcli.data.corpus.reader import Corpus, Labels
    from icdcli.evaluation.evaluate import Evaluation
    from icdcli.evaluation.run import OpenRun


@dataclass(frozen=True, slots=True)
class SamplePrediction:
    """Gold and predicted codes of one document.

    Attributes:
        id: The document's id.
        gold: Its codes.
        predicted: The codes at or above the threshold, highest score first.
        scores: Code to score in [0, 1], for every gold or predicted code.
    """

    id: str
    gold: tuple[str, ...]
    predicted: tuple[str, ...]
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """One document with its predicted codes and, if requested, its text and their evidence.

    Attributes:
        prediction: Gold and predicted codes.
        text: The document's text; None if not requested.
        evidence: Predicted code to its evidence in the text; empty if not requested.
        notes: The notes that were joined to the text; empty: unknown.
    """

    prediction: SamplePrediction
    text: str | None = field(repr=False)  # not for logs and tracebacks
    evidence: dict[str, EvidenceSpans]
    notes: Sequence[NoteBoundary] = ()


def sample_rows(documents: int, number: int, seed: int) -> list[int]:
    """Draw the positions of a few documents; the same seed draws the same ones."""
    order: list[int] = (
        np.random.Generator(np.random.PCG64(seed)).permutation(documents)[:number].tolist()
    )
    return order


def sample_prediction(
    document: str,
    codes: Sequence[str],
    scores_L: NDArray[np.float32],
    gold: NDArray[np.int32],
    threshold_L: NDArray[np.float32],
    outside: Sequence[str] = (),
) -> SamplePrediction:
    """Return the codes that one document's scores predict, and its gold codes.

    Args:
        document: The document's id.
        codes: The label space.
        scores_L: The document's scores.
        gold: Its gold labels.
        threshold_L: The threshold of each label.
        outside: Its gold codes outside of the label space, which have the score 0.
    """
    predicted = select_codes(scores_L, threshold_L)
    shown = sorted({*predicted, *gold.tolist()})
    return SamplePrediction(
        document,
        (*(codes[label] for label in gold.tolist()), *outside),
        tuple(codes[label] for label in predicted),
        {codes[label]: float(scores_L[label]) for label in shown} | dict.fromkeys(outside, 0.0),
    )


def sample_document(
    prediction: SamplePrediction,
    text: str | None,
    labels: "Labels",
    find: FindEvidence | None,
    notes: Sequence[NoteBoundary] = (),
) -> SampleDocument:
    """Return a prediction with the document's text and, with `find`, its evidence.

    Args:
        prediction: The prediction.
        text: The document's text.
        labels: The label space.
        find: Finds the evidence; None: not requested.
        notes: The notes that were joined to the text, if it is several.
    """
    if find is None or text is None:
        return SampleDocument(prediction, text, {})
    spans = find(text, [labels.index[code] for code in prediction.predicted], None, notes)
    evidence = dict(zip(prediction.predicted, spans, strict=True))
    return SampleDocument(prediction, text, evidence, notes)


def sample_evaluation(
    evaluation: "Evaluation", corpus: "Corpus", find: FindEvidence, number: int = 3, seed: int = 0
) -> list[SampleDocument]:
    """Return a few documents of an evaluation with their texts and the evidence for their codes.

    Args:
        evaluation: An evaluation of one split.
        corpus: The corpus that was evaluated.
        find: Finds the evidence for codes in a text.
        number: The number of documents.
        seed: Determines which documents are drawn.
    """
    scored, labels = evaluation.scored, evaluation.labels
    rows = sorted(sample_rows(len(scored.documents), number, seed))
    threshold_L = evaluation.threshold.values_L(len(labels))
    boundaries = read_boundaries(corpus.folder, scored.documents.ids)
    samples = []
    for row, text in enumerate(corpus.texts(evaluation.split)):
        if row in rows:
            gold, name = scored.documents.targets[row], scored.documents.ids[row]
            outside = scored.documents.outside[row] if scored.documents.outside else ()
            prediction = sample_prediction(
                name, labels.codes, scored.scores_NL[row], gold, threshold_L, outside
            )
            samples.append(sample_document(prediction, text, labels, find, boundaries[row]))
    return samples


def sample_run(
    opened: "OpenRun",
    split: str,
    number: int = 3,
    seed: int = 0,
    *,
    with_text: bool = False,
    find: FindEvidence | None = None,
    on_progress: Progress | None = None,
) -> list[SampleDocument]:
    """Predict the codes of a few random documents of a split.

    Args:
        opened: The run.
        split: ``train``, ``validation`` or ``test``.
        number: The number of documents.
        seed: Determines which documents are drawn.
        with_text: Also return the documents' texts, which may identify patients.
        find: Finds the evidence for the predicted codes; None: no evidence.
        on_progress: Called with the progress of each stage.

    Raises:
        ConfigError: If the split has no documents.
        DataError: If the corpus and the model have different label spaces.
    """
    model, corpus = opened.model, opened.corpus
    rows = sample_rows(len(corpus.documents(split)), number, seed)
    scored = score_split(model, corpus, split, on_progress, only=rows)
    texts: dict[int, str] = {}
    if with_text or find is not None:
        texts = {row: text for row, text in enumerate(corpus.texts(split)) if row in rows}
    threshold_L = model.threshold.values_L(len(model.labels))
    documents = scored.documents
    boundaries = read_boundaries(corpus.folder, documents.ids)
    samples = []
    for place, row in enumerate(rows):
        prediction = sample_prediction(
            documents.ids[place],
            model.labels.codes,
            scored.scores_NL[place],
            documents.targets[place],
            threshold_L,
            documents.outside[place] if documents.outside else (),
        )
        samples.append(
            sample_document(prediction, texts.get(row), model.labels, find, boundaries[place])
        )
    return samples
