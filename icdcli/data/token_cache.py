"""The token cache: a corpus is tokenized once, for any number of runs and any ``max_len``.

It has all tokens of each document, in one memory-mapped array. Documents are truncated, and get
their special tokens, when they are read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Tokenizer

from icdcli.data.batching import Classes
from icdcli.data.corpus.reader import DOCUMENTS, document_batches
from icdcli.data.encoded_documents import Tokens
from icdcli.errors import DataError
from icdcli.io.folders import locked, partial_folder, publish_folder
from icdcli.io.npz import cache_opened, read_array
from icdcli.io.prefetch import one_ahead
from icdcli.io.progress import Progress

_IDS, _OFFSETS, _CLASSES, _META = "ids.npy", "offsets.npy", "classes.npy", "meta.json"
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

    def classes(self, places_N: NDArray[np.int64]) -> Classes:
        """Return the assertion class at places of the text."""


class TextReading(Protocol):
    """How a model reads texts before they are tokenized; see `icdcli.lexical.reading`."""

    @property
    def key(self) -> str:
        """Return what distinguishes it from other readings; empty if it changes nothing."""

    @property
    def classes_key(self) -> str:
        """Return what distinguishes the assertion classes from those by other cues."""

    def read(self, text: str) -> TokenizerInput:
        """Read a text."""


class TokenizedText(NamedTuple):
    """A text as tokens, without special tokens.

    Attributes:
        ids: The token ids.
        classes: The assertion class of each token; None: not needed.
    """

    ids: list[int]
    classes: Classes | None = None


def token_cache(
    corpus: Path,
    tokenizer: Tokenizer,
    on_progress: Progress | None = None,
    reading: TextReading | None = None,
    with_classes: bool = False,
) -> Tokens:
    """Open the tokens of a corpus, tokenizing it first if necessary.

    Args:
        corpus: The corpus folder; the cache is its folder ``tokens-<fingerprint>/``.
        tokenizer: The backend of a fast tokenizer.
        on_progress: Receives ("tokenizing", documents done, documents).
        reading: How the texts are read; None: unchanged.
        with_classes: Whether the assertion class of each token is needed, too.

    Raises:
        DataError: If the cache can't be written or doesn't fit the corpus.
    """
    count = pq.read_metadata(corpus / DOCUMENTS).num_rows
    keys = [fingerprint(tokenizer)]
    if reading is not None:
        keys += [reading.key, f"classes-{reading.classes_key}" if with_classes else ""]
    folder = corpus / "-".join(["tokens", *filter(None, keys)])
    if not (folder / _META).is_file():
        try:
            with locked(corpus, folder.name, on_progress):
                if not (folder / _META).is_file():  # another process may have made it
                    with partial_folder(corpus, folder.name) as partial:
                        tokenize = tokenization(tokenizer, reading, with_classes)
                        _write(partial, _texts(corpus), count, tokenize, with_classes, on_progress)
                        publish_folder(partial, folder)
        except OSError as error:
            raise DataError(
                f"{folder}: the token cache can't be written ({error.strerror}). Free some space "
                "or set cache_dir."
            ) from error
    with cache_opened(folder):
        classes = read_array(folder / _CLASSES, mapped=True) if with_classes else None
        tokens = Tokens(
            read_array(folder / _IDS, mapped=True), read_array(folder / _OFFSETS), classes
        )
        lengths = np.diff(tokens.offsets, prepend=0)  # the first starts at 0
        if (
            len(tokens) != count
            or lengths[0]
            or lengths.min() < 0
            or lengths.sum() != len(tokens.ids)
            or (classes is not None and len(classes) != len(tokens.ids))
        ):
            raise ValueError("it doesn't fit its corpus")
    return tokens


def _texts(corpus: Path) -> Iterator[list[str]]:
    for batch in document_batches(corpus, ["text"], _AT_ONCE):
        yield batch.column(0).to_pylist()


def encode(tokenizer: Tokenizer) -> Callable[[list[str]], list[list[int]]]:
    """Return a function from texts to all their token ids."""
    return partial(_ids, _plain(tokenizer))


def _ids(plain: Tokenizer, texts: list[str]) -> list[list[int]]:
    return [found.ids for found in plain.encode_batch_fast(texts, add_special_tokens=False)]


def tokenization(
    tokenizer: Tokenizer, reading: TextReading | None = None, with_classes: bool = False
) -> Callable[[Sequence[str]], list[TokenizedText]]:
    """Return a function from texts to all their tokens.

    Args:
        tokenizer: The tokenizer.
        reading: How the texts are read; None: unchanged.
        with_classes: Whether the assertion class of each token is needed, too.
    """
    plain = _plain(tokenizer)

    def tokenize(texts: Sequence[str]) -> list[TokenizedText]:
        if reading is None or not with_classes:
            seen = list(texts) if reading is None else [reading.read(text).text for text in texts]
            return [TokenizedText(ids) for ids in _ids(plain, seen)]
        read = list(map(reading.read, texts))
        found = plain.encode_batch([each.text for each in read], add_special_tokens=False)
        return [
            TokenizedText(tokens.ids, token_classes(text, tokens.offsets))
            for text, tokens in zip(read, found, strict=True)
        ]

    return tokenize


def token_classes(text: TokenizerInput, offsets: Sequence[tuple[int, int]]) -> Classes:
    """Return the assertion class of each token, that of its last character.

    Some tokenizers let a token begin with the blank before its word.

    Args:
        text: The text.
        offsets: The begin and end of each token in it.
    """
    begins, ends = np.array(offsets, np.int64).reshape(-1, 2).T
    return text.classes(np.maximum(ends - 1, begins))


def _write(
    folder: Path,
    batches: Iterator[list[str]],
    count: int,
    tokenize: Callable[[Sequence[str]], list[TokenizedText]],
    with_classes: bool,
    on_progress: Progress | None,
) -> None:
    lengths: list[int] = []
    with ExitStack() as opened:
        ids = opened.enter_context(_GrowingArray(folder / _IDS, np.uint32))
        classes = None
        if with_classes:
            classes = opened.enter_context(_GrowingArray(folder / _CLASSES, np.uint8))
        for found in one_ahead(tokenize, batches):
            for text in found:
                lengths.append(len(text.ids))
                ids.append(np.array(text.ids, np.uint32))
                if classes is not None and text.classes is not None:
                    classes.append(text.classes)
            if on_progress is not None:
                on_progress("tokenizing", len(lengths), count)
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


class _GrowingArray:
    """A file of numbers (.npy) whose length is known only when it is closed."""

    def __init__(self, path: Path, dtype: type[np.generic]) -> None:
        self._path, self._dtype, self._length = path, np.dtype(dtype), 0

    def __enter__(self) -> "_GrowingArray":
        self._file = self._path.open("wb")
        self._write_header()
        self._start = self._file.tell()
        return self

    def append(self, values: NDArray[np.generic]) -> None:
        """Write more numbers."""
        self._length += len(values)
        self._file.write(values.astype(self._dtype, copy=False).tobytes())

    def __exit__(self, *_: object) -> None:
        with self._file:
            self._file.seek(0)
            # numpy leaves space in the header for a larger length, so it can be written last.
            self._write_header()
            assert self._file.tell() == self._start, "the header of a .npy file grew"

    def _write_header(self) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._length,),
        }
        np.lib.format.write_array_header_1_0(self._file, header)
