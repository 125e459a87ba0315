"""The baseline of ``model: tfidf`` as a `CodingModel`.

Its checkpoint has ``tfidf.npz`` and ``vocabulary.json`` in place of a network's weights and
tokenizer, and else the same files. If it chooses the principal diagnosis, ``principal/`` has the
same two files for the classifiers of principal diagnoses.

Shapes: N notes or documents, B documents scored together, L labels.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus, Labels, write_labels
from icdcli.io.progress import Progress
from icdcli.lexical.reading import UNCHANGED, NoteReading
from icdcli.lexical.views import Views
from icdcli.model.coding_model import (
    CodePrediction,
    NoteScores,
    SplitParts,
    documents_to_score,
    predictions,
    texts_to_score,
)
from icdcli.model.files.checkpoint_files import LABELS, read_settings, write_settings
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.model.fusion import NETWORK, Fusion, probabilities
from icdcli.model.inference.note_batches import score_batches
from icdcli.model.inference.scored import Scored
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold

if TYPE_CHECKING:
    from icdcli.lexical.tfidf import Tfidf

FORMAT = 1
_PRINCIPAL = "principal"
_DOCUMENTS_AT_ONCE = 256


@dataclass
class TfidfModel:
    """A linear classifier per code on TF-IDF features; fulfills `CodingModel`.

    Attributes:
        words: The fitted classifiers: texts to logits.
        labels: The label space, in the order of the logits.
        config: The model section of the configuration that it was made from.
        threshold: The score from which a code is predicted.
        text_cleaning: How its training texts were cleaned; notes are cleaned in the same way.
        reading: How it reads notes.
        fusion: None: it has one part.
        principal: How it chooses the principal diagnosis; None: it doesn't.
        principal_words: Classifiers of the principal diagnosis: texts to its logits; None as well.
    """

    words: "Tfidf"
    labels: Labels
    config: ModelConfig
    threshold: Threshold
    text_cleaning: str = "none"
    reading: NoteReading = UNCHANGED
    fusion: Fusion | None = None
    principal: PrincipalChoice | None = None
    principal_words: "Tfidf | None" = None

    @property
    def views(self) -> Views:
        """Return the views of notes that it reads."""
        return self.reading.views

    @property
    def parts(self) -> tuple[str, ...]:
        """Return no parts: an ablation has nothing to leave out."""
        return ()

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return logits_BL of texts that are already cleaned."""
        return self.words.logits(self._read(texts))

    def _read(self, texts: Sequence[str]) -> list[str]:
        return [self.reading.read(text).text for text in texts]

    def score_notes(self, texts: Sequence[str]) -> NoteScores:
        """Score notes, each complete and in one window; see `CodingModel.score_notes`."""
        return next(self.score_batches([texts]))

    def score_batches(
        self, batches: Iterable[Sequence[str]], ahead: bool = False, as_logits: bool = False
    ) -> Iterator[NoteScores]:
        """Score batches of notes; see `CodingModel.score_batches`."""
        labels = len(self.labels)
        score = partial(self._score, as_logits=as_logits)
        return score_batches(batches, self.text_cleaning, labels, list, score, ahead)

    def _score(self, texts: Sequence[str], as_logits: bool) -> NoteScores:
        read = self._read(texts)
        logits_NL = self.words.logits(read)
        scores_NL = logits_NL if as_logits else probabilities({NETWORK: logits_NL}, None)
        principal_NL = None
        if self.principal is not None and self.principal_words is not None and not as_logits:
            own_NL = self.principal_words.logits(read)
            principal_NL = self.principal.probabilities(scores_NL, own_NL)
        ones = [1] * len(texts)
        whole = [1.0] * len(texts)
        return NoteScores(scores_NL, ones, whole, [None] * len(texts), principal_NL)

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return scores_NL; see `CodingModel.scores`."""
        return self.score_notes(texts).scores_NL

    def predict(self, texts: Sequence[str]) -> list[list[CodePrediction]]:
        """Predict the codes of notes; see `CodingModel.predict`."""
        return predictions(self, self.score_notes(texts))

    def score_split(
        self,
        corpus: Corpus,
        split: str,
        on_progress: Progress | None = None,
        only: Sequence[int] | None = None,
        state_cache_gb: float = 0,
    ) -> SplitParts:
        """Score the documents of a split; see `CodingModel.score_split`."""
        documents = documents_to_score(corpus, split, self.labels, only)
        chooses = self.principal_words is not None
        scored = Scored.empty(len(documents), len(self.labels), principal=chooses)
        texts = iter(texts_to_score(corpus, split, only))
        for start in range(0, len(documents), _DOCUMENTS_AT_ONCE):
            read = self._read(list(islice(texts, _DOCUMENTS_AT_ONCE)))
            logits_BL = self.words.logits(read)
            rows = slice(start, start + len(logits_BL))
            if self.principal_words is not None and scored.principal_NL is not None:
                scored.principal_NL[rows] = self.principal_words.logits(read)
            scored.logits_NL[rows] = logits_BL
            gold_B = [
                logits_L[gold].sum(dtype=float)
                for logits_L, gold in zip(logits_BL, documents.targets[rows], strict=True)
            ]
            scored.losses_N[rows] = (
                np.logaddexp(0, logits_BL, dtype=float).sum(axis=1) - gold_B
            ) / logits_BL.shape[1]
            if on_progress is not None:
                on_progress(f"scoring the {split} split", rows.stop, len(documents))
        parts = {NETWORK: scored.logits_NL}
        return SplitParts(documents, parts, None, scored.losses_N, principal_NL=scored.principal_NL)

    def save(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder, without the manifest."""
        self.words.save(folder)
        write_labels(folder / LABELS, self.labels)
        settings = {
            "model": self.config.to_json(),
            "threshold": self.threshold.to_json(),
            "text_cleaning": self.text_cleaning,
            "views": asdict(self.views),
        }
        if self.principal is not None and self.principal_words is not None:
            settings["principal"] = self.principal.to_json()
            (folder / _PRINCIPAL).mkdir()
            self.principal_words.save(folder / _PRINCIPAL)
        write_settings(folder, FORMAT, settings)

    @classmethod
    def load(cls, folder: Path) -> "TfidfModel":
        """Load a checkpoint.

        Raises:
            ResumeError: If the checkpoint is incomplete or was changed.
        """
        # scikit-learn and scipy take a second to import, and a network doesn't need them
        from icdcli.lexical.tfidf import Tfidf

        settings = read_settings(folder, FORMAT)
        labels = checkpoint_labels(folder)
        threshold = Threshold.from_json(settings["threshold"])
        words = Tfidf.load(folder, len(labels))
        principal = PrincipalChoice.from_json(settings.get("principal"))
        own = None if principal is None else Tfidf.load(folder / _PRINCIPAL, len(labels))
        return cls(
            words,
            labels,
            ModelConfig(**settings["model"]),
            threshold,
            settings["text_cleaning"],
            NoteReading(Views.from_json(settings.get("views"))),
            principal=principal,
            principal_words=own,
        )
