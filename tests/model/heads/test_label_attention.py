import pytest
import torch
from torch.nn import functional
from transformers import AutoModel

from icdcli.model.batch import Segments
from icdcli.model.heads import label_attention, split_attention
from icdcli.model.heads.assertion_terms import CLASSES
from icdcli.model.heads.label_attention import LabelAttention, attend
from icdcli.model.network import build_network
from icdcli.model.section import ModelConfig

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


@pytest.fixture
def with_classes(head):
    torch.manual_seed(4)
    head.learn_classes(CLASSES)
    for term in (head.class_scores, head.class_logits):
        for weight in term.parameters():
            torch.nn.init.normal_(weight, std=0.1)
    return head


def results(head, hidden_TD, labels=None, shares_TA=None):
    """Return the logits and all gradients of one pass."""
    head.zero_grad()
    leaf = hidden_TD.clone().requires_grad_()
    logits_BL = head(leaf, Segments.of(LENGTHS), labels, shares_TA)
    logits_BL.square().sum().backward()
    return [logits_BL.detach(), leaf.grad, *(w.grad for w in head.parameters())]


def shares_of(hidden_TD):
    torch.manual_seed(5)
    return torch.rand(len(hidden_TD), 1 + len(CLASSES)).softmax(dim=1)


@pytest.mark.parametrize("labels", [None, torch.tensor([9, 0, 4])])
@pytest.mark.parametrize("scores", [1, 9, 2**24])
def test_split_products_are_the_float32_head(with_classes, hidden_TD, monkeypatch, labels, scores):
    head, shares_TA = with_classes, shares_of(hidden_TD)
    expected = results(head, hidden_TD, labels, shares_TA)
    asked = []
    monkeypatch.setattr(label_attention, "is_fast", lambda device: asked.append(device) or True)
    monkeypatch.setattr(split_attention, "SCORES", scores)
    assert_same_bits(results(head, hidden_TD, labels, shares_TA), expected)
    assert not asked  # float32, as with bit: 32
    head.half_precision = True
    found = results(head, hidden_TD, labels, shares_TA)
    assert asked
    assert any(not torch.equal(*pair) for pair in zip(found, expected, strict=True))
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-4)
    for gradient, correct in zip(found[1:], expected[1:], strict=True):
        assert (gradient - correct).norm() <= 1e-4 * correct.norm() + 1e-5


def assert_same_bits(found, expected):
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("sharpness", [1, 8])
def test_split_products_have_float32_scores_however_sharp_the_attention_is(sharpness):
    torch.manual_seed(6)
    queries_LW, keys_TW, values_TW = (torch.randn(n, 64) for n in (50, 300, 300))
    queries_LW *= sharpness
    parts = [part.double() for part in (queries_LW, keys_TW, values_TW)]
    exact_BLW = attend(*parts, Segments.of((300,)))

    def error(found_BLW):
        return (found_BLW - exact_BLW).abs().max().item()

    split_BLW = attend(queries_LW, keys_TW, values_TW, Segments.of((300,)), split=True)
    half = [part.bfloat16().float() for part in (queries_LW, keys_TW, values_TW)]
    assert error(split_BLW) < 1e-3
    assert error(split_BLW) < error(attend(*half, Segments.of((300,)))) / 30


def test_few_scores_are_in_memory_at_a_time(monkeypatch):
    sizes, scores = [], split_attention._scores

    def noted(queries, keys):
        found = scores(queries, keys)
        sizes.append(found.numel())
        return found

    monkeypatch.setattr(split_attention, "_scores", noted)
    monkeypatch.setattr(split_attention, "SCORES", 700)
    queries_LW, states_TW = torch.randn(101, 8, requires_grad=True), torch.randn(60, 8)
    attend(queries_LW, states_TW, states_TW, Segments.of((10, 50)), split=True).sum().backward()
    assert max(sizes) <= 700
    assert sum(sizes) == 2 * 101 * 60  # the backward pass computes them again
    assert len(sizes) == 2 * (2 + 8)


def test_only_gpus_with_fast_half_precision_split():
    assert not split_attention.is_fast(torch.device("cpu"))


def test_the_setting_of_tf32_is_as_before():
    before = torch.backends.cuda.matmul.allow_tf32
    with pytest.raises(RuntimeError), split_attention._tf32(not before):
        assert torch.backends.cuda.matmul.allow_tf32 is not before
        raise RuntimeError
    assert torch.backends.cuda.matmul.allow_tf32 is before


def test_a_linear_layer_with_fast_gradients_is_the_layer():
    torch.manual_seed(7)
    layer, states_TD = torch.nn.Linear(6, 3), torch.randn(5, 6)
    found = []
    for call in (layer, lambda states: split_attention.linear(states, layer.weight, layer.bias)):
        for frozen in (False, True):
            layer.zero_grad()
            leaf = states_TD.clone().requires_grad_(not frozen)
            result_TW = call(leaf)
            result_TW.square().sum().backward()
            found.append([result_TW, layer.weight.grad, layer.bias.grad, leaf.grad])
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found[1][:3], found[3][:3])
    assert found[3][3] is None


@pytest.mark.parametrize("split", [False, True])
def test_a_part_of_the_codes_at_a_time_changes_nothing(with_classes, hidden_TD, monkeypatch, split):
    head, shares_TA = with_classes.train(), shares_of(hidden_TD)
    head.dropout.p = 0.0
    head.half_precision = split
    monkeypatch.setattr(label_attention, "is_fast", lambda device: True)
    expected = results(head, hidden_TD, None, shares_TA)
    sizes = []
    head.norm.register_forward_hook(lambda _, inputs, output: sizes.append(output.numel()))
    monkeypatch.setattr(label_attention, "FOUND", 3 * ATTENTION * len(LENGTHS))
    found = results(head, hidden_TD, None, shares_TA)
    assert len(sizes) == 2 * 4  # forward, and again for the gradients
    assert max(sizes) <= 3 * ATTENTION * len(LENGTHS)
    for gradient, correct in zip(found, expected, strict=True):
        torch.testing.assert_close(gradient, correct)
    with torch.inference_mode():
        sizes.clear()
        logits_BL = head(hidden_TD, Segments.of(LENGTHS), None, shares_TA)
    assert len(sizes) == 4
    torch.testing.assert_close(logits_BL, expected[0])


def test_dropout_is_drawn_once_for_forward_and_backward(head, hidden_TD, monkeypatch):
    monkeypatch.setattr(label_attention, "FOUND", 3 * ATTENTION * len(LENGTHS))
    head.train()
    step = 1e-3
    torch.manual_seed(8)
    _, _, *gradients = results(head, hidden_TD)
    losses = []
    for sign in (1, -1):
        with torch.no_grad():
            head.outputs_LW += sign * step
        torch.manual_seed(8)
        losses.append(head(hidden_TD, Segments.of(LENGTHS)).square().sum().item())
        with torch.no_grad():
            head.outputs_LW -= sign * step
    by_name = dict(zip([name for name, _ in head.named_parameters()], gradients, strict=True))
    slope = (losses[0] - losses[1]) / (2 * step)
    assert by_name["outputs_LW"].sum().item() == pytest.approx(slope, rel=1e-2)


@pytest.mark.parametrize(("bit", "half"), [(32, False), (16, True)])
def test_the_head_knows_in_which_precision_the_backbone_computes(model_folders, bit, half):
    backbone = AutoModel.from_pretrained(model_folders["bert"])
    config = ModelConfig(bit=bit, pooling_mode="label_attention", label_width=8)
    network = build_network(config, backbone, LABELS)
    assert network.head.half_precision is half
