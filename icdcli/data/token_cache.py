"""The token cache: a corpus is tokenized once, for any number of runs and any ``max_len``.

It has all tokens of each document, in one memory-mapped array. Documents are truncated, and get
their special tokens, when they are read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow.parquet as pq
from tokenizers import Tokenizer

from icdcli.data.corpus.reader import DOCUMENTS, document_batches
from icdcli.data.encoded_documents import Tokens
from icdcli.errors import DataError
from icdcli.io.folders import locked, partial_folder, publish_folder
from icdcli.io.npz import cache_opened, read_array
from icdcli.io.prefetch import one_ahead
from icdcli.io.progress import Progress

_IDS, _OFFSETS, _META = "ids.npy", "offsets.npy", "meta.json"
_AT_ONCE = 256  # documents that the tokenizer receives together; it uses all cores itself


def fingerprint(tokenizer: Tokenizer) -> str:
    """Return sixteen hexadecimal digits that change with the tokenizer's behavior."""
    return hashlib.sha256(_plain(tokenizer).to_str().encode()).hexdigest()[:16]


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    """Return a copy without truncation and padding, which a file or a call may have set."""
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain


def use_workers(workers: int) -> None:
    """Set the number of threads for tokenizing; 0: one per core.

    The tokenizers library starts its threads when it first needs them and keeps them: call this
    before, once per process.
    """
    if workers:
        os.environ["RAYON_NUM_THREADS"] = str(workers)


class TokenizerInput(Protocol):
    """A text as the tokenizer sees it."""

    @property
    def text(self) -> str:
        """Return the text."""


class TextReading(Protocol):
    """How a model reads texts before they are tokenized; see `icdcli.lexical.reading`."""

    @property
    def key(self) -> str:
        """Return what distinguishes it from other readings; empty if it changes nothing."""

    def read(self, text: str) -> TokenizerInput:
        """Read a text."""


def token_cache(
    corpus: Path,
    tokenizer: Tokenizer,
    on_progress: Progress | None = None,
    reading: TextReading | None = None,
) -> Tokens:
    """Open the tokens of a corpus, tokenizing it first if necessary.

    Args:
        corpus: The corpus folder; the cache is its folder ``tokens-<fingerprint>/``.
        tokenizer: The backend of a fast tokenizer.
        on_progress: Receives ("tokenizing", documents done, documents).
        reading: How the texts are read; None: unchanged.

    Raises:
        DataError: If the cache can't be written or doesn't fit the corpus.
    """
    count = pq.read_metadata(corpus / DOCUMENTS).num_rows
    key = reading.key if reading is not None else ""
    folder = corpus / "-".join(["tokens", fingerprint(tokenizer), *([key] if key else [])])
    if not (folder / _META).is_file():
        try:
            with locked(corpus, folder.name, on_progress):
                if not (folder / _META).is_file():  # another process may have made it
                    with partial_folder(corpus, folder.name) as partial:
                        _write(partial, _texts(corpus, reading), count, tokenizer, on_progress)
                        publish_folder(partial, folder)
        except OSError as error:
            raise DataError(
                f"{folder}: the token cache can't be written ({error.strerror}). Free some space "
                "or set cache_dir."
            ) from error
    with cache_opened(folder):
        tokens = Tokens(read_array(folder / _IDS, mapped=True), read_array(folder / _OFFSETS))
        lengths = np.diff(tokens.offsets, prepend=0)  # the first starts at 0
        if (
            len(tokens) != count
            or lengths[0]
            or lengths.min() < 0
            or lengths.sum() != len(tokens.ids)
        ):
            raise ValueError("it doesn't fit its corpus")
    return tokens


def _texts(corpus: Path, reading: TextReading | None) -> Iterator[list[str]]:
    for batch in document_batches(corpus, ["text"], _AT_ONCE):
        texts = batch.column(0).to_pylist()
        yield texts if reading is None else [reading.read(text).text for text in texts]


def encode(tokenizer: Tokenizer) -> Callable[[list[str]], list[list[int]]]:
    """Return a function from texts to all their token ids."""
    plain = _plain(tokenizer)
    return lambda texts: [
        found.ids for found in plain.encode_batch_fast(texts, add_special_tokens=False)
    ]


def _write(
    folder: Path,
    batches: Iterator[list[str]],
    count: int,
    tokenizer: Tokenizer,
    on_progress: Progress | None,
) -> None:
    ids_of = encode(tokenizer)
    lengths: list[int] = []
    with (folder / _IDS).open("wb") as file:
        _write_header(file, 0)
        start = file.tell()
        for found in one_ahead(ids_of, batches):
            for ids in found:
                lengths.append(len(ids))
                file.write(np.array(ids, dtype=np.uint32).tobytes())
            if on_progress is not None:
                on_progress("tokenizing", len(lengths), count)
        file.seek(0)
        # numpy leaves space in the header for a larger length, so that it can be written last.
        _write_header(file, sum(lengths))
        assert file.tell() == start, "the header of a .npy file grew"
    np.save(folder / _OFFSETS, np.cumsum([0, *lengths], dtype=np.int64))
    meta = {
        "documents": len(lengths),
        "tokens": sum(lengths),
        "special_tokens": False,
        "truncated": False,
    }
    (folder / _META).write_text(json.dumps(meta, indent=2) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        path.chmod(0o600)


def _write_header(file: object, length: int) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint32)),
        "fortran_order": False,
        "shape": (length,),
    }
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]  # a binary file
