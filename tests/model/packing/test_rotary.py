"""A document's hidden states and scores don't depend on the documents beside it."""

import copy

import numpy as np
import pytest
import torch
from transformers import AutoModel, LlamaConfig, ModernBertConfig, Phi3Config

from icdcli.data.batching import Chunks, SpecialTokens, TokenizedDocument, collate
from icdcli.model.batch import Batch
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "vocab_size": 99, "pad_token_id": 0,
}  # fmt: skip
GROUPED = {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [1.5, 4.0, 16.0, 60.0],
    "original_max_position_embeddings": 16,
}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}


def settings_of(kind, architecture):
    if architecture == "phi3":
        more = {"max_position_embeddings": 128, "original_max_position_embeddings": 16}
        found = Phi3Config(**SIZES, **GROUPED, **more, rope_parameters=dict(LONGROPE))
    elif architecture == "modernbert":  # has frequencies for each kind of layer
        local = {"rope_type": "default", "rope_theta": 10000.0}
        parameters = {"full_attention": DYNAMIC, "sliding_attention": local}
        special = {"bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2}
        found = ModernBertConfig(
            **SIZES, **special, max_position_embeddings=16, rope_parameters=parameters,
            local_attention=8,
        )  # fmt: skip
    else:
        parameters = DYNAMIC if kind == "dynamic" else LONGROPE
        more = {"max_position_embeddings": 16 if kind == "dynamic" else 128}
        found = LlamaConfig(**SIZES, **GROUPED, **more, rope_parameters=dict(parameters))
    found.is_causal = False
    return found


def network_of(settings, wanted):
    torch.manual_seed(0)
    network = CodingNetwork(AutoModel.from_config(settings), PooledHead(32, 3, "mean")).eval()
    assert len(network.rotary) == 1
    choose_padding(network, wanted)
    return network


def states_of(network, documents):
    batch = Batch.of(collate(documents, 0, network.padding))
    with torch.inference_mode():
        hidden_TD = network.hidden_states(batch)
    return [part.numpy() for part in hidden_TD.split(list(batch.documents.lengths))]


def of_lengths(*lengths):
    draw = np.random.default_rng(0)
    return [TokenizedDocument.whole(draw.integers(3, 99, length)) for length in lengths]


CASES = [
    ("longrope", "phi3"),
    ("longrope", "llama"),
    ("dynamic", "llama"),
    ("dynamic", "modernbert"),
]


@pytest.mark.parametrize("padding", ["auto", "batch"])
@pytest.mark.parametrize(("kind", "architecture"), CASES)
def test_neighbors_dont_change_hidden_states(kind, architecture, padding):
    settings = settings_of(kind, architecture)
    network = network_of(copy.deepcopy(settings), padding)
    assert network.padding == ("free" if padding == "auto" else "batch")
    documents = of_lengths(40, 7, 16, 17, 5, 90, 40)
    for length, beside, document in zip(
        (40, 7, 16, 17, 5, 90, 40), states_of(network, documents), documents, strict=True
    ):
        # A new model has no longer input to remember.
        fresh = network_of(copy.deepcopy(settings), padding)
        (ids,) = document.chunks
        with torch.inference_mode():
            plain = AutoModel.from_config(copy.deepcopy(settings)).eval()
            plain.load_state_dict(fresh.backbone.state_dict())
            expected = plain(
                input_ids=torch.tensor(ids)[None], attention_mask=torch.ones(1, length).long()
            ).last_hidden_state[0]
        np.testing.assert_allclose(beside, expected.numpy(), atol=2e-5, err_msg=str(length))
        (alone,) = states_of(network, [document])
        np.testing.assert_allclose(alone, beside, atol=2e-5, err_msg=str(length))


@pytest.mark.parametrize("padding", ["auto", "batch"])
def test_each_chunk_has_its_own_length(padding):
    network = network_of(settings_of("longrope", "phi3"), padding)
    special_tokens, draw = SpecialTokens((1,), (2,), 0), np.random.default_rng(1)
    documents = [
        special_tokens.read(draw.integers(3, 99, length), 100, Chunks(24, 12))
        for length in (60, 10, 14, 15, 22)
    ]
    for beside, document in zip(states_of(network, documents), documents, strict=True):
        (alone,) = states_of(network, [document])
        np.testing.assert_allclose(alone, beside, atol=2e-5)


@pytest.mark.parametrize("padding", ["auto", "batch"])
def test_gradients_are_those_of_each_document_alone(padding):
    network = network_of(settings_of("longrope", "phi3"), padding).train()
    documents = of_lengths(30, 6, 12)

    def gradients(parts):
        network.zero_grad()
        for part in parts:
            network(Batch.of(collate(part, 0, network.padding))).sum().backward()
        return {name: weight.grad.clone() for name, weight in network.trainable().items()}

    together, apart = gradients([documents]), gradients([[each] for each in documents])
    for name, gradient in apart.items():
        torch.testing.assert_close(together[name], gradient, atol=2e-4, rtol=1e-3)
