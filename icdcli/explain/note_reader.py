"""How much each word of a note counts for a code, by each part of a model.

A neural model has up to three kinds of parts: the network's head (`icdcli.explain.attribution`),
the description prior (the words nearest to the code's description) and the lexical model's parts
(the scores of each word beyond those of the note's mean word). Each part counts by what it adds to
the code's fused logit. A TF-IDF model has one part: the exact contribution of each word.

A word is a run of letters and digits. Its weight is the sum of its tokens' weights. Blanks,
punctuation and special tokens have no weight. The weights of a code's words sum to 1.

Shapes: K labels, T tokens or other pieces of a note, W words, P parts.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from icdcli.data.batching import TokenizedDocument, collate
from icdcli.data.corpus.cleaning import kept_words
from icdcli.data.token_cache import TokenizedText, token_classes
from icdcli.explain.attribution import Attribution, attribute
from icdcli.lexical.words import MARKS
from icdcli.model.batch import Batch
from icdcli.model.coding_model import CodingModel, ScoredWindows
from icdcli.model.fusion import NETWORK, UNKNOWN, Parts
from icdcli.model.heads.description_prior import WINDOW
from icdcli.model.neural_model import NeuralModel
from icdcli.model.tfidf_model import TfidfModel


def _further_marks() -> str:
    """Return the combining marks that `MARKS` leaves out, as the inside of a character class."""
    blocks = (
        (0x0300, 0x0370),  # of Latin and Greek
        (0x1AB0, 0x1B00),
        (0x1DC0, 0x1E00),
        (0x20D0, 0x2100),  # of symbols
        (0xFB1E, 0xFB1F),
        (0xFE00, 0xFE30),  # variants and halves
        (0x10000, 0x12000),
        (0x16000, 0x17000),
        (0x1BC00, 0x1F000),
        (0xE0100, 0xE01F0),
    )
    points = (chr(point) for block in blocks for point in range(*block))
    return "".join(point for point in points if unicodedata.category(point).startswith("M"))


# Letters and digits with separate combining marks, and with the invisible characters that stand
# within a word: the soft hyphen, and those that join letters or keep them apart.
_LETTERS = rf"\w(?:[\w{MARKS}{_further_marks()}]|[\u00ad\u200c\u200d\u2060](?=\w))*"
_RUN = re.compile(_LETTERS)
# Joined by characters that occur within words: COVID-19, 3.5, Graves'.
_WORD = re.compile(rf"{_LETTERS}(?:[-'’.]{_LETTERS})*")

Positions = NDArray[np.int64]
Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Words:
    """The words of a note.

    Attributes:
        in_note: The beginning and end of each word in the note, (W, 2).
        in_input: The same in the cleaned note, as all places of the model's pieces.
    """

    in_note: Positions
    in_input: Positions

    def __len__(self) -> int:
        return len(self.in_note)

    def left_in(self, *kept: str) -> "Words":
        """Return the words that aren't blank in what views keep of the text, in one at least."""
        left_W = [
            any(text[begin:end].strip() for text in kept) for begin, end in self.in_input.tolist()
        ]
        if all(left_W):
            return self
        return Words(self.in_note[left_W], self.in_input[left_W])


def words_of(text: str, cleaning: str = "none") -> tuple[str, Words]:
    """Return the text that a model with this ``text_cleaning`` reads, and the note's words.

    Words are complete in the note, even if the cleaning keeps only a part or several pieces of one.
    """
    if cleaning == "none":
        in_note = _positions([match.span() for match in _WORD.finditer(text)])
        return text, Words(in_note, in_note)
    kept, runs = [*kept_words(text, cleaning)], (match.span() for match in _RUN.finditer(text))
    # A cleaning that breaks words at accents keeps several pieces of a word.
    in_note_W: list[tuple[int, int]] = []
    in_input_W: list[tuple[int, int]] = []
    run, place = (0, 0), 0
    for piece, begin, _ in kept:
        if begin < run[1]:
            in_input_W[-1] = (in_input_W[-1][0], place + len(piece))
        else:
            run = next(found for found in runs if begin < found[1])
            in_note_W.append(run)
            in_input_W.append((place, place + len(piece)))
        place += len(piece) + 1
    cleaned = " ".join(piece for piece, _, _ in kept)
    return cleaned, Words(_positions(in_note_W), _positions(in_input_W))


def _positions(pairs: Sequence[tuple[int, int]]) -> Positions:
    return np.array(pairs, np.int64).reshape(-1, 2)


class Part(NamedTuple):
    """The contribution of one part of a model.

    Attributes:
        added_K: The amount that the part adds to each label's logit.
        weights_KT: How much each piece of the note counts in it.
        pieces: The beginning and end of each piece in the text that the model reads, (T, 2). Pieces
            are tokens or words.
    """

    added_K: NDArray[np.floating]
    weights_KT: NDArray[np.floating]
    pieces: Positions


