"""An evaluation on disk: ``metrics.json``, ``per_code.csv``, ``predictions.parquet`` and ``statistics.npz``.

None of them holds a note's text. The last is for `icdcode compare`: a few numbers a document instead of all its scores.
"""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.errors import DataError
from icdcli.evaluation.evaluate import Evaluation
from icdcli.io.files import replacing, write_atomically, writing
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.metrics.document_statistics import Statistics

SHOWN = 20
"""Codes a document of which predictions.parquet tells at least the score, gold and predicted ones apart."""

STATISTICS = "statistics.npz"
_AT_ONCE = 1000  # documents of a row group of predictions.parquet
_COLUMNS = (
    "code",
    "kind",
    "title",
    "train_count",
    "threshold",
    "gold",
    "predicted",
    "right",
    "precision",
    "recall",
    "f1",
)
_FORMAT = 2


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write an evaluation's files; metrics.json last, so that where it is, all are.

    Args:
        folder: Made where it is missing; earlier files of these names are replaced.
        evaluation: What to write.

    Raises:
        DataError: When the folder can't be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / "per_code.csv", _per_code(evaluation))
        _write_predictions(folder / "predictions.parquet", evaluation)
        write_statistics(folder / STATISTICS, evaluation)
        write_atomically(
            folder / "metrics.json",
            json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False) + "\n",
        )


def code_rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    """A row a code, of the columns of ``per_code.csv``; None where undefined: a zero would look like a failure."""
    labels, codes = evaluation.labels, evaluation.by_code
    threshold_L = evaluation.threshold.values_L(len(labels)).tolist()
    rows = []
    for label, code in enumerate(labels.codes):
        gold, predicted, right = (
            int(codes[name][label]) for name in ("gold", "predicted", "right")
        )
        values = (
            *(
                code,
                labels.kinds[label],
                labels.titles[label],
                labels.train_counts[label],
                threshold_L[label],
            ),
            *(gold, predicted, right),
            right / predicted if predicted else None,
            right / gold if gold else None,
            2 * right / (gold + predicted) if gold + predicted else None,
        )
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    return rows


def _per_code(evaluation: Evaluation) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in code_rows(evaluation):
        shares = {
            name: "" if row[name] is None else f"{row[name]:.6f}"
            for name in ("precision", "recall", "f1")
        }
        writer.writerow(row | shares | {"threshold": f"{row['threshold']:.6g}"})
    return text.getvalue()


def _write_predictions(path: Path, evaluation: Evaluation) -> None:
    """One row a document and code: every gold and every predicted code, and the highest-scored others."""
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("code", pa.string()),
            ("score", pa.float32()),
            ("predicted", pa.bool_()),
            ("gold", pa.bool_()),
        ]
    )
    codes = np.array(evaluation.labels.codes, dtype=object)
    scored, predicted_NL = evaluation.scored, evaluation.statistics.predicted_NL
    documents = zip(
        scored.documents.ids, scored.scores_NL, evaluation.targets_NL, predicted_NL, strict=True
    )
    tables: list[pa.Table] = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for document, scores_L, gold_L, predicted_L in documents:
            order = np.argsort(-scores_L, kind="stable")
            rank_L = np.empty(len(order), dtype=np.int64)
            rank_L[order] = np.arange(len(order))
            kept = order[(gold_L | predicted_L | (rank_L < SHOWN))[order]]
            columns = [
                [document] * len(kept),
                codes[kept],
                scores_L[kept],
                predicted_L[kept],
                gold_L[kept],
            ]
            tables.append(pa.table([pa.array(column) for column in columns], schema=schema))
            if len(tables) == _AT_ONCE:
                writer.write_table(pa.concat_tables(tables))
                tables.clear()
        if tables:
            writer.write_table(pa.concat_tables(tables))


def write_statistics(path: Path, evaluation: Evaluation) -> None:
    """Write what `read_statistics` reads."""
    statistics = evaluation.statistics
    about = {
        "format": _FORMAT,
        "metrics": dict(statistics.metrics),
        "means": list(statistics.means),
        "influences": list(statistics.influences),
        "labels": len(evaluation.labels),
        "threshold": str(evaluation.threshold),
        **evaluation.about,
    }
    arrays = {
        "about": np.array(json.dumps(about, default=str)),
        "ids": np.array(evaluation.scored.documents.ids, dtype=np.str_),
        "codes": np.array(evaluation.labels.codes, dtype=np.str_),
        "means": np.stack(list(statistics.means.values())),
        "influences": np.stack(list(statistics.influences.values())),
        "bins": statistics.bins_NB3,
        "predicted": np.packbits(statistics.predicted_NL, axis=1),
        "gold": np.packbits(statistics.gold_NL, axis=1),
    }
    write_arrays(path, arrays, compressed=True)


def read_statistics(
    path: Path,
) -> tuple[Statistics, tuple[str, ...], tuple[str, ...], Mapping[str, Any]]:
    """Read a split's statistics.

    Returns:
        The statistics, the documents' ids, the codes of the label space, and what was said about the evaluation.

    Raises:
        DataError: When the file is damaged.
    """
    try:
        arrays = read_arrays(path)
        about = json.loads(str(arrays["about"]))
        if about["format"] != _FORMAT:
            raise ValueError(f"format {about['format']}")
        predicted_NL, gold_NL = (
            np.unpackbits(arrays[name], axis=1, count=about["labels"]).astype(bool)
            for name in ("predicted", "gold")
        )
        statistics = Statistics(
            about["metrics"],
            dict(zip(about["means"], arrays["means"], strict=True)),
            predicted_NL,
            gold_NL,
            arrays["bins"],
            dict(zip(about["influences"], arrays["influences"], strict=True)),
        )
        return statistics, tuple(arrays["ids"].tolist()), tuple(arrays["codes"].tolist()), about
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: can't be read ({error}); delete it, `icdcode evaluate` writes it anew"
        ) from error
