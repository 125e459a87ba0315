"""The files of an evaluation: metrics.json, per_code.csv, predictions.parquet and statistics.npz.

None of them contains the text of a note. ``statistics.npz`` is for ``icdcode compare``: a few
numbers per document instead of all scores.

Shapes: N documents, L labels.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.data.corpus.reader import EDITIONS
from icdcli.errors import DataError
from icdcli.evaluation.evaluate import Evaluation
from icdcli.io.files import replacing, write_atomically, writing
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.metrics.document_statistics import Statistics
from icdcli.model.coding_model import select_codes

TOP_CODES = 20
"""Top-scored codes per document in predictions.parquet, besides all gold and predicted codes."""

METRICS_JSON, STATISTICS = "metrics.json", "statistics.npz"
_GROUP = 1000  # documents per row group of predictions.parquet
_FORMAT = 2


def write_evaluation(folder: Path, evaluation: Evaluation) -> None:
    """Write the files of an evaluation; metrics.json last, so that if it exists, all do.

    Args:
        folder: The folder, created if missing; existing files of these names are replaced.
        evaluation: The evaluation.

    Raises:
        DataError: If the folder can't be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / METRICS_JSON).unlink(
            missing_ok=True
        )  # of an evaluation whose files are replaced now
        write_atomically(folder / "per_code.csv", _per_code(evaluation))
        _write_predictions(folder / "predictions.parquet", evaluation)
        about = {"threshold": str(evaluation.threshold), **evaluation.about}
        ids, codes = evaluation.scored.documents.ids, evaluation.labels.codes
        write_statistics(folder / STATISTICS, evaluation.statistics, ids, codes, about)
        if evaluation.acceptance is not None:
            curve = evaluation.acceptance.curve.to_csv()
            write_atomically(folder / "risk_coverage.csv", curve)
        write_atomically(
            folder / METRICS_JSON,
            json.dumps(evaluation.to_json(), indent=2, ensure_ascii=False) + "\n",
        )


class CodeRow(NamedTuple):
    """One row of ``per_code.csv``: a code, and the numbers of documents and metrics of it.

    Undefined metrics are None, because a zero would look like a wrong prediction.

    Attributes:
        code: The dotted code.
        kind: ``diagnosis`` or ``procedure``.
        title: Its title, if it has one.
        train_count: The training documents that have the code.
        threshold: Its threshold.
        gold: The documents in which it is gold.
        predicted: The documents in which it is predicted.
        right: The documents in which it is both.
        precision: Share of gold among its predicted documents.
        recall: Share of predicted among its gold documents.
        f1: The harmonic mean of precision and recall.
    """

    code: str
    kind: str
    title: str | None
    train_count: int
    threshold: float
    gold: int
    predicted: int
    right: int
    precision: float | None
    recall: float | None
    f1: float | None


def code_rows(evaluation: Evaluation) -> list[CodeRow]:
    """Return the rows of ``per_code.csv``, in the order of the label space."""
    labels, counts = evaluation.labels, evaluation.by_code
    rows = zip(
        labels.codes,
        labels.kinds,
        labels.titles,
        labels.train_counts,
        evaluation.threshold.values_L(len(labels)).tolist(),
        counts.gold_L.tolist(),
        counts.predicted_L.tolist(),
        counts.right_L.tolist(),
        strict=True,
    )
    return [
        CodeRow(
            *(code, kind, title, train_count, threshold, gold, predicted, right),
            precision=right / predicted if predicted else None,
            recall=right / gold if gold else None,
            f1=2 * right / (gold + predicted) if gold + predicted else None,
        )
        for code, kind, title, train_count, threshold, gold, predicted, right in rows
    ]


def _per_code(evaluation: Evaluation) -> str:
    """Return the content of ``per_code.csv``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CodeRow._fields)
    for row in code_rows(evaluation):
        values: dict[str, Any] = row._asdict() | {"threshold": f"{row.threshold:.6g}"}
        for name in ("precision", "recall", "f1"):
            values[name] = "" if values[name] is None else f"{values[name]:.6f}"
        writer.writerow(values.values())
    return text.getvalue()


def _write_predictions(path: Path, evaluation: Evaluation) -> None:
    """Write one row per document and code: all gold and predicted codes, and the top others."""
    schema = pa.schema(
        [
            ("id", pa.string()),
            ("code", pa.string()),
            ("score", pa.float32()),
            ("predicted", pa.bool_()),
            ("gold", pa.bool_()),
        ],
        {EDITIONS: json.dumps(evaluation.labels.editions)},
    )
    codes = np.array(evaluation.labels.codes, dtype=object)
    threshold_L = evaluation.threshold.values_L(len(codes))
    scored, predicted_NL = evaluation.scored, evaluation.statistics.predicted_NL
    documents = zip(
        scored.documents.ids, scored.scores_NL, evaluation.targets_NL, predicted_NL, strict=True
    )
    tables: list[pa.Table] = []
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for document, scores_L, gold_L, predicted_L in documents:
            kept_L = gold_L | predicted_L
            kept_L[select_codes(scores_L, threshold_L, top=TOP_CODES)] = True
            kept = np.flatnonzero(kept_L)
            kept = kept[select_codes(scores_L[kept], threshold_L[kept], top=len(kept))]
            columns = [
                [document] * len(kept),
                codes[kept],
                scores_L[kept],
                predicted_L[kept],
                gold_L[kept],
            ]
            tables.append(pa.table([pa.array(column) for column in columns], schema=schema))
            if len(tables) == _GROUP:
                writer.write_table(pa.concat_tables(tables))
                tables.clear()
        if tables:
            writer.write_table(pa.concat_tables(tables))


def write_statistics(
    path: Path,
    statistics: Statistics,
    ids: Sequence[str],
    codes: Sequence[str],
    about: Mapping[str, Any],
) -> None:
    """Write the file that `read_statistics` reads.

    Args:
        path: The file.
        statistics: The statistics.
        ids: The ids of the documents.
        codes: The label space.
        about: The attributes of the evaluation, among them ``threshold``.
    """
    described = {
        "format": _FORMAT,
        "metrics": dict(statistics.metrics),
        "means": list(statistics.means),
        "influences": list(statistics.influences),
        "labels": len(codes),
        **about,
    }
    arrays = {
        "about": np.array(json.dumps(described, default=str)),
        "ids": np.array(ids, dtype=np.str_),
        "codes": np.array(codes, dtype=np.str_),
        "means": np.stack(list(statistics.means.values())),
        "influences": np.stack(list(statistics.influences.values())),
        "bins": statistics.bins_NB3,
        "predicted": np.packbits(statistics.predicted_NL, axis=1),
        "gold": np.packbits(statistics.gold_NL, axis=1),
    }
    write_arrays(path, arrays, compressed=True)


@dataclass(frozen=True)
class StoredStatistics:
    """The content of ``statistics.npz``.

    Attributes:
        statistics: The statistics of the split.
        ids: The ids of its documents.
        codes: The label space.
        about: The attributes of the evaluation: threshold, run, checkpoint and so on.
    """

    statistics: Statistics
    ids: tuple[str, ...]
    codes: tuple[str, ...]
    about: Mapping[str, Any]


def read_statistics(path: Path) -> StoredStatistics:
    """Read the statistics of a split.

    Raises:
        DataError: If the file is damaged.
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
        ids, codes = tuple(arrays["ids"].tolist()), tuple(arrays["codes"].tolist())
        return StoredStatistics(statistics, ids, codes, about)
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: can't be read ({error}). Delete it; `icdcode evaluate` writes it again."
        ) from error
