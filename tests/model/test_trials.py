import numpy as np
import pytest
import torch
import transformers
from transformers import AutoModel

from icdcli.data.batching import SpecialTokens, collate
from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError
from icdcli.model.batch import Batch
from icdcli.model.heads.pooled import PooledHead
from icdcli.model.hub import find_pretrained
from icdcli.model.network import CodingNetwork
from icdcli.model.new_model import new_model
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold
from icdcli.model.tokenizer import chunks_of, load_tokenizer
from icdcli.model.trials import window_of

POSITIONS = 66
SPECIAL_TOKENS = SpecialTokens((3,), (4,), 1)

# Architecture to the settings that only it needs, the tokens that it reads with 66 positions, and
# whether it fails beyond them. Rotary and relative positions have no end.
ENCODERS = {
    "albert": ({"embedding_size": 32}, 66, True),
    "bert": ({}, 66, True),
    "big_bird": ({"block_size": 8}, 66, True),
    "camembert": ({}, 64, True),
    "convbert": ({}, 66, True),
    "data2vec-text": ({}, 64, True),
    "deberta": ({}, 66, True),
    "deberta-v2": ({}, 66, True),
    "distilbert": ({"dim": 32, "hidden_dim": 64, "n_heads": 2, "n_layers": 1}, 66, True),
    "electra": ({"embedding_size": 32}, 66, True),
    "ernie": ({}, 66, True),
    "esm": ({"position_embedding_type": "absolute", "mask_token_id": 9}, 64, True),
    "eurobert": ({}, 66, False),
    "fnet": ({}, 66, True),
    "ibert": ({}, 64, True),
    "longformer": ({"attention_window": 16}, 64, True),
    "megatron-bert": ({}, 66, True),
    "modernbert": ({"global_attn_every_n_layers": 1}, 66, False),
    "mpnet": ({}, 64, True),
    "nystromformer": ({}, 66, True),
    "rembert": ({"input_embedding_size": 32}, 66, True),
    "roberta": ({}, 64, True),
    "roberta-prelayernorm": ({}, 64, True),
    "roformer": ({"embedding_size": 32}, 66, True),
    "xlm": ({"emb_dim": 32, "n_heads": 2, "n_layers": 1}, 66, True),
    "xlm-roberta": ({}, 64, True),
    "xlm-roberta-xl": ({}, 64, True),
    "yoso": ({}, 66, True),
}
DECODERS = {
    "falcon": ({}, 66, False),
    "gemma": ({"head_dim": 16}, 66, False),
    "gemma2": ({"head_dim": 16}, 66, False),
    "gemma3_text": ({"head_dim": 16}, 66, False),
    "gpt2": ({"n_embd": 32, "n_head": 2, "n_layer": 1}, 66, True),
    "llama": ({}, 66, False),
    "mistral": ({}, 66, False),
    "openai-gpt": ({"n_embd": 32, "n_head": 2, "n_layer": 1}, 66, True),
    "opt": ({"ffn_dim": 64, "word_embed_proj_dim": 32}, 66, True),
    "phi3": ({}, 66, False),
    "qwen2": ({}, 66, False),
    "qwen3": ({"head_dim": 16}, 66, False),
}
ARCHITECTURES = ENCODERS | DECODERS


def settings_of(name: str, **more: object) -> transformers.PreTrainedConfig:
    own = ARCHITECTURES.get(name, ({},))[0]
    sizes = {
        "vocab_size": 99, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": POSITIONS,
        "pad_token_id": 1, "bos_token_id": 3, "eos_token_id": 4,
    }  # fmt: skip
    known = transformers.AutoConfig.for_model(name)
    sizes = {key: value for key, value in sizes.items() if hasattr(known, key)}
    return transformers.AutoConfig.for_model(name, **sizes | own | more)


def network_of(settings: transformers.PreTrainedConfig) -> CodingNetwork:
    torch.manual_seed(0)
    return CodingNetwork(AutoModel.from_config(settings), PooledHead(32, 3, "mean")).eval()


