"""A summary of the scores and predicted codes of a model on documents that it hasn't seen.

Shapes: N documents, L labels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icdcli.data.corpus.reader import Labels
from icdcli.evaluation.reference.texts import MOST
from icdcli.metrics.arrays import Scores

SCORE_MEASURES = ("highest_score", "mean_of_5_scores", "predicted_codes")
"""What is measured of each document: the highest score, the mean of the five highest, and how many
codes are predicted."""

HIGHEST = 5
"""The highest scores of a document whose mean is measured."""


@dataclass(frozen=True)
class ScoreReference:
    """The summary.

    Attributes:
        split: The documents that were scored, such as ``validation``.
        documents: Their number.
        measures: For each of `SCORE_MEASURES`, its values, in ascending order.
        groups: The group of codes, see `code_group`, to the number of documents that it is
            predicted in.
    """

    split: str
    documents: int
    measures: Mapping[str, Sequence[float]]
    groups: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the content of a file, as `from_json` reads it."""
        measures = {name: [*values] for name, values in self.measures.items()}
        about = {"split": self.split, "documents": self.documents}
        return {**about, "measures": measures, "groups": dict(self.groups)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "ScoreReference":
        """Return the summary that a file has."""
        measures = {name: content["measures"][name] for name in SCORE_MEASURES}
        return cls(content["split"], content["documents"], measures, content["groups"])


def code_group(code: str, kind: str) -> str:
    """Return the group of a code: its kind and first character, which is about its chapter."""
    return f"{kind} {code[0]}"


def measure_codes(scores: Sequence[float], predicted: int) -> tuple[float, ...]:
    """Return the values of `SCORE_MEASURES` of a document.

    Args:
        scores: Its highest scores, `HIGHEST` of them if there are so many labels.
        predicted: The number of its predicted codes.
    """
    return round(max(scores), 4), round(sum(scores) / len(scores), 4), predicted


def summarize_scores(
    scores_NL: Scores, threshold_L: Scores, labels: Labels, split: str
) -> ScoreReference:
    """Summarize the scores of a split.

    Args:
        scores_NL: The scores.
        threshold_L: The threshold of each label.
        labels: The label space.
        split: The split's name.
    """
    stride = -(-len(scores_NL) // MOST) or 1
    groups = np.array(list(map(code_group, labels.codes, labels.kinds)))
    rows, found = [], Counter[str]()
    for scores_L in scores_NL[::stride]:
        predicted_L = scores_L >= threshold_L
        kept = min(HIGHEST, len(scores_L))
        highest = np.partition(scores_L, len(scores_L) - kept)[-kept:].tolist()
        rows.append(measure_codes(highest, int(predicted_L.sum())))
        found.update(set(groups[predicted_L].tolist()))
    columns: Iterable[Sequence[float]] = zip(*rows, strict=True)
    measures = dict(zip(SCORE_MEASURES, map(sorted, columns), strict=True))
    return ScoreReference(split, len(rows), measures, dict(sorted(found.items())))
