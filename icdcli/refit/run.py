"""Fit a run again on everything: cross-fitting, then one training on all documents."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.config.loading import load_config
from icdcli.config.run_paths import change_keys
from icdcli.config.run_section import require_name
from icdcli.config.schema import Config
from icdcli.cross_fitting.fold_runs import UNWATCHED, StoppedTraining, Watching
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.cross_fitting.run import Folds, cross_fit, folds_of_run
from icdcli.cross_fitting.scaling import scaled_steps
from icdcli.data.corpus.views import view_of_corpus
from icdcli.distributed.devices import find_device
from icdcli.errors import ConfigError
from icdcli.io.manifest import read_manifest
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_checkpoint
from icdcli.model.coding_model import CodingModel
from icdcli.refit.choices import of_folds, of_validation
from icdcli.refit.gain import Gain, measure_gain
from icdcli.run_dir import RunDir, checkpoint_folder, require_project
from icdcli.training.events import TrainingResult
from icdcli.training.run import resume_training, run_training
from icdcli.training.setting_up.final_fit import FINAL_FIT, FinalFit

FOLDS = 5
LARGE = 5_000
"""Documents from which the validation split decides well enough, and folds would cost days."""


@dataclass(frozen=True)
class Refit:
    """A run that was fitted again.

    Attributes:
        result: The training of the final fit.
        final_fit: What it started from.
        out_of_fold: The out-of-fold scores; None: there are no folds.
        gain: What more documents gain; None: there are no folds.
    """

    result: TrainingResult
    final_fit: FinalFit
    out_of_fold: OutOfFold | None = None
    gain: Gain | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        fit = self.final_fit
        return {
            "run": str(self.result.run.root),
            "fitted_from": fit.run,
            "chosen_by": fit.source,
            "documents": dict(fit.documents),
            "step": self.result.step,
            "threshold": fit.threshold.value,
            "metrics": dict(fit.metrics),
            **fit.more,
        }


def default_folds(documents: int) -> int:
    """Return the number of folds for a corpus; 0: none, since it is large."""
    return FOLDS if documents < LARGE else 0


def refit(
    run: RunDir | Path | str,
    folds: int | None = None,
    train_on: str = "train+validation",
    name: str | None = None,
    watching: Watching = UNWATCHED,
    on_progress: Progress | None = None,
) -> Refit:
    """Train a run again on the documents of both splits, in a new run folder.

    The number of epochs, the weights of the fusion, the threshold and the confidence are those
    that cross-fitting found. If it is called again after an interruption, it continues.

    Args:
        run: The finished run.
        folds: The number of folds; 0: none, the run's own validation decides; None: see
            `default_folds`.
        train_on: The splits to train on.
        name: The name of the new run; None: that of the run with ``-refit``.
        watching: Shows the trainings.
        on_progress: Reports how far the preparation is.

    Raises:
        ConfigError: If the run can't be fitted again, the name is in use or can't be one, or there
            are too few documents for the folds.
        DataError: If the data can't be used.
        ResumeError: If a run was trained on other data.
        StoppedTraining: If a signal stopped a training.
    """
    run = run if isinstance(run, RunDir) else RunDir.open(Path(run))
    name = f"{run.root.name}-refit" if name is None else name
    require_name(name)
    require_project(run.root.parent)
    target = RunDir(run.root.parent / name)
    known = folds_of_run(run, 0, train_on, on_progress)
    folds = default_folds(len(known.corpus.documents("train"))) if folds is None else folds
    _require_free(target, run)
    found = gain = None
    if folds:
        known = folds_of_run(run, folds, train_on)
        found = cross_fit(run, folds, train_on, watching, on_progress)
        model = _own_model(run)
        gain = _gain(run, known, found, model, on_progress)
        config, final_fit = of_folds(run, known, found, gain, model)
        del model  # the final fit needs its memory
    else:
        config, final_fit = _without_folds(run, known)
    result = _train(target, _named(config, target), final_fit, watching)
    if result.signal is not None:
        raise StoppedTraining(result.signal)
    return Refit(result, final_fit, found, gain)


def _named(config: Config, target: RunDir) -> Config:
    return change_keys(config, {"project": str(target.root.parent), "name": target.root.name})


def _own_model(run: RunDir) -> CodingModel:
    """Load the best model of a run."""
    config = load_config(run.args)
    device = find_device("cpu" if config.model.is_baseline else config.run.device)
    return load_checkpoint(run.root, "metric", str(device)).model


def _gain(
    run: RunDir, known: Folds, found: OutOfFold, model: CodingModel, on_progress: Progress | None
) -> Gain:
    """Measure what more documents gain over the run's own model, on its validation split."""
    config = load_config(run.args)
    view = view_of_corpus(known.base, config.data)
    scored = model.score_split(
        view, "validation", on_progress, state_cache_gb=config.train.state_cache_gb
    )
    return measure_gain(config, known, found, scored.parts, model.labels)


def _without_folds(run: RunDir, known: Folds) -> tuple[Config, FinalFit]:
    config = load_config(run.args)
    loaded = load_checkpoint(run.root, "metric")
    steps: dict[str, Any] = {}
    if not config.model.is_baseline:
        before = len(view_of_corpus(known.base, config.data).documents("train"))
        documents = len(known.corpus.documents("train"))
        steps = scaled_steps(config.train, documents, before, loaded.manifest["step"])
    return of_validation(run, known, loaded, steps)


def _require_free(target: RunDir, run: RunDir) -> None:
    """Raise an error if a name is in use, except by an unfinished final fit of the same run."""
    if target.root.exists() and not _is_unfinished(target, run):
        raise ConfigError(f"{target.root}: exists already. Choose another --name, or delete it.")


def _is_unfinished(target: RunDir, run: RunDir) -> bool:
    """Return whether a folder has a final fit of a run that was stopped, at any point."""
    if not target.root.is_dir():
        return False
    if all(path.name.startswith(".") for path in target.root.iterdir()):
        return True  # killed when there was nothing but its lock
    own = str(run.root.resolve())
    if not (target.root / FINAL_FIT).is_file() or FinalFit.read(target.root).run != own:
        return False
    last = checkpoint_folder(target, "last")
    if last is None:
        return True
    config, manifest = load_config(target.args), read_manifest(last)
    end = 1 if config.model.is_baseline else config.train.last_step
    return manifest["step"] < end or not manifest.get("metrics")


def _train(
    target: RunDir, config: Config, final_fit: FinalFit, watching: Watching
) -> TrainingResult:
    """Train the final fit, or resume it."""
    watched = watching.start("the final fit")
    if checkpoint_folder(target, "last") is not None:
        return resume_training(
            target,
            handlers=watched.handlers,
            process_group=watching.process_group,
            on_progress=watched.on_progress,
            on_warning=watching.warn,
            on_second_signal=watching.on_second_signal,
        )
    return run_training(
        config,
        watched.handlers,
        process_group=watching.process_group,
        on_progress=watched.on_progress,
        on_warning=watching.warn,
        on_second_signal=watching.on_second_signal,
        final_fit=final_fit,
        start_over=True,
    )
