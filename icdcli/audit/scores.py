"""Scores of documents by lexical models that haven't seen them.

A lexical model is fitted five times, each time without a fifth of the patients, and scores that
fifth. The weights of its parts come from the documents that aren't scored. This takes seconds to
minutes; with a run, the scores of its network count, too (`icdcli.cross_fitting`).

Shapes: N documents, L labels.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.audit.documents import AuditDocument
from icdcli.data.corpus.folds import fold_of
from icdcli.data.corpus.reader import Corpus
from icdcli.evaluation.fusion_fitting import fit_fusion
from icdcli.io.files import private_folder, write_json
from icdcli.io.npz import read_arrays, write_arrays
from icdcli.io.progress import Progress
from icdcli.lexical.descriptions import Descriptions
from icdcli.lexical.histories import Histories, history_labels
from icdcli.lexical.lexical_model import LexicalModel, Scores
from icdcli.lexical.reading import NoteReading
from icdcli.model.fusion import NETWORK
from icdcli.model.section import ModelConfig

FOLDS = 5
_AT_ONCE = 64
_FITTED_ON = 500  # documents of each fold: a fusion has a few weights
_ABOUT = "about.json"


class LexicalCrossFitting:
    """A lexical model that is fitted and applied fold by fold, in a folder that it resumes from."""

    def __init__(
        self,
        documents: Sequence[AuditDocument],
        corpus: Corpus,
        model: ModelConfig,
        reading: NoteReading,
        descriptions: Descriptions,
    ) -> None:
        """Prepare it.

        Args:
            documents: The documents, with the labels to fit to.
            corpus: The corpus that they are of, with the label space.
            model: The model section of the configuration, which names the lexical parts.
            reading: How documents are read.
            descriptions: The descriptions of each label.
        """
        self.documents, self._reading, self._descriptions = documents, reading, descriptions
        self._parts = model.lexical or None  # a network or TF-IDF alone: all parts
        self._with_lexicon = model.lexicon
        self._histories: Histories = history_labels(
            corpus.labels, corpus.system, reading.views.language if model.lexicon else None
        )
        ids, subjects = [one.id for one in documents], [one.subject for one in documents]
        self.fold_N = fold_of(ids, subjects, FOLDS)
        self._about = {
            "corpus": corpus.name,
            "documents": _hash([(one.id, one.text, sorted(one.labels)) for one in documents]),
            "annotations": _hash([one.annotations for one in documents]),
            "model": _hash([self._parts, model.lexicon, reading.to_json()]),
        }

    def logits(self, folder: Path, on_progress: Progress | None = None) -> NDArray[np.float32]:
        """Return the log-odds of each code in each document, (N, L).

        Args:
            folder: The folder for the scores of each fold; those of an earlier call that was
                stopped are used if they belong to the same documents.
            on_progress: Receives the progress.

        Raises:
            OSError: If the folder can't be written.
        """
        self._enter(folder)
        for fold in range(FOLDS):
            if on_progress is not None:
                on_progress("scoring documents that a model hasn't seen", fold, FOLDS, "folds")
            path = folder / f"fold-{fold + 1}.npz"
            if not path.is_file():
                write_arrays(
                    path,
                    {name: part.astype(np.float16) for name, part in self._score(fold).items()},
                )
        return self._fused(folder)

    def _enter(self, folder: Path) -> None:
        """Make the folder, and remove the scores of other documents."""
        private_folder(folder)
        about = folder / _ABOUT
        if not about.is_file() or json.loads(about.read_text(encoding="utf-8")) != self._about:
            for path in folder.glob("fold-*.npz"):
                path.unlink()
            write_json(about, self._about)

    def _score(self, fold: int) -> Scores:
        """Fit without a fold, and return the scores of each part in its documents."""
        inside = np.flatnonzero(self.fold_N == fold).tolist()
        others = [self.documents[row] for row in np.flatnonzero(self.fold_N != fold).tolist()]
        annotations = [
            [(label, one.words_of(fragments)) for label, fragments in one.marked()]
            for one in others
        ]
        model = LexicalModel.fit(
            [one.text for one in others],
            [np.array(sorted(one.labels), np.int32) for one in others],
            self._descriptions,
            annotations if any(annotations) else None,
            self._parts,
            self._reading,
            self._histories,
        )
        found: dict[str, list[NDArray[np.float32]]] = {name: [] for name in model.parts}
        for start in range(0, len(inside), _AT_ONCE):
            texts = [self.documents[row].text for row in inside[start : start + _AT_ONCE]]
            for name, scores_BL in model.scores(texts).items():
                found[name].append(scores_BL)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def _fused(self, folder: Path) -> NDArray[np.float32]:
        """Fuse the parts of each fold by weights that the other folds chose."""
        folds = [read_arrays(folder / f"fold-{fold + 1}.npz") for fold in range(FOLDS)]
        names = [name for name in folds[0] if all(name in fold for fold in folds)]
        labels = len(self._descriptions)
        logits_NL = np.zeros((len(self.documents), labels), np.float32)
        for fold in range(FOLDS):
            others = [one for one in range(FOLDS) if one != fold]
            rows = [np.flatnonzero(self.fold_N == one)[:_FITTED_ON] for one in others]
            seen = {
                name: np.concatenate([folds[one][name][:_FITTED_ON] for one in others])
                for name in names
            }
            targets_NL = np.zeros((sum(map(len, rows)), labels), bool)
            for target_L, row in zip(targets_NL, np.concatenate(rows).tolist(), strict=True):
                target_L[sorted(self.documents[row].labels)] = True
            fusion = fit_fusion(
                _with_network(seen), targets_NL, "others", by_evidence=self._with_lexicon
            )
            own = {name: folds[fold][name].astype(np.float32) for name in names}
            logits_NL[self.fold_N == fold] = fusion.logits(_with_network(own), slice(None))
        return logits_NL


def _with_network(parts: Scores) -> Scores:
    """Add the logits of a network that knows nothing, which a fusion needs."""
    parts = {name: part.astype(np.float32) for name, part in parts.items()}
    return {NETWORK: np.zeros_like(next(iter(parts.values()))), **parts}


def _hash(content: object) -> str:
    return sha256(repr(content).encode()).hexdigest()[:16]
