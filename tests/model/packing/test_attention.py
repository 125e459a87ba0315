from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import AutoModel, ModernBertConfig, RobertaConfig

from icdcli.data.batching import TokenizedDocument, collate
from icdcli.model.backbone import load_backbone
from icdcli.model.batch import Batch, Segments
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.hub import find_pretrained
from icdcli.model.network import CodingNetwork, build_network
from icdcli.model.packing.attention import packed_attention
from icdcli.model.packing.probe import choose_padding
from icdcli.model.section import ModelConfig
from icdcli.training.memory.recomputation import all_recomputed, recompute

CPU = torch.device("cpu")
DOCUMENTS = [np.arange(5, 5 + length) * 7 % 90 + 5 for length in (11, 8, 8, 8, 3, 1)]
BOTH_WAYS = [
    ("llama", "bidirectional"),
    ("llama", "causal"),
    ("mistral", "bidirectional"),
    ("mistral", "causal"),
    ("bert", "bidirectional"),
]


def network_of(folder, attention="bidirectional", window=None, **options):
    config = ModelConfig(
        **{
            "model": str(folder),
            "bit": 32,
            "max_len": 64,
            "lora_activate": False,
            "attention": attention,
            **options,
        }
    )
    network = build_network(config, load_backbone(config, find_pretrained(config.model), CPU), 7)
    if window is not None:
        network.backbone.config.sliding_window = window
    for name, weight in network.trainable().items():
        if "lora_B" in name:
            torch.nn.init.normal_(
                weight, std=0.1
            )  # zero at first, and then the adapters do nothing
    return network


def made(settings):
    torch.manual_seed(0)
    return CodingNetwork(
        AutoModel.from_config(settings), PooledHead(settings.hidden_size, 7, "mean")
    )


def logits_of(network, documents=DOCUMENTS):
    whole = [TokenizedDocument.whole(ids) for ids in documents]
    return network(Batch.of(collate(whole, 0, network.padding)).to(network.device))


def read_both_ways(network):
    """Return logits and the gradients of trained weights, for padded and packed documents."""
    found = []
    for padding in ("batch", "free"):
        assert choose_padding(network, padding) == padding == network.padding
        network.zero_grad()
        logits_BL = logits_of(network)
        logits_BL.square().sum().backward()
        gradients = {
            name: weight.grad.clone()
            for name, weight in network.trainable().items()
            if weight.grad is not None
        }
        found.append((logits_BL.detach(), gradients))
    return found


def assert_the_same(network):
    (padded_BL, padded), (packed_BL, packed) = read_both_ways(network)
    torch.testing.assert_close(packed_BL, padded_BL, rtol=0, atol=1e-5)
    assert packed.keys() == padded.keys()
    assert len(packed) > 2
    for name, gradient in padded.items():
        assert gradient.any() or name.endswith(("key.bias", "q_proj.lora_A.default.weight")), name
        torch.testing.assert_close(packed[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "direction"), BOTH_WAYS)
@pytest.mark.parametrize("lora", [False, True])
def test_documents_laid_end_to_end_are_read_as_padded_ones(model_folders, name, direction, lora):
    assert_the_same(
        network_of(model_folders[name], direction, lora_activate=lora, lora_dropout=0.0).eval()
    )


@pytest.mark.parametrize(("name", "direction"), BOTH_WAYS)
@pytest.mark.parametrize("lora", [False, True])
def test_gradient_checkpointing_changes_nothing(model_folders, name, direction, lora):
    network = network_of(
        model_folders[name], direction, lora_activate=lora, lora_dropout=0.0
    ).train()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    recompute(network, all_recomputed(network))
    assert_the_same(network)


@pytest.mark.parametrize("pooling_mode", ["mean", "weighted_mean", "bos_token", "eos_token"])
def test_so_they_are_whatever_is_pooled(model_folders, pooling_mode):
    assert_the_same(network_of(model_folders["llama"], pooling_mode=pooling_mode).eval())


