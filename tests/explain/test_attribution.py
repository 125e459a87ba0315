import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig

from icdcli.data.batching import Chunks, SpecialTokens, collate
from icdcli.errors import ConfigError
from icdcli.explain import attribution
from icdcli.explain.attribution import attribute
from icdcli.model.backbone import load_backbone
from icdcli.model.batch import Batch
from icdcli.model.heads.label_attention import LabelAttention
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.hub import find_pretrained
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding
from icdcli.model.section import ModelConfig

FRAME = SpecialTokens((1,), (2,), 0)
WIDTH, LABELS = 16, 16  # as many labels as dimensions, to find confusions
ASKED = [3, 5, 5, 15]
CHUNKS = Chunks(20, 12)


class Lookup(torch.nn.Module):
    """A backbone whose hidden states are the embeddings."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(80, WIDTH)
        with torch.no_grad():
            self.table.weight[list(FRAME.prefix + FRAME.suffix)] = 0

    def get_input_embeddings(self):
        return self.table

    def forward(self, input_ids, attention_mask):
        return type("States", (), {"last_hidden_state": self.table(input_ids)})


def bert():
    sizes = {
        "hidden_size": WIDTH,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return AutoModel.from_config(BertConfig(vocab_size=80, **sizes))


def network_of(backbone, head, state_pooling=1):
    torch.manual_seed(0)
    head = (
        LabelAttention(WIDTH, LABELS, 8, 0.2)
        if head == "label_attention"
        else PooledHead(WIDTH, LABELS, head)
    )
    network = CodingNetwork(backbone(), head, state_pooling=state_pooling)
    network.requires_grad_(False)
    return network.eval()


@pytest.fixture
def ids():
    """Return different tokens: each row of the table's gradient then belongs to one position."""
    return np.random.default_rng(0).permutation(np.arange(3, 80))[:57]


def by_the_table(network, ids, label, chunks=None):
    """Return input × gradient of each token, from the gradient of the embedding table."""
    table = network.backbone.get_input_embeddings().weight
    table.requires_grad_(True)
    logits_BL = network(Batch.of(collate([FRAME.read(ids, 100, chunks)], 0, network.padding)))
    (gradient,) = torch.autograd.grad(logits_BL[0, label], table)
    table.requires_grad_(False)
    return (gradient * table)[torch.from_numpy(ids)]


@pytest.mark.parametrize("padding", ["free", "batch"])
@pytest.mark.parametrize("chunks", [None, CHUNKS])
@pytest.mark.parametrize(
    ("head", "state_pooling"), [("label_attention", 4), ("mean", 1), ("eos_token", 1)]
)
def test_input_times_gradient_is_that_of_the_whole_network(
    ids, head, state_pooling, chunks, padding
):
    network = network_of(bert, head, state_pooling)
    choose_padding(network, padding)
    found = attribute(network, FRAME.read(ids, 100, chunks), FRAME, ASKED)
    for row, label in enumerate(ASKED):
        expected_TD = by_the_table(network, ids, label, chunks)
        np.testing.assert_allclose(
            found.norms_KT[row], expected_TD.norm(dim=1), atol=1e-3 * float(expected_TD.norm())
        )
        np.testing.assert_allclose(
            found.products_KT[row], expected_TD.sum(dim=1), atol=1e-3 * float(expected_TD.norm())
        )


def test_attention_counts_if_codes_attend(ids):
    network = network_of(bert, "label_attention", state_pooling=4)
    document = FRAME.read(ids, 100)
    found = attribute(network, document, FRAME, ASKED)
    hidden_TD = network.hidden_states(Batch.of(collate([document], 0, "batch")))
    groups_SD = torch.stack([part.mean(dim=0) for part in hidden_TD.split(4)])
    weights_KS = network.head.attention_weights(groups_SD)[ASKED]
    sizes = [len(part) for part in hidden_TD.split(4)]
    expected_KT = torch.cat(
        [weights_KS[:, [place]].expand(-1, size) / size for place, size in enumerate(sizes)], dim=1
    )
    np.testing.assert_allclose(found.attention_KT, expected_KT[:, 1:-1], atol=1e-6)
    np.testing.assert_array_equal(found.weights_KT, found.attention_KT * found.norms_KT)


def test_without_attention_input_times_gradient_counts(ids):
    found = attribute(network_of(bert, "mean"), FRAME.read(ids, 100), FRAME, ASKED)
    assert found.attention_KT is None
    np.testing.assert_array_equal(found.weights_KT, found.norms_KT)


@pytest.mark.parametrize("mode", ["mean", "weighted_mean"])
@pytest.mark.parametrize("chunks", [None, CHUNKS])
def test_products_of_a_linear_network_add_up_to_the_logit(ids, mode, chunks):
    network = network_of(Lookup, mode)
    found = attribute(network, FRAME.read(ids, 100, chunks), FRAME, ASKED)
    logits_L = network(Batch.of(collate([FRAME.read(ids, 100, chunks)], 0)))[0]
    np.testing.assert_allclose(
        found.products_KT.sum(axis=1), (logits_L - network.head.bias_L)[ASKED], atol=1e-5
    )
    np.testing.assert_allclose(found.added_K, (logits_L - network.head.bias_L)[ASKED], atol=1e-5)


@pytest.mark.parametrize(("head", "state_pooling"), [("label_attention", 4), ("mean", 1)])
def test_chunks_change_nothing_if_tokens_see_no_others(ids, head, state_pooling):
    network = network_of(Lookup, head, state_pooling)
    whole = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    chunked = attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)
    np.testing.assert_allclose(
        chunked.weights_KT, whole.weights_KT, rtol=1e-2, atol=1e-4 * whole.weights_KT.max()
    )


