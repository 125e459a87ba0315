"""Views of a prepared corpus: the same documents, divided into splits in another way.

Keys of the configuration choose a view. With ``train_on: train+validation``, a model is trained
on the documents of both splits; with ``held_out_fold: 2/5``, the second of five folds of the
training documents is its validation split. Nothing is copied: a view reads the files of its corpus,
and shares the tokens and the hidden states that are kept with it.

With ``label_space: train``, ``categories`` or ``assignable``, the training documents of the view
determine the label space (`icdcli.data.corpus.label_spaces`). Those of a fold always do, as it
would be if nobody had ever seen the fold that is held out; only with ``label_space: described``,
codes with a title stay candidates. Other codes of the documents are outside
(`Documents.outside`), and count as missed.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.annotations import ANNOTATIONS, Annotations, read_annotations
from icdcli.data.corpus.folds import HeldOutFold, fold_of
from icdcli.data.corpus.label_spaces import (
    WITH_UNSEEN,
    add_unseen,
    restrict_labels,
    space_of,
    unseen_labels,
)
from icdcli.data.corpus.reader import Corpus, Documents, open_corpus
from icdcli.data.section import DataConfig
from icdcli.errors import ConfigError
from icdcli.io.progress import Progress

Places = Mapping[str, NDArray[np.int64]]
"""Splits of the corpus to the positions of some of their documents, ascending."""


@dataclass(frozen=True, kw_only=True)
class CorpusView(Corpus):
    """A view of a corpus; `corpus_of` makes one.

    Attributes:
        base: The corpus.
        places: Each split of the view to where its documents are in the corpus.
        description: What distinguishes the view from others of the corpus.
    """

    base: Corpus
    places: Mapping[str, Places]
    description: str

    @property
    def name(self) -> str:
        """Return the name of the corpus, with what the view makes of it."""
        return f"{self.base.name} ({self.description})"

    @cached_property
    def kept_labels(self) -> NDArray[np.int64]:
        """Return the label in the corpus of each label of the view that isn't unseen."""
        index, codes = self.base.labels.index, self.labels.codes
        return np.array(
            [index[code] for code in codes[: len(codes) - unseen_labels(self)]], np.int64
        )

    def documents(self, split: str) -> Documents:
        """Return the documents of a split, with the targets in the label space of the view."""
        self._require(split)
        documents = _documents(self.base, self.places[split])
        return _within(documents, self.base.labels.codes, self._view_labels)

    def texts(self, split: str) -> Iterator[str]:
        """Yield the texts of a split, in the order of `documents`."""
        self._require(split)
        for source, places in self.places[split].items():
            wanted = set(places.tolist())
            for place, text in enumerate(self.base.texts(source)):
                if place in wanted:
                    yield text

    def days(self, split: str) -> list[date | None]:
        """Return each document's day of discharge; see `Corpus.days`."""
        self._require(split)
        days: list[date | None] = []
        for source, places in self.places[split].items():
            known = self.base.days(source)
            days += [known[place] for place in places] if known else []
        return days

    def evidence(self, split: str) -> Annotations:
        """Return the annotated evidence of a split for the codes of the view."""
        ids = self.documents(split).ids
        return read_annotations(self.folder / ANNOTATIONS, ids, self.code_index, others=True)

    @cached_property
    def code_index(self) -> Mapping[str, int]:
        """Return the label of each code that counts."""
        labels = self._view_labels
        known = self.base.code_index.items()
        return {code: int(labels[label]) for code, label in known if labels[label] >= 0}

    @cached_property
    def _view_labels(self) -> NDArray[np.int32]:
        """Return the label in the view of each label of the corpus; -1: it has none."""
        index = self.labels.index
        return np.array([index.get(code, -1) for code in self.base.labels.codes], np.int32)

    def _require(self, split: str) -> None:
        if split == "validation" and split not in self.places:
            raise ConfigError(
                "split: the model was trained on validation (train_on: train+validation), so "
                "results on it would mean nothing. Use the test split, or other data."
            )
        super()._require(split)


def corpus_of(folder: Path, data: DataConfig) -> Corpus:
    """Open a prepared corpus as a configuration wants it: complete, or as a view.

    Args:
        folder: The corpus's folder.
        data: The section of the configuration.

    Raises:
        ConfigError: If there are too few documents for the folds.
        DataError: If a file is missing or damaged.
    """
    return view_of_corpus(open_corpus(folder), data)


def corpus_of_run(
    data: DataConfig,
    on_warning: Callable[[str], object] = warnings.warn,
    on_progress: Progress | None = None,
) -> Corpus:
    """Open the corpus of a run that exists, preparing it first if it is no longer on disk.

    Args:
        data: The section of the run's configuration.
        on_warning: Receives each warning about the corpus.
        on_progress: Receives the progress of preparing it.

    Raises:
        ConfigError: If there are too few documents for the folds.
        DataError: If the data can't be prepared, or a file is missing or damaged.
    """
    from icdcli.data.corpus.prepare import prepare  # not needed to read a corpus

    prepared = prepare(data.accepting(), on_progress)
    for warning in prepared.warnings:
        on_warning(warning)
    return corpus_of(prepared.folder, data)


