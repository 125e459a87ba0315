import pytest
import torch
from torch.nn import functional

from icdcli.model.batch import Segments
from icdcli.model.heads.label_attention import LabelAttention, attend

LENGTHS = (7, 3, 3, 1)
LABELS, WIDTH, ATTENTION = 11, 16, 8


@pytest.fixture
def head():
    torch.manual_seed(0)
    return LabelAttention(WIDTH, LABELS, ATTENTION, dropout=0.3).eval()


@pytest.fixture
def hidden_TD():
    torch.manual_seed(1)
    return torch.randn(sum(LENGTHS), WIDTH)


def plain(head, hidden_SD):
    """Compute the logits of one document by the formula."""
    weights_LS = (head.queries_LW @ head.key(hidden_SD).T / ATTENTION**0.5).softmax(dim=-1)
    found_LW = functional.layer_norm(
        weights_LS @ head.value(hidden_SD), (ATTENTION,), head.norm.weight, head.norm.bias
    )
    return (found_LW * head.outputs_LW).sum(dim=-1) + head.bias_L


def test_fused_attention_is_the_plain_formula_forward_and_backward(head, hidden_TD):
    leaves = [hidden_TD.clone().requires_grad_() for _ in range(2)]
    fused_BL = head(leaves[0], Segments.of(LENGTHS))
    plain_BL = torch.stack([plain(head, hidden_SD) for hidden_SD in leaves[1].split(LENGTHS)])
    torch.testing.assert_close(fused_BL, plain_BL, rtol=0, atol=1e-5)
    gradients = []
    for logits_BL in (fused_BL, plain_BL):
        head.zero_grad()
        logits_BL.square().sum().backward()
        gradients.append([weight.grad.clone() for weight in head.parameters()])
    for fused, expected in zip(
        [leaves[0].grad, *gradients[0]], [leaves[1].grad, *gradients[1]], strict=True
    ):
        torch.testing.assert_close(fused, expected, rtol=1e-4, atol=1e-5)


def test_other_documents_change_nothing(head, hidden_TD):
    others = hidden_TD.clone()
    others[7:] = float("nan")
    logits_BL = head(others, Segments.of(LENGTHS))
    torch.testing.assert_close(logits_BL[0], head(hidden_TD, Segments.of(LENGTHS))[0])


def test_half_precision_states_give_float32(head, hidden_TD):
    with torch.autocast("cpu", torch.bfloat16):
        logits_BL = head(hidden_TD.bfloat16(), Segments.of(LENGTHS))
    assert logits_BL.dtype == torch.float32
    torch.testing.assert_close(logits_BL, head(hidden_TD.bfloat16().float(), Segments.of(LENGTHS)))


def test_the_weights_of_a_document_are_what_its_values_are_summed_with(head, hidden_TD):
    hidden_SD = hidden_TD[:7]
    weights_LS = head.attention_weights(hidden_SD)
    assert weights_LS.shape == (LABELS, 7)
    torch.testing.assert_close(weights_LS.sum(dim=1), torch.ones(LABELS))
    found_BLW = attend(
        head.queries_LW, head.key(hidden_SD), head.value(hidden_SD), Segments.of((7,))
    )
    torch.testing.assert_close(weights_LS @ head.value(hidden_SD), found_BLW[0])


def test_a_code_that_starts_from_its_description_looks_for_it(head):
    torch.manual_seed(2)
    descriptions_LD = torch.randn(LABELS, WIDTH) * 3
    head.start_from_descriptions(descriptions_LD, torch.ones(LABELS, dtype=torch.bool))
    weights_LS = head.attention_weights(descriptions_LD)
    assert weights_LS.argmax(dim=1).tolist() == list(range(LABELS))
    logits_BL = head(descriptions_LD, Segments.of((1,) * LABELS))
    assert (logits_BL.argmax(dim=1) == torch.arange(LABELS)).float().mean() > 0.7


def test_keys_and_values_start_on_the_leading_directions_of_the_descriptions(head):
    torch.manual_seed(3)
    descriptions_LD = torch.randn(LABELS, WIDTH)
    head.start_from_descriptions(descriptions_LD, torch.ones(LABELS, dtype=torch.bool))
    left = descriptions_LD - descriptions_LD @ head.key.weight.T @ head.key.weight
    singular = torch.linalg.svdvals(descriptions_LD)
    assert left.square().sum().item() == pytest.approx(
        singular[ATTENTION:].square().sum().item(), rel=1e-4
    )
    assert torch.equal(head.key.weight, head.value.weight)


def test_a_code_without_a_description_starts_as_strong_as_the_others(head):
    known_L = torch.arange(LABELS) < 6
    descriptions_LD = torch.randn(LABELS, WIDTH) * known_L[:, None]
    head.start_from_descriptions(descriptions_LD, known_L)
    lengths = head.queries_LW.norm(dim=1)
    assert lengths[6:].tolist() == pytest.approx([lengths[:6].mean().item()] * 5, rel=1e-4)
    assert head.outputs_LW.isfinite().all()
    # Six descriptions have six directions; the other two are zero.
    assert (head.key.weight.norm(dim=1) > 0).sum() == 6
