"""Whether it pays to train on more documents: the run and the folds on the validation split.

The run has seen the training split only. The models of the folds have seen most of the documents,
and each is measured only on those that it hasn't seen. Both are measured on the documents of the
validation split, with weights and threshold fitted in the same way, and with the codes that their
own training documents have: other codes are missed.

Shapes: N documents, L labels.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from icdcli.config.run_paths import change_keys
from icdcli.config.schema import Config
from icdcli.cross_fitting.out_of_fold import OutOfFold, Parts, pool_folds
from icdcli.cross_fitting.run import Folds
from icdcli.data.corpus.reader import Labels
from icdcli.data.corpus.views import CorpusView, view_of_corpus
from icdcli.metrics.bootstrap import Difference, differences


@dataclass(frozen=True)
class Gain:
    """What more training documents gain on documents that no model had seen.

    Attributes:
        documents: The number of documents that it is measured on.
        fewer: The documents that the run was trained on.
        more: The documents that the models of the folds were trained on, on average.
        all: The documents that the final fit is trained on.
        before: The metrics of the run.
        after: The metrics of the models of the folds.
        differences: Metric to what they have gained, with its 95 % interval.
    """

    documents: int
    fewer: int
    more: int
    all: int
    before: Mapping[str, float]
    after: Mapping[str, float]
    differences: Mapping[str, Difference]

    def expected(self, name: str) -> float:
        """Return the gain of a final fit that a straight line over the logarithm predicts."""
        if self.more <= self.fewer:
            return math.nan
        steps = math.log(self.all / self.fewer) / math.log(self.more / self.fewer)
        return self.differences[name].value * steps

    def pays(self, name: str) -> bool:
        """Return whether a metric has risen."""
        return name in self.differences and self.differences[name].value > 0

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "measured_on": self.documents,
            "trained_on": {"run": self.fewer, "folds": self.more, "refit": self.all},
            "metrics": {
                name: {
                    "run": self.before[name],
                    "folds": self.after[name],
                    **found._asdict(),
                    "expected_of_refit": self.expected(name),
                }
                for name, found in self.differences.items()
            },
        }


def measure_gain(
    config: Config, known: Folds, found: OutOfFold, parts: Parts, labels: Labels
) -> Gain:
    """Measure the gain on the validation split.

    Args:
        config: The configuration of the run.
        known: Its folds.
        found: The out-of-fold scores.
        parts: The scores of the run's model on the validation split.
        labels: The label space of the run's model.
    """
    assert isinstance(known.corpus, CorpusView)
    trained = len(known.corpus.places["train"]["train"])
    held_out_N = np.arange(len(found.ids)) >= trained
    after = found.take(held_out_N)
    # Of the run's codes, those that its training documents lead to, as in the folds.
    data = config.data
    if data.label_space == "seen":
        data = change_keys(config, {"label_space": "train"}).data
    honest = view_of_corpus(known.base, data)
    kept = [labels.index[code] for code in honest.labels.codes]
    own = {name: part[:, kept] for name, part in parts.items()}
    _, _, pooled, candidates_NL = pool_folds(known.corpus, [honest], [own])
    before = replace(
        after,
        parts={name: part[held_out_N] for name, part in pooled.items()},
        candidates_NL=candidates_NL[held_out_N],
    )
    more = round(np.mean([len(fold.documents("train")) for fold in known.views]))
    first, second = before.statistics, after.statistics
    return Gain(
        len(after.ids),
        trained,
        int(more),
        len(found.ids),
        first.metrics,
        second.metrics,
        differences(first, second),
    )
