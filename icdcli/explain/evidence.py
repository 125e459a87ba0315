"""Which words of a note made a coder choose a code.

Each part of a coder says how much each piece of a note counts: the network's head by `icdcli.explain.attribution`, a
description prior by the window that comes nearest to the code's description, what scores words alone (``lexical``) by what each
word gives its scores beyond the note's mean word. The parts count as much as they add to the code's logit, fused as they are.

A word, a run of letters and digits, has the sum of its tokens; blanks, punctuation and special tokens have no part, and a
code's words have 1 together. Its evidence are the words that have at least `LEAST` of that, and in any case the one with most;
neighbours with nothing but blanks between become one span.

Shapes: K codes that are asked for, T tokens or other pieces, W words, P parts.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from icdcli.data.batching import TokenizedDocument, collate
from icdcli.data.corpus.cleaning import kept_words
from icdcli.explain.attribution import Attribution, attribute
from icdcli.explain.spans import EvidenceSpan, EvidenceSpans, Find
from icdcli.model.batch import Batch
from icdcli.model.description_prior import WINDOW
from icdcli.model.fusion import NETWORK
from icdcli.model.neural_model import NeuralModel

LEAST = 0.1
"""The share of what counts for a code that a word of its evidence has; chosen for a network on 40 training documents of
CodiEsp, in Spanish, where anything from 0.08 to 0.15 gives the same F1 within .005. With words alone fused, 0.08 to 0.12 are
within .03 of each other on 30 documents of dev."""

# Letters and digits, with accents that stand apart from them, joined by what stands within words: COVID-19, 3.5, Graves'.
_WORD = re.compile(r"[\w\u0300-\u036f]+(?:[-'’.][\w\u0300-\u036f]+)*")

Numbers = NDArray[np.int64]
Weights = NDArray[np.float64]


class CodeEvidence(NamedTuple):
    """A code and the words that it was chosen by.

    Attributes:
        code: The dotted code.
        score: Its probability.
        spans: The words; none where the note has none or, where parts are fused, none speaks for the code.
    """

    code: str
    score: float
    spans: EvidenceSpans


def evidence_of(model: NeuralModel, text: str, codes: Sequence[str]) -> list[CodeEvidence]:
    """Say which words made a coder give a note some codes their scores.

    Args:
        model: The coder.
        text: The note, of any length; of several windows, the one counts that gives the code its score.
        codes: Any codes of the coder's label space, predicted or not.

    Raises:
        ValueError: For a code that it doesn't know.
    """
    if unknown := [code for code in codes if code not in model.labels.index]:
        raise ValueError(f"the coder has no code {unknown[0]!r}")
    labels = [model.labels.index[code] for code in codes]
    scores_L = model.scores([text])[0]
    found = finder(model)(text, labels)
    return [
        CodeEvidence(code, float(scores_L[label]), spans)
        for code, label, spans in zip(codes, labels, found, strict=True)
    ]


def finder(model: NeuralModel, cut: bool = False) -> Find:
    """A function that finds evidence in notes, one after the other.

    Args:
        model: The coder.
        cut: Whether what is beyond ``max_len`` tokens isn't read, as it isn't in a corpus's documents.
    """
    reader = NoteReader(model, cut)

    def find(text: str, labels: Sequence[int]) -> list[EvidenceSpans]:
        found: list[EvidenceSpans] = [()] * len(labels)
        for window in reader.read(text, labels):
            for place, weights_W in zip(window.asked, window.weights_KW, strict=True):
                found[place] = _spans(text, window.words.places, weights_W)
        return found

    return find


@dataclass(frozen=True)
class Words:
    """Words of a note.

    Attributes:
        places: Where each begins and ends in the note, (W, 2).
        read: Where in what the coder reads, which is the same unless the note is cleaned before, (W, 2).
    """

    places: Numbers
    read: Numbers

    def __len__(self) -> int:
        return len(self.places)


def words_of(text: str, cleaning: str = "none") -> tuple[str, Words]:
    """What a coder with this ``text_cleaning`` reads of a note, and the note's words."""
    if cleaning == "none":
        places = np.array([match.span() for match in _WORD.finditer(text)], np.int64).reshape(-1, 2)
        return text, Words(places, places)
    kept = [*kept_words(text, cleaning)]
    ends = np.cumsum([len(word) + 1 for word, _, _ in kept]) - 1
    lengths = np.array([len(word) for word, _, _ in kept], np.int64)
    places = np.array([place for _, *place in kept], np.int64).reshape(-1, 2)
    return " ".join(word for word, _, _ in kept), Words(
        places, np.column_stack([ends - lengths, ends]).astype(np.int64)
    )