def test_a_document_that_fits_a_chunk_is_read_as_if_there_were_none(ids):
    network = network_of(bert, "label_attention", state_pooling=4)
    short, chunked = (
        attribute(network, FRAME.read(ids[:18], 100, chunks), FRAME, ASKED)
        for chunks in (None, CHUNKS)
    )
    np.testing.assert_array_equal(short.weights_KT, chunked.weights_KT)


def test_reading_few_chunks_and_codes_at_a_time_changes_nothing(ids, monkeypatch):
    network = network_of(bert, "label_attention", state_pooling=4)
    at_once = attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)
    monkeypatch.setattr(attribution, "_TOKENS_AT_ONCE", 20)
    monkeypatch.setattr(attribution, "_NUMBERS_AT_ONCE", 1)
    one_by_one = attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)
    for name in ("added_K", "products_KT", "norms_KT", "attention_KT"):
        np.testing.assert_allclose(getattr(one_by_one, name), getattr(at_once, name), atol=1e-6)


@pytest.mark.parametrize(("chunk", "codes"), [(100, 1), (25, 4), (25, 1)])
def test_if_memory_runs_out_fewer_chunks_and_codes_are_read_at_a_time(
    ids, monkeypatch, chunk, codes
):
    network = network_of(bert, "label_attention", state_pooling=4)
    expected = attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)
    hidden_states, by_states, said = (
        CodingNetwork.hidden_states, attribution._by_hidden_states, []
    )  # fmt: skip

    def short(self, batch):
        if batch.ids.numel() > chunk:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return hidden_states(self, batch)

    def few(network, hidden_TD, shares_TA, labels_K):
        if len(labels_K) > codes:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return by_states(network, hidden_TD, shares_TA, labels_K)

    monkeypatch.setattr(CodingNetwork, "hidden_states", short)
    monkeypatch.setattr(attribution, "_by_hidden_states", few)
    network.on_warning = said.append
    found = attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)
    for name in ("added_K", "products_KT", "norms_KT", "attention_KT"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-6)
    assert said
    assert set(said) == {
        "cpu ran out of memory; evidence is computed for fewer tokens or codes at a time"
    }
    said.clear()
    attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)  # the sizes are remembered
    assert said == []


def test_evidence_that_does_not_fit_in_memory_is_an_error_with_a_remedy(ids, monkeypatch):
    def never(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    network = network_of(bert, "mean")
    network.on_warning = lambda _: None
    monkeypatch.setattr(CodingNetwork, "hidden_states", never)
    with pytest.raises(ConfigError, match=r"max_len: a document of \d+ tokens doesn't fit"):
        attribute(network, FRAME.read(ids, 100, CHUNKS), FRAME, ASKED)


def test_the_other_requested_codes_change_nothing(ids):
    network = network_of(bert, "label_attention")
    together = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    alone = attribute(network, FRAME.read(ids, 100), FRAME, ASKED[1:2])
    np.testing.assert_allclose(together.weights_KT[1:2], alone.weights_KT, atol=1e-7)
    np.testing.assert_array_equal(together.weights_KT[1], together.weights_KT[2])


@pytest.mark.parametrize("backbone", [bert, Lookup])
def test_an_empty_document_has_no_tokens(backbone):
    found = attribute(network_of(backbone, "label_attention"), FRAME.read([], 100), FRAME, ASKED)
    assert found.norms_KT.shape == found.attention_KT.shape == (4, 0)


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(ids, training):
    network = network_of(bert, "label_attention")
    network.train(training)
    found = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    assert network.training == training
    assert not any(
        weight.requires_grad or weight.grad is not None for weight in network.parameters()
    )
    assert not network.backbone.get_input_embeddings()._forward_hooks
    np.testing.assert_array_equal(
        attribute(network, FRAME.read(ids, 100), FRAME, ASKED).norms_KT, found.norms_KT
    )


def test_weights_that_are_trained_get_no_gradient(ids):
    network = network_of(bert, "label_attention")
    expected = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    network.requires_grad_(True)
    found = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    np.testing.assert_allclose(found.norms_KT, expected.norms_KT, atol=1e-7)
    assert all(weight.grad is None for weight in network.parameters())


def test_half_precision_is_similar(ids):
    network = network_of(bert, "label_attention", state_pooling=4)
    exact = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    network.autocast = torch.bfloat16
    rough = attribute(network, FRAME.read(ids, 100), FRAME, ASKED)
    assert rough.norms_KT.dtype == np.float32
    np.testing.assert_allclose(
        rough.weights_KT, exact.weights_KT, atol=0.1 * exact.weights_KT.max()
    )


@pytest.mark.parametrize("padding", ["free", "batch"])
@pytest.mark.parametrize("architecture", ["llama", "mistral", "bert"])
def test_adapters_are_gone_through(model_folders, architecture, padding, ids):
    config = ModelConfig(
        model=str(model_folders[architecture]),
        bit=32,
        max_len=64,
        lora_activate=True,
        lora_dropout=0.5,
    )
    network = CodingNetwork(
        load_backbone(config, find_pretrained(config.model), torch.device("cpu")),
        PooledHead(64, 8, "mean"),
    )
    choose_padding(network, padding)
    document = FRAME.read(ids, 64)
    before = attribute(network, document, FRAME, [3])
    for name, weight in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    expected_TD = by_the_table(network.eval(), ids, 3)
    found = attribute(network, document, FRAME, [3])
    np.testing.assert_allclose(
        found.norms_KT[0], expected_TD.norm(dim=1).detach(), atol=1e-3 * float(expected_TD.norm())
    )
    assert not np.allclose(found.norms_KT, before.norms_KT, rtol=0.01)
