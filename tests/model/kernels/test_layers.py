import copy
import pickle
from dataclasses import replace

import numpy as np
import peft
import pytest
import torch
from torch.nn import functional
from transformers import (
    AutoModel,
    Gemma2Config,
    GemmaConfig,
    GlmConfig,
    LlamaConfig,
    MistralConfig,
    ModernBertConfig,
    Olmo2Config,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
)

from icdcli.data.batching import TokenizedDocument, collate
from icdcli.model.batch import Batch
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.kernels.choice import choose_kernels
from icdcli.model.kernels.functions import LayerFunctions, liger_functions
from icdcli.model.linear.layers import use_fast_layers
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding
from icdcli.training.memory.recomputation import all_recomputed, recompute

ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 99,
    "pad_token_id": 0,
    "max_position_embeddings": 64,
}
SIZES = ENCODER | {
    "num_key_value_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`")  # by peft
ALL = ("RMSNorm", "activation", "rotation")


class RMSNorm(torch.autograd.Function):
    """An implementation with the habits of a fused kernel, independent of the tested package."""

    @staticmethod
    def forward(ctx, x, weight, epsilon, addend, casting):
        scale = torch.rsqrt((x.float() ** 2).mean(-1, keepdim=True) + epsilon)
        ctx.save_for_backward(x, weight, scale)
        ctx.addend = addend
        if casting == "llama":
            return (x.float() * scale).to(x.dtype) * (weight + addend).to(x.dtype)
        return (x.float() * scale * (weight.float() + addend)).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight, scale = ctx.saved_tensors
        normed = x.float() * scale
        inner = grad.float() * (weight.float() + ctx.addend)
        back = scale * (inner - normed * (inner * normed).mean(-1, keepdim=True))
        by_weight = (grad.float() * normed).flatten(0, -2).sum(0).to(weight.dtype)
        return back.to(x.dtype), by_weight, None, None, None


class SiLUProduct(torch.autograd.Function):
    """SiLU(gate) · up, whose backward pass writes over its inputs, as Liger's does."""

    @staticmethod
    def forward(ctx, gate, up):
        gate, up = gate.contiguous(), up.contiguous()
        ctx.save_for_backward(gate, up)
        return functional.silu(gate) * up

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        half = torch.sigmoid(gate.float())
        by_up = (grad * gate.float() * half).to(up.dtype)
        by_gate = (grad * up * (half + gate.float() * half * (1 - half))).to(gate.dtype)
        gate.data.copy_(by_gate)
        up.data.copy_(by_up)
        return gate, up


class Rotate(torch.autograd.Function):
    """Rotation that writes over query and key, and over their gradients, as Liger's does."""

    @staticmethod
    def turned(states, cos, sin):
        states = states.transpose(1, 2).contiguous().transpose(1, 2)
        width = cos.shape[-1] // 2
        left, right = states[..., :width].clone(), states[..., width : 2 * width].clone()
        cos, sin = cos[:, None, :, :width], sin[:, None, :, :width]
        states.data[..., :width] = left * cos - right * sin
        states.data[..., width : 2 * width] = right * cos + left * sin
        return states

    @staticmethod
    def forward(ctx, query, key, cos, sin):
        ctx.save_for_backward(cos, sin)
        return Rotate.turned(query, cos, sin), Rotate.turned(key, cos, sin)

    @staticmethod
    def backward(ctx, *grads):
        cos, sin = ctx.saved_tensors
        return (*(Rotate.turned(grad, cos, -sin) for grad in grads), None, None)


def gelu_product(gate, up):
    inner = 0.7978845608028654 * (gate + 0.044715 * gate**3)
    return 0.5 * gate * (1 + torch.tanh(inner)) * up


FUSED = LayerFunctions(RMSNorm.apply, SiLUProduct.apply, gelu_product, Rotate.apply)


def network_of(settings, autocast=None, adapters=False, trained=True):
    torch.manual_seed(0)
    backbone = AutoModel.from_config(copy.deepcopy(settings))
    for name, weight in backbone.named_parameters():
        if "norm" in name:
            torch.nn.init.normal_(weight, 0.5, 0.3)
    if adapters:
        lora = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
        backbone = peft.get_peft_model(backbone, lora)
        use_fast_layers(backbone, False)
    network = CodingNetwork(backbone, PooledHead(32, 3, "mean"), autocast)
    network.warnings = []
    network.on_warning = network.warnings.append
    if not trained:
        network.requires_grad_(False)
    choose_padding(network, "auto")
    return network


