"""The interface of a trained model that assigns codes, and the results that it returns.

Three classes fulfill `CodingModel`: `icdcli.model.neural_model.NeuralModel`,
`icdcli.model.tfidf_model.TfidfModel` and `icdcli.model.ensemble.ensemble_model.EnsembleModel`,
which has several of the others. `icdcli.model.checkpoint.load_model` loads any.

Shapes: N notes or documents, W windows of a note, L labels.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus, Documents, Labels
from icdcli.data.encoded_documents import DescriptionSimilarity
from icdcli.errors import DataError
from icdcli.io.progress import Progress
from icdcli.lexical.views import Views
from icdcli.model.fusion import NETWORK, PRIOR, Fusion
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold


@dataclass(frozen=True, slots=True)
class CodePrediction:
    """A code that a model assigns to a note.

    Attributes:
        code: The dotted code.
        title: Its official title, if it has one.
        score: Its probability.
    """

    code: str
    title: str | None
    score: float


@dataclass(frozen=True)
class ScoredWindows:
    """The windows in which a network read one note; evidence reuses them.

    Attributes:
        ids: All token ids of the note, without special tokens.
        windows: The first token of each window, and the token after its last.
        logits_WL: The network's logits of each window.
    """

    ids: list[int]
    windows: list[tuple[int, int]]
    logits_WL: NDArray[np.float32]


@dataclass(frozen=True)
class NoteScores:
    """The scores of some notes.

    Attributes:
        scores_NL: The probability of each code.
        window_counts: The number of windows in which each note was read; 0 for a note without text.
        read_shares: The share of each note's tokens that the model reads: below 1 if the note is
            longer than ``max_len`` and only its beginning counts.
        windows: The windows themselves; None for a note without text, and for a model that doesn't
            use windows.
        principal_NL: The probability of each code to be the principal diagnosis, 0 for a note
            without text; None: the model doesn't choose one.
    """

    scores_NL: NDArray[np.float32]
    window_counts: list[int]
    read_shares: list[float]
    windows: list[ScoredWindows | None]
    principal_NL: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class SplitParts:
    """The scores that each part of a model gives the documents of a split, before they are fused.

    Attributes:
        documents: The split's documents, with their gold labels.
        parts: Part to its scores (N, L): the network's logits, and the scores of the lexical
            model's parts.
        similarities: The similarity of the label descriptions to the documents, if the network has
            a description prior.
        losses_N: Each document's loss by the network alone, positives not weighted.
        prior_weight: The weight of the similarities in the network's logits, if it has a
            description prior.
        without_prior_NL: The network's logits without its description prior, for documents that
            are read in several windows: another window may then have the highest logit.
        cut_documents: The number of documents longer than ``max_len``, of which only the beginning
            was read.
        principal_NL: The model's own logits of the principal diagnosis; None: it has none.
    """

    documents: Documents
    parts: dict[str, NDArray[np.float32]]
    similarities: DescriptionSimilarity | None
    losses_N: NDArray[np.float64]
    prior_weight: np.float32 | None = None
    without_prior_NL: NDArray[np.float32] | None = None
    cut_documents: int = 0
    principal_NL: NDArray[np.float32] | None = None

    def without(self, left_out: str | None) -> dict[str, NDArray[np.float32]]:
        """Return copies of the scores, as if a part weren't there.

        Args:
            left_out: The part, one of `CodingModel.parts`; None: leave out nothing.
        """
        parts = {name: part.copy() for name, part in self.parts.items() if name != left_out}
        if left_out == NETWORK:
            parts = {NETWORK: np.zeros_like(self.parts[NETWORK]), **parts}
        if left_out == PRIOR and self.without_prior_NL is not None:
            parts[NETWORK] = self.without_prior_NL.copy()
        elif left_out == PRIOR and self.similarities is not None and self.prior_weight is not None:
            for row in range(len(parts[NETWORK])):
                added_L = self.prior_weight * self.similarities[np.array([row])][0]
                parts[NETWORK][row, : len(added_L)] -= added_L
        return parts


class CodingModel(Protocol):
    """A trained model that assigns codes to notes, whatever it is made of.

    Attributes:
        labels: The label space, in the order of the scores.
        threshold: The score from which a code is predicted.
        config: The model section of the configuration that it was made from.
        fusion: The weights with which its parts make one score; None: it has one part, or they
            aren't fitted yet.
        text_cleaning: How its training texts were cleaned; notes are cleaned in the same way.
        principal: How it chooses the principal diagnosis; None: it doesn't.
    """

    labels: Labels
    threshold: Threshold
    config: ModelConfig
    fusion: Fusion | None
    text_cleaning: str
    principal: PrincipalChoice | None

    @property
    def views(self) -> Views:
        """Return the views of notes that it reads, and their language."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the parts that an ablation can leave out; none if there is only one part."""

    def score_notes(self, texts: Sequence[str]) -> NoteScores:
        """Score notes; `NoteScores` also has the windows in which they were read.

        Args:
            texts: The notes, of any length. All are held in memory: pass a few hundred at a time.
        """

    def score_batches(
        self, batches: Iterable[Sequence[str]], ahead: bool = False, as_logits: bool = False
    ) -> Iterator[NoteScores]:
        """Score batches of notes, one after another; see `score_notes`.

        Args:
            batches: Batches of notes.
            ahead: Whether a batch is read in another thread while the one before is scored. Until
                the last result, no other thread may then use what reads notes, as evidence does.
            as_logits: Whether the scores are logits, as an ensemble needs them, not probabilities.
        """

    def scores(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score notes; see `score_notes`.

        Returns:
            scores_NL, in [0, 1]. All scores are 0 for a note without text, or without text after
            cleaning.
        """

    def predict(self, texts: Sequence[str]) -> list[list[CodePrediction]]:
        """Predict the codes of notes; see `score_notes`.

        Returns:
            For each note, the codes at or above the threshold, highest score first.
        """

    def score_split(
        self,
        corpus: Corpus,
        split: str,
        on_progress: Progress | None = None,
        only: Sequence[int] | None = None,
        state_cache_gb: float = 20,
    ) -> SplitParts:
        """Score the documents of a split, with each part of the model separately.

        Args:
            corpus: The corpus that the model was trained on.
            split: ``train``, ``validation`` or ``test``.
            on_progress: Receives the progress.
            only: Positions in the split to score; None: all.
            state_cache_gb: The most disk space, in gigabytes, for the hidden states of a frozen
                backbone, which are kept in the corpus folder for the next time.

        Raises:
            ConfigError: If the split has no documents.
            DataError: If the corpus and the model have different label spaces.
        """

    def save(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder, without the manifest."""


def select_codes(
    scores_L: NDArray[np.float32],
    threshold_L: NDArray[np.float32],
    top: int | None = None,
    min_score: float | None = None,
    also_predicted: bool = False,
) -> list[int]:
    """Return the labels to report for one document, highest score first.

    Among equal scores, the first label comes first.

    Args:
        scores_L: The document's scores.
        threshold_L: The threshold of each label. It counts only if neither `top` nor `min_score` is
            given.
        top: The highest number of labels to return, whether or not they reach the threshold.
        min_score: Return the labels with at least this score, whether or not they reach the
            threshold.
        also_predicted: Also return all labels that reach the threshold.
    """
    order = np.argsort(-scores_L, kind="stable")
    predicted = scores_L[order] >= threshold_L[order]
    if top is None and min_score is None:
        chosen = predicted
    else:
        chosen = np.arange(len(order)) < (len(order) if top is None else top)
        if min_score is not None:
            chosen &= scores_L[order] >= np.float32(min_score)
        if also_predicted:
            chosen |= predicted
    selected: list[int] = order[chosen].tolist()
    return selected


def predictions(model: CodingModel, scored: NoteScores) -> list[list[CodePrediction]]:
    """Return each note's codes at or above the threshold, highest score first."""
    labels, predicted = model.labels, []
    threshold_L = model.threshold.values_L(len(labels))
    for scores_L, windows in zip(scored.scores_NL, scored.window_counts, strict=True):
        selected = select_codes(scores_L, threshold_L) if windows else []
        predicted.append(
            [
                CodePrediction(labels.codes[label], labels.titles[label], float(scores_L[label]))
                for label in selected
            ]
        )
    return predicted


def documents_to_score(
    corpus: Corpus, split: str, labels: Labels, only: Sequence[int] | None
) -> Documents:
    """Return the documents of a split, or some of them, for a model with this label space.

    Raises:
        ConfigError: If the split has no documents.
        DataError: If the corpus has another label space.
    """
    if corpus.labels.codes != labels.codes:
        raise DataError(
            f"{corpus.name}: its label space ({len(corpus.labels)} codes) differs from the "
            f"one that the model was trained on ({len(labels)} codes). Prepare the data with the "
            "options in the run's args.yaml."
        )
    documents = corpus.documents(split)
    return documents if only is None else documents.take(only)


def texts_to_score(corpus: Corpus, split: str, only: Sequence[int] | None) -> Iterable[str]:
    """Return the texts of a split's documents, or of those at some positions, in order."""
    if only is None:
        return corpus.texts(split)
    wanted = set(only)
    found = {
        position: text for position, text in enumerate(corpus.texts(split)) if position in wanted
    }
    return [found[position] for position in only]
