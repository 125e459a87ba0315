"""TF-IDF (``model: tfidf``): fitted in one go, and then a run like any other.

It gives the same events as the training loop, the same row of ``results.csv`` and the same
checkpoints. There are no steps, no ``steps.csv`` and no learning rate, and nothing to resume: a
checkpoint has no ``state.pt``.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.data.corpus.label_spaces import missed_columns
from icdcli.data.corpus.reader import Corpus
from icdcli.data.processes import cores
from icdcli.errors import DataError
from icdcli.evaluation.measure import tune_scores
from icdcli.evaluation.reference.summary import summarize_training
from icdcli.io.files import json_numbers
from icdcli.io.progress import Progress
from icdcli.lexical.reading import NoteReading
from icdcli.model.new_model import views_of
from icdcli.model.principal.choice import principal_labels, principal_of
from icdcli.model.tfidf_model import TfidfModel
from icdcli.model.threshold import Threshold
from icdcli.run_dir import RunDir
from icdcli.training.allowed_changes import allowed_changes
from icdcli.training.checkpointing import find_intact_checkpoint, write_checkpoint
from icdcli.training.events import Evaluated, Event, Started, Stopped, TrainingResult
from icdcli.training.recorder import Recorder
from icdcli.training.setting_up.final_fit import FinalFit
from icdcli.training.validation import only_validation, sample_predictions

_USED = {
    *("seed", "deterministic", "project", "name", "model", "word_ngrams", "monitor"),
    *("assertion", "assertion_cues"),
    *("prediction_print_n", "positive_threshold", "common", "metrics", "trackers"),
}


def unused_keys(config: Config) -> list[str]:
    """Return the keys that differ from their defaults, but that TF-IDF doesn't use."""
    values, default = config.flat(), Config().flat()
    data = type(config.data).model_fields.keys()
    changed = (
        key
        for key in values
        if key not in _USED and key not in data and values[key] != default[key]
    )
    return [key for key in changed if (key, values[key]) != ("device", "cpu")]


def train_baseline(
    config: Config,
    corpus: Corpus,
    run: RunDir,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], object] | None = None,
    final_fit: FinalFit | None = None,
) -> Iterator[Event]:
    """Fit a TF-IDF model, validate it, and save it as ``metric``, ``loss`` and ``last``.

    Args:
        config: The configuration of the run.
        corpus: The prepared corpus.
        run: The run folder.
        on_progress: Reports how far the fit is.
        on_warning: Receives a warning if assertion is off.
        final_fit: What a run without a validation split starts from.

    Yields:
        `Started`, `Evaluated`, a `Saved` for each name, `Stopped`; each after its files are on
        disk.

    Raises:
        DataError: If there is nothing to learn from, or the run folder can't be written.
    """
    began = time.monotonic()
    yield Started(0, 1, 1)
    model = fit_baseline(config, corpus, on_progress, on_warning)
    if final_fit is None:
        evaluated = validate_baseline(config, model, corpus, began, on_progress)
    else:
        model.threshold = final_fit.threshold
        model.principal = final_fit.with_principal(model.principal)
        seconds = time.monotonic() - began
        evaluated = final_fit.evaluated(1, 1, seconds, math.nan, math.nan)
    recorder = Recorder(
        run,
        corpus.name,
        save=lambda names, step, about: write_checkpoint(run, names, step, model.save, about),
        texts=partial(summarize_training, corpus),
    )
    recorder.handle(evaluated)
    yield evaluated
    yield from recorder.new_checkpoints
    yield Stopped("the TF-IDF model is fitted", 1, finished=True)


def fit_baseline(
    config: Config,
    corpus: Corpus,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], object] | None = None,
) -> TfidfModel:
    """Fit a TF-IDF model to the training split; its threshold is not tuned yet.

    Raises:
        DataError: If there is nothing to learn from.
    """
    # scikit-learn and scipy take a second to import, and a network doesn't need them
    from icdcli.lexical.tfidf import Tfidf

    reading = NoteReading(views_of(config.model, config.data.language, on_warning))
    try:
        words = Tfidf.fit(
            (reading.read(text).text for text in corpus.texts("train")),
            corpus.documents("train").targets,
            len(corpus.labels),
            longest=config.model.word_ngrams,
            seed=config.run.seed,
            threads=config.data.workers or cores(),
            on_progress=on_progress,
        )
    except DataError as error:
        raise DataError(f"{corpus.name}: {error}") from error
    threshold = Threshold.configured(config.log.positive_threshold)
    cleaning = config.data.text_cleaning
    model = TfidfModel(words, corpus.labels, config.model, threshold, cleaning, reading)
    if config.data.principal:
        _learn_principal(config, model, corpus, on_progress)
    return model


def _learn_principal(
    config: Config, model: TfidfModel, corpus: Corpus, on_progress: Progress | None
) -> None:
    """Fit classifiers of the principal diagnosis to the documents in which it is a label."""
    from icdcli.lexical.tfidf import Tfidf

    model.principal = principal_of(corpus, learned=False)
    principal_N = principal_labels(corpus.documents("train"), corpus.code_index)
    known = principal_N >= 0
    model.principal_words = Tfidf.fit(
        (
            model.reading.read(text).text
            for text, counts in zip(corpus.texts("train"), known.tolist(), strict=True)
            if counts
        ),
        [np.array([label], np.int32) for label in principal_N[known]],
        len(corpus.labels),
        longest=config.model.word_ngrams,
        seed=config.run.seed,
        threads=config.data.workers or cores(),
        on_progress=on_progress,
    )


def validate_baseline(
    config: Config,
    model: TfidfModel,
    corpus: Corpus,
    began: float,
    on_progress: Progress | None = None,
) -> Evaluated:
    """Score the validation split, tune the threshold on it if that is configured, and measure.

    Args:
        config: The configuration of the run.
        model: The fitted model; its threshold is set.
        corpus: The prepared corpus.
        began: When the run began, by ``time.monotonic``.
        on_progress: Reports how far the scoring is.
    """
    scored = model.score_split(corpus, "validation", on_progress)
    documents, log = scored.documents, config.log
    fused = tune_scores(
        scored.parts,
        documents.targets_NL(len(model.labels)),
        model.threshold,
        "validation",
        with_fusion=False,
        missed_NU=missed_columns(documents),
    )
    model.threshold = fused.threshold
    if model.principal is not None and scored.principal_NL is not None:
        principal_N = principal_labels(documents, corpus.code_index)
        fused, model.principal = fused.with_principal(
            model.principal, scored.principal_NL, principal_N, "validation"
        )
    loss = float(scored.losses_N.mean())
    evaluated = only_validation(model, fused, loss, config, began)
    samples = sample_predictions(
        model,
        documents.ids,
        documents.targets,
        fused.scores_NL,
        log.prediction_print_n,
        config.run.seed,
    )
    return replace(evaluated, samples=samples)


def finished_baseline(
    run: RunDir, config: Config, load: str, on_warning: Callable[[str], None]
) -> TrainingResult:
    """Return the result of a TF-IDF run: fitted in one go, it can't be resumed.

    Raises:
        ResumeError: If the run ended before the model was fitted, its checkpoint can't be loaded,
            or a key changed.
    """
    allowed_changes(load_config(run.args), config)
    folder, manifest = find_intact_checkpoint(run, load, on_warning)
    TfidfModel.load(folder)
    return TrainingResult(
        run,
        manifest["step"],
        "the TF-IDF model was fitted before",
        finished=True,
        epoch=manifest["epoch"],
        metrics=json_numbers(manifest["metrics"]),
    )
