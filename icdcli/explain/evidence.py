"""The words of a note that are evidence for its codes.

`icdcli.explain.note_reader` weighs the words. A code's evidence is the words with a weight of at
least `MIN_WEIGHT`, and in any case the word with the highest weight. Neighboring words with only
blanks between them become one span. `icdcli.lexical.assertion` reads what the note says of it. If
several notes of an encounter are joined, a span is within one of them, and what another note says
doesn't count.

Shapes: K labels, W words.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.data.encounters.boundaries import NoteBoundary, NotePlace, place_in_note
from icdcli.explain.ensemble_reader import any_note_reader
from icdcli.explain.note_reader import Positions, Weights
from icdcli.explain.spans import EvidenceSpan, EvidenceSpans, FindEvidence
from icdcli.lexical.assertion.classes import Assertions
from icdcli.lexical.assertion.memory import RememberingReader
from icdcli.model.coding_model import CodingModel, ScoredWindows

MIN_WEIGHT = 0.1
"""The lowest share of a code's total weight that makes a word evidence. It was chosen for a network
on 40 training documents of CodiEsp in Spanish: any value from 0.08 to 0.15 gives the same F1 to
within .005. With the lexical model fused, 0.08 to 0.12 are within .03 of each other on 30 documents
of dev."""


class CodeEvidence(NamedTuple):
    """A code and the words behind it.

    Attributes:
        code: The dotted code.
        score: Its probability.
        spans: The words. There are none if the note has no words, or if parts are fused and no word
            speaks for the code.
    """

    code: str
    score: float
    spans: EvidenceSpans


def explain_codes(
    model: CodingModel, text: str, codes: Sequence[str], notes: Sequence[NoteBoundary] = ()
) -> list[CodeEvidence]:
    """Return the words of a note that made a model give some codes their scores.

    Args:
        model: The model.
        text: The note, of any length. If a neural model reads it in several windows, a code's
            evidence is in the window with its highest score.
        codes: Any codes of the model's label space, predicted or not.
        notes: The notes that were joined to the text, if it is several of an encounter, such as
            `icdcli.data.encounters.joining.join_notes` returns them.

    Raises:
        ValueError: If the model doesn't have one of the codes.
    """
    if unknown := [code for code in codes if code not in model.labels.index]:
        raise ValueError(f"the model has no code {unknown[0]!r}")
    labels = [model.labels.index[code] for code in codes]
    scored = model.score_notes([text])
    found = evidence_finder(model)(text, labels, scored.windows[0], notes)
    return [
        CodeEvidence(code, float(scored.scores_NL[0, label]), spans)
        for code, label, spans in zip(codes, labels, found, strict=True)
    ]


def evidence_finder(model: CodingModel) -> FindEvidence:
    """Return a function that finds evidence in one note after another."""
    reader, assertion_reader = any_note_reader(model), model.views.reader

    def find(
        text: str,
        labels: Sequence[int],
        windows: ScoredWindows | None = None,
        notes: Sequence[NoteBoundary] = (),
    ) -> list[EvidenceSpans]:
        found: list[EvidenceSpans] = [()] * len(labels)
        describe = _description(text, notes, assertion_reader)
        for window in reader.read(text, labels, windows):
            for row, weights_W in zip(window.requested, window.weights_KW, strict=True):
                spans = _spans(text, window.words.in_note, weights_W, notes)
                found[row] = tuple(map(describe, spans))
        return found

    return find


def select_words(weights_W: Weights, min_weight: float = MIN_WEIGHT) -> NDArray[np.bool_]:
    """Return which words are evidence: those with this weight, and the one with the highest."""
    return (weights_W > 0) & (weights_W >= min(min_weight, float(weights_W.max(initial=0))))


def _spans(
    text: str, positions: Positions, weights_W: Weights, notes: Sequence[NoteBoundary]
) -> list[EvidenceSpan]:
    spans: list[EvidenceSpan] = []
    for word in np.flatnonzero(select_words(weights_W)).tolist():
        begin, end = positions[word].tolist()
        span = EvidenceSpan(begin, end, float(weights_W[word]))
        if notes:
            span = span._replace(place=place_in_note(notes, begin, end))
        if spans and not text[spans[-1].end : span.begin].strip() and _in_one_note(spans[-1], span):
            last = spans.pop()
            place = last.place
            if place is not None:
                place = place._replace(end=place.begin + span.end - last.begin)
            span = EvidenceSpan(last.begin, span.end, last.weight + span.weight, place=place)
        spans.append(span)
    return spans


def _in_one_note(one: EvidenceSpan, other: EvidenceSpan) -> bool:
    if one.place is None or other.place is None:
        return True
    return one.begin - one.place.begin == other.begin - other.place.begin  # where the note begins


def _description(
    text: str, notes: Sequence[NoteBoundary], reader: RememberingReader | None
) -> Callable[[EvidenceSpan], EvidenceSpan]:
    """Return a function that rounds the weight of a span and adds what its own note says of it."""

    @cache
    def assertions(begin: int, end: int) -> Assertions | None:
        return None if reader is None else reader.read(text[begin:end])

    edges = {note.begin: note.end for note in notes}

    def describe(span: EvidenceSpan) -> EvidenceSpan:
        place = span.place or NotePlace("", span.begin, span.end)
        start = span.begin - place.begin
        read = assertions(start, edges.get(start, len(text)))
        said = None if read is None else read.of_span(place.begin, place.end).label
        return span._replace(weight=round(span.weight, 6), assertion=said)

    return describe
