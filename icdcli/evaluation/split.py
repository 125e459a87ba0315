"""Evaluate a trained coder on one split of a corpus, and put the result on disk.

Shapes: N documents, L labels.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from icdcli.data.corpus import Corpus, Documents
from icdcli.data.progress import Progress
from icdcli.data.storage import replacing
from icdcli.data.tokens import token_cache
from icdcli.errors import DataError
from icdcli.evaluation.metrics import evaluate
from icdcli.evaluation.scoring import Scores, score_documents
from icdcli.model.padding import choose_padding
from icdcli.model.saved import Coder
from icdcli.run_dir import write_atomically

SHOWN = 20
"""Codes a document of which predictions.parquet tells at least the score, gold and predicted ones apart."""

_AT_ONCE = 1000  # documents of a row group of predictions.parquet


@dataclass(frozen=True)
class SplitScores:
    """A coder's scores on a split.

    Attributes:
        documents: The split's documents, with their gold labels.
        scores_NL: Each code's probability.
        loss: The documents' mean loss, positives not weighted.
    """

    documents: Documents
    scores_NL: NDArray[np.float32]
    loss: float


def score_split(
    coder: Coder, corpus: Corpus, split: str, progress: Progress | None = None, only: Sequence[int] | None = None
) -> SplitScores:
    """Score a split's documents.

    Args:
        coder: The trained coder.
        corpus: The corpus it was trained on.
        split: ``train``, ``validation`` or ``test``.
        progress: Told how far it is.
        only: Positions in the split to score; None: all.

    Raises:
        ConfigError: When the split has no documents.
        DataError: When the corpus has another label space than the coder.
    """
    if corpus.labels.codes != coder.labels.codes:
        raise DataError(
            f"{corpus.folder.name}: its label space ({len(corpus.labels)} codes) is not the one that the coder was trained on "
            f"({len(coder.labels)} codes); prepare the data with the options of the run's args.yaml"
        )
    documents = corpus.documents(split)
    if only is not None:
        documents = documents.take(only)
    tokens = token_cache(corpus.folder, coder.tokenizer.backend_tokenizer, progress)
    encoded = tokens.of(documents, coder.frame, coder.config.max_len)
    scores = Scores.empty(len(documents), len(coder.labels))
    choose_padding(coder.network, "auto")
    for done in score_documents(coder.network, encoded, scores):
        if progress is not None:
            progress(f"scoring the {split} split", done, len(documents))
    return SplitScores(documents, scores.scores_NL, float(scores.losses_N.mean()))


def write_evaluation(folder: Path, scored: SplitScores, coder: Coder, about: Mapping[str, object]) -> dict[str, float]:
    """Compute every metric and write ``metrics.json``, ``per_code.csv`` and ``predictions.parquet``.

    Args:
        folder: Made where it is missing; earlier files of these names are replaced.
        scored: The split's scores.
        coder: For its labels and its threshold.
        about: Told in ``metrics.json`` beside the metrics: run, checkpoint, split, protocol …

    Returns:
        Metric name to value, the loss first.
    """
    targets_NL = scored.documents.targets_NL(len(coder.labels))
    metrics = {"loss": scored.loss, **evaluate(scored.scores_NL, targets_NL, coder.threshold)}
    folder.mkdir(parents=True, exist_ok=True)
    told = {**about, "threshold": coder.threshold, "documents": len(scored.documents), "labels": len(coder.labels)}
    finite = {name: value if np.isfinite(value) else None for name, value in metrics.items()}
    write_atomically(folder / "per_code.csv", _per_code(scored.scores_NL, targets_NL, coder))
    _write_predictions(folder / "predictions.parquet", scored, targets_NL, coder)
    write_atomically(folder / "metrics.json", json.dumps({**told, "metrics": finite}, indent=2) + "\n")
    return metrics


def _per_code(scores_NL: NDArray[np.float32], targets_NL: NDArray[np.bool_], coder: Coder) -> str:
    predicted_NL = scores_NL >= np.float32(coder.threshold)
    gold_L, predicted_L = targets_NL.sum(axis=0), predicted_NL.sum(axis=0)
    right_L = (targets_NL & predicted_NL).sum(axis=0)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["code", "kind", "title", "train_count", "gold", "predicted", "right", "precision", "recall", "f1"])
    labels = coder.labels
    for label, code in enumerate(labels.codes):
        gold, predicted, right = int(gold_L[label]), int(predicted_L[label]), int(right_L[label])
        # Empty where undefined: a zero would look like a failure.
        precision = f"{right / predicted:.6f}" if predicted else ""
        recall = f"{right / gold:.6f}" if gold else ""
        f1 = f"{2 * right / (gold + predicted):.6f}" if gold + predicted else ""
        row = [code, labels.kinds[label], labels.titles[label] or "", labels.train_counts[label]]
        writer.writerow([*row, gold, predicted, right, precision, recall, f1])
    return text.getvalue()


def _write_predictions(path: Path, scored: SplitScores, targets_NL: NDArray[np.bool_], coder: Coder) -> None:
    """One row a document and code: every gold and every predicted code, and the highest-scored others."""
    schema = pa.schema(
        [("id", pa.string()), ("code", pa.string()), ("score", pa.float32()), ("predicted", pa.bool_()), ("gold", pa.bool_())]
    )
    codes = np.array(coder.labels.codes, dtype=object)
    tables: list[pa.Table] = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for document, scores_L, gold_L in zip(scored.documents.ids, scored.scores_NL, targets_NL, strict=True):
            predicted_L = scores_L >= np.float32(coder.threshold)
            order = np.argsort(-scores_L, kind="stable")
            rank_L = np.empty(len(order), dtype=np.int64)
            rank_L[order] = np.arange(len(order))
            kept = order[(gold_L | predicted_L | (rank_L < SHOWN))[order]]
            columns = [[document] * len(kept), codes[kept], scores_L[kept], predicted_L[kept], gold_L[kept]]
            tables.append(pa.table([pa.array(column) for column in columns], schema=schema))
            if len(tables) == _AT_ONCE:
                writer.write_table(pa.concat_tables(tables))
                tables.clear()
        if tables:
            writer.write_table(pa.concat_tables(tables))