@dataclass(frozen=True)
class Window:
    """A window of a note, with the parts' contributions to the labels whose score is from it.

    Attributes:
        requested: The positions of these labels (K of them) among the labels requested.
        head: The attribution of the network's head; None: the model has no network.
        parts: The contributions, the head's first. Those of the lexical model cover the whole note.
        words: The note's words.
        fused: Whether the parts are fused. If they aren't and no part adds to a label's logit, the
            words that the first part reads count.
    """

    requested: tuple[int, ...]
    head: Attribution | None
    parts: tuple[Part, ...]
    words: Words
    fused: bool = False

    @property
    def weights_KW(self) -> Weights:
        """Return each word's weight for each label; a row sums to 1, or to 0 if no word counts."""
        added_PK = np.array([np.maximum(part.added_K, 0) for part in self.parts], np.float64)
        if not self.fused:
            added_PK[0] += added_PK.sum(axis=0) == 0
        return _normalized(
            sum(
                added_K[:, None] * self.by_word(part.weights_KT, part.pieces)
                for added_K, part in zip(added_PK, self.parts, strict=True)
            )
        )

    def by_word(self, weights_KT: NDArray[np.floating], pieces: Positions | None = None) -> Weights:
        """Sum the weights of pieces by word: (K, W), each row normalized to 1 (or 0 if all are 0).

        Args:
            weights_KT: The weight of each piece.
            pieces: The beginning and end of each piece; None: the window's tokens.
        """
        pieces = self.parts[0].pieces if pieces is None else pieces
        weights_KW = np.zeros((len(weights_KT), len(self.words)))
        first = np.searchsorted(self.words.in_input[:, 1], pieces[:, 0], side="right")
        last = np.searchsorted(self.words.in_input[:, 0], pieces[:, 1], side="left")
        # Some tokenizers have tokens of several words: the words share the token's weight.
        for piece in np.flatnonzero(last > first).tolist():
            share_K = weights_KT[:, piece] / (last[piece] - first[piece])
            weights_KW[:, first[piece] : last[piece]] += share_K[:, None]
        return _normalized(weights_KW)


class NoteReader(Protocol):
    """A reader of notes that finds how much each word counts."""

    def read(
        self, text: str, labels: Sequence[int], scored: ScoredWindows | None = None
    ) -> Iterator[Window]:
        """Yield the windows that give any of the labels its score; none for a note without words.

        Args:
            text: The note.
            labels: The labels.
            scored: The note's windows as prediction scored them; None: they are scored again.
        """


@singledispatch
def note_reader(model: CodingModel) -> NoteReader:
    """Return the reader for this kind of model; it reads as much of a note as the model does."""
    raise TypeError(f"no evidence for a {type(model).__name__}")


