"""Which words of a note made a coder choose a code.

Each part of a coder that knows where in a note it finds a code says how much each token counts: the head by
`icdcli.evaluation.attribution`, a description prior by the window that comes nearest to the code's description. The parts count
as much as they add to the code's logit. A word, a run of letters and digits, has the sum of its tokens; blanks, punctuation and
special tokens have no part, and a code's words have 1 together. Its evidence are the words that have at least `LEAST` of that,
and in any case the one that has most; neighbours with nothing but blanks between become one span.

What scores words alone (``lexical``) doesn't say where it found a code, and is left out.

Shapes: K codes that are asked for, T tokens, W words.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from icdcli.data.batches import Framed, collate
from icdcli.data.text_cleaning import kept_words
from icdcli.evaluation.attribution import Attribution, attribute
from icdcli.evaluation.coding import Find
from icdcli.evaluation.predict import NoteCoder
from icdcli.evaluation.spans import Span, Spans
from icdcli.model.description_prior import WINDOW
from icdcli.model.inputs import Inputs
from icdcli.model.untrained import untrained

LEAST = 0.1
"""The share of what counts for a code that a word of its evidence has; chosen on 40 training documents of CodiEsp, in Spanish,
where anything from 0.08 to 0.15 gives the same F1 within .005."""

# Letters and digits, with accents that stand apart from them, joined by what stands within words: COVID-19, 3.5, Graves'.
_WORD = re.compile(r"[\w\u0300-\u036f]+(?:[-'’.][\w\u0300-\u036f]+)*")

Numbers = NDArray[np.int64]
Weights = NDArray[np.float64]


class Evidence(NamedTuple):
    """A code and the words that it was chosen by.

    Attributes:
        code: The dotted code.
        score: Its probability.
        spans: The words; none where the note has none.
    """

    code: str
    score: float
    spans: Spans


def evidence_of(coder: NoteCoder, text: str, codes: Sequence[str]) -> list[Evidence]:
    """Say which words made a coder give a note some codes their scores.

    Args:
        coder: The coder.
        text: The note, of any length; of several windows, the one counts that gives the code its score.
        codes: Any codes of the coder's label space, predicted or not.

    Raises:
        ValueError: For a code that it doesn't know.
    """
    if unknown := [code for code in codes if code not in coder.labels.index]:
        raise ValueError(f"the coder has no code {unknown[0]!r}")
    labels = [coder.labels.index[code] for code in codes]
    scores_L = coder.scores([text])[0]
    found = finder(coder)(text, labels)
    return [Evidence(code, float(scores_L[label]), spans) for code, label, spans in zip(codes, labels, found, strict=True)]


def finder(coder: NoteCoder, cut: bool = False) -> Find:
    """A function that finds evidence in notes, one after the other.

    Args:
        coder: The coder.
        cut: Whether what is beyond ``max_len`` tokens isn't read, as it isn't in a corpus's documents.
    """
    reader = NoteReader(coder, cut)

    def find(text: str, labels: Sequence[int]) -> list[Spans]:
        found: list[Spans] = [()] * len(labels)
        for window in reader.read(text, labels):
            for place, weights_W in zip(window.asked, window.by_word(window.weights_KT), strict=True):
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

    def within(self, begin: int, end: int) -> "Words":
        """Those of which any part is read from and up to these characters."""
        part = slice(np.searchsorted(self.read[:, 1], begin, side="right"), np.searchsorted(self.read[:, 0], end, side="left"))
        return Words(self.places[part], self.read[part])


def words_of(text: str, cleaning: str = "none") -> tuple[str, Words]:
    """What a coder with this ``text_cleaning`` reads of a note, and the note's words."""
    if cleaning == "none":
        places = np.array([match.span() for match in _WORD.finditer(text)], np.int64).reshape(-1, 2)
        return text, Words(places, places)
    kept = [*kept_words(text, cleaning)]
    ends = np.cumsum([len(word) + 1 for word, _, _ in kept]) - 1
    lengths = np.array([len(word) for word, _, _ in kept], np.int64)
    places = np.array([place for _, *place in kept], np.int64).reshape(-1, 2)
    return " ".join(word for word, _, _ in kept), Words(places, np.column_stack([ends - lengths, ends]).astype(np.int64))


def chosen(weights_W: Weights, least: float = LEAST) -> NDArray[np.bool_]:
    """Which words are evidence: those with at least this share, and the one with most."""
    return (weights_W > 0) & (weights_W >= min(least, float(weights_W.max(initial=0))))


