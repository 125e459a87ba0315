"""Code notes from Python: text in, codes with titles and scores out.

Shapes: N notes, W windows of them, L labels, T tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from icdcli.data.corpus.cleaning import CLEANERS
from icdcli.data.token_cache import EncodedDocuments, Tokens, encode
from icdcli.errors import ConfigError
from icdcli.model.checkpoint import NeuralModel
from icdcli.model.fusion import NETWORK, probabilities
from icdcli.model.packing import choose_padding
from icdcli.model.precompute import nearness_of
from icdcli.model.scoring import Scored, score_documents
from icdcli.model.tfidf_model import TfidfModel, load_trained
from icdcli.model.untrained import untrained

Read = Callable[[Sequence[str]], tuple[NDArray[np.float32], Sequence[int]]]
"""How a coder reads texts: scores_NL, each code's probability, and in how many windows each text was read."""


@dataclass(frozen=True, slots=True)
class CodePrediction:
    """A code that a note is given.

    Attributes:
        code: The dotted code.
        title: Its official title, where it has one.
        score: Its probability.
    """

    code: str
    title: str | None
    score: float


@dataclass
class NoteModel(NeuralModel):
    """A trained coder that codes notes; `load_model` makes one."""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score notes.

        A note of more than ``max_len`` tokens is read in windows of that length, each overlapping the one before by a quarter;
        of a code, the highest of all windows counts. Words alone are looked for in the whole note.

        Args:
            texts: The notes; they are held in memory, so hand over a few hundred at a time.

        Returns:
            scores_NL, in [0, 1]; a note without text, or of which cleaning leaves nothing, has 0 for every code.
        """
        return self.read(texts)[0]

    def read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]:
        """Do what `scores` does, and say in how many windows each note was read; 0: it has no text."""
        return _read_texts(texts, self.text_cleaning, len(self.labels), self._read)

    def _read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]:
        notes_W, logits_WL = self.window_logits(
            encode(self.tokenizer.backend_tokenizer)(list(texts))
        )
        logits_NL = np.full((len(texts), len(self.labels)), -np.inf, np.float32)
        np.maximum.at(logits_NL, notes_W, logits_WL)
        return self.fused(logits_NL, texts), np.bincount(notes_W, minlength=len(texts)).tolist()

    def window_logits(
        self, notes: list[list[int]]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The network's logits of each note's windows, and which note each of them belongs to; one note's stand together.

        Args:
            notes: The notes' tokens, whole.
        """
        notes_W, documents = self._windows(notes)
        if self.network.prior is not None:
            with untrained(self) as reader:
                documents = replace(
                    documents, nearness=nearness_of(reader, self.network.prior, documents)
                )
        scored = Scored.empty(len(documents), len(self.labels))
        for _ in score_documents(self.network, documents, scored):
            pass
        return notes_W, scored.logits_NL

    def predict(self, texts: Sequence[str]) -> list[list[CodePrediction]]:
        """Code notes.

        Args:
            texts: The notes, of any length; see `scores`.

        Returns:
            For each note, its codes with titles and scores at or above the threshold, highest score first.
        """
        return _predicted(self, *self.read(texts))

    def windows(self, tokens: int) -> list[tuple[int, int]]:
        """From and up to which token a note of so many tokens is read at a time; one window where it is read whole."""
        room = self.config.max_len - len(self.special_tokens)
        if tokens <= room:
            return [(0, tokens)]
        starts = [*range(0, tokens - room, max(room * 3 // 4, 1)), tokens - room]
        return [(start, start + room) for start in starts]

    def _windows(self, notes: list[list[int]]) -> tuple[NDArray[np.int64], EncodedDocuments]:
        """The windows of all notes as documents, and which note each belongs to."""
        parts = [
            (note, ids[start:end])
            for note, ids in enumerate(notes)
            for start, end in self.windows(len(ids))
        ]
        offsets = np.cumsum([0, *(len(ids) for _, ids in parts)], dtype=np.int64)
        tokens = Tokens(np.concatenate([np.array(ids, np.uint32) for _, ids in parts]), offsets)
        no_targets = [np.zeros(0, np.int32)] * len(parts)
        rows = np.arange(len(parts))
        documents = EncodedDocuments(
            tokens, rows, no_targets, self.special_tokens, self.config.max_len, self.chunks
        )
        return np.array([note for note, _ in parts], np.int64), documents


@dataclass
class TfidfNoteModel(TfidfModel):
    """A baseline that codes notes as a `NoteModel` does; `load_model` makes one."""

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score notes, each as a whole: scores_NL, in [0, 1]; see `NoteModel.scores`."""
        return self.read(texts)[0]

    def read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]:
        """Do what `scores` does, and say in how many windows each note was read: one, or 0 where it has no text."""
        return _read_texts(texts, self.text_cleaning, len(self.labels), self._read)

    def _read(self, texts: Sequence[str]) -> tuple[NDArray[np.float32], list[int]]:
        return probabilities({NETWORK: self.logits(texts)}, None), [1] * len(texts)

    def predict(self, texts: Sequence[str]) -> list[list[CodePrediction]]:
        """Code notes; see `NoteModel.predict`."""
        return _predicted(self, *self.read(texts))


def load_model(
    path: str | Path, load: str = "metric", device: str = "cpu"
) -> NoteModel | TfidfNoteModel:
    """Load a trained coder.

    Args:
        path: A run's folder or a checkpoint's.
        load: Which checkpoint of a run: ``metric``, ``loss`` or ``last``.
        device: A torch device.

    Raises:
        ConfigError: When there is no such folder, or the base model can't be had.
        ResumeError: When the checkpoint is incomplete or was changed.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise ConfigError(f"{folder}: there is no such run or checkpoint folder")
    checkpoint = folder if (folder / "manifest.json").is_file() else folder / "weights" / load
    model = load_trained(checkpoint, torch.device(device))
    if isinstance(model, TfidfModel):
        return TfidfNoteModel(**{field.name: getattr(model, field.name) for field in fields(model)})
    return note_model(model)


def note_model(model: NeuralModel) -> NoteModel:
    """A coder, ready to code notes."""
    choose_padding(model.network, "auto")
    return NoteModel(**{field.name: getattr(model, field.name) for field in fields(model)})


def _read_texts(
    texts: Sequence[str], cleaning: str, labels: int, read: Read
) -> tuple[NDArray[np.float32], list[int]]:
    """Clean notes and read those with text: scores_NL, and in how many windows each was read."""
    cleaned = [CLEANERS[cleaning](text) for text in texts]
    places = [place for place, text in enumerate(cleaned) if text.strip()]
    scores_NL, windows_N = (
        np.zeros((len(texts), labels), np.float32),
        np.zeros(len(texts), np.int64),
    )
    if places:
        scores_NL[places], windows_N[places] = read([cleaned[place] for place in places])
    return scores_NL, windows_N.tolist()


def _predicted(
    model: NeuralModel | TfidfModel, scores_NL: NDArray[np.float32], windows_N: Sequence[int]
) -> list[list[CodePrediction]]:
    """Each note's codes at or above the threshold, highest score first; none of a note without text."""
    found, labels = [], model.labels
    threshold_L = model.threshold.values_L(len(labels))
    for scores_L, windows in zip(scores_NL, windows_N, strict=True):
        order = np.argsort(-scores_L, kind="stable")
        kept = order[(scores_L >= threshold_L)[order]] if windows else order[:0]
        found.append(
            [
                CodePrediction(labels.codes[i], labels.titles[i], float(scores_L[i]))
                for i in kept.tolist()
            ]
        )
    return found
