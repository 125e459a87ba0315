"""The token cache: a corpus tokenised once, flat and memory-mapped, for any number of runs and any ``max_len``.

Tokens lie without special tokens and uncut; cutting and framing happen when a document is read.
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
from icdcli.io.folders import alone, finish, partial_folder
from icdcli.io.npz import cache_opened, read_array
from icdcli.io.prefetch import one_ahead
from icdcli.io.progress import Progress

_IDS, _OFFSETS, _META = "ids.npy", "offsets.npy", "meta.json"
_AT_ONCE = 256  # documents handed to the tokenizer together; it spreads them over the cores itself


@dataclass(frozen=True)
class Tokens:
    """A corpus's tokens.

    Attributes:
        ids: All documents' token ids, end to end (memory-mapped).
        offsets: Where each document starts; one more than there are documents.
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
        """A split's documents as the network reads them."""
        return EncodedDocuments(
            self, documents.rows, documents.targets, special_tokens, max_len, chunks
        )

    def __getitem__(self, row: int) -> NDArray[np.uint32]:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]


@dataclass(frozen=True)
class EncodedDocuments:
    """The documents of a split as the network reads them.

    Attributes:
        tokens: The corpus's tokens.
        rows: Each document's row in the corpus.
        targets: Each document's label indices, ascending.
        special_tokens: What stands around a document.
        max_len: The longest that a document may be, frame included.
        chunks: How documents beyond the model's window are read; None: whole.
        hidden_states: What a frozen backbone makes of them, where that was computed before.
        similarities: How near each label's descriptions come to the documents, where that is asked for.
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
        """Tokens that the backbone reads of each document, cut and framed."""
        offsets = self.tokens.offsets
        return self.special_tokens.tokens(
            offsets[self.rows + 1] - offsets[self.rows], self.max_len, self.chunks
        )

    @property
    def state_lengths(self) -> NDArray[np.int64]:
        """States of each document: its tokens, cut and framed, each once."""
        offsets = self.tokens.offsets
        return self.special_tokens.tokens(offsets[self.rows + 1] - offsets[self.rows], self.max_len)

    def __getitem__(self, position: int) -> TokenizedDocument:
        return self.special_tokens.read(self.tokens[self.rows[position]], self.max_len, self.chunks)


@dataclass(frozen=True)
class HiddenStates:
    """Token states of a split's documents, as a frozen backbone gives them.

    Attributes:
        hidden_TD: All documents' states, end to end (float16, memory-mapped).
        offsets: Where each document starts; one more than there are documents.
    """

    hidden_TD: NDArray[np.float16]
    offsets: NDArray[np.int64]

    def __getitem__(self, position: int) -> NDArray[np.float16]:
        return self.hidden_TD[self.offsets[position] : self.offsets[position + 1]]


@dataclass(frozen=True)
class DescriptionSimilarity:
    """How near each description of a code comes to each document of a split.

    Attributes:
        cosine_NM: The cosine of each description and each document's nearest words (float16, memory-mapped); the descriptions of
            a label stand side by side, in the order of the labels.
        offset_M: What is taken off each, since some descriptions are near everything.
        firsts_L: Which is the first description of each label.
    """

    cosine_NM: NDArray[np.float16]
    offset_M: NDArray[np.float32]
    firsts_L: NDArray[np.int64]

    def __getitem__(self, rows: Ids) -> NDArray[np.float32]:
        """The nearest of each label's descriptions: similarity_BL."""
        similarity_BL: NDArray[np.float32] = np.maximum.reduceat(
            self.cosine_NM[rows] - self.offset_M, self.firsts_L, axis=1
        )
        return similarity_BL


def fingerprint(tokenizer: Tokenizer) -> str:
    """Sixteen hexadecimal digits that change when the tokenizer would tokenise a whole text differently."""
    return hashlib.sha256(_plain(tokenizer).to_str().encode()).hexdigest()[:16]


def _plain(tokenizer: Tokenizer) -> Tokenizer:
    """One that leaves texts whole: a file may carry truncation and padding, and a call leaves what it asked for in its own."""
    plain = Tokenizer.from_str(tokenizer.to_str())
    plain.no_truncation()
    plain.no_padding()
    return plain


def use_workers(workers: int) -> None:
    """Tokenise on so many threads; 0 leaves it at one a core.

    The tokenizers library makes its threads when it first needs them and keeps them: call this before, once a process.
    """
    if workers:
        os.environ["RAYON_NUM_THREADS"] = str(workers)


def token_cache(corpus: Path, tokenizer: Tokenizer, on_progress: Progress | None = None) -> Tokens:
    """Open a corpus's tokens, tokenising it first where that has not been done.

    Args:
        corpus: The prepared corpus's folder; the cache lies in its ``tokens-<fingerprint>/``.
        tokenizer: A fast tokenizer's backend.
        on_progress: Told ("tokenising", documents done, documents).

    Raises:
        DataError: When the cache can't be written or does not fit the corpus.
    """
    count = pq.read_metadata(corpus / DOCUMENTS).num_rows
    folder = corpus / f"tokens-{fingerprint(tokenizer)}"
    if not (folder / _META).is_file():
        try:
            with alone(corpus, folder.name, on_progress):
                if not (folder / _META).is_file():  # another process may have made it meanwhile
                    with partial_folder(corpus, folder.name) as partial:
                        _write(partial, _texts(corpus), count, tokenizer, on_progress)
                        finish(partial, folder)
        except OSError as error:
            raise DataError(
                f"{folder}: the token cache can't be written ({error.strerror}); free space or set cache_dir"
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
            raise ValueError("it does not fit its corpus")
    return tokens


def _texts(corpus: Path) -> Iterator[list[str]]:
    for batch in document_batches(corpus, ["text"], _AT_ONCE):
        yield batch.column(0).to_pylist()


def encode(tokenizer: Tokenizer) -> Callable[[list[str]], list[list[int]]]:
    """A function from texts to their token ids, whole."""
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
                on_progress("tokenising", len(lengths), count)
        file.seek(0)
        # numpy leaves room in the header for the length to grow, so that it can be written last.
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
    np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]  # any binary file will do
