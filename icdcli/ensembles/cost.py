"""What an ensemble costs: its time per note beside that of its slowest member."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from icdcli.data.corpus.reader import Corpus
from icdcli.model.coding_model import CodingModel, texts_to_score
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.network import CodingNetwork
from icdcli.model.neural_model import NeuralModel

NOTES = 8
_ROUNDS = 2


@dataclass(frozen=True)
class EnsembleCost:
    """The measured time of an ensemble.

    Attributes:
        notes: The number of notes that were scored.
        seconds: The seconds per note.
        times_slowest: The same as a multiple of the slowest member's time.
        slowest: The name of this member.
        backbones: The number of backbones that are loaded.
        networks: The number of members that have one.
    """

    notes: int
    seconds: float
    times_slowest: float
    slowest: str
    backbones: int
    networks: int

    def __str__(self) -> str:
        """Return the cost in words."""
        shared = self.networks - self.backbones
        backbones = f", {self.backbones} backbones" if self.backbones > 1 else ""
        if shared:
            backbones = f", of which {self.networks} share {self.backbones}"
            if self.backbones == 1:
                backbones = f", {self.networks} of them on 1 shared backbone"
        return (
            f"{self.times_slowest:.1f} times the time of {self.slowest} alone{backbones} "
            f"({self.seconds:.2g} s per note, measured on {self.notes})"
        )


def measure_cost(ensemble: EnsembleModel, texts: Sequence[str]) -> EnsembleCost:
    """Score a few notes with each member alone, and with all of them.

    Args:
        ensemble: The ensemble.
        texts: The notes.
    """
    ensemble.score_notes(texts[:1])  # loading at the first use isn't counted
    alone = {member.name: _seconds(ensemble, member.model, texts) for member in ensemble.members}
    slowest = max(alone, key=lambda name: alone[name])
    together = _seconds(ensemble, ensemble, texts)
    backbones = [network.backbone for network in _networks(ensemble)]
    return EnsembleCost(
        len(texts),
        together / len(texts),
        together / alone[slowest],
        slowest,
        len({id(backbone) for backbone in backbones}),
        len(backbones),
    )


def sample_texts(corpus: Corpus, split: str, number: int = NOTES) -> list[str]:
    """Return the texts of a few documents, spread over a split."""
    documents = corpus.card["splits"][split]["documents"]
    rows = np.unique(np.linspace(0, documents - 1, min(number, documents)).astype(int))
    return [text for text in texts_to_score(corpus, split, rows.tolist()) if text.strip()]


def _seconds(ensemble: EnsembleModel, model: CodingModel, texts: Sequence[str]) -> float:
    """Return the shortest of a few times to score notes one by one."""
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        for text in texts:
            model.score_notes([text])
            for kept in ensemble.kept:
                kept.clear()
        times.append(time.perf_counter() - began)
    return min(times)


def _networks(ensemble: EnsembleModel) -> Iterator[CodingNetwork]:
    for member in ensemble.members:
        if isinstance(member.model, NeuralModel):
            yield member.model.network
