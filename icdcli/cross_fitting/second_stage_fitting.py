"""Fit the second stage to out-of-fold scores: it learns from scores of documents as if new.

Shapes: N documents, L labels, C candidates, X features.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.boosting.fitting import TreeOptions, fit_trees
from icdcli.boosting.trees import Trees
from icdcli.metrics.arrays import Booleans
from icdcli.model.second_stage.candidates import (
    LabelFacts,
    candidates,
    features_of,
    without_impossible,
)
from icdcli.model.second_stage.reordering import SecondStage

_OPTIONS = TreeOptions(trees=300, learning_rate=0.03)


@dataclass(frozen=True)
class StageRows:
    """The candidates of some documents.

    Attributes:
        documents_C: The document of each.
        labels_C: Its label.
        features_CX: Its features.
    """

    documents_C: NDArray[np.int64]
    labels_C: NDArray[np.int64]
    features_CX: NDArray[np.float32]


def stage_rows(
    parts: Mapping[str, NDArray[np.float32]],
    fused_NL: NDArray[np.float32],
    possible_NL: Booleans,
    codes: tuple[str, ...],
    counts_FL: NDArray[np.int64],
    folds_N: NDArray[np.int64],
) -> StageRows:
    """Return the candidates of documents held out, with their features.

    Args:
        parts: Part to scores.
        fused_NL: The fused logits.
        possible_NL: The codes that each document's model has.
        codes: The codes of the labels.
        counts_FL: The documents outside of each fold that have each code.
        folds_N: The fold of each document.
    """
    facts = [LabelFacts(codes, counts_L) for counts_L in counts_FL]
    labels: list[NDArray[np.int64]] = []
    features: list[NDArray[np.float32]] = []
    for place, fold in enumerate(folds_N.tolist()):
        row, fused_L = without_impossible(
            {name: part[place] for name, part in parts.items()}, fused_NL[place], possible_NL[place]
        )
        found = candidates(row, fused_L)
        found = found[possible_NL[place][found]]
        labels.append(found)
        features.append(features_of(row, fused_L, found, facts[fold]))
    documents_C = np.repeat(np.arange(len(labels)), [len(found) for found in labels])
    return StageRows(documents_C, np.concatenate(labels), np.concatenate(features))


def stage_trees(features_CX: NDArray[np.float32], gold_C: Booleans) -> Trees:
    """Fit trees whose sum is the log-odds that a candidate is gold."""
    return fit_trees(features_CX, gold_C, _OPTIONS)


def reordered(
    trees: Trees, rows: StageRows, fused_NL: NDArray[np.float32], wanted_N: Booleans
) -> NDArray[np.float32]:
    """Return the logits of the wanted documents as `SecondStage.of_document` makes them."""
    places = np.flatnonzero(wanted_N)
    logits_NL = fused_NL[places].copy()
    for place, document in enumerate(places.tolist()):
        own_C = rows.documents_C == document
        again_C = trees.sums(rows.features_CX[own_C]).astype(np.float32)
        np.minimum(logits_NL[place], again_C.min(initial=0), out=logits_NL[place])
        logits_NL[place, rows.labels_C[own_C]] = again_C
    return logits_NL


def second_stage(
    trees: Trees, parts: tuple[str, ...], codes: tuple[str, ...], counts_L: NDArray[np.int64]
) -> SecondStage:
    """Return a second stage for models fitted to documents with these counts of codes."""
    return SecondStage(parts, LabelFacts(codes, counts_L), trees)
