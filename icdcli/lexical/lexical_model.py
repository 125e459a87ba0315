"""The lexical model: its parts fitted together, applied together, and saved with a checkpoint.

Each part gives one matrix of scores that rise with how likely a code is, on a scale of its own;
`icdcli.model.fusion` combines them. A part is fitted once for each view of the documents
(`icdcli.lexical.views`); the part that reads affirmed text has the name ``affirmed_<part>``, and
that of the text with marked words ``marked_<part>``. The files are private (0600), because
they contain words of the training documents:

    lexical.json        the parts, and their words: descriptions, annotated strings
    <part>.npz          the arrays of one part

For codes that mean a history, parts of the affirmed text have fits of their own
(`icdcli.lexical.histories`), ``family_<part>`` and ``personal_<part>``, which are no parts by
themselves.

Shapes: N documents, L labels, K requested labels, W words of a document.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus
from icdcli.data.corpus.restarting import TrainingTexts
from icdcli.data.relabeling import Relabeling
from icdcli.errors import ResumeError
from icdcli.icd.history import History
from icdcli.io.files import private_folder, write_json
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.io.progress import Progress
from icdcli.lexical.descriptions import Descriptions, descriptions_of
from icdcli.lexical.histories import Histories, HistoryParts, history_labels
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.registry import (
    LexicalPart,
    TrainingDocuments,
    as_read,
    part_key,
    part_types,
    reads,
    type_of,
    view_of,
)
from icdcli.lexical.targets import Annotations, Targets
from icdcli.lexical.views import View
from icdcli.lexical.words import placed_words

PLAIN, WITH_VIEWS, FORMAT, MARKED = 1, 2, 3, 4
"""The formats of lexical.json: that of icdcode 0.1.0, for models of the complete text as it is,
that with views and abbreviations, that with spelling or histories, too, and that with marked words.
"""
_ABOUT = "lexical.json"

Scores = dict[str, NDArray[np.float32]]
"""Part to scores_NL."""


class WordWeights(NamedTuple):
    """How much each word that a part reads adds to the scores of some labels.

    Attributes:
        places_W2: The begin and end of each word in the document. The words of an expansion have
            the place of the abbreviation.
        weights_KW: The contributions.
    """

    places_W2: NDArray[np.int64]
    weights_KW: NDArray[np.float32]

    def instead(self, other: "WordWeights", of_other_K: NDArray[np.bool_]) -> "WordWeights":
        """Return the words of both, with the other's weights alone for some of the labels."""
        mine_KW = np.where(of_other_K[:, None], 0, self.weights_KW)
        others_KW = np.where(of_other_K[:, None], other.weights_KW, 0)
        return WordWeights(
            np.concatenate([self.places_W2, other.places_W2]),
            np.concatenate([mine_KW, others_KW], axis=1),
        )


