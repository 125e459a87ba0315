"""What codes that training never saw add to ``label_space: train``, on dev.

A run with ``label_space: categories`` or ``assignable`` contains the model of the codes that
training has: its network and its n-grams know no others. Both are measured on validation with the
same gold codes. Those outside of a label space count as missed. The fusion and the threshold are
fitted on one half of the documents and measured on the other, for several random halves.

    python benchmarks/unseen_codes.py outputs/laptop/laptop
    python benchmarks/unseen_codes.py outputs/laptop/codiesp_es --halves 5 --json unseen.json

Shapes: N documents, L labels, U gold codes outside of the label space.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from icdcli.data.corpus.label_spaces import missed_columns, space_of, unseen_labels
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.evaluation.run import open_run
from icdcli.evaluation.score_split import with_missed
from icdcli.evaluation.threshold_tuning import best_threshold
from icdcli.metrics.metrics import evaluate
from icdcli.model.fusion import probabilities

Booleans = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]

METRICS = ("map", "recall_at_15")


def out_of_half(
    parts: Mapping[str, Scores], targets_NL: Booleans, missed_NU: Booleans, first_N: Booleans
) -> tuple[Scores, Booleans]:
    """Return the scores and decisions of each half, by what the other half leads to."""
    scores_NL, predicted_NL = np.empty(targets_NL.shape, np.float32), np.zeros_like(targets_NL)
    by_evidence = "evidence" in parts
    for fitted_N in (first_N, ~first_N):
        known = {name: part[fitted_N] for name, part in parts.items()}
        fusion = fit_fusion(known, targets_NL[fitted_N], "half", by_evidence=by_evidence)
        scores_BL = probabilities(known, fusion)
        threshold, _ = best_threshold(
            scores_BL, targets_NL[fitted_N], int(missed_NU[fitted_N].sum())
        )
        others = {name: part[~fitted_N] for name, part in parts.items()}
        scores_NL[~fitted_N] = probabilities(others, fusion)
        predicted_NL[~fitted_N] = scores_NL[~fitted_N] >= threshold
    return scores_NL, predicted_NL


def measured(
    parts: Mapping[str, Scores], targets_NL: Booleans, missed_NU: Booleans, first_N: Booleans
) -> dict[str, float]:
    """Return the metrics of a label space."""
    scores_NL, predicted_NL = out_of_half(parts, targets_NL, missed_NU, first_N)
    whole_NL, gold_NL, unscored_L = with_missed(scores_NL, targets_NL, missed_NU)
    found = evaluate(whole_NL, gold_NL, names=METRICS, unscored_NL=unscored_L)
    right, gold = int((predicted_NL & targets_NL).sum()), int(gold_NL.sum())
    predicted = int(predicted_NL.sum())
    return found | {
        "f1_micro": 2 * right / (predicted + gold),
        "precision_micro": right / max(predicted, 1),
        "recall_micro": right / gold,
    }


def measure(run: Path, halves: int) -> dict[str, Any]:
    """Measure a run's model with and without the codes that training never saw."""
    opened = open_run(run, on_warning=lambda message: print(f"warning: {message}"))
    unseen = unseen_labels(opened.corpus)
    if not unseen:
        raise SystemExit(
            f"{run}: has no candidates that training never saw. Train a run with "
            "label_space=categories or label_space=assignable."
        )
    scored = opened.model.score_split(opened.corpus, "validation")
    targets_NL = scored.documents.targets_NL(len(opened.model.labels))
    missed_NU, known = missed_columns(scored.documents), len(opened.model.labels) - unseen
    documents = len(targets_NL)
    space = space_of(opened.corpus)
    rows: dict[str, list[dict[str, float]]] = {"train": [], space: []}
    for seed in range(halves):
        first_N = np.random.default_rng(seed).permutation(documents) < documents // 2
        columns = {name: part[:, :known] for name, part in scored.parts.items()}
        outside_NU = np.hstack([targets_NL[:, known:], missed_NU])
        rows["train"].append(measured(columns, targets_NL[:, :known], outside_NU, first_N))
        rows[space].append(measured(scored.parts, targets_NL, missed_NU, first_N))
    means = {
        name: {metric: float(np.mean([row[metric] for row in found])) for metric in found[0]}
        for name, found in rows.items()
    }
    return {
        "documents": documents,
        "candidates": {"train": known, space: known + unseen},
        "gold": int(targets_NL.sum() + missed_NU.sum()),
        "gold never seen": int(targets_NL[:, known:].sum() + missed_NU.sum()),
        "of them candidates": int(targets_NL[:, known:].sum()),
        "metrics": means,
        "halves": rows,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, help="a run with label_space: categories or assignable")
    parser.add_argument("--halves", type=int, default=3, help="random halves")
    parser.add_argument("--json", type=Path, help="write the results to a file, too")
    arguments = parser.parse_args()
    found = measure(arguments.run, arguments.halves)
    for space, values in found["metrics"].items():
        words = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        print(f"{space:10}  {found['candidates'][space]:6,} candidates  {words}")
    print(
        f"{found['gold never seen']:,} of {found['gold']:,} gold codes aren't in training; "
        f"{found['of them candidates']:,} of them are candidates"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
