"""The registry of the lexical parts.

To add a part, add one module to `icdcli/lexical/parts/`. It registers a `PartType` under the
module's own name; `ngrams.py` is a short example. Nothing else needs to know it: ``lexical:``
accepts the name, and the part is fitted, scored, explained, saved and loaded with the others.

Shapes: N documents, L labels, K requested labels, W words of a document.
"""

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.restarting import Restarting
from icdcli.data.relabeling import Relabeling
from icdcli.icd.history import History
from icdcli.io.npz import Arrays
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.names import part_names
from icdcli.lexical.reading import NoteReading
from icdcli.lexical.targets import Annotations, Targets
from icdcli.lexical.views import View
from icdcli.lexical.words import words

_SAMPLE = 1_000
"""The largest number of texts from which words get their weights."""

_PREFIX: dict[View, str] = {"all": "", "affirmed": "affirmed_", "marked": "marked_"}


@dataclass(frozen=True)
class TrainingDocuments:
    """The input of a fit.

    Attributes:
        texts: The documents; read several times.
        targets: The labels of each document.
        descriptions: The descriptions of each label.
        annotations: The annotations of each document, empty for a document that nobody annotated;
            None if there are none at all.
        with_lexicon: Whether the clinical lexicon is on; without it, parts are as in version 0.1.
        language: The language of the documents; None: it doesn't matter.
    """

    texts: Iterable[str] = field(repr=False)  # not for logs and tracebacks
    targets: Targets
    descriptions: Descriptions
    annotations: Annotations | None = None
    with_lexicon: bool = False
    language: str | None = None

    @property
    def number_of_labels(self) -> int:
        """Return L."""
        return len(self.descriptions)

    def sample(self) -> Iterable[str]:
        """Return the texts from which words get their weights, without reading all of them."""
        texts, step = self.texts, max(-(-len(self.targets) // _SAMPLE), 1)
        return texts.every(step) if isinstance(texts, Restarting) else islice(texts, 0, None, step)


class LexicalPart(Protocol):
    """A fitted part."""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL, which rise with how likely a code is, on a scale of the part's own."""

    def by_word(self, document: Sequence[str], labels: Sequence[int]) -> NDArray[np.float32]:
        """Return how much each folded word of a document adds to some labels' scores, (K, W)."""

    def relabeled(self, relabeling: Relabeling) -> "LexicalPart":
        """Return the part for another label space, without training documents."""

    def arrays(self) -> Arrays:
        """Return the arrays that `PartType.load` needs."""


PartT = TypeVar("PartT", bound=LexicalPart)


@dataclass(frozen=True)
class PartType(Generic[PartT]):
    """One kind of lexical part.

    Attributes:
        name: The name in ``lexical:``, and that of the module.
        fit: Fits the part; returns None if the documents lack the input that it needs.
        fit_out_of_fold: Fits the part, and scores the training documents as if they were new: no
            document's scores depend on its own labels or annotations. Returns None as ``fit``.
        load: Makes the part from its arrays, from the content of lexical.json, and from L. Raises
            ValueError, KeyError, TypeError or IndexError if these don't fit together.
        words: Returns the texts, which can't be in arrays, that the part adds to lexical.json.
        uses_annotations: Whether annotations have to be read for it.
        uses_lexicon: Whether it is left out without the clinical lexicon (``lexicon: False``).
        fit_history: Fits the part once more for the labels that mean a history, to documents as its
            view has them: from the part that reads what the documents affirm, these documents with
            only these labels, described with the terms for their diseases, and the labels. None:
            the part has no fit for a history (`icdcli.lexical.histories`).
        reads_marks: Whether it reads the view ``marked`` instead of the affirmed text if the model
            has both, and learns what words are worth that aren't affirmed.
        reads_sample: Whether it is fitted to a sample of the documents.
    """

    name: str
    fit: Callable[[TrainingDocuments], PartT | None]
    fit_out_of_fold: Callable[[TrainingDocuments], tuple[PartT, NDArray[np.float32]] | None]
    load: Callable[[Arrays, Mapping[str, Any], int], PartT]
    words: Callable[[PartT], dict[str, Any]] = lambda _part: {}
    uses_annotations: bool = False
    uses_lexicon: bool = False
    fit_history: Callable[[PartT, TrainingDocuments, Sequence[int]], PartT] | None = None
    reads_marks: bool = False
    reads_sample: bool = False


_registered: dict[str, PartType[Any]] = {}


def register_part(part_type: PartType[Any]) -> None:
    """Make a part known under its name."""
    _registered[part_type.name] = part_type


def part_type(name: str) -> PartType[Any]:
    """Return a part by its name, one of `icdcli.lexical.names.part_names`."""
    importlib.import_module(f"icdcli.lexical.parts.{name}")
    return _registered[name]


def part_types(parts: Sequence[str] | None) -> Iterator[PartType[Any]]:
    """Yield the requested parts in the order of `part_names`, or all for None.

    Raises:
        ValueError: If there is no such part.
    """
    names = part_names()
    for name in parts or ():
        if name not in names:
            raise ValueError(f"unknown part {name!r}")
    return (part_type(name) for name in names if parts is None or name in parts)


def reads(kind: PartType[Any], view: View, views: Collection[View]) -> bool:
    """Return whether a model of some views has a part that reads one of them."""
    return "marked" not in views or view == "all" or kind.reads_marks == (view == "marked")


def part_key(view: View, part: str) -> str:
    """Return the name of a part that reads a view."""
    return _PREFIX[view] + part


def view_of(key: str) -> View:
    """Return the view that a part reads, by the name that `part_key` has given it."""
    return next((view for view, start in _PREFIX.items() if start and key.startswith(start)), "all")


def type_of(key: str) -> PartType[Any]:
    """Return the type of a part, by the name that `part_key` has given it.

    Raises:
        ValueError: If there is no such part.
    """
    return next(part_types([key.removeprefix(_PREFIX[view_of(key)])]))


def as_read(
    documents: TrainingDocuments,
    reading: NoteReading,
    kinds: Sequence[PartType[Any]],
    histories: Collection[History] = (),
) -> dict[View, TrainingDocuments]:
    """Return the training documents as each view has them, read: all views of one together.

    Args:
        documents: The documents as they are.
        reading: How to read them.
        kinds: The parts to fit; views that none of them reads are left out.
        histories: The histories that parts of the affirmed text are fitted to, too.
    """
    names = reading.views.names
    views = [view for view in names if any(reads(kind, view, names) for kind in kinds)]
    if set(views) - {"all"}:
        views.extend(histories)
    read = partial(reading.read_together, views)
    texts = Restarting.together(documents.texts, read, len(views))
    return {
        view: replace(
            documents,
            texts=read_texts,
            annotations=None if view in histories else _annotations(documents, reading, view),
            language=reading.views.language,
        )
        for view, read_texts in zip(views, texts, strict=True)
    }


def _annotations(
    documents: TrainingDocuments, reading: NoteReading, view: View
) -> Annotations | None:
    """Return the annotations of documents as a view has them, read.

    The affirmed view has those whose words it has.
    """
    annotations = documents.annotations
    if annotations is None:
        return None
    if view == "affirmed":
        annotations = [
            _with_words(here, reading.views.text(view, text)) if here else here
            for text, here in zip(documents.texts, annotations, strict=True)
        ]
    if reading.spelling.words:
        return [
            [(label, reading.corrected(marked)) for label, marked in here] for here in annotations
        ]
    return annotations


def _with_words(annotations: Sequence[tuple[int, str]], text: str) -> list[tuple[int, str]]:
    known = frozenset(words(text))
    return [(label, marked) for label, marked in annotations if known.issuperset(words(marked))]
