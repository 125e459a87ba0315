"""The baseline of `model: tfidf`: fitted in one go where a network takes steps, and then a run as every other.

It tells the same events as the training loop, writes the same row of ``results.csv`` and the same checkpoints. There are no
steps.csv and no learning rate, and there is nothing to go on with: a checkpoint has no ``state.pt``.
"""

import math
import time
from collections.abc import Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray

from icdcli.config.metric_names import monitored
from icdcli.config.schema import Config
from icdcli.data.corpus.reader import Corpus, Documents
from icdcli.distributed.hardware import cores
from icdcli.errors import DataError
from icdcli.evaluation.measure import tune_scores
from icdcli.evaluation.sample import SamplePrediction, sample_prediction, sample_rows
from icdcli.io.files import flush
from icdcli.io.progress import Progress
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold
from icdcli.run_dir import CHECKPOINTS, RESULT_COLUMNS, RunDir, append_row
from icdcli.training.checkpointing import write_checkpoint
from icdcli.training.events import Evaluated, Event, Saved, Started, Stopped

_USED = {
    *("seed", "deterministic", "project", "name", "model", "word_ngrams", "monitor"),
    *("prediction_print_n", "positive_threshold", "common", "metrics", "trackers"),
}


def unused_keys(config: Config) -> list[str]:
    """The keys that were set to something else than their default and mean nothing to a baseline."""
    given, default = config.flat(), Config().flat()
    data = type(config.data).model_fields.keys()
    differing = (
        key for key in given if key not in _USED and key not in data and given[key] != default[key]
    )
    return [key for key in differing if (key, given[key]) != ("device", "cpu")]


def train_baseline(
    config: Config, corpus: Corpus, run: RunDir, on_progress: Progress | None = None
) -> Iterator[Event]:
    """Fit a baseline, validate it, and put it on disk as ``metric``, ``loss`` and ``last``.

    Args:
        config: The run's configuration.
        corpus: The prepared corpus.
        run: The run's folder.
        on_progress: Told how far it is.

    Yields:
        `Started`, `Evaluated`, a `Saved` for each name, `Stopped`; each after what it means is on disk.

    Raises:
        DataError: When there is nothing to learn from, or the run's folder can't be written.
    """
    began = time.monotonic()
    yield Started(0, 1, 1)
    model = fit_baseline(config, corpus, on_progress)
    event = validate_baseline(config, model, corpus, began, on_progress)
    _record(run, model, corpus, event)
    yield event
    yield from (Saved(name, 1) for name in CHECKPOINTS)
    yield Stopped("the baseline is fitted", 1, finished=True)


def fit_baseline(config: Config, corpus: Corpus, on_progress: Progress | None = None) -> TfidfModel:
    """Fit a baseline to the training split; its threshold, where it is to be tuned, isn't yet.

    Raises:
        DataError: When there is nothing to learn from.
    """
    from icdcli.lexical.tfidf import (
        Tfidf,  # scikit-learn and scipy, which the rest of this room need not wait for
    )

    targets, labels = corpus.documents("train").targets, corpus.labels
    threads, longest = config.data.workers or cores(), config.model.word_ngrams
    fit = partial(
        Tfidf.fit, longest=longest, seed=config.run.seed, threads=threads, on_progress=on_progress
    )
    try:
        words = fit(corpus.texts("train"), targets, len(labels))
    except DataError as error:
        raise DataError(f"{corpus.folder.name}: {error}") from error
    threshold = Threshold.configured(config.log.positive_threshold)
    return TfidfModel(words, labels, config.model, threshold, config.data.text_cleaning)


def validate_baseline(
    config: Config,
    model: TfidfModel,
    corpus: Corpus,
    began: float,
    on_progress: Progress | None = None,
) -> Evaluated:
    """Score the validation split; a threshold that is to be tuned is tuned on it."""
    found = model.score_split(corpus, "validation", on_progress)
    targets_NL = found.documents.targets_NL(len(model.labels))
    tuned = tune_scores(found.parts, targets_NL, model.threshold, "validation", with_fusion=False)
    model.threshold = tuned.threshold
    metrics = config.log.metrics
    names = list(dict.fromkeys([*metrics, *monitored(config.train.monitor, metrics)[0]]))
    values = tuned.metrics([name for name in names if name != "validation_loss"])
    values["validation_loss"] = loss = float(found.losses_N.mean())
    return Evaluated(
        epoch=1,
        step=1,
        seconds=time.monotonic() - began,
        train_loss=math.nan,
        validation_loss=loss,
        lr=math.nan,
        metrics={name: values[name] for name in metrics},
        monitored=float(
            np.mean([values[name] for name in monitored(config.train.monitor, metrics)[0]])
        ),
        best_metric=True,
        best_loss=True,
        patience_left=config.train.patience,
        samples=tuple(_samples(config, model, found.documents, tuned.scores_NL)),
        threshold=None if model.threshold.how == "fixed" else str(model.threshold),
    )


def _samples(
    config: Config, model: TfidfModel, documents: Documents, scores_NL: NDArray[np.float32]
) -> Iterator[SamplePrediction]:
    threshold_L = model.threshold.values_L(len(model.labels))
    for row in sample_rows(len(documents), config.log.prediction_print_n, config.run.seed):
        name, targets = documents.ids[row], documents.targets[row]
        yield sample_prediction(name, model.labels.codes, scores_NL[row], targets, threshold_L)


def _record(run: RunDir, model: TfidfModel, corpus: Corpus, event: Evaluated) -> None:
    values = {name: getattr(event, name) for name in RESULT_COLUMNS} | event.metrics
    values |= {
        "seconds": round(event.seconds, 3),
        "train_loss": "",
        "lr": "",
    }  # which it has none of
    append_row(run.results, [*RESULT_COLUMNS, *event.metrics], values)
    flush(run.results)
    about = {"epoch": 1, "validation_loss": event.validation_loss, "metrics": event.metrics}
    write_checkpoint(
        run,
        CHECKPOINTS,
        1,
        model.save,
        {"corpus": corpus.folder.name, **about},
    )
