"""Compare one calibration per model with calibration by how often codes occur in training.

The pairs are those that the confidence is fitted to: the 20 highest-scored codes of each CodiEsp
case, and all predicted codes. Each way is fitted to four fifths of the documents and measured on
the other fifth: as probabilities (log loss, Brier score, expected calibration error), and by the
share of predicted codes that acceptance tables accept at .90 and .95 if they read calibrated
scores. The differences of the log loss from the common calibration have 95 % intervals over
documents.

The rows of words are the lexical model alone, cross-fitted on train and dev (`quality_words.py`);
the others are runs, measured on dev. Their label spaces don't reveal the codes of dev.

    python benchmarks/calibration.py DATA OUT                   the rows of a few minutes
    python benchmarks/calibration.py DATA OUT --rows codiesp_es laptop

Shapes: P pairs of a document and a code, N documents, L labels, F features.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from quality_words import out_of_fold_of_words
from runs import icdcode, trained_run
from scipy.special import expit, logit

from icdcli.config.loading import load_config
from icdcli.data.corpus.views import corpus_of_run
from icdcli.evaluation.groups import FREQUENCIES
from icdcli.metrics.acceptance import PredictedPairs, fit_acceptance
from icdcli.metrics.calibration import calibration_bins, expected_calibration_error
from icdcli.metrics.confidence import SUGGESTED, fit_confidence
from icdcli.metrics.newton import logistic
from icdcli.run_dir import RunDir

ROWS = {
    "words_es": (
        "codiesp_es.yaml",
        ["label_space=categories", "lexical=ngrams,descriptions,evidence,terms"],
    ),
    "words_en": ("laptop.yaml", ["label_space=categories"]),
    "tfidf_es": ("tfidf.yaml", ["language=es", "label_space=train"]),
    "tfidf_en": ("tfidf.yaml", ["label_space=train"]),
    "codiesp_es": ("codiesp_es.yaml", []),
    "laptop": ("laptop.yaml", []),
}
"""Row to its configuration and overrides."""

SHORT = ("words_es", "words_en", "tfidf_es", "tfidf_en")
FOLDS, RESAMPLES = 5, 2000
ACCEPT_AT = (0.9, 0.95)
_CLOSEST = 1e-6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Pairs of a document and a code that would be suggested.

    Attributes:
        scores_P: The scores.
        gold_P: Whether each code is gold.
        predicted_P: Whether it is predicted.
        rows_P: The place of its document.
        counts_P: The number of training documents with the code.
        documents: The number of documents.
    """

    scores_P: Floats
    gold_P: npt.NDArray[np.bool_]
    predicted_P: npt.NDArray[np.bool_]
    rows_P: npt.NDArray[np.int64]
    counts_P: npt.NDArray[np.int64]
    documents: int

    def only(self, chosen_P: npt.NDArray[np.bool_]) -> "Pairs":
        """Return some of the pairs."""
        columns = (self.scores_P, self.gold_P, self.predicted_P, self.rows_P, self.counts_P)
        return Pairs(*(column[chosen_P] for column in columns), self.documents)

    @property
    def bands_P(self) -> npt.NDArray[np.int64]:
        """Return the band of training frequency of each code."""
        starts = [least for least, _ in FREQUENCIES.values()]
        return np.searchsorted(starts, self.counts_P, side="right") - 1


Shares = Callable[[Pairs], Floats]


def common(pairs: Pairs) -> Shares:
    """Fit one function for all codes, as `icdcode` does."""
    fitted = fit_confidence(pairs.scores_P, pairs.gold_P, pairs.rows_P, "folds")
    return lambda others: others.scores_P if fitted is None else fitted.of(others.scores_P)


def offsets(pairs: Pairs) -> Shares:
    """Add an offset for each band to the common function."""
    return _logistic(pairs, lambda one, _: np.eye(len(FREQUENCIES))[one.bands_P])


def by_count(pairs: Pairs) -> Shares:
    """Let the line of the common function change with the logarithm of the count."""

    def features(one: Pairs, odds_P: Floats) -> Floats:
        logs_P = np.log1p(one.counts_P)
        return np.stack([logs_P, logs_P * odds_P], axis=1)

    return _logistic(pairs, features)


