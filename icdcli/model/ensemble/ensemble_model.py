"""Several trained models as one `CodingModel`: a weighted mean of their calibrated logits.

Its checkpoint has no weights: it refers to the checkpoints of the members
(`icdcli.model.ensemble.references`).

Shapes: N notes or documents, L labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from icdcli.data.corpus.reader import Corpus, Labels, write_labels
from icdcli.data.corpus.views import CorpusView
from icdcli.io.progress import Progress
from icdcli.lexical.views import Views
from icdcli.metrics.arrays import row_blocks
from icdcli.model.coding_model import (
    CodePrediction,
    NoteScores,
    SplitParts,
    documents_to_score,
    predictions,
)
from icdcli.model.ensemble.member import Member
from icdcli.model.ensemble.references import MemberReference, write_references
from icdcli.model.files.checkpoint_files import LABELS
from icdcli.model.fusion import Fusion, fused_logits, probabilities
from icdcli.model.inference.kept_states import KeptStates
from icdcli.model.principal.choice import PrincipalChoice
from icdcli.model.section import ModelConfig
from icdcli.model.threshold import Threshold

_BLOCK = 1 << 21


@dataclass
class EnsembleModel:
    """Several trained models as one; fulfills `CodingModel`.

    Attributes:
        members: The members.
        labels: The label space, which has the codes of every member.
        config: A model section that says ``model: ensemble``.
        threshold: The score from which a code is predicted.
        fusion: The weights of the members' calibrated logits.
        documents: The number of training documents; see `icdcli.model.ensemble.member`.
        text_cleaning: How the training texts of all members were cleaned.
        references: Where each member is, as the checkpoint stores it.
        kept: Hidden states that members which share a backbone have in common.
        principal: None: an ensemble doesn't choose a principal diagnosis.
    """

    members: Sequence[Member]
    labels: Labels
    config: ModelConfig
    threshold: Threshold
    fusion: Fusion | None
    documents: int
    text_cleaning: str = "none"
    references: Sequence[MemberReference] = ()
    kept: Sequence[KeptStates] = ()
    principal: PrincipalChoice | None = None

    @property
    def views(self) -> Views:
        """Return the views of the first member that knows what notes affirm, or of the first."""
        views = [member.model.views for member in self.members]
        return next((one for one in views if one.reader is not None), views[0])

    @property
    def parts(self) -> tuple[str, ...]:
        """Return the names of the members, each of which an ablation can leave out."""
        return tuple(member.name for member in self.members) if len(self.members) > 1 else ()

    @property
    def known_labels(self) -> dict[str, NDArray[np.int64]]:
        """Return, of each member that lacks codes, the labels that it has."""
        return {member.name: member.places_M for member in self.members if member.lacks}

    @property
    def shares(self) -> Mapping[str, float]:
        """Return the share of each member in the weights of all."""
        weights = {member.name: 1.0 for member in self.members}
        weights |= {} if self.fusion is None else dict(self.fusion.weights)
        total = sum(weights.values())
        return {name: weight / total for name, weight in weights.items()} if total else weights

    def score_notes(self, texts: Sequence[str]) -> NoteScores:
        """Score notes; see `CodingModel.score_notes`."""
        return next(self.score_batches([texts]))

    def score_batches(
        self, batches: Iterable[Sequence[str]], ahead: bool = False, as_logits: bool = False
    ) -> Iterator[NoteScores]:
        """Score batches of notes; see `CodingModel.score_batches`.

        Nothing is read ahead: while one member scores a batch, the next would read it again.
        """
        for texts in batches:
            yield self._score(texts, as_logits)

    def _score(self, texts: Sequence[str], as_logits: bool) -> NoteScores:
        parts, scored = {}, []
        for member in self.members:
            found = next(member.model.score_batches([texts], as_logits=True))
            parts[member.name] = member.calibrated(found.scores_NL)
            scored.append(found)
        for kept in self.kept:
            kept.clear()
        counts = np.max([found.window_counts for found in scored], axis=0)
        scores_NL = (fused_logits if as_logits else probabilities)(parts, self.fusion)
        scores_NL[counts == 0] = 0
        shares = np.min([found.read_shares for found in scored], axis=0)
        return NoteScores(scores_NL, counts.tolist(), shares.tolist(), [None] * len(texts))

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
        state_cache_gb: float = 20,
    ) -> SplitParts:
        """Score the documents of a split; the parts are the members' calibrated logits.

        The losses are those of the ensemble. See `CodingModel.score_split`.
        """
        documents = documents_to_score(corpus, split, self.labels, only)
        parts: dict[str, NDArray[np.float32]] = {}
        cut = 0
        for member in self.members:
            own = with_labels(corpus, member.model.labels)
            found = member.model.score_split(own, split, on_progress, only, state_cache_gb)
            logits_NM = fused_logits(found.parts, member.model.fusion)
            parts[member.name] = member.calibrated(logits_NM)
            cut = max(cut, found.cut_documents)
        losses_N = ensemble_losses(parts, self.fusion, documents.targets)
        return SplitParts(documents, parts, None, losses_N, cut_documents=cut)

    def save(self, folder: Path) -> None:
        """Write a checkpoint into an empty folder, without the manifest."""
        write_labels(folder / LABELS, self.labels)
        settings = {
            "model": self.config.to_json(),
            "threshold": self.threshold.to_json(),
            "fusion": None if self.fusion is None else self.fusion.to_json(),
            "documents": self.documents,
            "text_cleaning": self.text_cleaning,
            "views": asdict(self.views),
        }
        calibrations = {member.name: member.calibration for member in self.members}
        known = [replace(one, calibration=calibrations[one.name]) for one in self.references]
        write_references(folder, settings, known)


def with_labels(corpus: Corpus, labels: Labels) -> Corpus:
    """Return a corpus with the label space of a member; other codes of its documents don't count.

    Args:
        corpus: The corpus of the ensemble.
        labels: Some of its labels.
    """
    if corpus.labels.codes == labels.codes:
        return corpus
    places = {
        split: {split: np.arange(corpus.card["splits"][split]["documents"])}
        for split in corpus.splits
    }
    about = "with the codes of a member"
    return CorpusView(
        corpus.folder, corpus.card, labels, base=corpus, places=places, description=about
    )


def ensemble_losses(
    parts: Mapping[str, NDArray[np.float32]],
    fusion: Fusion | None,
    targets: Sequence[NDArray[np.integer]],
) -> NDArray[np.float64]:
    """Return the loss of each document by the fused logits, the mean over the labels."""
    documents, labels = next(iter(parts.values())).shape
    losses_N = np.zeros(documents)
    for rows in row_blocks(documents, labels, _BLOCK):
        block = {name: part[rows].copy() for name, part in parts.items()}
        logits_BL = fused_logits(block, fusion)
        gold_B = [
            logits_L[gold].sum(dtype=float)
            for logits_L, gold in zip(logits_BL, targets[rows], strict=True)
        ]
        losses_N[rows] = (np.logaddexp(0, logits_BL, dtype=float).sum(axis=1) - gold_B) / labels
    return losses_N
