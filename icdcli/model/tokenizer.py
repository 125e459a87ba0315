"""The tokenizer of a backbone, and what stands around a document's tokens."""

from collections.abc import Iterable

from tokenizers import ByteLevelBPETokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from icdcli.data.batches import Frame
from icdcli.errors import ConfigError
from icdcli.model.source import Source, hub_errors

_BOS, _EOS, _PAD = "<s>", "</s>", "<pad>"


def load_tokenizer(source: Source) -> PreTrainedTokenizerFast:
    """The backbone's own tokenizer.

    Raises:
        ConfigError: When it can't be loaded, or has no fast form (character offsets need one).
    """
    with hub_errors(source.name, source.tokenizer):
        tokenizer = AutoTokenizer.from_pretrained(source.tokenizer)
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ConfigError(f"model: {source.name}: its tokenizer has no fast form, which icdcode needs")
    return tokenizer


def train_tokenizer(texts: Iterable[str], vocabulary: int = 16_384) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer (Radford et al. 2019); every text can be written in it."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        texts, vocab_size=vocabulary, min_frequency=2, special_tokens=[_PAD, _BOS, _EOS], show_progress=False
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe._tokenizer,
        pad_token=_PAD,
        bos_token=_BOS,
        eos_token=_EOS,
        clean_up_tokenization_spaces=False,
    )


def frame_of(tokenizer: PreTrainedTokenizerFast, pooling_mode: str) -> Frame:
    """The special tokens that stand before and after each document.

    They are the tokenizer's own, plus what the pooling reads: a beginning-of-sequence token for ``bos_token``, an
    end-of-sequence token for ``eos_token``. They are put around a document after it was cut, so that they are always there.

    Raises:
        ConfigError: When the tokenizer lacks the token that the pooling mode needs.
    """
    with_specials, without = tokenizer("a").input_ids, tokenizer("a", add_special_tokens=False).input_ids
    start = next(i for i in range(len(with_specials)) if with_specials[i : i + len(without)] == without)
    prefix, suffix = with_specials[:start], with_specials[start + len(without) :]
    first = _first_of(tokenizer.bos_token_id, tokenizer.cls_token_id)
    last = _first_of(tokenizer.eos_token_id, tokenizer.sep_token_id)
    if pooling_mode == "bos_token" and not prefix:
        if first is None:
            raise ConfigError("pooling_mode: bos_token: this tokenizer has no BOS or CLS token; use mean")
        prefix = [first]
    if pooling_mode == "eos_token" and (not suffix or suffix[-1] != last):
        if last is None:
            raise ConfigError("pooling_mode: eos_token: this tokenizer has no EOS or SEP token; use mean")
        suffix = [*suffix, last]
    # An empty text must still be a token long: there is nothing to pool otherwise but padding.
    if not prefix and not suffix:
        lone = _first_of(first, last, tokenizer.pad_token_id)
        if lone is None:
            raise ConfigError("this tokenizer has no special token at all, so that an empty note would have no tokens")
        prefix = [lone]
    pad = _first_of(tokenizer.pad_token_id, last, first)
    return Frame(tuple(prefix), tuple(suffix), 0 if pad is None else pad)


def _first_of(*candidates: int | None) -> int | None:
    return next((candidate for candidate in candidates if candidate is not None), None)