def fused(network, wanted="auto", functions=FUSED):
    return choose_kernels(network, wanted, lambda: functions, "cpu")


def batch_of(network):
    documents = [np.arange(5, 16), np.arange(30, 37), np.arange(60, 71)]
    return Batch.of(
        collate([TokenizedDocument.whole(ids) for ids in documents], 0, network.padding)
    )


def results(network):
    """Return the logits and all gradients of a training step."""
    network.train().zero_grad()
    logits_BL = network(batch_of(network))
    (logits_BL * torch.tensor([1.0, -2.0, 0.5])).sum().backward()
    gradients = {n: w.grad.clone() for n, w in network.named_parameters() if w.grad is not None}
    return {"logits": logits_BL.detach(), **gradients}


def errors_of(found, expected):
    assert found.keys() == expected.keys()
    return {
        name: float((found[name] - values).norm() / (values.norm() + 1e-9))
        for name, values in expected.items()
    }


def assert_near(found, expected, most):
    errors = errors_of(found, expected)
    assert max(errors.values()) <= most, errors


ARCHITECTURES = {
    "llama": (LlamaConfig(**SIZES), ALL),
    "mistral": (MistralConfig(**SIZES, sliding_window=4), ALL),
    "qwen2": (Qwen2Config(**SIZES), ALL),
    "qwen3": (Qwen3Config(**SIZES, head_dim=8), ALL),
    "gemma": (GemmaConfig(**SIZES, head_dim=8), ALL),
    "gemma2": (Gemma2Config(**SIZES, head_dim=8), ALL),  # padded: it can't be packed
    "phi3": (Phi3Config(**SIZES), ALL),
    "phi3, half of it rotated": (Phi3Config(**SIZES, partial_rotary_factor=0.5), ALL),
    "olmo2": (Olmo2Config(**SIZES), ALL),
    "glm, which rotates pairs": (GlmConfig(**SIZES, head_dim=8), ("RMSNorm", "activation")),
    "modernbert": (ModernBertConfig(**ENCODER, cls_token_id=1, sep_token_id=2), ("rotation",)),
}


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("adapters", [False, True], ids=["full", "adapters"])
def test_a_fused_network_computes_the_same(name, adapters):
    settings, pieces = ARCHITECTURES[name]
    plain, fast = network_of(settings, adapters=adapters), network_of(settings, adapters=adapters)
    assert fused(fast) == tuple(fast.fused) == pieces
    assert fast.warnings == []
    assert_near(results(fast), results(plain), 2e-5)