@pytest.mark.parametrize("direction", ["bidirectional", "causal"])
@pytest.mark.parametrize("window", [1, 2, 8, 64])
def test_a_sliding_window_is_the_padded_paths(model_folders, direction, window):
    network = network_of(model_folders["mistral"], direction, window)
    assert_the_same(network)
    assert network.backbone.config.sliding_window == window
    through_the_window_BL = logits_of(network)
    network.backbone.config.sliding_window = 64
    assert torch.allclose(logits_of(network), through_the_window_BL, atol=1e-5) == (window == 64)


SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 99,
}


@pytest.mark.parametrize(
    "settings",
    [
        RobertaConfig(**SIZES, pad_token_id=1, max_position_embeddings=32),
        ModernBertConfig(
            **SIZES,
            pad_token_id=0,
            local_attention=6,
            global_attn_every_n_layers=2,
            max_position_embeddings=64,
        ),
    ],
    ids=lambda settings: settings.model_type,
)
def test_positions_and_windows_of_other_encoders(settings):
    assert_the_same(made(settings).eval())


@pytest.mark.parametrize(("name", "direction"), BOTH_WAYS)
def test_a_neighboring_document_changes_nothing(model_folders, name, direction):
    network = network_of(model_folders[name], direction).eval()
    choose_padding(network, "free")
    with torch.inference_mode():
        before_BL = logits_of(network)
        network.backbone.get_input_embeddings().weight[99] = float("nan")
        # The second of three documents of the same length, and the last one.
        changed = [
            np.full_like(ids, 99) if row in (2, 5) else ids for row, ids in enumerate(DOCUMENTS)
        ]
        after_BL = logits_of(network, changed)
    assert after_BL.isfinite().all(dim=1).tolist() == [True, True, False, True, True, False]
    torch.testing.assert_close(after_BL[[0, 1, 3, 4]], before_BL[[0, 1, 3, 4]], rtol=0, atol=1e-6)


def test_a_single_document_is_read_the_same(model_folders):
    network = network_of(model_folders["llama"]).eval()
    choose_padding(network, "free")
    with torch.inference_mode():
        alone_BL = torch.cat([logits_of(network, [ids]) for ids in DOCUMENTS])
        torch.testing.assert_close(logits_of(network), alone_BL, rtol=0, atol=1e-6)


@pytest.mark.parametrize("bit", [4, 8, 16])
def test_it_is_chosen_for_every_bit_width(model_folders, bit):
    if bit in (4, 8):
        pytest.importorskip("bitsandbytes")
    network = network_of(model_folders["llama"], bit=bit, lora_activate=True)
    assert choose_padding(network, "auto") == "free"
    assert logits_of(network).isfinite().all()


def test_dropout_of_attention_is_honoured(model_folders):
    network = network_of(model_folders["llama"]).train()
    for module in network.modules():
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.5
    choose_padding(network, "free")

    def drawn(seed):
        torch.manual_seed(seed)
        return logits_of(network)

    assert torch.equal(drawn(0), drawn(0))
    assert not torch.allclose(drawn(0), drawn(1))
    assert torch.equal(logits_of(network.eval()), logits_of(network))


def test_what_the_attention_cannot_do_is_an_error():
    module = SimpleNamespace(is_causal=False, config=SimpleNamespace())
    states = torch.randn(1, 2, 4, 8)
    segments = Segments.of((3, 1))
    assert packed_attention(module, states, states, states, None, segments=segments)[0].shape == (
        1,
        4,
        2,
        8,
    )
    with pytest.raises(ValueError, match="no mask"):
        packed_attention(module, states, states, states, torch.ones(1, 4), segments=segments)
    with pytest.raises(ValueError, match="their borders"):
        packed_attention(module, states, states, states, None)
    with pytest.raises(ValueError, match="softcap"):
        packed_attention(module, states, states, states, None, segments=segments, softcap=50.0)