def view_of_corpus(corpus: Corpus, data: DataConfig) -> Corpus:
    """Return the view of a corpus that a configuration wants, or the corpus; see `corpus_of`."""
    held_out = None if data.held_out_fold is None else HeldOutFold.of(data.held_out_fold)
    space = _space(corpus, data)
    if data.train_on == "train" and held_out is None and space is None:
        return corpus
    places = {split: np.arange(len(corpus.documents(split))) for split in data.train_on.split("+")}
    descriptions = [] if space is None else [f"label space {space}"]
    view: dict[str, Places] = {"train": places}
    if data.train_on != "train" or held_out is not None:
        descriptions.insert(0, f"trained on {data.train_on}")
    elif "validation" in corpus.splits:
        view["validation"] = {"validation": np.arange(len(corpus.documents("validation")))}
    if held_out is not None:
        documents = _documents(corpus, places)
        folds_N = fold_of(documents.ids, documents.subject_ids, held_out.folds)
        own = np.split(
            folds_N == held_out.fold - 1, np.cumsum([len(here) for here in places.values()])[:-1]
        )
        view = {
            "train": {
                split: np.flatnonzero(~mask) for split, mask in zip(places, own, strict=True)
            },
            "validation": {
                split: np.flatnonzero(mask) for split, mask in zip(places, own, strict=True)
            },
        }
        descriptions[0] += f" without fold {held_out}"
        # Nobody has seen the fold that is held out.
        space = space or ("described" if space_of(corpus) == "described" else "train")
    if "test" in corpus.splits:
        view["test"] = {"test": np.arange(len(corpus.documents("test")))}
    return _view(corpus, view, ", ".join(descriptions), space)


def _space(corpus: Corpus, data: DataConfig) -> str | None:
    """Return the label space that the training documents determine; None: that of the corpus."""
    if data.label_space not in ("train", *WITH_UNSEEN) or space_of(corpus) == "protocol":
        return None
    if data.label_space in WITH_UNSEEN and corpus.code_system is None:
        raise ConfigError(
            f"label_space: {data.label_space} needs the coding system. Set code_system; `icdcode "
            "codes list` shows the editions."
        )
    return data.label_space


def rebased(view: CorpusView, base: Corpus) -> CorpusView:
    """Return a view of the same documents with the label space of another form of its corpus."""
    return _view(base, view.places, view.description, None)


def _view(
    corpus: Corpus, places: Mapping[str, Places], description: str, space: str | None
) -> CorpusView:
    counts = Counter(
        label
        for targets in _documents(corpus, places["train"]).targets
        for label in targets.tolist()
    )
    own = tuple(counts[label] for label in range(len(corpus.labels)))
    labels = replace(corpus.labels, train_counts=own)
    about = dict(corpus.card["labels"])
    if space is not None:
        about["space"], whole = space, labels
        labels = restrict_labels(labels, space)
        if space in WITH_UNSEEN and corpus.code_system is not None:
            known = len(labels)
            labels = add_unseen(labels, whole, corpus.code_system, space)
            about["unseen"] = len(labels) - known
    splits = {split: {"documents": sum(map(len, own.values()))} for split, own in places.items()}
    about |= {
        "count": len(labels),
        "in_use": sum(count > 0 for count in labels.counts),
        "in_training": sum(count > 0 for count in labels.train_counts),
        "without_title": labels.titles.count(None),
    }
    card = {**corpus.card, "splits": splits, "labels": about}
    return CorpusView(
        corpus.folder, card, labels, base=corpus, places=places, description=description
    )


def _documents(corpus: Corpus, places: Places) -> Documents:
    """Return the documents at places of several splits of a corpus, one split after another."""
    parts = [corpus.documents(split).take(here.tolist()) for split, here in places.items()]
    return Documents(
        [own for part in parts for own in part.ids],
        [own for part in parts for own in part.subject_ids],
        np.concatenate([part.rows for part in parts]),
        [own for part in parts for own in part.targets],
        principals=[own for part in parts for own in part.principals],
    )


def _within(
    documents: Documents, codes: Sequence[str], view_labels: NDArray[np.int32]
) -> Documents:
    """Return documents with the targets that a view has, as its labels, and the codes outside.

    Args:
        documents: The documents of the corpus.
        codes: The label space of the corpus.
        view_labels: Of each code, the label in the view; -1: it has none.
    """
    targets = [view_labels[labels] for labels in documents.targets]
    outside = [
        tuple(codes[label] for label in labels[own < 0].tolist())
        for labels, own in zip(documents.targets, targets, strict=True)
    ]
    return replace(
        documents,
        targets=[np.sort(labels[labels >= 0]) for labels in targets],
        outside=outside if any(outside) else [],
    )