def own(pairs: Pairs) -> Shares:
    """Fit a function of its own (Platt's or isotonic) for each band that has enough codes."""
    rest = common(pairs)
    of_band = {}
    for band in np.unique(pairs.bands_P):
        inside = pairs.only(pairs.bands_P == band)
        of_band[band] = fit_confidence(inside.scores_P, inside.gold_P, inside.rows_P, "folds")

    def shares(others: Pairs) -> Floats:
        shares_P = rest(others).copy()
        for band, fitted in of_band.items():
            if fitted is not None:
                inside_P = others.bands_P == band
                shares_P[inside_P] = fitted.of(others.scores_P[inside_P])
        return shares_P

    return shares


def _logistic(pairs: Pairs, features: Callable[[Pairs, Floats], Floats]) -> Shares:
    """Fit a logistic regression on the log-odds of the common function and on other features."""
    base = common(pairs)

    def design_PF(one: Pairs) -> Floats:
        odds_P = _log_odds(base(one))
        return np.column_stack([np.ones(len(odds_P)), odds_P, features(one, odds_P)])

    design = design_PF(pairs)
    prior_F = np.zeros(design.shape[1])
    prior_F[1] = 1
    fitted_F = logistic(design, pairs.gold_P, prior_F)
    return lambda others: expit(design_PF(others) @ fitted_F)


WAYS: dict[str, Callable[[Pairs], Shares]] = {
    "the score": lambda _: lambda others: others.scores_P,
    "one for all codes": common,
    "and an offset per band": offsets,
    "and a line in log count": by_count,
    "one per band": own,
}


def compare_ways(pairs: Pairs) -> dict[str, dict[str, Any]]:
    """Return for each way how good its shares are on documents that it wasn't fitted to."""
    held_out = {name: _held_out(pairs, fit) for name, fit in WAYS.items()}
    losses = {name: _losses(shares_P, pairs.gold_P) for name, shares_P in held_out.items()}
    found = {}
    for name, shares_P in held_out.items():
        low, high = _interval(losses[name] - losses["one for all codes"], pairs)
        bins = calibration_bins(shares_P[:, None].astype(np.float32), pairs.gold_P[:, None])
        chosen_P = pairs.predicted_P
        table = fit_acceptance(
            PredictedPairs.of(
                shares_P[chosen_P],
                pairs.gold_P[chosen_P],
                pairs.rows_P[chosen_P],
                pairs.documents,
            ),
            "folds",
        )
        rows = [None if table is None else table.row(precision) for precision in ACCEPT_AT]
        found[name] = {
            "log_loss": float(losses[name].mean()),
            "difference": [float((losses[name] - losses["one for all codes"]).mean()), low, high],
            "brier": float(np.square(shares_P - pairs.gold_P).mean()),
            "calibration_error": float(expected_calibration_error(bins.sum(axis=0))),
            "accepted": [0.0 if row is None else row.codes for row in rows],
        }
    return found


def _held_out(pairs: Pairs, fit: Callable[[Pairs], Shares]) -> Floats:
    folds_P = np.unique(pairs.rows_P, return_inverse=True)[1] % FOLDS
    shares_P = np.empty(len(folds_P))
    for fold in range(FOLDS):
        inside_P = folds_P == fold
        shares_P[inside_P] = fit(pairs.only(~inside_P))(pairs.only(inside_P))
    return shares_P


def _losses(shares_P: Floats, gold_P: npt.NDArray[np.bool_]) -> Floats:
    right_P = np.clip(np.where(gold_P, shares_P, 1 - shares_P), _CLOSEST, 1)
    return np.asarray(-np.log(right_P))


def _interval(differences_P: Floats, pairs: Pairs) -> tuple[float, float]:
    """Return the 95 % interval of a mean over pairs, by resampling documents."""
    rows_P = np.unique(pairs.rows_P, return_inverse=True)[1]
    sums_N, counts_N = np.bincount(rows_P, differences_P), np.bincount(rows_P)
    draw = np.random.default_rng(0)
    means = []
    for _ in range(RESAMPLES):
        chosen = draw.integers(len(sums_N), size=len(sums_N))
        means.append(sums_N[chosen].sum() / counts_N[chosen].sum())
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return low, high


