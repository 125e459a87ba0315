"""How much each word of a note counts for a code in an ensemble.

A member's weights sum to 1 over the note's words. Those of the members are added with the members'
weights in the ensemble; a member that lacks a code adds nothing to its evidence.

Shapes: K labels, W words.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from icdcli.explain.note_reader import (
    NoteReader,
    Part,
    Weights,
    Window,
    Words,
    note_reader,
    words_of,
)
from icdcli.model.coding_model import CodingModel, ScoredWindows
from icdcli.model.ensemble.ensemble_model import EnsembleModel


class EnsembleNoteReader:
    """The `NoteReader` of an ensemble."""

    def __init__(self, model: EnsembleModel) -> None:
        shares = model.shares
        self._model = model
        self._readers = [
            (member, shares[member.name], note_reader(member.model))
            for member in model.members
            if shares[member.name] > 0
        ]

    def read(
        self, text: str, labels: Sequence[int], scored: ScoredWindows | None = None
    ) -> Iterator[Window]:
        """Yield one window with the words of all members' windows; see `NoteReader.read`."""
        _, words = words_of(text, self._model.text_cleaning)
        words = Words(words.in_note, words.in_note)  # a member's pieces are words of the note
        if not len(words) or not labels:
            return
        parts = []
        for member, share, reader in self._readers:
            own_K = member.own(np.asarray(labels))
            rows = np.flatnonzero(own_K >= 0)
            weights_KW: Weights = np.zeros((len(labels), len(words)))
            for window in reader.read(text, own_K[rows].tolist()):
                asked = rows[list(window.requested)]
                # Words that the member doesn't read have no weight; the others are those of here.
                places = np.searchsorted(words.in_note[:, 0], window.words.in_note[:, 0])
                weights_KW[np.ix_(asked, places)] = window.weights_KW
            if weights_KW.any():
                parts.append(Part(np.full(len(labels), share), weights_KW, words.in_note))
        if parts:
            yield Window(tuple(range(len(labels))), None, tuple(parts), words, fused=True)


def any_note_reader(model: CodingModel) -> NoteReader:
    """Return the reader for any model, an ensemble among them; see `note_reader`."""
    return EnsembleNoteReader(model) if isinstance(model, EnsembleModel) else note_reader(model)
