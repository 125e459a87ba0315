import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from icdcli.data.batching import SpecialTokens
from icdcli.data.corpus.reader import Documents
from icdcli.data.token_cache import fingerprint, token_cache
from icdcli.errors import DataError
from icdcli.model.tokenizer import train_tokenizer

TEXTS = ["chest pain", "", "denies chest pain and fever", "Fieber 39 °C"] * 100


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer(TEXTS, vocabulary=300).backend_tokenizer


@pytest.fixture
def corpus(tmp_path):
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "documents.parquet")
    return tmp_path


def test_every_document_is_tokenised_whole_in_order(corpus, tokenizer):
    tokens = token_cache(corpus, tokenizer)
    assert len(tokens) == len(TEXTS)
    for row in (0, 1, 2, 3, 399):
        assert tokens[row].tolist() == tokenizer.encode(TEXTS[row], add_special_tokens=False).ids


def test_the_second_time_it_is_only_opened(corpus, tokenizer):
    seen = []

    def on_progress(*reported):
        seen.append(reported)

    token_cache(corpus, tokenizer, on_progress)
    assert seen[-1] == ("tokenizing", 400, 400)
    seen.clear()
    tokens = token_cache(corpus, tokenizer, on_progress)
    assert seen == []
    assert isinstance(tokens.ids, np.memmap)


def test_truncation_set_by_another_call_makes_no_second_cache(corpus, tokenizer):
    first = token_cache(corpus, tokenizer)
    asked = Tokenizer.from_str(tokenizer.to_str())
    asked.enable_truncation(4)
    asked.enable_padding(length=4)
    second = token_cache(corpus, asked)
    assert np.array_equal(first.ids, second.ids)
    assert len([*corpus.glob("tokens-*")]) == 1


def test_the_files_are_private_and_documented(corpus, tokenizer):
    token_cache(corpus, tokenizer)
    folder = corpus / f"tokens-{fingerprint(tokenizer)}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {
        path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()
    } == dict.fromkeys(("ids.npy", "offsets.npy", "meta.json"), 0o600)
    ids, offsets = np.load(folder / "ids.npy"), np.load(folder / "offsets.npy")
    assert (ids.dtype, offsets.dtype, len(offsets)) == (np.uint32, np.int64, 401)
    assert json.loads((folder / "meta.json").read_text())["tokens"] == len(ids) == offsets[-1]


_COUNT_THREADS = """
import os, sys
from icdcli.data.token_cache import encode, use_workers
from tokenizers import Tokenizer
use_workers(int(sys.argv[1]))
tokenise = encode(Tokenizer.from_file(sys.argv[2]))
before = len(os.listdir("/proc/self/task"))
tokenise(["chest pain"] * 1000)
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="threads are counted as Linux lists them"
)
@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_as_many_threads_tokenise_as_there_are_workers(tokenizer, tmp_path, workers):
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    command = [sys.executable, "-c", _COUNT_THREADS, str(workers), str(tmp_path / "tokenizer.json")]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TOKENIZERS_PARALLELISM": "true",
    }
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == workers


@pytest.mark.parametrize(
    "change", [lambda offsets: offsets[:-1], lambda offsets: offsets - 1, lambda offsets: -offsets]
)
def test_a_cache_of_another_corpus_is_an_error(corpus, tokenizer, change):
    offsets = token_cache(corpus, tokenizer).offsets
    offsets = np.append(change(offsets[:-1]), offsets[-1])
    np.save(corpus / f"tokens-{fingerprint(tokenizer)}" / "offsets.npy", offsets)
    with pytest.raises(DataError, match=r"fit its corpus.*Delete this folder"):
        token_cache(corpus, tokenizer)


def test_an_interrupted_tokenisation_leaves_nothing(corpus, tokenizer):
    def fail(*reported):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        token_cache(corpus, tokenizer, fail)
    assert [path.name for path in corpus.iterdir() if path.suffix != ".lock"] == [
        "documents.parquet"
    ]


def test_documents_are_cut_when_they_are_read(corpus, tokenizer):
    tokens = token_cache(corpus, tokenizer)
    rows = np.array([2, 1])
    documents = Documents(["a", "b"], [None, None], rows, [np.array([0], np.int32)] * 2)
    for max_len in (4, 64):
        encoded = tokens.of(documents, SpecialTokens((), (2,), 0), max_len)
        assert encoded.lengths.tolist() == [len(encoded[0]), len(encoded[1])]
        [first], [empty] = encoded[0].chunks, encoded[1].chunks
        assert first[-1] == 2
        assert empty.tolist() == [2]
        assert len(first) <= max_len
