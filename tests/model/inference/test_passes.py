"""Forward passes that don't fit in memory are halved, and give the same results."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, LlamaConfig

from icdcli.errors import ConfigError
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.inference.passes import is_out_of_memory, tokens_per_pass
from icdcli.model.inference.precompute import read_states
from icdcli.model.inference.scored import Scored
from icdcli.model.inference.scoring import score_documents
from icdcli.model.network import CodingNetwork
from icdcli.model.packing.probe import choose_padding

GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
CPU = RuntimeError(
    "[enforce fail at alloc_cpu.cpp:116] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 400000000 bytes. Error code 12 (Cannot allocate memory)"
)
SIZES = {
    "vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "max_position_embeddings": 64,
}  # fmt: skip


class Memory:
    """The memory of a network: a forward pass of more tokens than fit fails."""

    def __init__(self, network, tokens, error=GPU):
        self.tokens, self.error = tokens, error
        self.sizes, self.failed = [], 0
        network.backbone.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, module, arguments, keywords):
        size = keywords["input_ids"].numel()
        if size > self.tokens:
            self.failed += 1
            raise self.error
        self.sizes.append(size)


@pytest.fixture
def make_network():
    def make(padding="free"):
        torch.manual_seed(0)
        config = LlamaConfig(**SIZES, pad_token_id=0) if padding == "free" else BertConfig(**SIZES)
        network = CodingNetwork(AutoModel.from_config(config), PooledHead(16, 5, "mean"))
        choose_padding(network, padding)
        network.said = []
        network.on_warning = network.said.append
        return network

    return make


@pytest.mark.parametrize("padding", ["free", "batch"])
@pytest.mark.parametrize("error", [GPU, CPU, MemoryError()], ids=["GPU", "CPU", "Python"])
def test_a_batch_that_does_not_fit_is_scored_in_smaller_ones(
    make_network, scored, documents, padding, error
):
    roomy, tight = make_network(padding), make_network(padding)
    expected, seen = scored(roomy, documents, batch_tokens=200)
    memory = Memory(tight, 60, error)
    found, seen_again = scored(tight, documents, batch_tokens=200)
    np.testing.assert_allclose(found.logits_NL, expected.logits_NL, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.losses_N, expected.losses_N, rtol=1e-5)
    assert seen_again == seen  # other processes wait after each batch, however it is read
    assert memory.failed <= 2  # 200, 100, and then what fits
    assert max(memory.sizes) <= 60
    limit = tight.pass_limit.tokens
    assert tight.said == [
        f"cpu ran out of memory; continuing with at most {limit} tokens per forward pass"
    ]
    assert roomy.said == []


def test_the_size_that_fits_is_remembered(make_network, scored, documents):
    network = make_network()
    memory = Memory(network, 60)
    first, _ = scored(network, documents, batch_tokens=200)
    before = memory.failed
    again, _ = scored(network, documents, batch_tokens=200)
    assert memory.failed == before
    assert len(network.said) == 1
    np.testing.assert_array_equal(again.logits_NL, first.logits_NL)


def test_a_limit_that_falls_later_also_counts_for_what_was_read_ahead(make_network, documents):
    network = make_network()
    memory = Memory(network, 150)
    passes = score_documents(network, documents, Scored.empty(40, 5), batch_tokens=100)
    next(passes)
    memory.tokens = 40
    list(passes)
    assert max(memory.sizes[1:]) <= 40
    assert len(network.said) <= memory.failed <= 2


def test_a_document_that_does_not_fit_alone_is_reported_with_the_remedy(
    make_network, scored, documents
):
    network = make_network()
    Memory(network, 10)
    with pytest.raises(ConfigError) as raised:
        scored(network, documents, batch_tokens=200)
    assert str(raised.value) == (
        "max_len: a document of 20 tokens doesn't fit in the memory of cpu, even alone (computed "
        "in float32). Free memory on this device, choose another one (device=cpu), or train with a "
        "lower max_len or bit"
    )
    network.autocast = torch.bfloat16
    with pytest.raises(ConfigError, match="computed in bfloat16"):
        scored(network, documents, batch_tokens=200)


def test_other_errors_are_raised_as_they_are(make_network, scored, documents):
    network = make_network()
    memory = Memory(network, 0, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        scored(network, documents)
    assert memory.failed == 1
    assert network.training  # as before


def test_passes_that_must_not_be_divided_are_not(make_network, scored, documents):
    network = make_network()
    _, seen = scored(network, documents, batch_tokens=200)
    network.pass_limit.tokens = 30  # from passes of this process alone
    memory = Memory(network, 200)
    _, again = scored(network, documents, batch_tokens=200, halve=False)
    assert again == seen
    assert len(memory.sizes) == len(seen)
    memory.tokens = 60
    with pytest.raises(torch.OutOfMemoryError):
        scored(network, documents, batch_tokens=200, halve=False)
    assert memory.failed == 1


@pytest.mark.parametrize("padding", ["free", "batch"])
def test_hidden_states_are_the_same(make_network, documents, padding):
    def states(network):
        found = {}

        def take(rows, batch, hidden_TD):
            parts = hidden_TD.split(list(batch.documents.lengths))
            found.update(zip(rows.tolist(), parts, strict=True))

        assert list(read_states(network, documents, take))[-1] == len(documents)
        return [found[row].numpy() for row in range(len(documents))]

    expected = states(make_network(padding))
    tight = make_network(padding)
    Memory(tight, 60)
    for one, other in zip(expected, states(tight), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)
    assert len(tight.said) == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GPU, True),
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (CPU, True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (OSError("DefaultCPUAllocator"), False),
    ],
)
def test_errors_of_memory_are_recognized(error, expected):
    assert is_out_of_memory(error) == expected


def test_a_gpu_reads_more_tokens_of_a_narrow_network_at_once(make_network):
    network = make_network()

    def tokens(width, inner, on_gpu=True):
        network.backbone.config.hidden_size = width
        network.backbone.config.intermediate_size = inner
        return tokens_per_pass(network, on_gpu)

    assert tokens(384, 1_536) == 131_072  # MiniLM
    assert 16_384 < tokens(2_048, 8_192) < 65_536  # Llama 3.2 1B
    assert tokens(4_096, 14_336) == tokens(8_192, 28_672) == 16_384  # Llama 3 8B, 70B
    assert tokens(384, 1_536, on_gpu=False) == tokens(384, 1_536, on_gpu=None) == 16_384
    assert tokens_per_pass(network, on_cpu=100) == 100
