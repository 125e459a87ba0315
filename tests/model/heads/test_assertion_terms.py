"""Heads that know the assertion classes of a document's words."""

import pytest
import torch
from torch.nn import functional

from icdcli.lexical.assertion.classes import Assertion
from icdcli.model.batch import Segments
from icdcli.model.heads.assertion_terms import CLASSES, AssertionTerm, known_shares
from icdcli.model.heads.label_attention import LabelAttention
from icdcli.model.heads.pooled import PooledHead, pool

LENGTHS = (7, 3, 3, 1)
LABELS, WIDTH, ATTENTION = 11, 16, 8
POOLING = ["mean", "weighted_mean", "bos_token", "eos_token"]


@pytest.fixture
def hidden_TD():
    torch.manual_seed(1)
    return torch.randn(sum(LENGTHS), WIDTH)


@pytest.fixture
def shares_TA():
    torch.manual_seed(2)
    return torch.rand(sum(LENGTHS), len(Assertion)).softmax(dim=1)


def made(head):
    """Return a head whose weights for classes are at random numbers, as after training."""
    head.learn_classes(CLASSES)
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in head.named_parameters():
            if ".shared_C" in name or ".own_LC" in name:
                weight.normal_(std=0.2)
    return head.eval()


def label_attention():
    torch.manual_seed(0)
    return LabelAttention(WIDTH, LABELS, ATTENTION, dropout=0.3)


def pooled(mode="mean"):
    torch.manual_seed(0)
    return PooledHead(WIDTH, LABELS, mode)


def plain(head, hidden_SD, shares_SA):
    """Compute the logits of label attention for one document by the formula."""
    shares_SC = shares_SA[:, 1:]
    scores_LS = head.queries_LW @ head.key(hidden_SD).T / ATTENTION**0.5
    weights_LS = (scores_LS + head.class_scores() @ shares_SC.T).softmax(dim=-1)
    found_LW = functional.layer_norm(
        weights_LS @ head.value(hidden_SD), (ATTENTION,), head.norm.weight, head.norm.bias
    )
    added_L = (head.class_logits() * (weights_LS @ shares_SC)).sum(dim=1)
    return (found_LW * head.outputs_LW).sum(dim=-1) + added_L + head.bias_L


def test_fused_attention_with_classes_is_the_plain_formula_forward_and_backward(
    hidden_TD, shares_TA
):
    head = made(label_attention())
    fused_BL = head(hidden_TD, Segments.of(LENGTHS), None, shares_TA)
    documents = zip(hidden_TD.split(LENGTHS), shares_TA.split(LENGTHS), strict=True)
    plain_BL = torch.stack([plain(head, *document) for document in documents])
    torch.testing.assert_close(fused_BL, plain_BL, rtol=0, atol=1e-5)
    gradients = []
    for logits_BL in (fused_BL, plain_BL):
        head.zero_grad()
        logits_BL.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in head.parameters()])
    assert len(gradients[0]) == 13
    for fused, expected in zip(*gradients, strict=True):
        assert expected.abs().max() > 0
        torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-4)


def test_codes_attend_as_their_weights_say(hidden_TD, shares_TA):
    head = made(label_attention())
    labels_K = torch.tensor([4, 0])
    weights_KS = head.attention_weights(hidden_TD[:7], labels_K, shares_TA[:7])
    scores_KS = head.queries_LW[labels_K] @ head.key(hidden_TD[:7]).T / ATTENTION**0.5
    expected_KS = (scores_KS + head.class_scores()[labels_K] @ shares_TA[:7, 1:].T).softmax(dim=1)
    torch.testing.assert_close(weights_KS, expected_KS)


def test_a_code_can_look_away_from_a_class(hidden_TD):
    head, negated = made(label_attention()), Assertion.NEGATED
    with torch.no_grad():
        for term in (head.class_scores, head.class_logits):
            term.shared_C.zero_()
            term.own_LC.zero_()
        head.class_scores.own_LC[5, negated - 1] = -30 / head.class_scores.own_unit
    classes_T = torch.tensor([0, 0, negated, negated, 0, 0, 0])
    shares_TA = functional.one_hot(classes_T, len(Assertion)).float()
    weights_LS = head.attention_weights(hidden_TD[:7], None, shares_TA)
    assert weights_LS[5, 2:4].max() < 1e-9
    assert weights_LS[4, 2:4].min() > 1e-4
    logits_BL = head(hidden_TD[:7], Segments.of((7,)), None, shares_TA)
    others = torch.cat([hidden_TD[:2], hidden_TD[4:7]])
    alone_BL = head(others, Segments.of((5,)), None, shares_TA[[0, 1, 4, 5, 6]])
    assert logits_BL[0, 5].item() == pytest.approx(alone_BL[0, 5].item(), abs=1e-5)
    assert logits_BL[0, 4].item() != pytest.approx(alone_BL[0, 4].item(), abs=1e-2)


