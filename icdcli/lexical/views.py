"""The views of a document that a model reads: the complete text, or what it affirms.

A part of the lexical model learns from the complete text what *mentions* of a code look like, and
from the affirmed text what *facts* look like: there, denied, hypothetical and relatives' conditions
are left out (`icdcli.lexical.assertion`). Which of them the labels follow differs between data
sets: CodiEsp's annotators coded mentions, denied ones included; hospitals code facts. The fusion
weighs both views, so the labels decide. A model of facts reads nothing but the affirmed text, its
network too.

A part that can learn what words are worth that aren't affirmed reads the view ``marked`` instead of
the affirmed text: the complete text, with a mark at each of these words
(`icdcli.lexical.normalization.marked_words`). It misses nothing that only looks denied, such as the
substances in a list of allergies.

What a note says of relatives and of the past is no fact of today, but it is the evidence of codes
that mean a history (`icdcli.icd.history`). Their parts read these words, and nothing else.

What a view leaves out is replaced by blanks, so that places in the text stay the same.

On the demo's synthetic notes, whose labels follow facts, ridge regression on n-grams has a test
micro-F1 of .871 with the complete text, .962 with the affirmed text, and .965 with marked words.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.assertion.classes import Assertion
from icdcli.lexical.assertion.cues import LANGUAGES, built_in_cues, read_own_cues
from icdcli.lexical.assertion.memory import RememberingReader, remembering_reader
from icdcli.lexical.names import AssertionKey

View = Literal["all", "affirmed", "marked", "family", "personal"]

FORMAT = 6
"""Raised when the same cues and the same text give other classes."""

WHOLE: tuple[View, ...] = ("all", "marked")
"""The views that leave nothing out."""

_VIEWS: dict[AssertionKey, tuple[View, ...]] = {
    "learned": ("all", "affirmed", "marked"),
    "facts": ("affirmed",),
    "mentions": ("all",),
}
# What the patient had is usually coded too, as a comorbidity or by a Z code.
_KEPT: dict[View, tuple[Assertion, ...]] = {
    "affirmed": (Assertion.AFFIRMED, Assertion.HISTORICAL),
    "family": (Assertion.FAMILY,),
    "personal": (Assertion.HISTORICAL, Assertion.RESOLVED),
}


@dataclass(frozen=True)
class Views:
    """The views of documents that a model reads.

    Attributes:
        names: Those that its lexical parts read. If the complete text isn't among them, the network
            and TF-IDF read the affirmed text too.
        language: The language of the documents.
        cues: The content of the table of cues, which a checkpoint keeps; empty: that of the
            language, or none.
        off: The affirmed text is wanted, but the language has no cues.
    """

    names: tuple[View, ...] = ("all",)
    language: str = "en"
    cues: str = ""
    off: bool = False

    @classmethod
    def of(cls, assertion: AssertionKey, language: str, own_cues: Path | None = None) -> "Views":
        """Return the views for the configuration's ``assertion``.

        A language without cues has the complete text only, unless the user has cues.

        Args:
            assertion: The value of ``assertion``.
            language: The language of the documents.
            own_cues: A user's table of cues.

        Raises:
            ConfigError: The table can't be read.
            DataError: It isn't UTF-8, or has a bad row.
        """
        own = "" if own_cues is None else read_own_cues(own_cues)
        if assertion == "mentions":
            return cls(language=language, cues=own)
        cues = built_in_cues(language) + own
        return cls(_VIEWS[assertion], language, cues) if cues else cls(language=language, off=True)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any] | None) -> "Views":
        """Return the views that a checkpoint has stored; older ones have none."""
        return COMPLETE if stored is None else cls(**{**stored, "names": tuple(stored["names"])})

    def warning(self) -> str | None:
        """Return a warning if assertion is off because the language has no cues, else None."""
        if not self.off:
            return None
        return (
            f"assertion is off: there are no cues for language={self.language}, only for "
            f"{', '.join(LANGUAGES)}. Denied conditions count like others. Set assertion_cues to a "
            "table of your own cues, or assertion: mentions."
        )

    @property
    def key(self) -> str:
        """Return what distinguishes `read` from that of other views; empty: it changes nothing."""
        if "all" in self.names:
            return ""
        return sha256(repr((FORMAT, self.cues)).encode()).hexdigest()[:12]

    @property
    def cues_key(self) -> str:
        """Return what distinguishes the assertion classes from those by other cues."""
        cues = self.cues or built_in_cues(self.language)
        return sha256(repr((FORMAT, cues)).encode()).hexdigest()[:12]

    def read(self, text: str) -> str:
        """Return a document as the network and TF-IDF read it."""
        return self.text(self.names[0], text)

    def text(self, view: View, text: str) -> str:
        """Return a document as a view has it, with blanks for what it leaves out."""
        if view in WHOLE:
            return text
        reader = self.reader
        if reader is None:
            raise ValueError(f"no cues for the language {self.language!r}")
        if view != "family":
            read = reader.read(text)
            return _blanked(text, read.starts_S, np.isin(read.classes_S, _KEPT[view]))
        read, others = reader.read_twice(text)
        starts_S = np.union1d(read.starts_S, others.starts_S)
        kept_S = np.isin(read.at(starts_S), _KEPT[view])
        # What is denied of relatives is no history.
        kept_S &= np.isin(others.at(starts_S), (*_KEPT["affirmed"], Assertion.RESOLVED))
        return _blanked(text, starts_S, kept_S)

    @property
    def reader(self) -> RememberingReader | None:
        """Return the reader of the language's and the user's cues; None if there are none."""
        return remembering_reader(self._all_cues) if self._all_cues else None

    @property
    def _all_cues(self) -> str:
        return self.cues or built_in_cues(self.language)


COMPLETE = Views()
"""The complete text alone."""


class _Blanks(dict[int, int]):
    """A blank for each character but white space and marks.

    Sentences and lists stay apart, so that reading the result again changes nothing.
    """

    def __missing__(self, point: int) -> int:
        character = chr(point)
        stays = character.isspace() or character in ".,;:!?()[]/-"
        self[point] = point if stays else ord(" ")
        return self[point]


_BLANKS = _Blanks()


def _blanked(text: str, starts_S: NDArray[np.int64], kept_S: NDArray[np.bool_]) -> str:
    """Return a text with blanks for the stretches that aren't kept."""
    stretches = zip(
        starts_S.tolist(), [*starts_S[1:].tolist(), len(text)], kept_S.tolist(), strict=True
    )
    return "".join(
        text[begin:end] if keep else text[begin:end].translate(_BLANKS)
        for begin, end, keep in stretches
    )
