import pytest
import torch
from transformers import AutoModel, BertConfig, LlamaConfig

from icdcli.errors import ConfigError
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.kernels.choice import choose_kernels
from icdcli.model.kernels.functions import PLAIN, LayerFunctions
from icdcli.model.network import CodingNetwork

ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 99,
    "pad_token_id": 0,
    "max_position_embeddings": 64,
}
SIZES = ENCODER | {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
ALL = ("RMSNorm", "activation", "rotation")


def network_of(settings, trained=True):
    network = CodingNetwork(AutoModel.from_config(settings), PooledHead(32, 3, "mean"))
    network.warnings = []
    network.on_warning = network.warnings.append
    return network if trained else network.requires_grad_(False)


def fused(network, wanted="auto", functions=PLAIN):
    return choose_kernels(network, wanted, lambda: functions, "cpu")


def test_an_encoder_without_such_layers_has_nothing_to_fuse():
    network = network_of(BertConfig(**ENCODER))
    assert fused(network) == ()
    assert network.warnings == []
    with pytest.raises(ConfigError) as caught:
        fused(network, "liger")
    assert str(caught.value) == (
        "kernels: liger: this architecture (bert) can't use fused layers: it has none of the "
        "layers that Liger computes. Set kernels: auto."
    )


def test_none_and_a_second_choice_restore_the_plain_layers():
    network = network_of(LlamaConfig(**SIZES))
    kinds = [type(module) for module in network.backbone.modules()]
    assert fused(network) == fused(network) == ALL
    assert fused(network, "none") == ()
    assert [type(module) for module in network.backbone.modules()] == kinds


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_trial_leaves_no_trace(training, trained):
    network = network_of(LlamaConfig(**SIZES), trained=trained).train(training)
    modes = [module.training for module in network.modules()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    fused(network)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.modules()] == modes
    assert all(weight.grad is None for weight in network.parameters())
    assert not network.backbone.embed_tokens._forward_hooks


def missing():
    raise ModuleNotFoundError("No module named 'liger_kernel'", name="liger_kernel")


def old():
    raise AttributeError("module 'liger_kernel.ops.rope' has no attribute 'LigerRopeFunction'")


def test_without_a_gpu_nothing_is_fused():
    network = network_of(LlamaConfig(**SIZES))
    assert choose_kernels(network, "auto", missing) == ()
    assert network.warnings == []
    with pytest.raises(ConfigError, match="needs an NVIDIA or AMD GPU, and this run computes on"):
        choose_kernels(network, "liger", missing)


@pytest.mark.parametrize(
    ("load", "problem", "remedy"),
    [
        (missing, "the package liger-kernel is not installed", "pip install 'icdcode[gpu]'"),
        (
            old,
            "the installed package liger-kernel can't be used (module 'liger_kernel.ops.rope' has "
            "no attribute 'LigerRopeFunction')",
            "pip install --upgrade 'icdcode[gpu]'",
        ),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(load, problem, remedy):
    network = network_of(LlamaConfig(**SIZES))
    assert choose_kernels(network, "auto", load, "cpu") == ()
    assert network.warnings == [f"{problem}; with it, this model would run faster: {remedy}"]
    with pytest.raises(ConfigError) as caught:
        choose_kernels(network, "liger", load, "cpu")
    assert str(caught.value) == (f"kernels: liger: {problem}. Run {remedy}, or set kernels: auto.")
    encoder = network_of(BertConfig(**ENCODER))
    assert choose_kernels(encoder, "auto", load, "cpu") == ()
    assert encoder.warnings == []


def test_a_demand_fails_if_every_piece_fails():
    def broken(*_):
        raise OSError("no compiler")

    network = network_of(LlamaConfig(**SIZES))
    with pytest.raises(ConfigError, match=r"RMSNorm: no compiler; .*\. Set kernels: auto\.$"):
        fused(network, "liger", LayerFunctions(broken, broken, broken, broken))
    assert network.fused == {}