@pytest.mark.parametrize("mode", ["mean", "weighted_mean"])
def test_a_code_can_leave_a_class_out_of_the_mean(hidden_TD, mode):
    head, family = made(pooled(mode)), Assertion.FAMILY
    with torch.no_grad():
        head.class_factors.shared_C.zero_()
        head.class_factors.own_LC.zero_()
        head.class_factors.own_LC[3, family - 1] = -1 / head.class_factors.own_unit
    classes_T = torch.tensor([0, family, family, 0, 0, 0, 0])
    shares_TA = functional.one_hot(classes_T, len(Assertion)).float()
    documents = Segments.of((7,))
    logits_BL = head(hidden_TD[:7], documents, None, shares_TA)
    left_TD = hidden_TD[:7] * (classes_T == 0)[:, None]
    expected_BL = head.output(pool(left_TD, documents, mode))
    assert logits_BL[0, 3].item() == pytest.approx(expected_BL[0, 3].item(), abs=1e-5)
    everything_BL = head.output(pool(hidden_TD[:7], documents, mode))
    torch.testing.assert_close(logits_BL[0, [2, 4]], everything_BL[0, [2, 4]])


@pytest.mark.parametrize("make", [label_attention, *[lambda m=mode: pooled(m) for mode in POOLING]])
def test_some_labels_and_single_documents_have_the_same_logits(make, hidden_TD, shares_TA):
    head, labels = made(make()), torch.tensor([7, 2])
    logits_BL = head(hidden_TD, Segments.of(LENGTHS), None, shares_TA)
    torch.testing.assert_close(
        head(hidden_TD, Segments.of(LENGTHS), labels, shares_TA), logits_BL[:, labels]
    )
    alone_BL = torch.cat(
        [
            head(states, Segments.of((len(states),)), None, shares)
            for states, shares in zip(
                hidden_TD.split(LENGTHS), shares_TA.split(LENGTHS), strict=True
            )
        ]
    )
    torch.testing.assert_close(alone_BL, logits_BL, rtol=0, atol=1e-5)


@pytest.mark.parametrize("make", [label_attention, *[lambda m=mode: pooled(m) for mode in POOLING]])
def test_classes_matter_and_are_learned(make, hidden_TD, shares_TA):
    head = make()
    before_BL = head.eval()(hidden_TD, Segments.of(LENGTHS))
    head.learn_classes(CLASSES)
    affirmed_TA = functional.one_hot(torch.zeros(sum(LENGTHS)).long(), len(Assertion)).float()
    torch.testing.assert_close(head(hidden_TD, Segments.of(LENGTHS), None, affirmed_TA), before_BL)
    head(hidden_TD, Segments.of(LENGTHS), None, shares_TA).square().sum().backward()
    learned = {
        name: weight.grad.abs().max().item()
        for name, weight in head.named_parameters()
        if "class_" in name
    }
    assert len(learned) in (2, 4)
    assert min(learned.values()) > 0


@pytest.mark.parametrize("make", [label_attention, pooled])
def test_without_classes_a_head_is_as_it_was(make, hidden_TD, shares_TA):
    head = make()
    assert head.classes == ()
    assert not [name for name in head.state_dict() if "class" in name]
    rows = len(head.label_weights())
    before = head.state_dict()
    head.learn_classes(CLASSES)
    assert {
        name: weight for name, weight in head.state_dict().items() if name in before
    }.keys() == (before.keys())
    own = head.label_weights()[rows:]
    assert own and all(weight.shape == (LABELS, len(CLASSES)) for weight in own)
    with pytest.raises(ValueError, match="needs those of the hidden states"):
        head(hidden_TD, Segments.of(LENGTHS))


def test_a_number_is_a_shared_one_plus_the_labels_own():
    term = AssertionTerm(4, [0.0, -3.0], shared_unit=8.0, own_unit=2.0)
    assert term()[:, 1].tolist() == [-3.0] * 4
    with torch.no_grad():
        term.own_LC[2, 1] = 2.0
    assert term(torch.tensor([2, 0])).tolist() == [[0.0, 1.0], [0.0, -3.0]]


def test_a_head_knows_classes_by_their_names():
    shares_TA = torch.arange(2 * len(Assertion)).reshape(2, -1).float()
    torch.testing.assert_close(known_shares(CLASSES, shares_TA), shares_TA[:, 1:])
    found = known_shares(("family", "negated"), shares_TA)
    torch.testing.assert_close(found, shares_TA[:, [Assertion.FAMILY, Assertion.NEGATED]])
