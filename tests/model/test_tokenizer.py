import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing

from icdcli.data.token_cache import encode
from icdcli.errors import ConfigError
from icdcli.model.tokenizer import special_tokens_of, train_tokenizer

TEXTS = ["denies chest pain and fever", "chest pain with fever", "heart failure, denies fever"] * 5


@pytest.fixture
def tokenizer():
    return train_tokenizer(TEXTS, vocabulary=320)


def add_specials(tokenizer):
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>",
        special_tokens=[("<s>", tokenizer.bos_token_id), ("</s>", tokenizer.eos_token_id)],
    )


def test_training_is_repeatable_and_writes_any_text(tokenizer):
    assert (
        train_tokenizer(TEXTS, vocabulary=320).backend_tokenizer.to_str()
        == tokenizer.backend_tokenizer.to_str()
    )
    text = "Übelkeit 37,5 °C — ☃\n\ttab"
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False).input_ids) == text


def test_eos_is_at_the_end_after_truncation(tokenizer):
    special_tokens = special_tokens_of(tokenizer, "eos_token")
    long = tokenizer(TEXTS[0] * 50, add_special_tokens=False).input_ids
    [framed] = special_tokens.read(long, max_len=16).chunks
    assert len(framed) == 16
    assert framed[-1] == tokenizer.eos_token_id
    assert framed[:-1].tolist() == long[:15]


def test_bos_is_at_the_start(tokenizer):
    assert special_tokens_of(tokenizer, "bos_token").read([9, 9], 16).chunks[0].tolist() == [
        tokenizer.bos_token_id,
        9,
        9,
    ]


def test_the_tokenizers_own_special_tokens_are_kept_once(tokenizer):
    add_specials(tokenizer)
    for mode in ("mean", "bos_token", "eos_token"):
        special_tokens = special_tokens_of(tokenizer, mode)
        assert (special_tokens.prefix, special_tokens.suffix) == (
            (tokenizer.bos_token_id,),
            (tokenizer.eos_token_id,),
        )


@pytest.mark.parametrize("mode", ["mean", "weighted_mean", "bos_token", "eos_token"])
def test_an_empty_text_still_has_a_token(tokenizer, mode):
    assert len(special_tokens_of(tokenizer, mode).read([], 16)) == 1


@pytest.mark.parametrize(("mode", "missing"), [("bos_token", "BOS"), ("eos_token", "EOS")])
def test_a_missing_special_token_is_an_error(tokenizer, mode, missing):
    tokenizer.bos_token = tokenizer.eos_token = None
    with pytest.raises(ConfigError, match=f"pooling_mode: {mode}: this tokenizer has no {missing}"):
        special_tokens_of(tokenizer, mode)


def test_a_tokenizer_files_own_truncation_does_not_apply(tokenizer):
    tokenizer.backend_tokenizer.enable_truncation(4)
    tokenizer.backend_tokenizer.enable_padding(length=8)
    [ids] = encode(tokenizer.backend_tokenizer)([TEXTS[0] * 20])
    assert len(ids) > 50
    assert np.all(np.array(ids) != tokenizer.pad_token_id)
