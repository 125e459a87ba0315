"""Writes memory.md: the GPU memory that trainings need, as `icdcode doctor` estimates it.

    .venv/bin/python docs/make_memory.py

takes a few minutes. The architectures are defined here by their published sizes, so that nothing is
downloaded. The adapters that LLM2Vec publishes for its models (about 170 MB each) are left out.
"""

from pathlib import Path
from typing import Any

from transformers import BertConfig, LlamaConfig, MistralConfig

from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.profiling.memory import MemoryEstimate, estimate_memory

PAGE = Path(__file__).parent / "memory.md"
LABELS = 8_929  # all codes of MIMIC-III
CUDA = 500 * 2**20  # used by CUDA, as in icdcli/profiling/memory.py
LENGTHS = (1_024, 4_096, 8_192)
MODELS: dict[str, Any] = {
    "Llama 3 8B": LlamaConfig(
        vocab_size=128_256, hidden_size=4_096, intermediate_size=14_336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=8_192,
    ),
    "Mistral 7B": MistralConfig(
        vocab_size=32_000, hidden_size=4_096, intermediate_size=14_336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=32_768,
        sliding_window=None,
    ),
    "Llama 3.2 1B": LlamaConfig(
        vocab_size=128_256, hidden_size=2_048, intermediate_size=8_192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=131_072,
        tie_word_embeddings=True,
    ),
    "BERT base": BertConfig(),
}  # fmt: skip
HEAD = """\
<!-- Written by docs/make_memory.py. -->
# Memory

The peak GPU memory of training in GB, as `icdcode doctor CONFIG` and `icdcode train CONFIG
--dry-run` estimate it part by part. Settings: LoRA of rank 16 (for BERT base also all weights),
gradient checkpointing, one document of `max_len` tokens per forward pass, mean pooling and a linear
layer for 8,929 codes, batches of 8 documents.

The estimate follows from the shapes of the architecture. For small models on a CPU a test keeps it
within 15 % of the memory of a real process. For these models on a GPU it is not verified.

Memory grows with the longest forward pass, not with `batch_size`: the documents of a step are read
a few at a time, as many as fit.

| model | bits | {lengths} |
|---|---|{rules}|
"""


def estimate(settings: Any, bit: int, length: int, lora: bool) -> MemoryEstimate:
    """Return the estimate of one training."""
    all_weights = [] if lora else ["lora_activate=False", "freeze_backbone=False"]
    options = [
        "model=minilm",
        f"bit={bit}",
        f"max_len={length}",
        f"micro_batch_tokens={length}",
        "gradient_checkpointing=True",
        *all_weights,
    ]
    # The settings replace those of the named model.
    config: Config = load_config(None, options)
    return estimate_memory(config, LABELS, settings=settings, libraries=CUDA)


def row(name: str, settings: Any, bit: int, lora: bool = True) -> str:
    """Return a row of the table."""
    sizes = [f"{estimate(settings, bit, length, lora).total / 1e9:.1f}" for length in LENGTHS]
    return f"| {name} | {bit}{'' if lora else ', all weights'} | {' | '.join(sizes)} |"


def page() -> str:
    """Return the text of the page."""
    lengths = " | ".join(f"`max_len` {length:,}" for length in LENGTHS)
    lines = [
        HEAD.format(lengths=lengths, rules="|".join(["---:"] * len(LENGTHS))).removesuffix("\n")
    ]
    for name, settings in MODELS.items():
        lines += [row(name, settings, bit) for bit in (4, 8, 16, 32)]
    lines.append(row("BERT base", MODELS["BERT base"], 32, lora=False))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
