"""Cross-fit the lexical model of a configuration on CodiEsp, without its network.

It takes minutes where the network takes an hour, and on CodiEsp the lexical model contributes most.
Everything else is as in ``icdcode refit``: the folds, their label spaces, the fusion, the second
stage and the threshold, which the other folds choose. The rows ``words_…`` of ``quality.py``; one
of them shows what a refit gains.

Shapes: N documents, L labels.
"""

import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from runs import CONFIGS

from icdcli.config.loading import load_config
from icdcli.config.run_paths import change_keys
from icdcli.config.schema import Config
from icdcli.cross_fitting.out_of_fold import OutOfFold, Parts, pool_folds
from icdcli.cross_fitting.run import Folds
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.data.corpus.views import view_of_corpus
from icdcli.lexical.lexical_model import LexicalModel
from icdcli.metrics.bootstrap import intervals
from icdcli.model.fusion import NETWORK, UNKNOWN
from icdcli.model.inference.room import part_scores
from icdcli.model.new_model import reading_of, tokenizer_for
from icdcli.model.threshold import Threshold
from icdcli.refit.gain import measure_gain

FOLDS, FOLDS_OF_GAIN = 5, 10
_SECOND_STAGE = "second_stage=True"
_SPLITS = {"train_on": "train+validation"}


def cross_fit_words(config: str, changes: list[str], data: Path, out: Path) -> dict[str, Any]:
    """Return the metrics of a configuration's lexical model on train and dev, with intervals."""
    began = time.perf_counter()
    second_stage = _SECOND_STAGE in changes
    others = tuple(change for change in changes if change != _SECOND_STAGE)
    found, _ = out_of_fold_of_words(config, others, data, out)
    statistics = replace(found, with_second_stage=second_stage).statistics
    return {
        "metrics": statistics.metrics,
        "intervals": {name: list(bounds) for name, bounds in intervals(statistics).items()},
        "seconds": time.perf_counter() - began,
    }


def gain_of_words(config: str, changes: list[str], data: Path, out: Path) -> dict[str, Any]:
    """Return what the lexical model gains on dev if it is also fitted to nine tenths of dev."""
    began = time.perf_counter()
    found, known = out_of_fold_of_words(config, tuple(changes), data, out, FOLDS_OF_GAIN)
    alone = change_keys(known.config, {"train_on": "train"})
    view = view_of_corpus(known.base, alone.data)
    gain = measure_gain(alone, known, found, _scores(alone, view), view.labels)
    return {
        "metrics": {name: one.value for name, one in gain.differences.items()},
        "intervals": {name: [one.low, one.high] for name, one in gain.differences.items()},
        "gain": gain.to_json(),
        "seconds": time.perf_counter() - began,
    }


@cache  # rows with and without a second stage share it
def out_of_fold_of_words(
    config: str, changes: tuple[str, ...], data: Path, out: Path, number: int = FOLDS
) -> tuple[OutOfFold, Folds]:
    """Fit the lexical model of each fold; return the scores of all documents, and the folds."""
    places = [f"data_path={data}", f"cache_dir={out / 'cache'}"]
    loaded = load_config(CONFIGS / config, [*places, *changes])
    base = open_corpus(prepare(loaded.data).folder)
    folds = tuple(
        change_keys(loaded, {**_SPLITS, "held_out_fold": f"{fold}/{number}"})
        for fold in range(1, number + 1)
    )
    views = tuple(view_of_corpus(base, own.data) for own in folds)
    scores = [_scores(own, view) for own, view in zip(folds, views, strict=True)]
    final = change_keys(loaded, _SPLITS)
    known = Folds(final, view_of_corpus(base, final.data), base, (), folds, views)
    documents, folds_N, parts, candidates_NL = pool_folds(known.corpus, views, scores)
    found = OutOfFold(
        source=f"{number}-fold cross-fitting on train+validation",
        documents=documents,
        folds_N=folds_N,
        labels=known.corpus.labels,
        parts=parts,
        candidates_NL=candidates_NL,
        how=Threshold.configured("auto"),
        by_evidence=loaded.model.lexicon,
        fold_runs=(),
        epochs=0,
    )
    return found, known


def _scores(config: Config, view: Corpus) -> Parts:
    """Fit the lexical model of a fold, and return the scores of its documents held out."""
    tokenizer = tokenizer_for(config.model, view.texts("train"))
    reading = reading_of(config.model, view, config.data.language, tokenizer, warnings.warn)
    model = LexicalModel.of(view, config.model.lexical, reading, config.model.lexicon)
    documents = len(view.documents("validation"))
    parts = part_scores(model, view.texts("validation"), documents)
    # A network that says nothing about the codes that training has seen.
    network_L = np.where(np.array(view.labels.train_counts) > 0, 0, UNKNOWN).astype(np.float32)
    return {NETWORK: np.tile(network_L, (documents, 1)), **parts}
