"""The result of scoring predictions, and its files: those that an evaluation of a run has.

``predictions.parquet`` has no scores that the predictions don't have, and no file has the text of
a note.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.files import METRICS_JSON, STATISTICS, write_statistics
from icdcli.evaluation.groups import GroupMetrics
from icdcli.evaluation.predictions.listed import Shape
from icdcli.evaluation.predictions.scoring import PredictedCodes
from icdcli.io.files import json_values, replacing, write_atomically, writing
from icdcli.metrics.bootstrap import RESAMPLES, Interval
from icdcli.metrics.document_statistics import Statistics

_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("code", pa.string()),
        ("score", pa.float32()),
        ("predicted", pa.bool_()),
        ("gold", pa.bool_()),
    ]
)
_ROWS = 1 << 20


@dataclass(frozen=True)
class ScoredPredictions:
    """Predictions of any system, scored; `icdcli.evaluation.predictions.run` makes one.

    Attributes:
        about: The files, the gold codes, the split, and what decides which codes are predicted.
        shape: How the file lists the codes of a document.
        labels: The label space: gold and listed codes, with titles and training counts if known.
        predicted: The predictions as arrays.
        statistics: The metrics that can be computed, and the statistics of each document.
        intervals: Metric to its 95 % interval over documents.
        unavailable: Each metric that can't be computed, and why.
        groups: ``by_kind``, ``by_training_frequency`` and ``by_chapter``, those that are known.
        hierarchical: Hierarchical measures; empty if the coding system isn't known.
        hierarchical_intervals: Their intervals.
        codiesp: The numbers of CodiEsp's script; empty if neither file is CodiEsp's.
        evidence: Measures of evidence; empty if one of the files has none.
        matches: Match category to number of codes; empty if the texts aren't available.
        cost: What coding cost: ``total``, ``mean``, ``median``, ``per_right_code``; may be empty.
        notes: How the files were read, and caveats, one sentence each.
    """

    about: Mapping[str, Any]
    shape: Shape
    labels: Labels
    predicted: PredictedCodes = field(repr=False)
    statistics: Statistics = field(repr=False)
    intervals: Mapping[str, Interval]
    unavailable: Mapping[str, str]
    groups: Mapping[str, GroupMetrics]
    hierarchical: Mapping[str, float]
    hierarchical_intervals: Mapping[str, Interval]
    codiesp: Mapping[str, float]
    evidence: Mapping[str, float]
    matches: Mapping[str, int]
    cost: Mapping[str, float]
    notes: Sequence[str]

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers of documents, codes, and decisions."""
        predicted = self.predicted
        return {
            "documents": len(predicted.ids),
            "labels": len(predicted.codes),
            "gold": int(predicted.gold_NL.sum()),
            "predicted": int(predicted.predicted_NL.sum()),
            "right": int((predicted.predicted_NL & predicted.gold_NL).sum()),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``metrics.json``: no texts, no document ids; None if undefined."""
        intervals = {**self.intervals, **self.hierarchical_intervals}
        parts: dict[str, Mapping[str, float]] = {
            "hierarchical": self.hierarchical,
            "codiesp_script": self.codiesp,
            "evidence": self.evidence,
            "evidence_matches": self.matches,
            "cost": self.cost,
        }
        plain: dict[str, Any] = json_values(
            {
                **self.about,
                "shape": self.shape,
                **self.counts,
                "notes": list(self.notes),
                "metrics": self.statistics.metrics,
                "unavailable": dict(self.unavailable),
                "interval_of": f"95 %, {RESAMPLES} resamples of the documents",
                "intervals": intervals,
                **{name: values for name, values in parts.items() if values},
                **self.groups,
            }
        )
        return plain


def write_scored(folder: Path, scored: ScoredPredictions) -> None:
    """Write the files; metrics.json last, so that if it exists, all do.

    Args:
        folder: The folder, created if missing; existing files of these names are replaced.
        scored: The result.

    Raises:
        DataError: If the folder can't be written.
    """
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / METRICS_JSON).unlink(
            missing_ok=True
        )  # of predictions whose files are replaced now
        write_atomically(folder / "per_code.csv", _per_code(scored))
        _write_predictions(folder / "predictions.parquet", scored)
        predicted = scored.predicted
        write_statistics(
            folder / STATISTICS, scored.statistics, predicted.ids, predicted.codes, scored.about
        )
        content = json.dumps(scored.to_json(), indent=2, ensure_ascii=False)
        write_atomically(folder / METRICS_JSON, content + "\n")


def _per_code(scored: ScoredPredictions) -> str:
    predicted, labels = scored.predicted, scored.labels
    right_NL = predicted.predicted_NL & predicted.gold_NL
    counts = [
        chosen_NL.sum(axis=0).tolist()
        for chosen_NL in (predicted.gold_NL, predicted.predicted_NL, right_NL)
    ]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("code", "kind", "title", "gold", "predicted", "right", "precision", "recall", "f1")
    writer.writerow(columns)
    rows = zip(labels.codes, labels.kinds, labels.titles, *counts, strict=True)
    for code, kind, title, gold, decided, right in rows:
        shares = (_share(right, decided), _share(right, gold), _share(2 * right, gold + decided))
        writer.writerow((code, kind, title, gold, decided, right, *shares))
    return text.getvalue()


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.6f}" if whole else ""


def _write_predictions(path: Path, scored: ScoredPredictions) -> None:
    """Write one row per document and code that is gold or listed."""
    predicted = scored.predicted
    rows_P, labels_P = np.nonzero(predicted.gold_NL | predicted.listed_NL)
    ids, codes = (np.array(names, dtype=object) for names in (predicted.ids, predicted.codes))
    with replacing(path) as temporary, pq.ParquetWriter(temporary, _SCHEMA) as writer:
        for start in range(0, len(rows_P), _ROWS):
            part = rows_P[start : start + _ROWS], labels_P[start : start + _ROWS]
            hidden_P = ~predicted.listed_NL[part]
            if scored.shape != "scores":
                hidden_P[:] = True
            columns = (
                pa.array(ids[part[0]], pa.string()),
                pa.array(codes[part[1]], pa.string()),
                pa.array(predicted.scores_NL[part], pa.float32(), mask=hidden_P),
                pa.array(predicted.predicted_NL[part]),
                pa.array(predicted.gold_NL[part]),
            )
            writer.write_table(pa.table(columns, schema=_SCHEMA))