class NeuralNoteReader:
    """The `NoteReader` of a neural model."""

    def __init__(self, model: NeuralModel) -> None:
        self._model = model
        self._tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def read(
        self, text: str, labels: Sequence[int], scored: ScoredWindows | None = None
    ) -> Iterator[Window]:
        """Yield the windows that give any of the labels its score; see `NoteReader.read`."""
        model = self._model
        cleaned, words = words_of(text, model.text_cleaning)
        read = model.reading.read(cleaned)
        histories = {} if model.lexical is None else model.lexical.histories
        words = words.left_in(
            read.kept,
            *(
                model.reading.read(cleaned, history).kept
                for history, parts in histories.items()
                if not set(parts.labels).isdisjoint(labels)
            ),
        )
        if not len(words) or not labels:
            return
        encoded = self._tokenizer.encode(read.text, add_special_tokens=False)
        tokens = read.original(np.array(encoded.offsets, np.int64).reshape(-1, 2))
        classes = None
        if model.network.head.classes:
            classes = token_classes(read, encoded.offsets)
        scores: Parts = {}
        if model.lexical is not None and model.fusion is not None:
            scores = model.lexical.scores([cleaned])
            scores[NETWORK] = np.zeros((1, len(model.labels)), np.float32)
            scores[NETWORK][:, len(model.network.head.bias_L) :] = UNKNOWN
        lexical, network_K = self._lexical(cleaned, labels, scores), self._network(labels, scores)
        for (start, end), requested in self._windows(
            TokenizedText(encoded.ids, classes), labels, scored
        ):
            document = model.special_tokens.read(
                encoded.ids[start:end],
                model.config.max_len,
                model.chunks,
                None if classes is None else classes[start:end],
            )
            # Of codes that training never saw, the network knows nothing: their weight is 0, and
            # the attribution that of any other code.
            known = len(model.network.head.bias_L)
            rows, own = list(requested), [min(labels[row], known - 1) for row in requested]
            head = attribute(model.network, document, model.special_tokens, own)
            parts = (
                Part(network_K[rows] * head.added_K, head.weights_KT, tokens[start:end]),
                *self._prior(document, head, own, network_K[rows], tokens[start:end]),
                *(Part(part.added_K[rows], part.weights_KT[rows], part.pieces) for part in lexical),
            )
            yield Window(requested, head, parts, words, fused=model.fusion is not None)

    def _windows(
        self, note: TokenizedText, labels: Sequence[int], scored: ScoredWindows | None
    ) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
        """Yield windows of tokens, each with the positions of the labels that peak in it."""
        windows = self._model.windows(len(note.ids))
        best_K = np.zeros(len(labels), np.int64)
        if len(windows) > 1:
            logits_WL = scored.logits_WL if scored else self._model.window_logits([note])
            best_K = logits_WL[:, labels].argmax(axis=0)
        for number in np.unique(best_K).tolist():
            yield windows[number], tuple(np.flatnonzero(best_K == number).tolist())

    def _network(self, labels: Sequence[int], scores: Parts) -> NDArray[np.floating]:
        """Return the weight of the network's logits, for each label."""
        fusion = self._model.fusion
        known_K = np.array(labels) < len(self._model.network.head.bias_L)
        if fusion is None:
            return known_K.astype(np.float64)
        ones_1L = np.ones((1, len(self._model.labels)))
        return known_K * fusion.added(NETWORK, {**scores, NETWORK: ones_1L})[0, list(labels)]

    def _lexical(self, cleaned: str, labels: Sequence[int], scores: Parts) -> list[Part]:
        model = self._model
        if model.lexical is None or model.fusion is None:
            return []
        return [
            Part(
                model.fusion.added(part, scores)[0, list(labels)],
                _beyond_the_mean(found.weights_KW),
                found.places_W2,
            )
            for part, found in model.lexical.by_word(cleaned, labels).items()
        ]

    def _prior(
        self,
        document: TokenizedDocument,
        head: Attribution,
        labels: Sequence[int],
        network_K: NDArray[np.floating],
        tokens: Positions,
    ) -> list[Part]:
        model, prior = self._model, self._model.network.prior
        if prior is None:
            return []
        states_TD = head.states_TD
        if model.trained_backbone:
            with model.untrained() as reader, torch.inference_mode():
                batch = Batch.of(collate([document], model.special_tokens.pad, reader.padding))
                states_TD = reader.hidden_states(batch.to(reader.device))
        nearest = prior.nearest(states_TD, labels)
        weights_KT = np.zeros((len(labels), len(document)))
        for row, (_, position) in enumerate(nearest):
            weights_KT[row, position : position + WINDOW] = 1
        own = slice(
            len(model.special_tokens.prefix), len(document) - len(model.special_tokens.suffix)
        )
        added_K = network_K * np.array([added for added, _ in nearest])
        return [Part(added_K, weights_KT[:, own], tokens)]


class TfidfNoteReader:
    """The `NoteReader` of a TF-IDF model, which reads a note in one window."""

    def __init__(self, model: TfidfModel) -> None:
        self._model = model

    def read(
        self, text: str, labels: Sequence[int], scored: ScoredWindows | None = None
    ) -> Iterator[Window]:
        """Yield one window, or none for a note without words; see `NoteReader.read`."""
        cleaned, words = words_of(text, self._model.text_cleaning)
        read = self._model.reading.read(cleaned)
        words = words.left_in(read.kept)
        if not len(words) or not labels:
            return
        pieces, added_KW = self._model.words.by_word(read.text, labels)
        part = Part(added_KW.sum(axis=1), np.maximum(added_KW, 0), read.original(pieces))
        yield Window(tuple(range(len(labels))), None, (part,), words)


@note_reader.register
def _(model: NeuralModel) -> NoteReader:
    return NeuralNoteReader(model)


@note_reader.register
def _(model: TfidfModel) -> NoteReader:
    return TfidfNoteReader(model)


def _normalized(weights: Weights) -> Weights:
    """Divide each row by its sum; a row of zeros stays as it is."""
    sums = weights.sum(axis=1, keepdims=True)
    return weights / np.where(sums > 0, sums, 1)


def _beyond_the_mean(weights_KW: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each word's weight beyond that of the note's mean word.

    For a frequent code, the n-grams of any word have some weight, which isn't evidence.
    """
    if not weights_KW.size:
        return weights_KW
    beyond_KW = np.maximum(weights_KW - weights_KW.mean(axis=1, keepdims=True), 0)
    return np.where(beyond_KW.any(axis=1, keepdims=True), beyond_KW, np.maximum(weights_KW, 0))
