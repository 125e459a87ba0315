from typing import Any

import numpy as np
import pytest

from icdcli.metrics.metrics import evaluate


def found_only(scores: Any, targets: Any, unscored: Any) -> dict[str, float]:
    """Compute metrics of documents, in which a code without a score is never found: by loops."""
    precisions, recalls, ranked = [], [], []
    for row in range(len(scores)):
        order = sorted(
            (place for place in range(scores.shape[1]) if not unscored[row, place]),
            key=lambda place: (-scores[row, place], place),
        )
        gold = targets[row].sum()
        if not gold:
            continue
        hits = [bool(targets[row, place]) for place in order]
        precisions.append(
            sum(sum(hits[: at + 1]) / (at + 1) for at, hit in enumerate(hits) if hit) / gold
        )
        recalls.append(sum(hits[:2]) / gold)
        ranked.append(sum(hits[:gold]) / gold)
    right = ((scores >= 0.5) & targets).sum()
    return {
        "map": np.mean(precisions),
        "recall_at_2": np.mean(recalls),
        "r_precision": np.mean(ranked),
        "recall_micro": right / targets.sum(),
        "f1_micro": 2 * right / ((scores >= 0.5).sum() + targets.sum()),
    }


def unscored_arrays() -> tuple[Any, Any, Any]:
    """Return scores without ties, targets, and pairs without a score in the last 3 of 9 columns."""
    generator = np.random.default_rng(3)
    scores = generator.permutation(30 * 9).reshape(30, 9).astype(np.float32) / 271 + 1e-3
    targets = generator.random((30, 9)) < 0.4
    unscored = np.zeros((30, 9), bool)
    unscored[:, 6:] = True
    return np.where(unscored, 0, scores).astype(np.float32), targets, unscored


def test_gold_codes_without_a_score_are_misses() -> None:
    scores, targets, unscored = unscored_arrays()
    expected = found_only(scores, targets, unscored)
    values = evaluate(scores, targets, k=(2,), unscored_NL=unscored)
    assert {name: values[name] for name in expected} == pytest.approx(expected)
    assert values["map_codiesp"] == pytest.approx(values["map"] * targets.any(axis=1).mean())
    assert values["map_edin"] == pytest.approx(values["map"])
    # As without them, except that there is more to find.
    known = evaluate(scores[:, :6], targets[:, :6], k=(2,))
    assert values["precision_micro"] == known["precision_micro"]
    assert values["f1_macro"] == pytest.approx(known["f1_macro"] * 6 / 9)
    assert values["aucprc_macro"] == pytest.approx(known["aucprc_macro"] * 6 / 9)
    exact = (scores[:, :6] >= 0.5) == targets[:, :6]
    assert values["exact_match"] == (exact.all(axis=1) & ~targets[:, 6:].any(axis=1)).mean()


def test_misses_in_single_documents_count_as_those_of_a_column() -> None:
    scores, targets, unscored = unscored_arrays()
    single = unscored ^ (np.random.default_rng(1).random(scores.shape) < 0.2)
    scores = np.where(single, 0, np.maximum(scores, 1e-4)).astype(np.float32)
    expected = found_only(scores, targets, single)
    # Codes that have scores but low ones are in the ranking; ties are in the order of the codes.
    values = evaluate(scores, targets, k=(2,), unscored_NL=single)
    for name in ("recall_micro", "f1_micro", "recall_at_2", "r_precision"):
        assert values[name] == pytest.approx(expected[name])


def test_a_broadcast_mask_equals_a_full_one() -> None:
    scores, targets, unscored = unscored_arrays()
    assert evaluate(scores, targets, unscored_NL=unscored[0]) == evaluate(
        scores, targets, unscored_NL=unscored
    )


def test_pairs_without_a_score_have_the_score_zero_and_are_not_predicted() -> None:
    scores, targets, unscored = unscored_arrays()
    with pytest.raises(ValueError, match="pairs without a score must have the score 0"):
        evaluate(scores, targets, unscored_NL=~unscored)
    with pytest.raises(ValueError, match="the threshold must be above it"):
        evaluate(scores, targets, threshold=0.0, unscored_NL=unscored)
