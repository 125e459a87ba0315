"""Time the four areas under curves of the original configuration: icdcode against scikit-learn.

A study would use scikit-learn otherwise: label by label for the macro means, on the flattened
arrays for the micro values. Both run in this process, one after the other, on the same arrays. The
values must agree, or the benchmark exits with 1. It also measures icdcode alone: the time and
memory of all metrics, intervals from 1,000 resamples, and thresholds.

    python benchmarks/metrics.py                       600 documents, 2,000 labels: under a minute
    python benchmarks/metrics.py --full                3,372 documents, 8,921 labels: a full test
                                                       split of MIMIC-III
    python benchmarks/metrics.py --json metrics.json
"""

import argparse
import json
import os
import platform
import sys
import time
import tracemalloc
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from icdcli.evaluation.threshold_tuning import tune
from icdcli.metrics.arrays import Booleans, Scores
from icdcli.metrics.bootstrap import RESAMPLES, intervals
from icdcli.metrics.document_statistics import statistics_of
from icdcli.metrics.metrics import evaluate

Value = TypeVar("Value")
NAMES = ("aucroc_macro", "aucroc_micro", "aucprc_macro", "aucprc_micro")
FULL = (3_372, 8_921)
CODES_PER_DOCUMENT = 16


def made_up(documents: int, labels: int, seed: int) -> tuple[Scores, Booleans]:
    """Return invented scores and targets like those of a trained model.

    There are few common codes and many rare ones, and gold codes have higher scores.
    """
    draw = np.random.default_rng(seed)
    frequency_L = 1.0 / np.arange(1, labels + 1)
    frequency_L = np.minimum(0.5, frequency_L * CODES_PER_DOCUMENT / frequency_L.sum())
    targets_NL = draw.random((documents, labels)) < frequency_L
    logits_NL = (
        draw.normal(np.log(frequency_L / (1 - frequency_L)), 1.0, (documents, labels))
        + 2.5 * targets_NL
    )
    return (1 / (1 + np.exp(-logits_NL))).astype(np.float32), targets_NL


def by_icdcode(name: str, scores_NL: Scores, targets_NL: Booleans) -> float:
    """Compute one metric with icdcode."""
    return evaluate(scores_NL, targets_NL, names=(name,))[name]


def by_sklearn(name: str, scores_NL: Scores, targets_NL: Booleans) -> float:
    """Compute the same metric with scikit-learn."""
    score = roc_auc_score if name.startswith("aucroc") else average_precision_score
    if name.endswith("micro"):
        return float(score(targets_NL.ravel(), scores_NL.ravel()))
    present = np.flatnonzero(targets_NL.any(axis=0) & ~targets_NL.all(axis=0))
    return float(np.mean([score(targets_NL[:, label], scores_NL[:, label]) for label in present]))


def timed(compute: Callable[[], Value]) -> tuple[Value, float]:
    """Compute a value; return it and the seconds that it took."""
    start = time.perf_counter()
    value = compute()
    return value, time.perf_counter() - start


def peak_memory(scores_NL: Scores, targets_NL: Booleans, names: tuple[str, ...] | None) -> float:
    """Return the peak memory of computing metrics, scores included, as a multiple of the scores."""
    tracemalloc.start()
    evaluate(scores_NL, targets_NL, names=names)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return 1 + peak / scores_NL.nbytes


