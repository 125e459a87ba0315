"""How a model reads a text: what it leaves out, corrects and writes in full.

Everything that a model computes from a note starts here, in training and afterwards. A reading
knows the places in the original of all that it gives, so that evidence points to the note as it was
written.

Shapes: N stretches of a text, or places in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.assertion.classes import Assertions
from icdcli.lexical.normalization.edited_text import EditedText
from icdcli.lexical.normalization.expansion import NO_EXPANSION, Expansion
from icdcli.lexical.views import COMPLETE, View, Views


class ReadText:
    """A text as a model reads it.

    Attributes:
        kept: The original, with blanks for what the view leaves out.
        text: What the model reads.
    """

    def __init__(
        self,
        kept: str,
        edited: tuple[EditedText, ...] = (),
        assertions: Callable[[], Assertions | None] = lambda: None,
    ) -> None:
        """Join what a reading has found.

        Args:
            kept: The original, with blanks for what the view leaves out.
            edited: What became of it, one edit after another.
            assertions: Returns the assertion classes of the original; None: nobody read them.
        """
        self.kept = kept
        self.text = edited[-1].text if edited else kept
        self._edited = edited
        self._find_assertions = assertions

    def original(self, places_N2: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the begin and end in the original of stretches of the text, (N, 2)."""
        for edited in reversed(self._edited):
            places_N2 = edited.original(places_N2)
        return places_N2

    def classes(self, places_N: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the assertion class at places of the text, uint8; affirmed if there are no cues.

        The numbers are those of `icdcli.lexical.assertion.classes.Assertion`.
        """
        assertions = self._assertions
        if assertions is None:
            return np.zeros(len(places_N), np.uint8)
        stretches_N2 = np.stack([places_N, places_N + 1], axis=1)
        return assertions.at(self.original(stretches_N2)[:, 0])

    @cached_property
    def _assertions(self) -> Assertions | None:
        return self._find_assertions()


@dataclass(frozen=True)
class NoteReading:
    """How a model reads texts.

    Attributes:
        views: The views of documents. The network, the description prior and TF-IDF read the first.
        expansion: The abbreviations that are read in full.
    """

    views: Views = COMPLETE
    expansion: Expansion = NO_EXPANSION

    @property
    def key(self) -> str:
        """Return what distinguishes `read` from other readings; empty if it changes nothing."""
        if not self.expansion.senses:
            return self.views.key
        return sha256(repr((self.views.key, self.expansion.to_json())).encode()).hexdigest()[:12]

    def read(self, text: str, view: View | None = None) -> ReadText:
        """Read a text.

        Args:
            text: The text, cleaned as the training texts were.
            view: The view; None: that of the network and TF-IDF.
        """
        view = view or self.views.names[0]
        reader = self.views.reader
        kept = self.views.text(view, text)
        edits = list(self.expansion.edits(kept))
        return ReadText(
            kept,
            (EditedText.of(kept, edits),) if edits else (),
            lambda: None if reader is None else reader.read(text),
        )


UNCHANGED = NoteReading()
"""The complete text as it is."""
