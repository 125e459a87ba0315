"""Score batches of notes one after another, each read while the one before is computed.

Shapes: N notes of a batch, W windows of them, L labels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.cleaning import CLEANERS
from icdcli.data.encoded_documents import Windows
from icdcli.data.token_cache import TokenizedText
from icdcli.io.prefetch import one_ahead
from icdcli.model.coding_model import NoteScores, ScoredWindows
from icdcli.model.fusion import NETWORK, Fusion, fused_logits, probabilities
from icdcli.model.inference.scored import Scored, highest_logits
from icdcli.model.principal.choice import PrincipalChoice

Read = TypeVar("Read")


@dataclass(frozen=True)
class ReadNotes:
    """Notes as the parts of a model see them.

    Attributes:
        tokens: All tokens of each note.
        lexical: The scores of the parts of the lexical model, if there is one.
    """

    tokens: list[TokenizedText]
    lexical: dict[str, NDArray[np.float32]]


def score_batches(
    batches: Iterable[Sequence[str]],
    cleaning: str,
    labels: int,
    read: Callable[[list[str]], Read],
    score: Callable[[Read], NoteScores],
    ahead: bool = False,
) -> Iterator[NoteScores]:
    """Clean notes and score those that have text left.

    Args:
        batches: Batches of notes.
        cleaning: The name of the cleaning, as ``text_cleaning`` has it.
        labels: The number of labels.
        read: Reads cleaned notes.
        score: Scores what was read.
        ahead: Whether a batch is read in another thread while the one before is scored.

    Yields:
        For each batch, the scores of all notes; those without text have 0 everywhere.
    """

    def prepare(texts: Sequence[str]) -> tuple[int, list[int], Read | None]:
        cleaned = [CLEANERS[cleaning](text) for text in texts]
        rows = [row for row, text in enumerate(cleaned) if text.strip()]
        return len(texts), rows, read([cleaned[row] for row in rows]) if rows else None

    if not ahead:
        for texts in batches:
            yield _scores(*prepare(texts), labels, score)
        return
    with closing(one_ahead(prepare, batches)) as prepared:
        for count, rows, notes in prepared:
            yield _scores(count, rows, notes, labels, score)


def _scores(
    count: int,
    rows: list[int],
    notes: Read | None,
    labels: int,
    score: Callable[[Read], NoteScores],
) -> NoteScores:
    scores_NL, principal_NL = np.zeros((count, labels), np.float32), None
    counts, shares = [0] * count, [1.0] * count
    windows: list[ScoredWindows | None] = [None] * count
    if notes is not None:
        scored = score(notes)
        scores_NL[rows] = scored.scores_NL
        if scored.principal_NL is not None:
            principal_NL = np.zeros_like(scores_NL)
            principal_NL[rows] = scored.principal_NL
        for place, row in enumerate(rows):
            counts[row], shares[row] = scored.window_counts[place], scored.read_shares[place]
            windows[row] = scored.windows[place]
    return NoteScores(scores_NL, counts, shares, windows, principal_NL)


def note_scores(
    notes: ReadNotes,
    spans: Sequence[list[tuple[int, int]]],
    scored: Scored,
    fusion: Fusion | None,
    as_logits: bool = False,
    principal: PrincipalChoice | None = None,
) -> NoteScores:
    """Return the scores of notes from the logits of their windows.

    Args:
        notes: The notes.
        spans: The windows of each note.
        scored: The logits of all windows, note by note.
        fusion: The weights of logits and lexical scores; None: there are only logits.
        as_logits: Whether the scores are fused logits, not probabilities.
        principal: How the principal diagnosis is chosen; None: it isn't.
    """
    read, logits_WL = Windows.of(spans), scored.logits_NL
    windows: list[ScoredWindows | None] = [
        ScoredWindows(note.ids, own, logits_WL[first : first + len(own)])
        for note, own, first in zip(notes.tokens, spans, read.firsts_N.tolist(), strict=True)
    ]
    parts = {NETWORK: highest_logits(logits_WL, read), **notes.lexical}
    sizes = [len(note.ids) for note in notes.tokens]
    shares = [
        own[-1][1] / tokens if tokens else 1.0 for own, tokens in zip(spans, sizes, strict=True)
    ]
    counts = [len(own) for own in spans]
    if as_logits:
        return NoteScores(fused_logits(parts, fusion), counts, shares, windows)
    scores_NL, principal_NL = probabilities(parts, fusion), None
    if principal is not None and scored.principal_NL is not None:
        own_NL = highest_logits(scored.principal_NL, read)
        principal_NL = principal.probabilities(scores_NL, own_NL)
    return NoteScores(scores_NL, counts, shares, windows, principal_NL)