def _log_odds(shares_P: Floats) -> Floats:
    return np.asarray(logit(np.clip(shares_P, _CLOSEST, 1 - _CLOSEST)))


def pairs_of_words(config: str, changes: list[str], data: Path, out: Path) -> Pairs:
    """Return the pairs of a lexical model, cross-fitted on train and dev."""
    found, _ = out_of_fold_of_words(config, tuple(changes), data, out)
    threshold_L = found.final[1].values_L(len(found.labels))
    scores_NL, targets_NL = found.fused_NL, found.targets_NL
    ranks_NL = np.argsort(np.argsort(-scores_NL, axis=1, kind="stable"), axis=1, kind="stable")
    predicted_NL = scores_NL >= threshold_L
    chosen_NL = ((ranks_NL < SUGGESTED) | predicted_NL) & found.candidates_NL
    # The documents that the models of a fold were trained on.
    counts_FL = np.stack(
        [targets_NL[found.folds_N != fold].sum(axis=0) for fold in np.unique(found.folds_N)]
    )
    rows, labels = np.nonzero(chosen_NL)
    return Pairs(
        scores_NL[chosen_NL].astype(np.float64),
        targets_NL[chosen_NL],
        predicted_NL[chosen_NL],
        rows,
        counts_FL[found.folds_N[rows], labels],
        len(scores_NL),
    )


def pairs_of_run(name: str, config: str, changes: list[str], data: Path, out: Path) -> Pairs:
    """Return the pairs of a run on dev; it is trained and evaluated unless it was before."""
    run = RunDir(Path(trained_run(f"calibration_{name}", config, changes, data, out).run))
    path = run.evaluation("validation") / "predictions.parquet"
    if not path.is_file():
        icdcode("evaluate", str(run.root), "--split", "validation")
    labels = corpus_of_run(load_config(run.args).data, print).labels
    counts = dict(zip(labels.codes, labels.train_counts, strict=True))
    table = pq.read_table(path).to_pydict()
    scores_P = np.array(table["score"], np.float64)
    predicted_P = np.array(table["predicted"], bool)
    ids, rows_P = np.unique(table["id"], return_inverse=True)
    order = np.lexsort((-scores_P, rows_P))
    ranks_P = np.empty(len(order), np.int64)
    ranks_P[order] = np.arange(len(order)) - np.searchsorted(rows_P[order], rows_P[order])
    return Pairs(
        scores_P,
        np.array(table["gold"], bool),
        predicted_P,
        rows_P,
        np.array([counts.get(code, 0) for code in table["code"]]),
        len(ids),
    ).only((ranks_P < SUGGESTED) | predicted_P)


def main() -> None:
    """Measure the rows and print them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="CodiEsp's folder")
    parser.add_argument("out", type=Path, help="the folder for runs")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=SHORT)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    for name in arguments.rows:
        config, changes = ROWS[name]
        places = (config, changes, arguments.data, arguments.out)
        of_words = name.startswith("words")
        pairs = pairs_of_words(*places) if of_words else pairs_of_run(name, *places)
        bands = np.bincount(pairs.bands_P, minlength=len(FREQUENCIES))
        counted = ", ".join(f"{band}: {n:,}" for band, n in zip(FREQUENCIES, bands, strict=True))
        print(f"\n{name}: {len(pairs.scores_P):,} pairs ({counted})")
        print(f"{'':<26}log loss  difference (95 % interval)    Brier   error  at .90  at .95")
        results[name] = compare_ways(pairs)
        for way, values in results[name].items():
            value, low, high = values["difference"]
            print(
                f"{way:<26}{values['log_loss']:>8.4f}  {value:+.4f} ({low:+.4f} to {high:+.4f})"
                f"{values['brier']:>9.4f}{values['calibration_error']:>8.4f}"
                + "".join(f"{share:>8.1%}" for share in values["accepted"])
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
