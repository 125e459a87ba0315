"""The documents of a split as the network reads them, from tokens in memory or on disk.

Shapes: N documents, W windows of them, T tokens, D width, M descriptions of labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from icdcli.data.batching import Chunks, Classes, Ids, LongNotes, SpecialTokens, TokenizedDocument
from icdcli.data.corpus.reader import Documents


@dataclass(frozen=True)
class Tokens:
    """The tokens of a corpus.

    Attributes:
        ids: The token ids of all documents, one after another (memory-mapped).
        offsets: The start of each document, and the end of the last.
        classes: The assertion class of each token (memory-mapped); None: not needed.
    """

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]
    classes: Classes | None = None

    @classmethod
    def joined(
        cls, documents: Sequence[Sequence[int]], classes: Sequence[Classes | None] = ()
    ) -> "Tokens":
        """Return the tokens of documents that are in memory.

        Args:
            documents: The token ids of each document.
            classes: The assertion class of each of its tokens, if needed.
        """
        known = [own for own in classes if own is not None]
        offsets = np.cumsum([0, *map(len, documents)], dtype=np.int64)
        ids = np.concatenate([np.array(ids, np.uint32) for ids in documents])
        return cls(ids, offsets, np.concatenate(known) if known else None)

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

    def classes_of(self, row: int) -> Classes | None:
        """Return the assertion classes of a document's tokens, if they are known."""
        if self.classes is None:
            return None
        return self.classes[self.offsets[row] : self.offsets[row + 1]]


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
        principal_N: The label of each document's principal diagnosis, below 0 if it is unknown;
            None: it isn't learned.
    """

    tokens: Tokens
    rows: NDArray[np.int64]
    targets: Sequence[NDArray[np.int32]]
    special_tokens: SpecialTokens
    max_len: int
    chunks: Chunks | None = None
    windows: Windows | None = None
    drawn_N: Ids | None = None
    hidden_states: "HiddenStates | JoinedStates | None" = None
    similarities: "DescriptionSimilarity | None" = None
    principal_N: NDArray[np.int64] | None = None

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
        window = slice(None) if self.windows is None else slice(*self.windows.spans_W2[place])
        row = self.rows[place if self.windows is None else self.windows.documents_W[place]]
        classes = self.tokens.classes_of(row)
        return self.special_tokens.read(
            self.tokens[row][window],
            self.max_len,
            self.chunks,
            None if classes is None else classes[window],
        )

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

    def none(self) -> "EncodedDocuments":
        """Return none of the documents."""
        return replace(
            self,
            rows=self.rows[:0],
            targets=[],
            windows=None,
            drawn_N=None,
            hidden_states=None,
            similarities=None,
        )

    def targets_at(self, positions: Ids) -> list[NDArray[np.int32]]:
        """Return the label indices of the documents of some windows."""
        places = self.places(positions)
        if self.windows is not None:
            places = self.windows.documents_W[places]
        return [self.targets[place] for place in places.tolist()]

    def principals_at(self, positions: Ids) -> NDArray[np.int64] | None:
        """Return the principal diagnoses of the documents of some windows, if they are learned."""
        if self.principal_N is None:
            return None
        places = self.places(positions)
        found: NDArray[np.int64] = self.principal_N[
            places if self.windows is None else self.windows.documents_W[places]
        ]
        return found

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
        state_pooling: The number of neighboring hidden states that were averaged into one.
    """

    hidden_TD: NDArray[np.float16]
    offsets: NDArray[np.int64]
    state_pooling: int = 1

    def __getitem__(self, position: int) -> NDArray[np.float16]:
        return self.hidden_TD[self.offsets[position] : self.offsets[position + 1]]


@dataclass(frozen=True)
class JoinedStates:
    """Some of the hidden states of several splits, as those of one; see `HiddenStates`.

    Attributes:
        sources: The hidden states of each split.
        source_N: The split of each window.
        place_N: The place of each window in its split.
    """

    sources: Sequence[HiddenStates]
    source_N: NDArray[np.int64]
    place_N: NDArray[np.int64]

    @classmethod
    def of(cls, sources: Sequence[HiddenStates], places: Sequence[Ids]) -> "JoinedStates":
        """Return the windows at some places of each split, one split after another."""
        return cls(sources, *_joined(places))

    @property
    def state_pooling(self) -> int:
        """Return the number of neighboring hidden states that were averaged into one."""
        return self.sources[0].state_pooling

    def __getitem__(self, position: int) -> NDArray[np.float16]:
        states: NDArray[np.float16] = self.sources[self.source_N[position]][
            int(self.place_N[position])
        ]
        return states


@dataclass(frozen=True)
class JoinedRows:
    """Some rows and columns of several matrices as one matrix, of which only parts are read.

    Attributes:
        matrices: The matrices.
        source_N: The matrix of each row.
        place_N: The place of each row in its matrix.
        columns: The columns of each matrix.
    """

    matrices: Sequence[NDArray[np.float16]]
    source_N: NDArray[np.int64]
    place_N: NDArray[np.int64]
    columns: Sequence[Ids]

    @classmethod
    def of(
        cls, matrices: Sequence[NDArray[np.float16]], places: Sequence[Ids], columns: Sequence[Ids]
    ) -> "JoinedRows":
        """Return rows at some places of each matrix, one matrix after another."""
        return cls(matrices, *_joined(places), columns)

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of rows and columns."""
        return len(self.place_N), len(self.columns[0])

    def __len__(self) -> int:
        return len(self.place_N)

    def __getitem__(self, rows: slice | Ids) -> NDArray[np.float16]:
        source_B, place_B = self.source_N[rows], self.place_N[rows]
        found = np.empty((len(place_B), len(self.columns[0])), np.float16)
        for source, (matrix, columns) in enumerate(zip(self.matrices, self.columns, strict=True)):
            here_B = source_B == source
            found[here_B] = matrix[place_B[here_B]][:, columns]
        return found


def _joined(places: Sequence[Ids]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the source of each place, and the places, one source after another."""
    source_N = np.repeat(np.arange(len(places)), [len(here) for here in places])
    return source_N, np.concatenate(places).astype(np.int64)


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

    cosine_NM: NDArray[np.float16] | JoinedRows
    offset_M: NDArray[np.float32]
    firsts_L: NDArray[np.int64]

    def __getitem__(self, rows: Ids) -> NDArray[np.float32]:
        """Return the similarity of each label's most similar description: similarity_BL."""
        cosine_BM: NDArray[np.float16] = self.cosine_NM[rows]
        similarity_BL: NDArray[np.float32] = np.maximum.reduceat(
            cosine_BM - self.offset_M, self.firsts_L, axis=1
        )
        return similarity_BL
