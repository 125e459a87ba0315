"""What all tests share: no network, and small models of real architectures, made once a session."""

import os
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "true"
# The work is small: on cores that others use too, threads that wait for one another make it ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(__file__).parents[1].parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real, openly licensed data that lies beside the project on the developers' machines."""
    if not (SHARED / "data").is_dir():
        pytest.skip("the shared data is not beside this checkout")
    return SHARED / "data"


@pytest.fixture(scope="session")
def model_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Hugging Face folders of small Llama, Mistral and BERT models with random weights, tokenizer included."""
    import torch
    from transformers import AutoModel, BertConfig, LlamaConfig, MistralConfig

    from icdcli.model.tokenizer import train_tokenizer

    words = "chest pain denies fever heart failure acute on chronic kidney disease diabetes mellitus type two".split()
    tokenizer = train_tokenizer([" ".join(words[i:] + words[:i]) for i in range(len(words))] * 3, vocabulary=400)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 128,
    }
    grouped = {"num_key_value_heads": 2, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    configs = {
        "llama": LlamaConfig(**sizes, **grouped),
        "mistral": MistralConfig(**sizes, **grouped, sliding_window=64),
        "bert": BertConfig(**sizes),
    }
    root = tmp_path_factory.mktemp("models")
    for number, (name, config) in enumerate(configs.items()):
        torch.manual_seed(number)
        AutoModel.from_config(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return {name: root / name for name in configs}
