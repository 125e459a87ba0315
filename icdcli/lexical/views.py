"""The views of a document that the lexical parts read: the complete text, or what it affirms.

A part learns from the complete text what *mentions* of a code look like, and from the affirmed text
what *facts* look like: there, denied, hypothetical and relatives' conditions are left out
(`icdcli.lexical.assertion`). Which of them the labels follow differs between data sets: CodiEsp's
annotators coded mentions, denied ones included; hospitals code facts. The fusion weighs both views,
so the labels decide.

On the demo's synthetic notes, whose labels follow facts, ridge regression on n-grams has a test
micro-F1 of .876 with the complete text, and .941 with the affirmed text.

Shapes: W words of a document.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from icdcli.lexical.assertion.classes import Assertion, Assertions
from icdcli.lexical.assertion.cues import LANGUAGES, read_own_cues
from icdcli.lexical.assertion.reader import AssertionReader, reader_of
from icdcli.lexical.names import AssertionKey

View = Literal["all", "affirmed"]

_VIEWS: dict[AssertionKey, tuple[View, ...]] = {
    "learned": ("all", "affirmed"),
    "facts": ("affirmed",),
    "mentions": ("all",),
}
# What the patient had is usually coded too, as a comorbidity or by a Z code.
_AFFIRMED = np.array([Assertion.AFFIRMED, Assertion.HISTORICAL], np.uint8)


@dataclass(frozen=True)
class Views:
    """The views that a lexical model reads.

    Attributes:
        names: Their names.
        language: The language of the documents.
        own_cues: The content of a user's table of cues; empty if there is none.
        off: The affirmed text is wanted, but the language has no cues.
    """

    names: tuple[View, ...] = ("all",)
    language: str = "en"
    own_cues: str = ""
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
        cues = "" if own_cues is None else read_own_cues(own_cues)
        known = language in LANGUAGES or cues
        views = cls(_VIEWS[assertion if known else "mentions"], language, cues)
        return views if known or assertion == "mentions" else replace(views, off=True)

    def warning(self) -> str | None:
        """Return a warning if assertion is off because the language has no cues, else None."""
        if not self.off:
            return None
        return (
            f"assertion is off: there are no cues for language={self.language}, only for "
            f"{', '.join(LANGUAGES)}. Denied conditions count like others. Set assertion_cues to a "
            "table of your own cues, or assertion: mentions."
        )

    def text(self, view: View, text: str) -> str:
        """Return a document as a view has it: words that it leaves out are missing."""
        return text if view == "all" else _affirmed(text, self._reader.read(text))

    def texts(self, view: View, texts: Iterable[str]) -> Iterable[str]:
        """Return documents as a view has them, to be read as often as the documents."""
        return texts if view == "all" else _Restarting(texts, lambda text: self.text(view, text))

    def keeps(self, view: View, text: str, begins_W: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which words a view keeps, (W,), from their places in the document."""
        if view == "all":
            return np.ones(len(begins_W), bool)
        return np.isin(self._reader.read(text).at(begins_W), _AFFIRMED)

    @property
    def _reader(self) -> AssertionReader:
        languages = (self.language,) if self.language in LANGUAGES else ()
        return reader_of(languages, self.own_cues)


COMPLETE = Views()
"""The complete text alone."""


def _affirmed(text: str, read: Assertions) -> str:
    ends = [*read.starts_S[1:].tolist(), len(text)]
    kept = np.isin(read.classes_S, _AFFIRMED).tolist()
    stretches = zip(read.starts_S.tolist(), ends, kept, strict=True)
    return "\n".join(text[begin:end] for begin, end, keep in stretches if keep)


class _Restarting:
    """Changed texts that can be iterated over as often as the original ones."""

    def __init__(self, texts: Iterable[str], change: Callable[[str], str]) -> None:
        self._texts, self._change = texts, change

    def __iter__(self) -> Iterator[str]:
        return map(self._change, self._texts)