@dataclass(frozen=True)
class Window:
    """A window of a note and what its tokens count for.

    Attributes:
        asked: Which of the codes that were asked for have their score from this window: K of them.
        head: What the network's head makes of it.
        prior: What the description prior adds to each logit, and what each token counts for in it; None: there is none.
        tokens: Where each token begins and ends in what is read, (T, 2).
        words: The window's words: W of them.
    """

    asked: tuple[int, ...]
    head: Attribution
    prior: tuple[NDArray[np.float64], Weights] | None
    tokens: Numbers
    words: Words

    @property
    def weights_KT(self) -> Weights:
        """How much each token counts for each code, every part by what it adds to the logit; each row sums to 1."""
        head_KT = _shares(self.head.weights_KT.astype(np.float64))
        if self.prior is None:
            return head_KT
        added_K, prior_KT = self.prior
        of_prior_K, of_head_K = np.maximum(added_K, 0), np.maximum(self.head.added_K, 0)
        share_K = of_prior_K / np.maximum(of_prior_K + of_head_K, 1e-9)
        return _shares((1 - share_K[:, None]) * head_KT + share_K[:, None] * prior_KT)

    def by_word(self, weights_KT: NDArray[np.floating]) -> Weights:
        """What each word has of what the tokens count for, (K, W); each row sums to 1, or to 0 where no word counts."""
        weights_KW = np.zeros((len(weights_KT), len(self.words)))
        first = np.searchsorted(self.words.read[:, 1], self.tokens[:, 0], side="right")
        last = np.searchsorted(self.words.read[:, 0], self.tokens[:, 1], side="left")
        for token in np.flatnonzero(last > first).tolist():  # a token of several words, as some tokenizers have, is shared
            share_K = weights_KT[:, token] / (last[token] - first[token])
            weights_KW[:, first[token] : last[token]] += share_K[:, None]
        return _shares(weights_KW)


class NoteReader:
    """Reads notes for the words that count."""

    def __init__(self, coder: NoteCoder, cut: bool = False) -> None:
        self._coder, self._cut = coder, cut
        self._tokenizer = Tokenizer.from_str(coder.tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    def read(self, text: str, labels: Sequence[int]) -> Iterator[Window]:
        """Say what a note's tokens count for.

        Args:
            text: The note.
            labels: The codes that are asked for.

        Yields:
            The windows that give any of them its score; none for a note without words.
        """
        coder = self._coder
        read, words = words_of(text, coder.text_cleaning)
        if not len(words) or not labels:
            return
        encoded = self._tokenizer.encode(read, add_special_tokens=False)
        tokens = np.array(encoded.offsets, np.int64).reshape(-1, 2)
        for (start, end), asked in self._windows(encoded.ids, labels):
            document = coder.frame.read(encoded.ids[start:end], coder.config.max_len, coder.chunks)
            mine = [labels[place] for place in asked]
            head = attribute(coder.network, document, coder.frame, mine)
            part = tokens[start:end]
            yield Window(asked, head, self._prior(document, mine), part, words.within(part[0, 0], part[-1, 1]))

    def _windows(self, ids: list[int], labels: Sequence[int]) -> Iterator[tuple[tuple[int, int], tuple[int, ...]]]:
        """Windows as from and up to which token, each with the places of the codes that have their score from it."""
        windows = self._coder.windows(len(ids))[: 1 if self._cut else None]
        best_K = np.zeros(len(labels), np.int64)
        if len(windows) > 1:
            best_K = self._coder.window_logits([ids])[1][:, labels].argmax(axis=0)
        for number in np.unique(best_K).tolist():
            yield windows[number], tuple(np.flatnonzero(best_K == number).tolist())

    def _prior(self, document: Framed, labels: Sequence[int]) -> tuple[NDArray[np.float64], Weights] | None:
        coder, prior = self._coder, self._coder.network.prior
        if prior is None:
            return None
        with untrained(coder) as reader, torch.inference_mode():
            inputs = Inputs.of(collate([document], coder.frame.pad, reader.padding)).to(reader.device)
            nearest = prior.nearest(reader.states(inputs), labels)
        weights_KT = np.zeros((len(labels), len(document)))
        for row, (_, place) in enumerate(nearest):
            weights_KT[row, place : place + WINDOW] = 1
        own = slice(len(coder.frame.prefix), len(document) - len(coder.frame.suffix))
        return np.array([added for added, _ in nearest]), _shares(weights_KT[:, own])


def _shares(weights: Weights) -> Weights:
    """Each row by its sum; a row of zeros stays one."""
    sums = weights.sum(axis=1, keepdims=True)
    return weights / np.where(sums > 0, sums, 1)


def _spans(text: str, places: Numbers, weights_W: Weights) -> Spans:
    spans: list[Span] = []
    for word in np.flatnonzero(chosen(weights_W)).tolist():
        begin, end = places[word].tolist()
        span = Span(begin, end, float(weights_W[word]))
        if spans and not text[spans[-1].end : span.begin].strip():
            last = spans.pop()
            span = Span(last.begin, span.end, last.weight + span.weight)
        spans.append(span)
    return tuple(span._replace(weight=round(span.weight, 6)) for span in spans)
