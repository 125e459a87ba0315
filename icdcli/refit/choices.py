"""What a final fit starts from: choices of cross-fitting, or of the run's own validation."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from icdcli.config.run_paths import change_keys
from icdcli.config.schema import Config
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.cross_fitting.run import Folds
from icdcli.cross_fitting.scaling import steps_of_epochs
from icdcli.data.corpus.reader import Labels
from icdcli.data.corpus.views import CorpusView
from icdcli.errors import ConfigError
from icdcli.evaluation.measure import FusedScores
from icdcli.evaluation.reference.scores import summarize_scores
from icdcli.io.files import json_numbers
from icdcli.metrics.acceptance import AcceptanceTable
from icdcli.metrics.bootstrap import intervals
from icdcli.metrics.confidence import Confidence
from icdcli.model.checkpoint import LoadedCheckpoint
from icdcli.model.coding_model import CodingModel
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.threshold import Threshold
from icdcli.refit.gain import Gain
from icdcli.run_dir import RunDir
from icdcli.training.setting_up.final_fit import FinalFit, validation_of
from icdcli.training.validation import configured_metrics


def of_folds(
    run: RunDir, known: Folds, found: OutOfFold, gain: Gain, model: CodingModel
) -> tuple[Config, FinalFit]:
    """Return the configuration of a final fit, and what out-of-fold scores choose.

    Args:
        run: The run.
        known: Its folds.
        found: The out-of-fold scores.
        gain: What more documents gain.
        model: The run's own model; its choice of the principal diagnosis is kept, for which the
            folds have no scores.
    """
    config = known.config
    fusion, threshold = found.final
    fused = FusedScores(
        found.fused_NL, found.targets_NL, fusion, threshold, unscored_NL=found.unscored_NL
    )
    loss = float(found.losses_N().mean())
    train, log = config.train, config.log
    measured = configured_metrics(fused, loss, train.monitor, log.metrics, found.source)
    if not config.model.is_baseline:
        config = change_keys(config, steps_of_epochs(train, len(found.ids), found.epochs))
    shown = {name: list(bounds) for name, bounds in intervals(found.statistics).items()}
    return config, FinalFit(
        source=found.source,
        run=str(run.root.resolve()),
        documents=documents_of(known.corpus),
        fusion=fusion,
        threshold=threshold,
        confidence=measured.confidence,
        acceptance=measured.acceptance,
        scores=summarize_scores(
            found.fused_NL, threshold.values_L(len(found.labels)), found.labels, found.source
        ),
        metrics=measured.metrics,
        monitored=measured.monitored,
        monitored_by=measured.monitored_by,
        validation_loss=loss,
        at_threshold=measured.at_threshold,
        principal=_fitted_weights(model.principal),
        more={"epochs": found.epochs, "intervals": shown, "gain": gain.to_json()},
    )


def of_validation(
    run: RunDir, known: Folds, loaded: LoadedCheckpoint, steps: Mapping[str, Any]
) -> tuple[Config, FinalFit]:
    """Return the configuration of a final fit, and what the run's own validation chose.

    Args:
        run: The run.
        known: The corpus and the configuration.
        loaded: Its best checkpoint.
        steps: The keys of the training, scaled to the documents.

    Raises:
        ConfigError: If its checkpoint wasn't validated.
    """
    manifest, model = loaded.manifest, loaded.model
    if not manifest.get("metrics"):
        raise ConfigError(f"{loaded.folder}: wasn't validated. Resume the run to its end first.")
    source = validation_of(run.root)
    fusion = getattr(model, "fusion", None)
    confidence = Confidence.from_json(manifest.get("confidence"))
    acceptance = AcceptanceTable.from_json(manifest.get("acceptance"))
    metrics = json_numbers(manifest["metrics"])
    names = tuple(manifest.get("monitored_by") or metrics)
    values = [metrics[name] for name in names if name in metrics]
    return change_keys(known.config, steps), FinalFit(
        source=source,
        run=str(run.root.resolve()),
        documents=documents_of(known.corpus),
        fusion=None if fusion is None else replace(fusion, tuned_on=source),
        threshold=_of_labels(model.threshold, model.labels, known.corpus.labels, source),
        confidence=None if confidence is None else replace(confidence, fitted_on=source),
        acceptance=None if acceptance is None else replace(acceptance, fitted_on=source),
        scores=None,
        metrics=metrics,
        monitored=float(np.mean(values)) if values else float("nan"),
        monitored_by=names,
        validation_loss=float(manifest.get("validation_loss") or "nan"),
        at_threshold=json_numbers(manifest.get("at_threshold") or {}),
        principal=_fitted_weights(model.principal),
    )


def documents_of(corpus: object) -> dict[str, int]:
    """Return the number of documents of each split that a final fit is trained on."""
    assert isinstance(corpus, CorpusView)
    return {split: len(places) for split, places in corpus.places["train"].items()}


def _fitted_weights(choice: PrincipalChoice | None) -> Mapping[str, float] | None:
    return None if choice is None or choice.tuned_on is None else choice.weights


def _of_labels(threshold: Threshold, before: Labels, after: Labels, source: str) -> Threshold:
    """Return a threshold for another label space; new codes have the common one."""
    if threshold.how == "fixed":
        return threshold
    if threshold.per_code is not None:
        own = dict(zip(before.codes, threshold.per_code, strict=True))
        per_code = tuple(own.get(code, threshold.value) for code in after.codes)
        threshold = replace(threshold, per_code=per_code)
    return replace(threshold, tuned_on=source)