@dataclass(frozen=True)
class LexicalModel:
    """A lexical model: its fitted parts.

    Attributes:
        number_of_labels: L.
        fitted: Name to part, by view and in the order of `part_names`.
        reading: How it reads documents.
        histories: The parts for codes that mean a history, by its kind.
    """

    number_of_labels: int
    fitted: Mapping[str, LexicalPart]
    reading: NoteReading = UNCHANGED
    histories: Mapping[History, HistoryParts] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        parts: Sequence[str] | None = None,
        reading: NoteReading = UNCHANGED,
        lexicon: bool = False,
        synonyms: bool = True,
        on_progress: Progress | None = None,
    ) -> "LexicalModel":
        """Fit to the training documents of a corpus.

        Args:
            corpus: A prepared corpus with a training split.
            parts: The parts to fit; None: all. Parts for which the corpus has no annotations or
                descriptions are left out, and so are those of the lexicon without it.
            reading: How to read the documents.
            lexicon: Whether to match synonyms of codes, in the language of the views.
            synonyms: Whether the lexicon has synonyms; an ablation leaves them out.
            on_progress: Reports how many parts are fitted.

        Raises:
            ConfigError: If the corpus has no training documents.
            DataError: If its files can't be read.
        """
        targets, texts = corpus.documents("train").targets, TrainingTexts(corpus)
        annotations = None
        kinds = [kind for kind in part_types(parts) if lexicon or not kind.uses_lexicon]
        if any(kind.uses_annotations for kind in kinds) and len(
            evidence := corpus.evidence("train")
        ):
            annotations = [evidence.surfaces(row, text) for row, text in enumerate(texts)]
        language = reading.views.language if lexicon and synonyms else None
        descriptions = descriptions_of(corpus.labels, corpus.code_system, language)
        histories = history_labels(corpus.labels, corpus.system, language)
        names = [kind.name for kind in kinds]
        given = (texts, targets, descriptions, annotations, names, reading, histories)
        return cls.fit(*given, on_progress)

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        targets: Targets,
        descriptions: Descriptions,
        annotations: Annotations | None = None,
        parts: Sequence[str] | None = None,
        reading: NoteReading = UNCHANGED,
        histories: Histories = MappingProxyType({}),
        on_progress: Progress | None = None,
    ) -> "LexicalModel":
        """Fit to training documents.

        Args:
            texts: The documents; read several times.
            targets: The labels of each document.
            descriptions: The descriptions of each label.
            annotations: The annotations of each document, empty for a document that nobody
                annotated; None if there are none at all.
            parts: The parts to fit; None: all. Those without the input they need are left out.
            reading: How to read the documents.
            histories: The labels that mean each kind of history, with the terms for their diseases;
                they matter if the views include the affirmed text.
            on_progress: Reports how many parts are fitted; all histories are one.

        Raises:
            ValueError: If there is no document, or the numbers of documents differ.
        """
        documents = TrainingDocuments(
            texts, targets, descriptions, annotations, reading.with_lexicon
        )
        kinds, views = tuple(part_types(parts)), reading.views.names
        wanted = [(view, kind) for view in views for kind in kinds if reads(kind, view, views)]
        fitted = dict[str, LexicalPart | None].fromkeys(
            part_key(view, kind.name) for view, kind in wanted
        )

        def report(done: int) -> None:
            if on_progress is not None:
                total = len(wanted) + bool(histories)
                on_progress("fitting the lexical model", done, total, "parts")

        seen = as_read(documents, reading, kinds, histories)
        # The parts that only read a sample come last: it is read by then.
        wanted.sort(key=lambda part: part[1].reads_sample)
        for done, (view, kind) in enumerate(wanted):
            report(done)
            fitted[part_key(view, kind.name)] = kind.fit(seen[view])
        report(len(wanted))
        present = {name: part for name, part in fitted.items() if part is not None}
        affirmed = {kind: present[name] for kind, name in _of_facts(present).items()}
        again = {
            history: HistoryParts.fit(history, terms, seen[history], affirmed)
            for history, terms in (histories.items() if affirmed else ())
        }
        return cls(documents.number_of_labels, present, reading, again)

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the fitted parts."""
        return tuple(self.fitted)

    def relabeled(
        self, relabeling: Relabeling, histories: Histories = MappingProxyType({})
    ) -> "LexicalModel":
        """Return the model of another label space, without training documents.

        Args:
            relabeling: What becomes of the labels.
            histories: The labels after that mean each kind of history; see `fit`.
        """
        return LexicalModel(
            len(relabeling),
            {name: part.relabeled(relabeling) for name, part in self.fitted.items()},
            self.reading,
            {
                history: again.relabeled(relabeling, histories.get(history, {}))
                for history, again in self.histories.items()
            },
        )

    def scores(self, texts: Sequence[str]) -> Scores:
        """Return the scores_NL of each part for new documents.

        Args:
            texts: The documents; few enough that (N, L) of every part fits into memory.
        """
        scores: Scores = {}
        for view in self.reading.views.names:
            seen = [self.reading.read(text, view).text for text in texts]
            scores |= {name: part.scores(seen) for name, part in self._fitted(view)}
        of_facts = _of_facts(self.fitted)
        for history, again in self.histories.items():
            seen = [self.reading.read(text, history).text for text in texts]
            for kind in again.fitted:
                again.put_scores(kind, scores[of_facts[kind]], seen)
        return scores

    def by_word(self, text: str, labels: Sequence[int]) -> dict[str, WordWeights]:
        """Return how much each word of a document adds to the scores of some labels, by part."""
        parts: dict[str, WordWeights] = {}
        for view in self.reading.views.names:
            document, places_W2 = self._placed_words(text, view)
            for name, part in self._fitted(view):
                parts[name] = WordWeights(places_W2, part.by_word(document, labels))
        of_facts = _of_facts(self.fitted)
        for history, again in self.histories.items():
            if not set(again.labels).isdisjoint(labels):
                document, places_W2 = self._placed_words(text, history)
                for kind in again.fitted:
                    own = WordWeights(places_W2, again.by_word(kind, document, labels))
                    affirmed = parts[of_facts[kind]]
                    counts_K = again.counts(
                        labels, affirmed.weights_KW.sum(axis=1), own.weights_KW.sum(axis=1)
                    )
                    parts[of_facts[kind]] = affirmed.instead(own, counts_K)
        return parts

    def _placed_words(self, text: str, view: View) -> tuple[list[str], NDArray[np.int64]]:
        read = self.reading.read(text, view)
        document, places_W2 = placed_words(read.text)
        return document, read.original(places_W2)

    def _fitted(self, view: View) -> Iterator[tuple[str, LexicalPart]]:
        return ((name, part) for name, part in self.fitted.items() if view_of(name) == view)

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made if necessary."""
        private_folder(folder)
        reading = self.reading.to_json()
        about: dict[str, Any] = {
            "format": FORMAT if "spelling" in reading else WITH_VIEWS if reading else PLAIN,
            "parts": self.parts,
            "labels": self.number_of_labels,
            **reading,
        }
        about |= {view: {} for view in self.reading.views.names if view != "all"}
        for name, part in self.fitted.items():
            view = view_of(name)
            about_view = about if view == "all" else about[view]
            about_view |= type_of(name).words(part)
            write_arrays(folder / f"{name}.npz", part.arrays())
        if self.histories:
            about |= {"format": FORMAT, "histories": {}}
        if "marked" in self.reading.views.names:
            about["format"] = MARKED
        for history, again in self.histories.items():
            about["histories"][history] = again.save(folder)
        write_json(folder / _ABOUT, about)

    @classmethod
    def load(cls, folder: Path, number_of_labels: int) -> "LexicalModel":
        """Load what `save` wrote.

        Args:
            folder: The folder.
            number_of_labels: The number of labels that it must be for.

        Raises:
            ResumeError: If a file is missing or damaged, or the files don't belong together.
        """
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            known = PLAIN <= about["format"] <= MARKED
            if not known or about["labels"] != number_of_labels:
                raise ValueError(
                    f"format {about['format']} for {about['labels']} labels, "
                    f"not {PLAIN} to {MARKED} for {number_of_labels}"
                )
            reading = NoteReading.from_json(about)
            fitted = {
                name: type_of(name).load(
                    read_arrays(folder / f"{name}.npz"),
                    about if view_of(name) == "all" else about[view_of(name)],
                    number_of_labels,
                )
                for name in about["parts"]
            }
            histories = {
                history: HistoryParts.load(folder, history, here)
                for history, here in about.get("histories", {}).items()
            }
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ResumeError(
                f"{folder}: the lexical model can't be read ({error}). Take another checkpoint, or "
                "train again"
            ) from error
        return cls(number_of_labels, fitted, reading, histories)


