"""Ablation: the evaluation of a model without each of its parts, and of what they read.

The network is the one that was trained with all parts. The fusion of the remaining parts and the
threshold are tuned again, on the validation split. A row therefore shows how much the part adds to
this model, not the quality of a model trained without it.

Besides its parts, a model is evaluated without these:

    views            the parts that know what notes affirm, if others read all of it
    abbreviations    those are read as written
    spelling         misspelt words are read as written
    synonyms         parts and prior know titles and inclusion terms only; descriptions and terms
                     are fitted again, because this takes seconds

Shapes: N documents, L labels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.label_spaces import missed_columns
from icdcli.data.corpus.reader import Corpus
from icdcli.evaluation.measure import fuse, tune_scores
from icdcli.io.progress import Progress
from icdcli.lexical.descriptions import Descriptions, descriptions_of
from icdcli.lexical.normalization.expansion import NO_EXPANSION
from icdcli.lexical.normalization.spelling import NO_SPELLING
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.registry import type_of, view_of
from icdcli.model.coding_model import CodingModel, SplitParts, texts_to_score
from icdcli.model.fusion import NETWORK
from icdcli.model.inference.room import part_scores
from icdcli.model.threshold import Threshold

if TYPE_CHECKING:
    from icdcli.model.neural_model import NeuralModel

_AUTO = Threshold(how="auto")
_METRICS = ("map", "f1_micro", "precision_at_5", "aucprc_micro")
_SYNONYM_PARTS = ("descriptions", "terms", "translations")

Parts = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Ablation:
    """The metrics of a model without one of its parts.

    Attributes:
        without: What is left out: a part, or what the parts read; None: the complete model.
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
    """Evaluate a model complete, without each of its parts, and without what they read.

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

    def score(scoring: CodingModel) -> dict[str, SplitParts]:
        return {
            name: scoring.score_split(corpus, name, on_progress, state_cache_gb=state_cache_gb)
            for name in dict.fromkeys(("validation", split))
        }

    by_evidence = model.fusion is not None and model.fusion.found is not None
    scored, labels = score(model), len(model.labels)
    targets, gold = (scored[name].documents.targets_NL(labels) for name in ("validation", split))

    def row(without: str | None, parts: Mapping[str, Parts]) -> Ablation:
        # Scores are overwritten, and both may be of the same split.
        fitted_on, measured_on = (
            {name: part.copy() for name, part in parts[of].items()} for of in ("validation", split)
        )
        tuned = tune_scores(
            fitted_on,
            targets,
            _AUTO,
            "validation",
            with_fusion=True,
            by_evidence=by_evidence,
            missed_NU=missed_columns(scored["validation"].documents),
        )
        missed_NU = missed_columns(scored[split].documents)
        fused = fuse(measured_on, gold, tuned.fusion, tuned.threshold, missed_NU)
        return Ablation(without, fused.metrics(_METRICS))

    rows = [
        row(without, {name: parts.without(without) for name, parts in scored.items()})
        for without in (None, *model.parts)
    ]
    lexical = getattr(model, "lexical", None)
    if lexical is None:
        return rows
    from icdcli.model.neural_model import NeuralModel

    assert isinstance(model, NeuralModel)
    if any(view_of(name) == "all" for name in lexical.parts):
        complete = {name: _without_views(parts) for name, parts in scored.items()}
        if any(len(complete[name]) < len(parts.parts) for name, parts in scored.items()):
            rows.append(row("views", complete))
    for without, changed in _other_readings(model):
        if changed.reading.key == model.reading.key:  # the network's input is the same
            again = {
                name: parts.parts | _lexical_scores(changed, corpus, name)
                for name, parts in scored.items()
            }
        else:
            again = {name: parts.parts for name, parts in score(changed).items()}
        rows.append(row(without, again))
    official = descriptions_of(corpus.labels, corpus.code_system)
    if (changed_model := _without_synonyms(model, corpus, official)) is not None:
        again = {
            name: {**parts.parts, NETWORK: _logits_without_synonyms(parts, official)}
            | _lexical_scores(changed_model, corpus, name)
            for name, parts in scored.items()
        }
        rows.append(row("synonyms", again))
    return rows


def _without_views(parts: SplitParts) -> Parts:
    return {name: part for name, part in parts.parts.items() if view_of(name) == "all"}


def _other_readings(model: "NeuralModel") -> Iterator[tuple[str, "NeuralModel"]]:
    """Yield what of the model's reading can be left out, and the model without it."""
    assert model.lexical is not None

    reading, others = model.lexical.reading, dict[str, NoteReading]()
    if reading.expansion.senses:
        others["abbreviations"] = replace(reading, expansion=NO_EXPANSION, network_expands=False)
    if reading.spelling.words:
        others["spelling"] = replace(reading, spelling=NO_SPELLING)
    for without, other in others.items():
        lexical = replace(model.lexical, reading=other)
        changed = replace(other, views=model.reading.views)
        yield without, replace(model, lexical=lexical, reading=changed)


def _without_synonyms(
    model: "NeuralModel", corpus: Corpus, official: Descriptions
) -> "NeuralModel | None":
    """Return a model whose lexical model has only the parts that know synonyms, without them.

    None if the model knows none.
    """
    from icdcli.lexical.description_overlap import DescriptionOverlap
    from icdcli.lexical.lexical_model import LexicalModel

    assert model.lexical is not None
    known = [part for part in model.lexical.fitted.values() if isinstance(part, DescriptionOverlap)]
    if not any(list(map(len, part.descriptions)) != list(map(len, official)) for part in known):
        return None
    names = [name for name in _SYNONYM_PARTS if name in _plain_names(model.lexical.parts)]
    lexical = LexicalModel.of(corpus, names, model.lexical.reading, lexicon=True, synonyms=False)
    return replace(model, lexical=lexical)


def _plain_names(parts: tuple[str, ...]) -> set[str]:
    return {type_of(name).name for name in parts}


def _lexical_scores(model: "NeuralModel", corpus: Corpus, split: str) -> Parts:
    assert model.lexical is not None
    documents = corpus.card["splits"][split]["documents"]
    return part_scores(model.lexical, texts_to_score(corpus, split, None), documents)


def _logits_without_synonyms(parts: SplitParts, official: Descriptions) -> NDArray[np.float32]:
    """Return the network's logits with a prior that knows the first descriptions of each label.

    Of documents in several windows, the logits stay as they are: their windows were joined before.
    """
    logits_NL, similarities = parts.parts[NETWORK], parts.similarities
    if (
        similarities is None
        or parts.prior_weight is None
        or len(similarities.cosine_NM) != len(logits_NL)
    ):
        return logits_NL
    counts_L = np.diff([*similarities.firsts_L, len(similarities.offset_M)])
    known = len(counts_L)  # the network has no descriptions of codes that training never sees
    kept_L = np.minimum(counts_L, [max(len(texts), 1) for texts in official[:known]])
    firsts_L = np.cumsum([0, *kept_L[:-1]])
    kept_M = np.repeat(similarities.firsts_L - firsts_L, kept_L) + np.arange(kept_L.sum())
    without_NL = logits_NL.copy()
    for place in range(len(logits_NL)):
        row = np.array([place])
        cosine_1M = (similarities.cosine_NM[row] - similarities.offset_M)[:, kept_M]
        fewer_1L = np.maximum.reduceat(cosine_1M, firsts_L, axis=1)
        without_NL[row, :known] += parts.prior_weight * (fewer_1L - similarities[row])
    return without_NL
