import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from icdcli.evaluation import fusion_fitting
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.model import fusion
from icdcli.model.fusion import LEAST, NETWORK, UNKNOWN, FoundWeights, Fusion, probabilities


@pytest.fixture
def parts():
    draw = np.random.default_rng(0)
    parts = {
        "network": draw.normal(-3, 2, (80, 30)).astype(np.float32),
        "ngrams": draw.exponential(0.05, (80, 30)).astype(np.float32),
    }
    targets_NL = draw.random((80, 30)) < expit(0.7 * parts["network"] + 9 * parts["ngrams"] - 1)
    return parts, targets_NL


def test_the_weights_are_those_of_a_logistic_regression(parts, monkeypatch):
    scores, targets_NL = parts
    expected = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    expected.fit(np.stack([part.ravel() for part in scores.values()], axis=1), targets_NL.ravel())
    for block in (100, 1 << 21):
        monkeypatch.setattr(fusion, "_BLOCK", block)
        found = fit_fusion(scores, targets_NL, "validation")
        assert [*found.weights.values(), found.bias] == pytest.approx(
            [*expected.coef_[0], expected.intercept_[0]], rel=1e-3
        )
    assert found.tuned_on == "validation"


def test_a_fit_that_starts_from_a_sample_finds_the_same_in_fewer_iterations(parts, monkeypatch):
    scores, targets_NL = parts
    fits = []

    def counted(start_P, derivatives, *options):
        fits.append(0)

        def counting(weights_P):
            fits[-1] += 1
            return derivatives(weights_P)

        return newton(start_P, counting, *options)

    newton = fusion_fitting.newton
    monkeypatch.setattr(fusion_fitting, "newton", counted)
    expected = fit_fusion(scores, targets_NL, "validation")
    monkeypatch.setattr(fusion_fitting, "_SAMPLED", targets_NL.size // 5)
    found = fit_fusion(scores, targets_NL, "validation")
    from_the_network, _, from_a_sample = fits
    assert from_a_sample < from_the_network
    np.testing.assert_allclose(
        [*found.weights.values(), found.bias],
        [*expected.weights.values(), expected.bias],
        rtol=1e-9,
    )


def test_an_uninformative_or_negative_part_is_left_out(parts):
    scores, targets_NL = parts
    nothing = np.zeros_like(scores["network"])
    found = fit_fusion(
        {**scores, "descriptions": nothing, "evidence": -targets_NL.astype(np.float32)},
        targets_NL,
        "validation",
    )
    assert found.weights["descriptions"] == pytest.approx(0, abs=1e-6)
    assert found.weights["evidence"] == 0
    assert found.weights["network"] > 0.5


@pytest.mark.parametrize("sampled", [1 << 18, 100])
def test_a_perfect_part_gets_a_finite_weight(parts, sampled, monkeypatch):
    monkeypatch.setattr(fusion_fitting, "_SAMPLED", sampled)
    scores, targets_NL = parts
    found = fit_fusion(
        {**scores, "evidence": targets_NL.astype(np.float32)}, targets_NL, "validation"
    )
    assert all(np.isfinite(weight) for weight in found.weights.values())
    fused = probabilities(
        {
            key: part.copy()
            for key, part in {**scores, "evidence": targets_NL.astype(np.float32)}.items()
        },
        found,
    )
    assert fused[targets_NL].min() > fused[~targets_NL].max()


@pytest.mark.parametrize(("documents", "counts"), [(400, True), (5, False)])
def test_mentions_count_if_enough_documents_show_it(documents, counts):
    draw = np.random.default_rng(1)
    facts_NL, denied_NL = draw.random((2, documents, 30)) < 0.1
    scores = {
        "network": np.zeros((documents, 30), np.float32),
        "ngrams": (facts_NL | denied_NL).astype(np.float32),
        "marked_ngrams": facts_NL.astype(np.float32),
    }
    labels_NL = (facts_NL | denied_NL & (draw.random((documents, 30)) < 0.15)) ^ (
        draw.random((documents, 30)) < 0.02
    )
    found = fit_fusion(scores, labels_NL, "validation")
    assert (found.weights["ngrams"] > 0) == counts
    assert found.weights["marked_ngrams"] > 1


def test_a_little_gain_from_the_complete_text_is_left(parts):
    """Labels of facts: what the complete text adds to the affirmed text is chance."""
    draw = np.random.default_rng(2)
    facts_NL, denied_NL = draw.random((2, 200, 30)) < 0.1
    scores = {
        "network": np.zeros((200, 30), np.float32),
        "descriptions": (facts_NL | denied_NL).astype(np.float32),
        "affirmed_descriptions": (facts_NL + draw.normal(0, 0.1, (200, 30))).astype(np.float32),
    }
    flipped_NL = facts_NL ^ (draw.random((200, 30)) < 0.02)
    assert fit_fusion(scores, flipped_NL, "validation").weights["descriptions"] == 0


@pytest.fixture
def with_evidence():
    """The scores of parts of which n-grams only count if annotated evidence was found."""
    draw = np.random.default_rng(3)
    seen_NL = draw.random((100, 30)) < 0.3
    chance_NL = np.where(seen_NL, draw.uniform(0.02, 0.9, (100, 30)), draw.uniform(0, 0.009))
    scores = {
        "network": draw.normal(0, 1, (100, 30)).astype(np.float32),
        "ngrams": draw.exponential(0.5, (100, 30)).astype(np.float32),
        "evidence": chance_NL.astype(np.float32),
    }
    worth_NL = np.where(seen_NL, 3 * scores["ngrams"] + 2 * chance_NL - 3, scores["network"] - 1)
    return scores, draw.random((100, 30)) < expit(worth_NL)


def test_pairs_with_evidence_have_the_weights_of_their_own_regression(with_evidence, monkeypatch):
    scores, targets_NL = with_evidence
    found_NL = scores["evidence"] > LEAST
    for block in (100, 1 << 21):
        monkeypatch.setattr(fusion, "_BLOCK", block)
        fitted = fit_fusion(scores, targets_NL, "validation", by_evidence=True)
        assert fitted.found.part == "evidence"
        for pairs_NL, weights in ((found_NL, fitted.found), (~found_NL, fitted)):
            names = [name for name, weight in weights.weights.items() if weight > 0]
            expected = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
            features_XP = np.stack([scores[name][pairs_NL] for name in names], axis=1)
            expected.fit(features_XP, targets_NL[pairs_NL])
            assert [*(weights.weights[name] for name in names), weights.bias] == pytest.approx(
                [*expected.coef_[0], expected.intercept_[0]], rel=1e-2
            )
    assert fitted.found.weights["ngrams"] > 2 > 0.5 > fitted.weights["ngrams"]
    expected_NL = sum(fitted.found.weights[name] * scores[name] for name in scores)
    logits_NL = fitted.logits(scores, slice(None))
    np.testing.assert_allclose(
        logits_NL[found_NL], (expected_NL + fitted.found.bias)[found_NL], rtol=1e-5, atol=1e-5
    )
    alone = Fusion(fitted.weights, fitted.bias, "validation").logits(scores, slice(None))
    assert (logits_NL[~found_NL] == alone[~found_NL]).all()


def test_what_parts_add_makes_the_fused_logits(with_evidence):
    scores, targets_NL = with_evidence
    for fitted in (
        fit_fusion(scores, targets_NL, "validation", by_evidence=True),
        fit_fusion(scores, targets_NL, "validation"),
    ):
        added_NL = sum(fitted.added(name, scores) for name in scores)
        logits_NL = fitted.logits(scores, slice(None))
        np.testing.assert_allclose(fitted.bias + added_NL, logits_NL, atol=1e-5)


def test_evidence_has_no_weights_of_its_own_without_being_asked_or_with_few_pairs(with_evidence):
    scores, targets_NL = with_evidence
    assert fit_fusion(scores, targets_NL, "validation").found is None
    few = {name: part[:3] for name, part in scores.items()}
    assert fit_fusion(few, targets_NL[:3], "validation", by_evidence=True).found is None
    without = {name: part for name, part in scores.items() if name != "evidence"}
    assert fit_fusion(without, targets_NL, "validation", by_evidence=True).found is None


def test_a_model_of_facts_asks_only_the_evidence_that_is_affirmed():
    draw = np.random.default_rng(4)
    facts_NL, denied_NL = draw.random((2, 200, 30)) < 0.15
    scores = {
        "network": np.zeros((200, 30), np.float32),
        "evidence": 0.5 * (facts_NL | denied_NL).astype(np.float32),
        "affirmed_evidence": 0.5 * facts_NL.astype(np.float32),
    }
    labels_NL = facts_NL ^ (draw.random((200, 30)) < 0.05)
    fitted = fit_fusion(scores, labels_NL, "validation", by_evidence=True)
    assert fitted.found.part == "affirmed_evidence"
    assert fitted.weights["evidence"] == fitted.found.weights["evidence"] == 0


def test_scores_are_the_sigmoid_of_the_weighted_sum_in_place(parts):
    scores, _ = parts
    logits_NL = scores["network"].copy()
    found = Fusion({"network": 0.5, "ngrams": 3.0}, -0.25, "validation")
    fused = probabilities({"network": logits_NL, "ngrams": scores["ngrams"]}, found)
    assert fused is logits_NL
    np.testing.assert_allclose(
        fused, expit(0.5 * scores["network"] + 3 * scores["ngrams"] - 0.25), rtol=1e-5
    )
    alone = probabilities({"network": np.array([[-200.0, 0.0, 200.0]], np.float32)}, None)
    assert alone.tolist() == [[0.0, 0.5, 1.0]]
    assert Fusion.from_json(found.to_json()) == found
    assert Fusion.from_json(None) is None
    assert found.to_json().keys() == {"weights", "bias", "tuned_on"}  # as version 0.1 reads it
    weights = FoundWeights("ngrams", {"network": 1.0, "ngrams": 2.0}, -1.0)
    own = Fusion({"network": 0.5, "ngrams": 3.0}, -0.25, "validation", weights)
    assert Fusion.from_json(json.loads(json.dumps(own.to_json()))) == own


@pytest.fixture
def with_unseen():
    """Parts of 8 codes and 6 never seen, which the network and the n-grams know nothing of."""
    draw = np.random.default_rng(0)
    targets = draw.random((300, 14)) < np.where(np.arange(14) < 8, 0.2, 0.05)
    words = draw.normal(np.where(np.arange(14) < 8, 0.5, 1.5) * targets, 1).astype(np.float32)
    logits, ngrams = (draw.normal(targets - 1, 1).astype(np.float32) for _ in range(2))
    logits[:, 8:], ngrams[:, 8:] = UNKNOWN, 0
    return {NETWORK: logits, "ngrams": ngrams, "descriptions": words}, targets


def test_codes_never_seen_have_weights_of_their_own(with_unseen):
    parts, targets = with_unseen
    fusion = fit_fusion(parts, targets, "validation")
    seen = {name: part[:, :8].copy() for name, part in parts.items()}
    alone = fit_fusion(seen, targets[:, :8], "validation")
    assert replace(fusion, unseen=None) == alone
    assert fusion.unseen is not None
    assert list(fusion.unseen.weights) == ["descriptions"]
    # Logistic regression: the weight is the shift by its variance.
    assert fusion.unseen.weights["descriptions"] == pytest.approx(1.5, abs=0.3)

    logits = fusion.logits(parts, slice(None))
    np.testing.assert_allclose(logits[:, :8], alone.logits(seen, slice(None)), rtol=1e-6)
    chances = 1 / (1 + np.exp(-logits[:, 8:].astype(float)))
    assert chances.sum() == pytest.approx(
        targets[:, 8:].sum(), rel=1e-3
    )  # neither flood nor vanish
    added = sum(fusion.added(name, parts) for name in parts)
    assert (added[:, 8:] + fusion.unseen.bias) == pytest.approx(logits[:, 8:], abs=1e-4)
    assert not fusion.added(NETWORK, parts)[:, 8:].any()
    assert Fusion.from_json(json.loads(json.dumps(fusion.to_json()))) == fusion

    changed = parts | {NETWORK: np.where(parts[NETWORK] == UNKNOWN, UNKNOWN, 2 * parts[NETWORK])}
    again = fit_fusion(changed, targets, "validation", before=fusion.unseen)
    assert again == fit_fusion(changed, targets, "validation")


def test_with_few_codes_never_seen_the_weights_are_those_of_others(with_unseen):
    parts, targets = with_unseen
    targets[:, 8:] = False
    targets[3, 9] = targets[5, 12] = True
    fusion = fit_fusion(parts, targets, "validation")
    assert fusion.unseen is not None
    assert fusion.unseen.weights == {"descriptions": fusion.weights["descriptions"]}
    logits = fusion.logits(parts, slice(None))[:, 8:].astype(float)
    assert (1 / (1 + np.exp(-logits))).sum() == pytest.approx(2, rel=0.01)


def test_pairs_may_be_unseen_in_some_documents_only(with_unseen):
    """Each fold of cross-fitting has codes of its own that its model has never seen."""
    parts, targets = with_unseen
    whole = fit_fusion(parts, targets, "validation")
    order = np.random.default_rng(1).permutation(14)
    mixed = {name: part.copy() for name, part in parts.items()}
    for part in (*mixed.values(), targets):
        part[150:] = part[150:][:, order]
    again = fit_fusion(mixed, targets, "validation")
    assert again.weights == pytest.approx(whole.weights, rel=1e-4)
    assert again.unseen is not None
    assert whole.unseen is not None
    assert again.unseen.weights == pytest.approx(whole.unseen.weights, rel=1e-4)
    assert again.unseen.bias == pytest.approx(whole.unseen.bias, rel=1e-4)