def machine() -> dict[str, str]:
    """Describe the machine, without its name."""
    processor = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next(
            line.partition(":")[2].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        pass  # not Linux, or a processor without a name: the architecture has to do
    packages = {name: version(name) for name in ("numpy", "scikit-learn", "icdcode")}
    return {
        "processor": processor,
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        **packages,
    }


def main() -> int:
    """Measure, print a table, and write JSON if requested."""
    parser = argparse.ArgumentParser(
        description="The four areas under curves: icdcode against scikit-learn."
    )
    parser.add_argument("--documents", type=int, default=600, metavar="N")
    parser.add_argument("--labels", type=int, default=2_000, metavar="L")
    parser.add_argument(
        "--full", action="store_true", help=f"{FULL[0]:,} documents, {FULL[1]:,} labels"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the results to this file"
    )
    options = parser.parse_args()
    documents, labels = FULL if options.full else (options.documents, options.labels)
    scores_NL, targets_NL = made_up(documents, labels, options.seed)
    # The first call includes the time of imports.
    evaluate(scores_NL[:32], targets_NL[:32], names=NAMES)

    positive = targets_NL.any(axis=0).sum()
    print(f"{documents:,} documents x {labels:,} labels, {positive:,} of them with a positive")
    columns = (("icdcode s", 12), ("sklearn s", 12), ("times", 8), ("difference", 12))
    print(f"{'metric':<14}{'value':>10}" + "".join(f"{name:>{width}}" for name, width in columns))
    rows = []
    for name in NAMES:
        ours, our_seconds = timed(lambda name=name: by_icdcode(name, scores_NL, targets_NL))
        with warnings.catch_warnings():
            # A label that scikit-learn only warns about would make the comparison unfair.
            warnings.simplefilter("error")
            theirs, their_seconds = timed(lambda name=name: by_sklearn(name, scores_NL, targets_NL))
        ratio, difference = their_seconds / our_seconds, abs(ours - theirs)
        times = f"{our_seconds:>12.2f}{their_seconds:>12.2f}{ratio:>8.1f}"
        print(f"{name:<14}{ours:>10.6f}{times}{difference:>12.1e}", flush=True)
        rows.append(
            {
                "metric": name,
                "value": ours,
                "icdcode_s": our_seconds,
                "sklearn_s": their_seconds,
                "difference": difference,
            }
        )
    together, seconds = timed(lambda: sum(evaluate(scores_NL, targets_NL, names=NAMES).values()))
    alone = sum(row["sklearn_s"] for row in rows)
    print(f"{'all four':<14}{'':>10}{seconds:>12.2f}{alone:>12.2f}{alone / seconds:>8.1f}")
    metrics, every = timed(lambda: float(len(evaluate(scores_NL, targets_NL))))
    memory = {
        key: peak_memory(scores_NL, targets_NL, names)
        for key, names in (("four", NAMES), ("all", None))
    }
    print(
        f"all metrics ({metrics:.0f}): {every:.2f} s, {alone / every:.1f} times faster than "
        "scikit-learn's four"
    )
    print(
        f"peak memory as a multiple of the scores: {memory['four']:.2f} for the four, "
        f"{memory['all']:.2f} for all metrics"
    )
    threshold_L = np.full(labels, 0.3, np.float32)
    statistics, gathered = timed(lambda: statistics_of(scores_NL, targets_NL, threshold_L))
    _, resampled = timed(lambda: intervals(statistics))
    print(
        f"intervals of all metrics: {gathered:.2f} s for the statistics, {resampled:.2f} s for "
        f"{RESAMPLES:,} resamples"
    )
    tuning = {
        how: timed(lambda how=how: tune(how, scores_NL, targets_NL, "validation"))[1]
        for how in ("auto", "auto_per_code")
    }
    print(
        "thresholds: "
        + ", ".join(f"{how} {seconds_of:.2f} s" for how, seconds_of in tuning.items())
    )
    agree = all(row["difference"] < 1e-9 for row in rows) and np.isfinite(together)
    if options.json:
        about = {
            "documents": documents,
            "labels": labels,
            "seed": options.seed,
            "machine": machine(),
        }
        result = {
            **about,
            "all_four_icdcode_s": seconds,
            "all_four_sklearn_s": alone,
            "metrics": rows,
        }
        result |= {
            "every_metric_icdcode_s": every,
            "memory_times_scores": memory,
            "statistics_s": gathered,
        }
        result |= {"intervals_s": resampled, "thresholds_s": tuning}
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if not agree:
        print("error: icdcode and scikit-learn disagree", file=sys.stderr)
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
