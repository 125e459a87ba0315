"""The tokenizer of a backbone, and the special tokens and chunks of documents."""

from collections.abc import Iterable
from typing import Any

from tokenizers import ByteLevelBPETokenizer, Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from icdcli.data.batching import Chunks, SpecialTokens
from icdcli.errors import ConfigError
from icdcli.model.hub import PretrainedSource, hub_errors
from icdcli.model.section import ModelConfig
from icdcli.model.trials import window_of

_BEFORE_WORDS = "Ġ▁"
"""What tokenizers write for the blank before a word."""
_BOS, _EOS, _PAD = "<s>", "</s>", "<pad>"


def load_tokenizer(source: PretrainedSource) -> PreTrainedTokenizerFast:
    """Load the backbone's tokenizer.

    Raises:
        ConfigError: If it can't be loaded, or isn't a fast tokenizer (which has character offsets).
    """
    with hub_errors(source.name, source.tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(
            source.tokenizer, **source.options(source.tokenizer)
        )
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ConfigError(f"model: {source.name}: it has no fast tokenizer, which icdcode needs.")
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int = 16_384) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer (Radford et al. 2019), which represents any text."""
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


def whole_words(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """Return the words that a tokenizer has as one token: common ones, spelled correctly."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_truncation()
    backend.no_padding()
    words = sorted(
        {token.lstrip(_BEFORE_WORDS) for token in backend.get_vocab()}.difference(
            tokenizer.all_special_tokens
        )
    )
    letters = [word for word in words if word.isalpha()]
    # With a blank before it, as in a text; a token from the inside of words isn't alone then.
    found = backend.encode_batch_fast([f" {word}" for word in letters], add_special_tokens=False)
    return [word for word, tokens in zip(letters, found, strict=True) if len(tokens.ids) == 1]


def special_tokens_of(tokenizer: PreTrainedTokenizerFast, pooling_mode: str) -> SpecialTokens:
    """Return the special tokens before and after each document.

    They are the tokenizer's own and the token that the pooling reads: a beginning-of-sequence token
    for ``bos_token``, an end-of-sequence token for ``eos_token``. They are added after a document
    is truncated, so that they are never cut off.

    Raises:
        ConfigError: If the tokenizer lacks the token that the pooling mode needs.
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
                "pooling_mode: bos_token: this tokenizer has no BOS or CLS token. Use mean."
            )
        prefix = [first]
    if pooling_mode == "eos_token" and (not suffix or suffix[-1] != last):
        if last is None:
            raise ConfigError(
                "pooling_mode: eos_token: this tokenizer has no EOS or SEP token. Use mean."
            )
        suffix = [*suffix, last]
    # An empty text must have one token: otherwise only padding could be pooled.
    if not prefix and not suffix:
        lone = _first_of(first, last, tokenizer.pad_token_id)
        if lone is None:
            raise ConfigError(
                "this tokenizer has no special tokens, so that an empty note would have no tokens."
            )
        prefix = [lone]
    pad = _first_of(tokenizer.pad_token_id, last, first)
    return SpecialTokens(tuple(prefix), tuple(suffix), 0 if pad is None else pad)


def chunks_of(config: ModelConfig, settings: Any, special_tokens: SpecialTokens) -> Chunks | None:
    """Return how documents longer than a chunk are read; None: documents aren't chunked.

    Args:
        config: The section with ``chunk_len`` and ``chunk_stride``. By default, chunks are as long
            as the backbone's input may be.
        settings: The backbone's settings.
        special_tokens: The special tokens around each chunk.

    Raises:
        ConfigError: If chunks are longer than the backbone's input may be, or leave gaps.
    """
    window = window_of(settings, min(config.max_len, config.chunk_len or config.max_len))
    length = config.chunk_len or (config.max_len if window is None else window)
    if window is not None and length > window:
        raise ConfigError(
            f"chunk_len: {length}: model {config.model} reads at most {window} tokens. Set "
            f"chunk_len: {window}."
        )
    if length >= config.max_len:
        return None
    stride = config.chunk_stride or length * 3 // 4
    if stride > length - len(special_tokens):
        raise ConfigError(
            f"chunk_stride: {stride}: leaves gaps between chunks of {length} tokens. Set "
            f"chunk_stride: {length * 3 // 4}."
        )
    return Chunks(length, stride)


def _first_of(*candidates: int | None) -> int | None:
    return next((candidate for candidate in candidates if candidate is not None), None)
