"""The tokenizer of a backbone, and what stands around a document's tokens."""

from collections.abc import Iterable
from typing import Any

from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from icdcli.data.batching import Chunks, SpecialTokens
from icdcli.errors import ConfigError
from icdcli.model.hub import PretrainedSource, hub_errors
from icdcli.model.section import ModelConfig

_BOS, _EOS, _PAD = "<s>", "</s>", "<pad>"


def load_tokenizer(source: PretrainedSource) -> PreTrainedTokenizerFast:
    """The backbone's own tokenizer.

    Raises:
        ConfigError: When it can't be loaded, or has no fast form (character offsets need one).
    """
    with hub_errors(source.name, source.tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(source.tokenizer)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ConfigError(
            f"model: {source.name}: its tokenizer has no fast form, which icdcode needs"
        )
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int = 16_384) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer (Radford et al. 2019); every text can be written in it."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts,
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=[_PAD, _BOS, _EOS],
        show_progress=False,
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        pad_token=_PAD,
        bos_token=_BOS,
        eos_token=_EOS,
        clean_up_tokenization_spaces=False,
    )


def special_tokens_of(tokenizer: PreTrainedTokenizerFast, pooling_mode: str) -> SpecialTokens:
    """The special tokens that stand before and after each document.

    They are the tokenizer's own, plus what the pooling reads: a beginning-of-sequence token for ``bos_token``, an
    end-of-sequence token for ``eos_token``. They are put around a document after it was cut, so that they are always there.

    Raises:
        ConfigError: When the tokenizer lacks the token that the pooling mode needs.
    """
    with_specials, without = (
        tokenizer("a").input_ids,
        tokenizer("a", add_special_tokens=False).input_ids,
    )
    start = next(
        i for i in range(len(with_specials)) if with_specials[i : i + len(without)] == without
    )
    prefix, suffix = with_specials[:start], with_specials[start + len(without) :]
    first = _first_of(tokenizer.bos_token_id, tokenizer.cls_token_id)
    last = _first_of(tokenizer.eos_token_id, tokenizer.sep_token_id)
    if pooling_mode == "bos_token" and not prefix:
        if first is None:
            raise ConfigError(
                "pooling_mode: bos_token: this tokenizer has no BOS or CLS token; use mean"
            )
        prefix = [first]
    if pooling_mode == "eos_token" and (not suffix or suffix[-1] != last):
        if last is None:
            raise ConfigError(
                "pooling_mode: eos_token: this tokenizer has no EOS or SEP token; use mean"
            )
        suffix = [*suffix, last]
    # An empty text must still be a token long: there is nothing to pool otherwise but padding.
    if not prefix and not suffix:
        lone = _first_of(first, last, tokenizer.pad_token_id)
        if lone is None:
            raise ConfigError(
                "this tokenizer has no special token at all, so that an empty note would have no tokens"
            )
        prefix = [lone]
    pad = _first_of(tokenizer.pad_token_id, last, first)
    return SpecialTokens(tuple(prefix), tuple(suffix), 0 if pad is None else pad)


def chunks_of(config: ModelConfig, settings: Any, special_tokens: SpecialTokens) -> Chunks | None:
    """How documents that are longer than a chunk are read.

    Args:
        config: Its ``chunk_len`` and ``chunk_stride``; without the former, chunks are as long as the model's window.
        settings: The backbone's.
        special_tokens: What stands around each chunk.

    Returns:
        None where documents are read whole.

    Raises:
        ConfigError: When chunks are longer than the window, or don't overlap or touch.
    """
    window = window_of(settings)
    length = config.chunk_len or (config.max_len if window is None else window)
    if window is not None and length > window:
        raise ConfigError(
            f"chunk_len: {length}: model {config.model} reads at most {window} tokens; set chunk_len: {window}"
        )
    if length >= config.max_len:
        return None
    stride = config.chunk_stride or length * 3 // 4
    if stride > length - len(special_tokens):
        raise ConfigError(
            f"chunk_stride: {stride}: would leave gaps between chunks of {length} tokens; set {length * 3 // 4}"
        )
    return Chunks(length, stride)


def window_of(settings: Any) -> int | None:
    """The most tokens that a model reads at once; None where nothing bounds them."""
    window: int | None = getattr(settings, "max_position_embeddings", None)
    if window is not None and getattr(settings, "model_type", "") in (
        "roberta",
        "camembert",
        "xlm-roberta",
    ):
        window -= settings.pad_token_id + 1  # these count positions from behind the padding index
    return window


def _first_of(*candidates: int | None) -> int | None:
    return next((candidate for candidate in candidates if candidate is not None), None)
