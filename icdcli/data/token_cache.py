"""The token cache: a corpus is tokenized once, for any number of runs and any ``max_len``.

It has all tokens of each document, in one memory-mapped array. Documents are truncated, and get
their special tokens, when they are read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Tokenizer

from icdcli.data.batching import Chunks, Ids, SpecialTokens, TokenizedDocument
from icdcli.data.corpus.reader import DOCUMENTS, Documents, document_batches
from icdcli.errors import DataError
from icdcli.io.folders import locked, partial_folder, publish_folder
from icdcli.io.npz import cache_opened, read_array
from icdcli.io.prefetch import one_ahead
from icdcli.io.progress import Progress

_IDS, _OFFSETS, _META = "ids.npy", "offsets.npy", "meta.json"
_AT_ONCE = 256  # documents that the tokenizer receives together; it uses all cores itself


@dataclass(frozen=True)
class Tokens:
    """The tokens of a corpus.

    Attributes:
        ids: The token ids of all documents, one after another (memory-mapped).
        offsets: The start of each document, and the end of the last.
    """

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(
        self,
        documents: Documents,
        special_tokens: SpecialTokens,
        max_len: int,
        chunks: Chunks | None = None,
    ) -> "EncodedDocuments":
        """Return a split's documents as the network reads them."""
        return EncodedDocuments(
            self, documents.rows, documents.targets, special_tokens, max_len, chunks
        )

    def __getitem__(self, row: int) -> NDArray[np.uint32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class EncodedDocuments:
    """The documents of a split as the network reads them.

    Attributes:
        tokens: The tokens of the corpus.
        rows: The row of each document in the corpus.
        targets: The label indices of each document, ascending.
        special_tokens: The special tokens around a document.
        max_len: The length of a window, special tokens included; only the first window is read.
        chunks: How a window longer than the backbone's is read; None: at once.
        hidden_states: The hidden states of a frozen backbone, if they are precomputed.
        similarities: The similarity of each label's descriptions to the documents, if needed.
    """

    tokens: Tokens
    rows: NDArray[np.int64]
    targets: Sequence[NDArray[np.int32]]
    special_tokens: SpecialTokens
    max_len: int
    chunks: Chunks | None = None
    hidden_states: "HiddenStates | None" = None
    similarities: "DescriptionSimilarity | None" = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of each document that the backbone reads, chunks included."""
        offsets = self.tokens.offsets
        return self.special_tokens.tokens(
            offsets[self.rows + 1] - offsets[self.rows], self.max_len, self.chunks
        )

    @property
    def state_lengths(self) -> NDArray[np.int64]:
        """Return the number of hidden states of each document: its tokens, each once."""
        offsets = self.tokens.offsets
        return self.special_tokens.tokens(offsets[self.rows + 1] - offsets[self.rows], self.max_len)

    def __getitem__(self, position: int) -> TokenizedDocument:
        return self.special_tokens.read(self.tokens[self.rows[position]], self.max_len, self.chunks)


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states of a split's documents, as a frozen backbone computes them.

    Attributes:
        hidden_TD: The hidden states of all documents, one after another (float16, memory-mapped).
        offsets: The start of each document, and the end of the last.
    """

    hidden_TD: NDArray[np.float16]
    offsets: NDArray[np.int64]

    def __getitem__(self, position: int) -> NDArray[np.float16]:
        return self.hidden_TD[self.offsets[position] : self.offsets[position + 1]]


@dataclass(frozen=True)
class DescriptionSimilarity:
    """The similarity of each description of a code to each document of a split.

    Attributes:
        cosine_NM: The cosine of each description and the most similar words of each document
            (float16, memory-mapped). The descriptions are in the order of the labels.
        offset_M: The number that is subtracted from the cosines of each description, since some
            descriptions are similar to everything.
        firsts_L: The first description of each label.
    """

    cosine_NM: NDArray[np.float16]
    offset_M: NDArray[np.float32]
    firsts_L: NDArray[np.int64]

    def __getitem__(self, rows: Ids) -> NDArray[np.float32]:
        """Return the similarity of each label's most similar description: similarity_BL."""
        similarity_BL: NDArray[np.float32] = np.maximum.reduceat(
            self.cosine_NM[rows] - self.offset_M, self.firsts_L, axis=1
        )
        return similarity_BL


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


def token_cache(corpus: Path, tokenizer: Tokenizer, on_progress: Progress | None = None) -> Tokens:
    """Open the tokens of a corpus, tokenizing it first if necessary.

    Args:
        corpus: The corpus folder; the cache is its folder ``tokens-<fingerprint>/``.
        tokenizer: The backend of a fast tokenizer.
        on_progress: Receives ("tokenizing", documents done, documents).

    Raises:
        DataError: If the cache can't be written or doesn't fit the corpus.
    """
    count = pq.read_metadata(corpus / DOCUMENTS).num_rows
    folder = corpus / f"tokens-{fingerprint(tokenizer)}"
    if not (folder / _META).is_file():
        try:
            with locked(corpus, folder.name, on_progress):
                if not (folder / _META).is_file():  # another process may have made it
                    with partial_folder(corpus, folder.name) as partial:
                        _write(partial, _texts(corpus), count, tokenizer, on_progress)
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


def _texts(corpus: Path) -> Iterator[list[str]]:
    for batch in document_batches(corpus, ["text"], _AT_ONCE):
        yield batch.column(0).to_pylist()


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
