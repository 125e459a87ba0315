"""Cross-fit a run: train a model without each fold, and score the fold with it.

Shapes: N documents of all folds, L labels.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from icdcli.config.loading import load_config
from icdcli.config.metric_names import (
    LOWER_IS_BETTER,
    PRINCIPAL_METRICS,
    VALIDATION_LOSS,
    monitored,
)
from icdcli.config.run_paths import change_keys
from icdcli.config.schema import Config
from icdcli.cross_fitting.files import SUMMARY, FoldRun, cross_fitting_folder
from icdcli.cross_fitting.fold_runs import (
    UNWATCHED,
    Watching,
    fold_config,
    is_complete,
    require_same,
    train_fold,
)
from icdcli.cross_fitting.out_of_fold import OutOfFold, pool_folds
from icdcli.cross_fitting.scaling import scaled_steps
from icdcli.data.corpus.folds import HeldOutFold, fold_of
from icdcli.data.corpus.migrated import MIGRATION
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.data.corpus.views import view_of_corpus
from icdcli.errors import ConfigError, in_shell
from icdcli.io.files import write_json
from icdcli.io.manifest import read_manifest
from icdcli.io.progress import Progress
from icdcli.metrics.metrics import evaluate
from icdcli.model.threshold import Threshold
from icdcli.run_dir import RunDir, find_checkpoint
from icdcli.training.checkpointing import is_finished


@dataclass(frozen=True)
class Folds:
    """The folds of a run, trained or not.

    Attributes:
        config: The configuration of a final fit: that of the run, on the documents of all folds.
        corpus: The view of a final fit.
        base: The prepared corpus.
        runs: The run of each fold.
        configs: Their configurations.
        views: Their views of the corpus.
    """

    config: Config
    corpus: Corpus
    base: Corpus
    runs: tuple[FoldRun, ...]
    configs: tuple[Config, ...]
    views: tuple[Corpus, ...]

    @property
    def source(self) -> str:
        """Return how scores of the folds are made, in words."""
        return f"{len(self.runs)}-fold cross-fitting on {self.config.data.train_on}"


def require_final(run: RunDir, config: Config) -> None:
    """Raise an error if a run can't be fitted again.

    Raises:
        ConfigError: If it is a fold, a final fit, a migrated run, an ensemble, or not finished.
        ResumeError: If it has no checkpoint.
    """
    if not config.data.has_validation:
        raise ConfigError(f"{run.root}: is a refit already. Pass the run that it was made from.")
    if config.data.held_out_fold is not None:
        raise ConfigError(
            f"{run.root}: is the run of a single fold. Pass the run that its folds belong to."
        )
    if (run.root / MIGRATION).is_file():
        raise ConfigError(
            f"{run.root}: was migrated to another edition, so its documents have other codes. "
            "Train a run with the new edition, or pass the run before its migration."
        )
    if config.model.is_ensemble or config.run.seeds:
        raise ConfigError(f"{run.root}: is an ensemble. Refit its members instead.")
    last = find_checkpoint(run, "last")
    if not config.model.is_baseline and not is_finished(last, config.train):
        raise ConfigError(
            f"{run.root}: isn't finished (step {read_manifest(last)['step']:,} of "
            f"{config.train.last_step:,}). Run `icdcode resume {in_shell(run.root)}` first."
        )


def folds_of_run(
    run: RunDir | Path | str,
    folds: int = 5,
    train_on: str = "train+validation",
    on_progress: Progress | None = None,
) -> Folds:
    """Return the folds of a run; nothing is trained.

    Args:
        run: The run.
        folds: The number of folds; 0: none, only what a final fit needs.
        train_on: The splits whose documents are divided into folds.
        on_progress: Reports how far the preparation of the corpus is.

    Raises:
        ConfigError: If the run can't be fitted again, or there are too few documents.
        DataError: If the data can't be used.
    """
    run = run if isinstance(run, RunDir) else RunDir.open(Path(run))
    config = load_config(run.args)
    require_final(run, config)
    base = open_corpus(prepare(config.data.accepting(), on_progress).folder)
    final = change_keys(config, {"train_on": train_on})
    corpus = view_of_corpus(base, final.data)
    documents = corpus.documents("train")
    if folds:
        fold_of(documents.ids, documents.subject_ids, folds)  # too few or too many are an error
    before = len(view_of_corpus(base, config.data).documents("train"))
    last_step = read_manifest(find_checkpoint(run, "last"))["step"]
    folder = cross_fitting_folder(run, train_on, folds)
    configs, views = [], []
    for fold in range(1, folds + 1):
        held_out = HeldOutFold(fold, folds)
        own = fold_config(final, folder, held_out)
        view = view_of_corpus(base, own.data)
        if not config.model.is_baseline:
            number = len(view.documents("train"))
            own = change_keys(own, scaled_steps(config.train, number, before, last_step))
        configs.append(own)
        views.append(view)
    keys = (
        {}
        if config.model.is_baseline
        else scaled_steps(config.train, len(documents), before, last_step)
    )
    runs = tuple(FoldRun(folder, fold) for fold in range(1, folds + 1))
    return Folds(change_keys(final, keys), corpus, base, runs, tuple(configs), tuple(views))


def cross_fit(
    run: RunDir | Path | str,
    folds: int = 5,
    train_on: str = "train+validation",
    watching: Watching = UNWATCHED,
    on_progress: Progress | None = None,
) -> OutOfFold:
    """Train a model without each fold, unless it is there, and return the out-of-fold scores.

    The models are trained one after the other. A training that was interrupted is resumed.

    Args:
        run: The run, whose configuration the models have.
        folds: The number of folds.
        train_on: The splits whose documents are divided into folds.
        watching: Shows the trainings.
        on_progress: Reports how far the preparation of the corpus is.

    Raises:
        ConfigError: If the run can't be fitted again, there are too few documents, or a fold was
            trained with another configuration.
        DataError: If the data can't be used, or the scores can't be read or written.
        ResumeError: If a fold was trained on other data, or another process trains the folds.
        StoppedTraining: If a signal stopped a training.
    """
    known = folds_of_run(run, folds or 1, train_on, on_progress)
    folder = known.runs[0].folder
    summary = folder / SUMMARY
    with watching.alone_in(folder):
        if watching.is_main and not all(map(is_complete, known.configs, known.runs)):
            summary.unlink(missing_ok=True)  # it no longer describes these folds
        watching.wait()
        for config, fold, view in zip(known.configs, known.runs, known.views, strict=True):
            train_fold(config, fold, view, watching)
        found = out_of_fold(known)
        if watching.is_main:
            write_json(summary, summary_of(found))
    return found


def read_out_of_fold(
    run: RunDir | Path | str, folds: int = 5, train_on: str = "train+validation"
) -> OutOfFold:
    """Return the out-of-fold scores of a run that was cross-fitted.

    Raises:
        ConfigError: If it wasn't, or not completely.
        DataError: If the data can't be used, or the scores can't be read.
        ResumeError: If a fold was trained on other data.
    """
    known = folds_of_run(run, folds, train_on)
    for config, fold, view in zip(known.configs, known.runs, known.views, strict=True):
        if is_complete(config, fold):
            require_same(config, fold.run, view)
        else:
            own = in_shell(fold.folder.parents[1])
            raise ConfigError(
                f"{fold.run.root}: isn't trained yet. Run `icdcode refit {own} --folds {folds}` "
                "first."
            )
    return out_of_fold(known)


def out_of_fold(known: Folds) -> OutOfFold:
    """Return the out-of-fold scores after the best number of epochs.

    It is chosen once, which takes a fit of the fusion for each fold and epoch. Metrics of the
    principal diagnosis don't count, because the folds have no scores for it: if nothing else is
    monitored, the validation loss decides.
    """
    if (chosen := _chosen_before(known)) is not None:
        return _with_second_stage(_after(known, chosen), known.config)
    epochs = min(len(fold.scored_steps) for fold in known.runs)
    config = known.config
    monitor, _ = monitored(config.train.monitor, config.log.metrics)
    wanted = [name for name in monitor if name not in PRINCIPAL_METRICS] or [VALIDATION_LOSS]
    sign = -1 if wanted[0] in LOWER_IS_BETTER else 1
    best: tuple[float, OutOfFold] | None = None
    for epoch in range(1, epochs + 1):
        found = _after(known, epoch)
        if epochs == 1:
            return _with_second_stage(found, config)
        value = monitored_value(found, wanted) * sign
        if best is None or value > best[0]:
            best = value, found
    assert best is not None
    return _with_second_stage(best[1], config)


def _chosen_before(known: Folds) -> int | None:
    """Return the number of epochs that these folds have led to before; None: none yet."""
    try:
        text = (known.runs[0].folder / SUMMARY).read_text(encoding="utf-8")
        epochs = int(json.loads(text)["epochs"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return epochs if all(1 <= epochs <= len(fold.scored_steps) for fold in known.runs) else None


def _with_second_stage(found: OutOfFold, config: Config) -> OutOfFold:
    """Return out-of-fold scores with a second stage if it is configured.

    It changes little about the best number of epochs, which is chosen without it.
    """
    return replace(found, with_second_stage=config.model.second_stage)


def monitored_value(found: OutOfFold, names: Sequence[str]) -> float:
    """Return the mean of metrics of all folds, without those that are undefined."""
    values = evaluate(
        found.fused_NL,
        found.targets_NL,
        found.final[1].values_L(len(found.labels)),
        names=[name for name in names if name != VALIDATION_LOSS],
        unscored_NL=found.unscored_NL,
    )
    values[VALIDATION_LOSS] = float(found.losses_N().mean())
    defined = [values[name] for name in names if not np.isnan(values[name])]
    return float(np.mean(defined)) if defined else float("-inf")


def _after(known: Folds, epoch: int) -> OutOfFold:
    scores = [fold.scores(fold.scored_steps[epoch - 1]) for fold in known.runs]
    documents, folds_N, parts, candidates_NL = pool_folds(known.corpus, known.views, scores)
    return OutOfFold(
        known.source,
        documents,
        folds_N,
        known.corpus.labels,
        parts,
        candidates_NL,
        Threshold.configured(known.config.log.positive_threshold),
        known.config.model.lexicon,
        tuple(fold.run.root for fold in known.runs),
        epoch,
    )


def summary_of(found: OutOfFold) -> dict[str, object]:
    """Return what is known about out-of-fold scores: no texts, no document ids."""
    return {
        "source": found.source,
        "documents": len(found.ids),
        "codes": len(found.labels),
        "epochs": found.epochs,
        "folds": [int((found.folds_N == fold).sum()) for fold in range(len(found.fold_runs))],
        "parts": list(found.parts),
    }
