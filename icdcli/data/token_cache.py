"""The token cache: a corpus is tokenized once, for any number of runs and any ``max_len``.

It has all tokens of each document, in one memory-mapped array. Documents are truncated, and get
their special tokens, when they are read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tokenizers import Tokenizer

from icdcli.data.batching import Chunks, Ids, LongNotes, SpecialTokens, TokenizedDocument
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

    @classmethod
    def joined(cls, documents: Sequence[Sequence[int]]) -> "Tokens":
        """Return the tokens of documents whose token ids are in memory."""
        offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        return cls(np.concatenate([np.array(ids, np.uint32) for ids in documents]), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(
        self,
        documents: Documents,
        special_tokens: SpecialTokens,
        max_len: int,
        chunks: Chunks | None = None,
        long_notes: LongNotes = "first",
    ) -> "EncodedDocuments":
        """Return a split's documents as the network reads them; see `SpecialTokens.windows`."""
        windows = None
        if long_notes == "windows":
            lengths = self.offsets[documents.rows + 1] - self.offsets[documents.rows]
            windows = Windows.of(
                [special_tokens.windows(tokens, max_len, long_notes) for tokens in lengths.tolist()]
            )
        return EncodedDocuments(
            self, documents.rows, documents.targets, special_tokens, max_len, chunks, windows
        )

    def __getitem__(self, row: int) -> NDArray[np.uint32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class Windows:
    """The windows of some documents, document by document.

    Attributes:
        documents_W: The document that each window belongs to; every document has a window.
        spans_W2: The first token of each window, and the token after its last.
    """

    documents_W: NDArray[np.int64]
    spans_W2: NDArray[np.int64]

    @classmethod
    def of(cls, spans: Sequence[Sequence[tuple[int, int]]]) -> "Windows":
        """Return the windows of documents, given as (first token, token after the last)."""
        documents_W = np.repeat(np.arange(len(spans)), [len(each) for each in spans])
        together = np.array([span for each in spans for span in each], np.int64)
        return cls(documents_W, together.reshape(-1, 2))

    def __len__(self) -> int:
        return len(self.documents_W)

    @property
    def counts_N(self) -> NDArray[np.int64]:
        """Return the number of windows of each document."""
        return np.bincount(self.documents_W)

    @property
    def firsts_N(self) -> NDArray[np.int64]:
        """Return the position of each document's first window."""
        counts_N = self.counts_N
        return np.cumsum(counts_N) - counts_N


_DRAWS = 1  # distinguishes the draws of windows from the others of an epoch


@dataclass(frozen=True)
class EncodedDocuments:
    """The documents of a split as the network reads them, window by window.

    A position counts windows: all windows of the documents, or one of each document.

    Attributes:
        tokens: The tokens of the corpus.
        rows: The row of each document in the corpus.
        targets: The label indices of each document, ascending.
        special_tokens: The special tokens around a window.
        max_len: The length of a window, special tokens included.
        chunks: How a window longer than the backbone's is read; None: at once.
        windows: All windows of the documents; None: each document has one, its beginning.
        drawn_N: The one window of each document that is read; None: all are.
        hidden_states: The hidden states of a frozen backbone for all windows, if they are
            precomputed.
        similarities: The similarity of each label's descriptions to all windows, if needed.
    """

    tokens: Tokens
    rows: NDArray[np.int64]
    targets: Sequence[NDArray[np.int32]]
    special_tokens: SpecialTokens
    max_len: int
    chunks: Chunks | None = None
    windows: Windows | None = None
    drawn_N: Ids | None = None
    hidden_states: "HiddenStates | None" = None
    similarities: "DescriptionSimilarity | None" = None

    def __len__(self) -> int:
        """Return the number of windows that are read."""
        windows = self.rows if self.windows is None else self.windows
        return len(windows if self.drawn_N is None else self.drawn_N)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Return the number of tokens of each window that the backbone reads, chunks included."""
        return self.special_tokens.tokens(self._own_tokens(), self.max_len, self.chunks)

    @property
    def state_lengths(self) -> NDArray[np.int64]:
        """Return the number of hidden states of each window: its tokens, each once."""
        return self.special_tokens.tokens(self._own_tokens(), self.max_len)

    @property
    def document_tokens(self) -> NDArray[np.int64]:
        """Return the number of each document's own tokens, whether or not they are read."""
        offsets = self.tokens.offsets
        return offsets[self.rows + 1] - offsets[self.rows]

    @property
    def cut_documents(self) -> int:
        """Return the number of documents of which only the beginning is read."""
        room = self.max_len - len(self.special_tokens)
        return 0 if self.windows is not None else int((self.document_tokens > room).sum())

    def __getitem__(self, position: int) -> TokenizedDocument:
        place = position if self.drawn_N is None else int(self.drawn_N[position])
        if self.windows is None:
            return self.special_tokens.read(
                self.tokens[self.rows[place]], self.max_len, self.chunks
            )
        start, end = self.windows.spans_W2[place].tolist()
        ids = self.tokens[self.rows[self.windows.documents_W[place]]][start:end]
        return self.special_tokens.read(ids, self.max_len, self.chunks)

    def drawn(self, seed: int, epoch: int) -> "EncodedDocuments":
        """Return the documents with one window each, drawn by chance for an epoch.

        All windows of a document are equally long, so that `lengths` are the same in every epoch.
        """
        if self.windows is None:
            return self
        chance_N = np.random.Generator(np.random.PCG64([seed, epoch, _DRAWS])).random(
            len(self.rows)
        )
        places_N = (chance_N * self.windows.counts_N).astype(np.int64)
        return replace(self, drawn_N=self.windows.firsts_N + places_N)

    def targets_at(self, positions: Ids) -> list[NDArray[np.int32]]:
        """Return the label indices of the documents of some windows."""
        places = self.places(positions)
        if self.windows is not None:
            places = self.windows.documents_W[places]
        return [self.targets[place] for place in places.tolist()]

    def places(self, positions: Ids) -> Ids:
        """Return the places of some windows among all windows."""
        return positions if self.drawn_N is None else self.drawn_N[positions]

    def _own_tokens(self) -> NDArray[np.int64]:
        if self.windows is None:
            return self.document_tokens
        starts_W, ends_W = self.windows.spans_W2.T
        lengths_W: NDArray[np.int64] = ends_W - starts_W
        return lengths_W if self.drawn_N is None else lengths_W[self.drawn_N]


@dataclass(frozen=True)
class HiddenStates:
    """The hidden states of a split's windows, as a frozen backbone computes them.

    Attributes:
        hidden_TD: The hidden states of all windows, one after another (float16, memory-mapped).
        offsets: The start of each window, and the end of the last.
    """

    hidden_TD: NDArray[np.float16]
    offsets: NDArray[np.int64]

    def __getitem__(self, position: int) -> NDArray[np.float16]:
        return self.hidden_TD[self.offsets[position] : self.offsets[position + 1]]


@dataclass(frozen=True)
class DescriptionSimilarity:
    """The similarity of each description of a code to each window of a split.

    Attributes:
        cosine_NM: The cosine of each description and the most similar words of each window
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
