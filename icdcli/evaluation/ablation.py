"""Ablation: the evaluation of a model without each of its parts.

The network is the one that was trained with all parts. The fusion of the remaining parts and the
threshold are tuned again, on the validation split. A row therefore shows how much the part adds to
this model, not the quality of a model trained without it.

Shapes: N documents, L labels.
"""

from dataclasses import dataclass

from icdcli.data.corpus.reader import Corpus
from icdcli.evaluation.measure import fuse, tune_scores
from icdcli.io.progress import Progress
from icdcli.model.coding_model import CodingModel
from icdcli.model.threshold import Threshold

_AUTO = Threshold(how="auto")
_METRICS = ("map", "f1_micro", "precision_at_5", "aucprc_micro")


@dataclass(frozen=True)
class Ablation:
    """The metrics of a model without one of its parts.

    Attributes:
        without: The part that is left out; None: the complete model.
        metrics: Metric name to value.
    """

    without: str | None
    metrics: dict[str, float]


def ablate(
    model: CodingModel,
    corpus: Corpus,
    split: str,
    on_progress: Progress | None = None,
    state_cache_gb: float = 20,
) -> list[Ablation]:
    """Evaluate a model complete, and without each of its parts.

    Args:
        model: The model; if its `parts` are empty, only the complete model is evaluated.
        corpus: The corpus that it was trained on.
        split: The split to evaluate. Fusion and threshold are always tuned on the validation split.
        on_progress: Called with the progress of scoring.
        state_cache_gb: See `CodingModel.score_split`.

    Raises:
        ConfigError: If a split has no documents.
        DataError: If the corpus and the model have different label spaces.
    """
    scored = {
        name: model.score_split(corpus, name, on_progress, state_cache_gb=state_cache_gb)
        for name in dict.fromkeys(("validation", split))
    }
    fitted_on, measured_on = scored["validation"], scored[split]
    labels = len(model.labels)
    targets, gold = (each.documents.targets_NL(labels) for each in (fitted_on, measured_on))
    rows = []
    for without in (None, *model.parts):
        parts = fitted_on.without(without)
        tuned = tune_scores(parts, targets, _AUTO, "validation", with_fusion=True)
        fused = fuse(measured_on.without(without), gold, tuned.fusion, tuned.threshold)
        rows.append(Ablation(without, fused.metrics(_METRICS)))
    return rows