def chosen(weights_W: Weights, least: float = LEAST) -> NDArray[np.bool_]:
    """Which words are evidence: those with at least this share, and the one with most."""
    return (weights_W > 0) & (weights_W >= min(least, float(weights_W.max(initial=0))))


class Part(NamedTuple):
    """What one part of a coder finds in a note.

    Attributes:
        added_K: What it adds to each code's logit.
        weights_KT: How much each piece of the note counts for that.
        pieces: Where each of them begins and ends in what is read, (T, 2): tokens, or words.
    """

    added_K: NDArray[np.floating]
    weights_KT: NDArray[np.floating]
    pieces: Numbers


@dataclass(frozen=True)
class Window:
    """A window of a note and what counts for the codes that have their score from it.

    Attributes:
        asked: Which of the codes that were asked for these are: K of them.
        head: What the network's head makes of the window.
        parts: What each part of the coder finds, the head first; what scores words alone finds it in the whole note.
        words: The note's words: W of them.
        fused: Whether the parts are fused; else, where nothing speaks for a code, the head tells what it looked at.
    """

    asked: tuple[int, ...]
    head: Attribution
    parts: tuple[Part, ...]
    words: Words
    fused: bool = False

    @property
    def weights_KW(self) -> Weights:
        """How much each word counts for each code, every part by what it adds to the logit; each row sums to 1, or to 0."""
        added_PK = np.array([np.maximum(part.added_K, 0) for part in self.parts], np.float64)
        if not self.fused:
            added_PK[0] += added_PK.sum(axis=0) == 0
        return _shares(
            sum(
                added_K[:, None] * self.by_word(part.weights_KT, part.pieces)
                for added_K, part in zip(added_PK, self.parts, strict=True)
            )
        )

    def by_word(self, weights_KT: NDArray[np.floating], pieces: Numbers | None = None) -> Weights:
        """What each word has of what pieces of the note count for, (K, W); each row sums to 1, or to 0 where no word counts.

        Args:
            weights_KT: How much each piece counts.
            pieces: Where each begins and ends in what is read, (T, 2); None: the window's tokens.
        """
        pieces = self.parts[0].pieces if pieces is None else pieces
        weights_KW = np.zeros((len(weights_KT), len(self.words)))
        first = np.searchsorted(self.words.read[:, 1], pieces[:, 0], side="right")
        last = np.searchsorted(self.words.read[:, 0], pieces[:, 1], side="left")
        for piece in np.flatnonzero(
            last > first
        ).tolist():  # a token of several words, as some tokenizers have, is shared
            share_K = weights_KT[:, piece] / (last[piece] - first[piece])
            weights_KW[:, first[piece] : last[piece]] += share_K[:, None]
        return _shares(weights_KW)