def hidden_states(network: CodingNetwork, max_len: int, tokens: int) -> torch.Tensor:
    """Return the hidden states of a document and of a short one, as they are read in training."""
    config = ModelConfig(model="a folder", max_len=max_len)
    chunks = chunks_of(config, network.backbone.config, SPECIAL_TOKENS)
    documents = [
        SPECIAL_TOKENS.read(5 + np.arange(number) % 90, max_len, chunks) for number in (tokens, 3)
    ]
    with torch.inference_mode():
        return network.hidden_states(Batch.of(collate(documents, SPECIAL_TOKENS.pad)))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_documents_at_the_window_and_around_it_are_read(name):
    """All of its positions are used, and longer documents are read in chunks."""
    _, window, ends_there = ARCHITECTURES[name]
    settings = settings_of(name)
    network = network_of(settings)
    assert window_of(settings, 1024) == window
    for max_len in (window - 1, window, window + 1, 3 * window):
        hidden_TD = hidden_states(network, max_len, 1000)
        assert hidden_TD.shape == (max_len + 5, 32)
        assert hidden_TD.isfinite().all()
    if ends_there:
        ids = torch.full((1, window + 1), 5)
        with pytest.raises((IndexError, RuntimeError)):
            network.backbone(input_ids=ids, attention_mask=torch.ones_like(ids))


def test_a_window_beyond_the_documents_is_not_measured():
    """The documents fit, whatever the exact number is."""
    assert window_of(settings_of("roberta"), 64) == POSITIONS
    assert window_of(settings_of("roberta"), 65) == 64


def test_any_number_of_positions_may_be_left_out():
    settings = settings_of("roberta", pad_token_id=40)
    assert window_of(settings, 512) == 66 - 41
    assert hidden_states(network_of(settings), 100, 200).shape == (105, 32)


@pytest.mark.parametrize("name", ["bloom", "mpt"])
def test_an_architecture_without_a_number_of_positions_reads_any_number(name):
    own = {"n_head": 2, "n_layer": 1} if name == "bloom" else {"n_heads": 2, "n_layers": 1}
    width = {"hidden_size": 32} if name == "bloom" else {"d_model": 32}
    settings = transformers.AutoConfig.for_model(name, vocab_size=99, **own, **width)
    assert window_of(settings, 512) is None
    assert hidden_states(network_of(settings), 300, 400).shape == (305, 32)


def test_an_architecture_that_reads_nothing_has_the_window_that_it_declares():
    assert window_of(settings_of("esm", pad_token_id=None), 512) == POSITIONS


def test_a_trial_leaves_no_trace():
    """GPT's activation functions belong to all models of the process."""
    settings = settings_of("openai-gpt")
    network = network_of(settings)
    before = torch.get_rng_state()
    window_of(settings, 512)
    assert torch.equal(torch.get_rng_state(), before)
    assert hidden_states(network, 20, 50).shape == (25, 32)


def test_a_chunk_longer_than_the_window_is_refused():
    config = ModelConfig(model="x/y", max_len=200, chunk_len=65)
    with pytest.raises(ConfigError, match=r"reads at most 64 tokens\. Set chunk_len: 64"):
        chunks_of(config, settings_of("mpnet"), SPECIAL_TOKENS)


@pytest.mark.parametrize("name", ["mpnet", "longformer", "xlm-roberta-xl"])
def test_a_new_model_reads_titles_and_notes_longer_than_its_window(name, model_folders, tmp_path):
    tokenizer = load_tokenizer(find_pretrained(str(model_folders["bert"])))
    settings = settings_of(name, vocab_size=len(tokenizer))
    AutoModel.from_config(settings).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    config = ModelConfig(
        model=str(tmp_path),
        bit=32,
        max_len=256,
        lora_activate=False,
        pooling_mode="label_attention",
    )
    labels = Labels(("I10", "E11.9"), ("diagnosis",) * 2, ("high", "sweet"), (5, 5), (5, 5))
    titles = (["chest pain " * 100], ["diabetes mellitus"])
    said: list[str] = []
    model = new_model(
        config,
        tokenizer,
        labels,
        Threshold(0.5),
        torch.device("cpu"),
        0,
        titles,
        on_warning=said.append,
    )
    [line] = [line for line in said if "descriptions" in line]
    assert line.startswith("1 of 2 descriptions of codes are longer than the 64 tokens")
    assert model.chunks is not None
    assert model.chunks.length == 64
    assert np.isfinite(model.scores(["chest pain denies fever " * 200])).all()