def fit_out_of_fold(
    texts: Sequence[str],
    targets: Targets,
    descriptions: Descriptions,
    annotations: Annotations | None = None,
    parts: Sequence[str] | None = None,
    reading: NoteReading = UNCHANGED,
) -> tuple[LexicalModel, Scores]:
    """Fit, and score the training documents as if they were new.

    No document's scores depend on its own labels or annotations. The arguments are those of
    `LexicalModel.fit`.

    Returns:
        The same model as `LexicalModel.fit`, and the scores.
    """
    documents = TrainingDocuments(texts, targets, descriptions, annotations, reading.with_lexicon)
    fitted: dict[str, LexicalPart] = {}
    scores: Scores = {}
    kinds, views = tuple(part_types(parts)), reading.views.names
    for view, seen in as_read(documents, reading, kinds).items():
        for kind in kinds:
            if not reads(kind, view, views):
                continue
            if (result := kind.fit_out_of_fold(seen)) is not None:
                name = part_key(view, kind.name)
                fitted[name], scores[name] = result
    return LexicalModel(documents.number_of_labels, fitted, reading), scores


def _of_facts(fitted: Iterable[str]) -> dict[str, str]:
    """Return the name of each part's fit that knows what documents don't affirm, by the part."""
    return {type_of(name).name: name for name in fitted if view_of(name) != "all"}