class NoteReader:
    """Reads notes for the words that count."""

    def __init__(self, model: NeuralModel, cut: bool = False) -> None:
        self._model, self._cut = model, cut
        self._tokenizer = Tokenizer.from_str(model.tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._network = 1.0 if model.fusion is None else model.fusion.weights[NETWORK]

    def read(self, text: str, labels: Sequence[int]) -> Iterator[Window]:
        """Say what a note's tokens count for.

        Args:
            text: The note.
            labels: The codes that are asked for.

        Yields:
            The windows that give any of them its score; none for a note without words.
        """
        model = self._model
        read, words = words_of(text, model.text_cleaning)
        if not len(words) or not labels:
            return
        encoded = self._tokenizer.encode(read, add_special_tokens=False)
        tokens = np.array(encoded.offsets, np.int64).reshape(-1, 2)
        of_words = self._lexical(read, labels)
        for (start, end), asked in self._windows(encoded.ids, labels):
            document = model.special_tokens.read(
                encoded.ids[start:end], model.config.max_len, model.chunks
            )
            mine = [labels[place] for place in asked]
            head = attribute(model.network, document, model.special_tokens, mine)
            rows = list(asked)
            parts = (
                Part(self._network * head.added_K, head.weights_KT, tokens[start:end]),
                *self._prior(document, mine, tokens[start:end]),
                *(
                    Part(part.added_K[rows], part.weights_KT[rows], part.pieces)
                    for part in of_words
                ),
            )
            yield Window(asked, head, parts, words, fused=model.fusion is not None)

    def _windows(
        self, ids: list[int], labels: Sequence[int]
    ) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
        """Windows as from and up to which token, each with the places of the codes that have their score from it."""
        windows = self._model.windows(len(ids))[: 1 if self._cut else None]
        best_K = np.zeros(len(labels), np.int64)
        if len(windows) > 1:
            best_K = self._model.window_logits([ids])[1][:, labels].argmax(axis=0)
        for number in np.unique(best_K).tolist():
            yield windows[number], tuple(np.flatnonzero(best_K == number).tolist())

    def _lexical(self, read: str, labels: Sequence[int]) -> list[Part]:
        model = self._model
        if model.lexical is None or model.fusion is None:
            return []
        scores = model.lexical.scores([read])
        pieces, by_part = model.lexical.by_word(read, labels)
        return [
            Part(
                model.fusion.weights[part] * scores[part][0, list(labels)],
                _beyond_the_mean(weights_KW),
                pieces,
            )
            for part, weights_KW in by_part.items()
        ]

    def _prior(
        self, document: TokenizedDocument, labels: Sequence[int], tokens: Numbers
    ) -> list[Part]:
        model, prior = self._model, self._model.network.prior
        if prior is None:
            return []
        with model.untrained() as reader, torch.inference_mode():
            inputs = Batch.of(collate([document], model.special_tokens.pad, reader.padding)).to(
                reader.device
            )
            nearest = prior.nearest(reader.hidden_states(inputs), labels)
        weights_KT = np.zeros((len(labels), len(document)))
        for row, (_, place) in enumerate(nearest):
            weights_KT[row, place : place + WINDOW] = 1
        own = slice(
            len(model.special_tokens.prefix), len(document) - len(model.special_tokens.suffix)
        )
        return [
            Part(
                self._network * np.array([added for added, _ in nearest]),
                weights_KT[:, own],
                tokens,
            )
        ]


def _shares(weights: Weights) -> Weights:
    """Each row by its sum; a row of zeros stays one."""
    sums = weights.sum(axis=1, keepdims=True)
    return weights / np.where(sums > 0, sums, 1)


def _beyond_the_mean(weights_KW: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each word gives beyond the note's mean word: of a frequent code's n-grams any word gives some."""
    if not weights_KW.size:
        return weights_KW
    beyond_KW = np.maximum(weights_KW - weights_KW.mean(axis=1, keepdims=True), 0)
    return np.where(beyond_KW.any(axis=1, keepdims=True), beyond_KW, np.maximum(weights_KW, 0))


def _spans(text: str, places: Numbers, weights_W: Weights) -> EvidenceSpans:
    spans: list[EvidenceSpan] = []
    for word in np.flatnonzero(chosen(weights_W)).tolist():
        begin, end = places[word].tolist()
        span = EvidenceSpan(begin, end, float(weights_W[word]))
        if spans and not text[spans[-1].end : span.begin].strip():
            last = spans.pop()
            span = EvidenceSpan(last.begin, span.end, last.weight + span.weight)
        spans.append(span)
    return tuple(span._replace(weight=round(span.weight, 6)) for span in spans)
