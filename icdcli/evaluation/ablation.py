"""What each part of a coder is worth: the evaluation again with the part left out.

The network is the one that was trained with all of its parts; what is left is fused anew, and its threshold tuned anew, on the
validation split. So a row says what the part adds to this coder, not what a coder would be worth that never had it.

Shapes: N documents, L labels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus
from icdcli.evaluation.measure import fuse, tune_scores
from icdcli.io.progress import Progress
from icdcli.model.coding_model import SplitParts
from icdcli.model.fusion import NETWORK, PRIOR
from icdcli.model.neural_model import NeuralModel
from icdcli.model.threshold import Threshold

AUTO = Threshold(how="auto")
METRICS = ("map", "f1_micro", "precision_at_5", "aucprc_micro")

Parts = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Ablation:
    """One row.

    Attributes:
        without: The part that is left out; None: none is.
        metrics: Metric name to value, of `METRICS`.
    """

    without: str | None
    metrics: dict[str, float]


def ablate(
    model: NeuralModel, corpus: Corpus, split: str, on_progress: Progress | None = None
) -> list[Ablation]:
    """Evaluate a coder whole, and without each of its parts.

    Args:
        model: One with a description prior or scores of words alone; of any other the only part is the network.
        corpus: The corpus that it was trained on.
        split: The split to evaluate; what is left is fitted on the validation split, whichever this is.
        on_progress: Told how far it is.

    Raises:
        ConfigError: When a split has no documents.
        DataError: When the corpus has another label space than the coder.
    """
    fitted_on = model.score_split(corpus, "validation", on_progress)
    measured_on = (
        fitted_on if split == "validation" else model.score_split(corpus, split, on_progress)
    )
    labels = len(model.labels)
    targets, gold = (each.documents.targets_NL(labels) for each in (fitted_on, measured_on))
    rows = []
    for without in (None, *model.parts):
        tuned = tune_scores(
            _without(model, fitted_on, without), targets, AUTO, "validation", with_fusion=True
        )
        fused = fuse(_without(model, measured_on, without), gold, tuned.fusion, tuned.threshold)
        rows.append(Ablation(without, fused.metrics(METRICS)))
    return rows


def _without(model: NeuralModel, found: SplitParts, without: str | None) -> Parts:
    """What the other parts say: copies, to be worked on."""
    parts = {name: part.copy() for name, part in found.parts.items() if name != without}
    if without == NETWORK:
        parts = {NETWORK: np.zeros_like(found.parts[NETWORK]), **parts}
    if without == PRIOR and model.network.prior is not None and found.similarities is not None:
        weight = np.float32(model.network.prior.weight.item())
        for row in range(len(parts[NETWORK])):
            parts[NETWORK][row] -= weight * found.similarities[np.array([row])][0]
    return parts
