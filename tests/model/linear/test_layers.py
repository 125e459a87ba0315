"""Layers with adapters compute what peft computes, and keep less for the backward pass."""

import copy

import peft
import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from icdcli.model.linear.layers import use_fast_layers

WIDTH, OUT, RANK = 24, 40, 4


class Net(nn.Module):
    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, OUT, bias=bias)
        self.second = nn.Linear(OUT, WIDTH, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(torch.tanh(self.first(x)))


def pair(adapters=1, bias=True, dropout=0.0, dtype=torch.float32, **lora):
    """Return a model with peft's layers and a copy with ours; only the last adapter is trained."""
    torch.manual_seed(0)
    shape = {
        "r": RANK, "lora_alpha": 6, "lora_dropout": dropout, "target_modules": ["first", "second"],
    } | lora  # fmt: skip
    plain = peft.get_peft_model(Net(bias).to(dtype), peft.LoraConfig(**shape), "a0")
    for number in range(1, adapters):
        plain.add_adapter(f"a{number}", peft.LoraConfig(**shape))
    plain.base_model.set_adapter([f"a{number}" for number in range(adapters)])
    for name, weight in plain.named_parameters():
        if "lora_" in name:
            nn.init.normal_(weight, std=0.3)
        weight.requires_grad_(f".a{adapters - 1}." in name)
    fast = copy.deepcopy(plain)
    use_fast_layers(fast, quantized=False)
    return plain, fast


def run(model, x, seed=1):
    """Return the output and the gradients of the input and the trained weights."""
    torch.manual_seed(seed)
    x = x.clone().requires_grad_()
    output = model(x)
    (output.float() * torch.linspace(-1, 1, WIDTH)).sum().backward()
    trained = {n: w.grad for n, w in model.named_parameters() if w.requires_grad}
    assert all(w.grad is None for w in model.parameters() if not w.requires_grad)
    return output.detach(), {"x": x.grad, **trained}


def distance(found, expected):
    return float((found.float() - expected.float()).norm() / expected.float().norm())


def assert_equal(plain, fast, x):
    output, gradients = run(plain, x)
    own_output, own_gradients = run(fast, x)
    assert distance(own_output, output) < 1e-6
    assert own_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        assert distance(own_gradients[name], gradient) < 1e-6, name


@pytest.mark.parametrize("adapters", [1, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (2, 3, 5)])
def test_outputs_and_gradients_are_those_of_peft(adapters, bias, shape):
    x = torch.randn(*shape, WIDTH, generator=torch.Generator().manual_seed(3))
    assert_equal(*pair(adapters, bias), x)


@pytest.mark.parametrize("adapters", [1, 2])
def test_dropout_draws_the_same_numbers(adapters):
    plain, fast = pair(adapters, dropout=0.4)
    x = torch.randn(1, 9, WIDTH)
    assert_equal(plain, fast, x)
    assert not torch.equal(run(fast, x, seed=1)[0], run(fast, x, seed=2)[0])
    assert torch.equal(run(fast.eval(), x, seed=1)[0], run(fast.eval(), x, seed=2)[0])


def test_rank_stabilized_scaling_and_trained_bases():
    plain, fast = pair(use_rslora=True)
    for model in (plain, fast):
        for name, weight in model.named_parameters():
            weight.requires_grad_("first.base_layer" in name or weight.requires_grad)
    assert_equal(plain, fast, torch.randn(1, 9, WIDTH))


@pytest.mark.parametrize("how", ["disabled", "merged", "another adapter", "DoRA"])
def test_peft_computes_what_is_no_plain_sum(how):
    plain, fast = pair(2, use_dora=how == "DoRA")
    x = torch.randn(1, 5, WIDTH)
    with torch.inference_mode():
        before = fast(x)
        if how == "merged":
            plain.merge_adapter()
            fast.merge_adapter()
        if how == "another adapter":
            plain.set_adapter("a0")
            fast.set_adapter("a0")
        if how == "disabled":
            with plain.disable_adapter(), fast.disable_adapter():
                found, expected = fast(x), plain(x)
        else:
            found, expected = fast(x), plain(x)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert torch.allclose(before, found, atol=1e-5) == (how in ("merged", "DoRA"))


def test_half_precision_is_as_close_to_the_exact_result_as_peft():
    exact, _ = pair(2)
    plain, fast = pair(2)
    x = torch.randn(1, 64, WIDTH)
    for model in (plain, fast):  # the base in bfloat16, trained adapters in float32
        for module in model.modules():
            if isinstance(module, LoraLayer):
                module.base_layer.to(torch.bfloat16)
    _, expected = run(exact, x)
    with torch.autocast("cpu", torch.bfloat16):
        (_, theirs), (output, ours) = run(plain, x), run(fast, x)
    assert output.dtype == torch.bfloat16
    for name, gradient in expected.items():
        assert ours[name].dtype == torch.float32
        assert distance(ours[name], gradient) < 1.1 * distance(theirs[name], gradient)


def kept(model, x):
    """Return the tensors that a forward pass keeps for the backward pass."""
    tensors = []
    with saved_tensors_hooks(lambda t: tensors.append(t) or t, lambda t: t):
        model(x)
    return tensors


def test_no_copy_of_the_input_is_made():
    plain, fast = pair(1)
    x = torch.randn(1, 64, WIDTH, dtype=torch.bfloat16)
    inputs = {}
    for name, model in (("peft", plain), ("ours", fast)):
        layer = model.base_model.model.first
        layer.base_layer.to(torch.bfloat16)
        with torch.autocast("cpu", torch.bfloat16):
            inputs[name] = [t.data_ptr() for t in kept(layer, x) if t.numel() == x.numel()]
    assert inputs["ours"] == [x.data_ptr()]
    assert inputs["peft"] != [x.data_ptr()]


def test_gradients_agree_with_finite_differences():
    _, fast = pair(2, dtype=torch.float64)
    for weight in fast.parameters():
        weight.data = weight.data.double()
    layer = fast.base_model.model.first
    x = torch.randn(2, 3, WIDTH, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))


def test_weights_keep_their_names():
    plain, fast = pair(2)
    assert list(fast.state_dict()) == list(plain.state_dict())
    state = peft.get_peft_model_state_dict(fast, adapter_name="a1")
    assert state.keys() == peft.get_peft_model_state_dict(plain, adapter_name="a1").keys()
