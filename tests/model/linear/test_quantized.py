"""Layers with 8-bit and 4-bit weights multiply the weight that they stand for."""

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from icdcli.model.linear.layers import use_fast_layers
from icdcli.model.linear.quantized import dequantizer

bitsandbytes = pytest.importorskip("bitsandbytes")

WIDTH, OUT = 64, 128


def quantized(bit: int, bias: bool = True) -> tuple[nn.Linear, nn.Module]:
    """Return a layer and the same with quantized weights, which computes as ours do."""
    torch.manual_seed(bit)
    plain = nn.Linear(WIDTH, OUT, bias=bias)
    layers = bitsandbytes.nn
    layer = (
        layers.Linear8bitLt(WIDTH, OUT, bias=bias, has_fp16_weights=False)
        if bit == 8
        else layers.Linear4bit(WIDTH, OUT, bias=bias, quant_type="nf4")
    )
    layer.load_state_dict(plain.state_dict())
    layer = layer.to("cpu")
    layer.requires_grad_(False)
    stack = nn.Sequential(layer)
    use_fast_layers(stack, quantized=True)
    return plain, stack[0]


@pytest.mark.parametrize(("bit", "error"), [(8, 0.01), (4, 0.12)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weight_is_restored_to_its_precision(bit, error, dtype):
    plain, layer = quantized(bit)
    for _ in range(2):  # again after the first pass, which moves 8-bit weights
        restore = dequantizer(layer, dtype)
        assert restore is not None
        weight_OI = restore()
        assert weight_OI.shape == (OUT, WIDTH) and weight_OI.dtype == dtype
        assert (weight_OI - plain.weight).norm() < error * plain.weight.norm()
        layer(torch.randn(1, WIDTH))


def test_an_8_bit_weight_is_rounded_once():
    _, layer = quantized(8)
    exact = dequantizer(layer, torch.float32)()
    assert torch.equal(dequantizer(layer, torch.bfloat16)(), exact.bfloat16())


def test_other_layers_are_not_quantized():
    assert dequantizer(nn.Linear(4, 4), torch.float32) is None


@pytest.mark.parametrize("bit", [8, 4])
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradient_are_those_of_the_restored_weight(bit, bias):
    _, layer = quantized(bit, bias)
    weight_OI = dequantizer(layer, torch.float32)()
    x = torch.randn(2, 3, WIDTH, requires_grad=True)
    expected = nn.functional.linear(x, weight_OI, layer.bias)
    (wanted,) = torch.autograd.grad(expected.square().sum(), x)
    found = layer(x)
    (gradient,) = torch.autograd.grad(found.square().sum(), x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, wanted)
    with torch.inference_mode():
        assert torch.equal(layer(x), found)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@pytest.mark.parametrize("bit", [8, 4])
def test_a_document_does_not_depend_on_its_neighbors(bit):
    # LLM.int8 separates the columns that are large in any row of the input.
    _, layer = quantized(bit)
    x = torch.randn(5, WIDTH)
    beside = torch.cat([x, 100 * torch.randn(1, WIDTH)])
    torch.testing.assert_close(layer(beside)[:5], layer(x))


@pytest.mark.parametrize("bit", [8, 4])
def test_the_restored_weight_is_not_kept_for_the_backward_pass(bit):
    _, layer = quantized(bit)
    kept = []
    x = torch.randn(4, WIDTH, requires_grad=True)
    with saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        layer(x)
    assert kept == [x.shape]