@pytest.mark.parametrize(
    "name", ["llama", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gemma", "phi3"))]
)
def test_so_it_does_in_half_precision_and_with_recomputation(name):
    settings, pieces = ARCHITECTURES[name]
    exact = results(network_of(settings, adapters=True))
    plain, fast = (network_of(settings, torch.bfloat16, adapters=True) for _ in range(2))
    assert fused(fast) == pieces
    rounding, errors = errors_of(results(plain), exact), errors_of(results(fast), exact)
    assert all(errors[key] <= 1.2 * rounding[key] + 0.005 for key in errors)
    network = network_of(settings, adapters=True)
    recompute(network, all_recomputed(network))
    assert fused(network) == pieces
    assert_near(results(network), exact, 2e-5)


def test_every_layer_of_a_kind_is_fused():
    network = network_of(Qwen3Config(**SIZES, head_dim=8))
    fused(network)
    counts = {piece: len(layers) for piece, layers in network.fused.items()}
    assert counts == {"RMSNorm": 2 * 4 + 1, "activation": 2, "rotation": 2}


def test_other_networks_and_the_library_are_untouched():
    settings = LlamaConfig(**SIZES)
    other, network = network_of(settings), network_of(settings)
    layer = other.backbone.layers[0]
    before = {type(module): type(module).forward for module in other.backbone.modules()}
    names = dict(vars(__import__(type(layer).__module__, fromlist=["_"])))
    expected = results(other)
    fused(network)
    assert {type(module): type(module).forward for module in other.backbone.modules()} == before
    assert dict(vars(__import__(type(layer).__module__, fromlist=["_"]))) == names
    assert all(torch.equal(value, expected[name]) for name, value in results(other).items())
    later = network_of(settings)
    assert {type(module) for module in later.backbone.modules()} == set(before)


def test_weights_names_and_files_are_those_of_the_plain_network(tmp_path):
    settings = LlamaConfig(**SIZES)
    plain, network = network_of(settings, adapters=True), network_of(settings, adapters=True)
    fused(network)
    own = network.state_dict()
    assert own.keys() == plain.state_dict().keys()
    assert all(torch.equal(value, own[name]) for name, value in plain.state_dict().items())
    plain.backbone.save_pretrained(tmp_path / "plain")
    network.backbone.save_pretrained(tmp_path / "fused")
    files = sorted(path.name for path in (tmp_path / "plain").iterdir())
    assert sorted(path.name for path in (tmp_path / "fused").iterdir()) == files
    for name in files:
        assert (tmp_path / "fused" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert repr(network.backbone) == repr(plain.backbone)


def test_copies_and_pickles_are_plain():
    settings = LlamaConfig(**SIZES)
    plain, network = network_of(settings), network_of(settings)
    fused(network)
    network.on_warning = print
    kinds = [type(module) for module in plain.backbone.modules()]
    for again in (copy.deepcopy(network.backbone), pickle.loads(pickle.dumps(network.backbone))):
        assert [type(module) for module in again.modules()] == kinds
        network.backbone = again
        assert_near(results(network), results(plain), 0)


def test_evidence_may_go_back_twice():
    # A fused activation overwrites what its backward pass needs.
    network = network_of(LlamaConfig(**SIZES), trained=False)
    plain = network_of(LlamaConfig(**SIZES), trained=False)
    assert fused(network) == ALL

    def gradients(network):
        network.eval()
        caught = []
        network.backbone.embed_tokens.register_forward_hook(
            lambda module, inputs, output: caught.append(output.requires_grad_())
        )
        logits_BL = network(batch_of(network))
        return [
            torch.autograd.grad(logits_BL[0, label], caught[0], retain_graph=True)[0]
            for label in range(3)
        ]

    for found, expected in zip(gradients(network), gradients(plain), strict=True):
        assert torch.allclose(found, expected, atol=1e-6, rtol=1e-4)


WRONG = {
    "RMSNorm": {"rms_norm": lambda x, w, e, a, c: RMSNorm.apply(x, w, 1e-2, a, c)},
    "activation": {
        "silu_product": lambda gate, up: functional.gelu(gate) * up,
        "gelu_product": lambda gate, up: functional.gelu(gate) * up,
    },
    "rotation": {"rotate": lambda q, k, cos, sin: Rotate.apply(q, k, cos, -sin)},
}


class WithoutGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, gate, up):
        return functional.silu(gate) * up

    @staticmethod
    def backward(ctx, grad):
        return grad, grad


@pytest.mark.parametrize("settings", [LlamaConfig(**SIZES), GemmaConfig(**SIZES, head_dim=8)])
@pytest.mark.parametrize("piece", WRONG)
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_a_wrong_function_is_left_out_with_one_note(settings, piece, autocast):
    plain, network = network_of(settings, autocast), network_of(settings, autocast)
    rest = tuple(name for name in ALL if name != piece)
    assert fused(network, functions=replace(FUSED, **WRONG[piece])) == rest
    [note] = network.warnings
    assert note.startswith(f"not all layers are fused: {piece}: the {piece} differs by ")
    if autocast is None:
        assert_near(results(network), results(plain), 2e-5)


def test_a_wrong_gradient_is_found():
    network = network_of(LlamaConfig(**SIZES))
    assert fused(network, functions=replace(FUSED, silu_product=WithoutGradient.apply)) == (
        "RMSNorm",
        "rotation",
    )


def test_functions_that_fail_only_in_the_network_are_found():
    def only_small(gate, up):
        if gate.shape[-1] != 48:  # the width of the trial outside of the network
            raise RuntimeError("CUDA error: too many resources\nmore lines")
        return SiLUProduct.apply(gate, up)

    network, calls = network_of(LlamaConfig(**SIZES)), []
    assert fused(network, functions=replace(FUSED, silu_product=only_small)) == (
        "RMSNorm",
        "rotation",
    )
    assert network.warnings == [
        "not all layers are fused: activation: CUDA error: too many resources"
    ]

    def late(query, key, cos, sin):
        calls.append(len(query))
        return Rotate.apply(query, key, cos * (1 if query.shape[-2] == 5 else 1.5), sin)

    network = network_of(LlamaConfig(**SIZES))
    assert fused(network, functions=replace(FUSED, rotate=late)) == ("RMSNorm", "activation")
    assert network.warnings[0].endswith("% from those of plain layers")
    assert calls


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
def test_the_real_kernels_pass_the_trial(name, autocast):
    pytest.importorskip("liger_kernel")
    settings, pieces = ARCHITECTURES[name]
    network = network_of(settings, autocast).cuda()
    assert choose_kernels(network, "liger", liger_functions) == pieces
    assert network.warnings == []
