"""What a simulation plays: how many notes per round, in which order, with or without evidence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from icdcli.errors import ConfigError

ReviewOrder = Literal["uncertainty", "random"]


@dataclass(frozen=True)
class SimulatedArm:
    """One of the curves of a simulation.

    Attributes:
        order: Which notes are reviewed next: those that the model is most uncertain about, or
            random ones.
        evidence: Whether the reviewer marks words, with which the next model is trained.
        seed: Determines the notes of the first round, the random order and the training.
    """

    order: ReviewOrder
    evidence: bool
    seed: int

    @property
    def name(self) -> str:
        """Return the name of its folder."""
        return f"{self.order}-{'evidence' if self.evidence else 'codes'}-{self.seed}"

    @property
    def curve(self) -> str:
        """Return the name of the curve that it has in common with the same arm of other seeds."""
        return f"{self.order}, {'codes and words' if self.evidence else 'codes only'}"


@dataclass(frozen=True)
class SimulationSettings:
    """What a simulation plays.

    Attributes:
        start: The number of notes in the first round, which are drawn at random.
        step: The number of notes in each later round.
        rounds: The number of rounds, the first included; None: until all notes are reviewed.
        orders: The orders to play.
        evidence: With evidence (True), without (False), or both; None: both if the corpus has
            evidence and the model learns from it, else without.
        seeds: The seeds; each is a simulation of its own.
        validation_share: The share of the reviewed notes that aren't trained on, but choose the
            checkpoint and the threshold.
        evidence_notes: The most notes of a split on which evidence is measured.
    """

    start: int = 50
    step: int = 50
    rounds: int | None = None
    orders: Sequence[ReviewOrder] = ("uncertainty", "random")
    evidence: Sequence[bool] | None = None
    seeds: Sequence[int] = (0,)
    validation_share: float = 0.2
    evidence_notes: int = 50

    def check(self, notes: int, where: str) -> None:
        """Check that a corpus has enough notes.

        Args:
            notes: The number of its training notes.
            where: The corpus, for the message.

        Raises:
            ConfigError: If not, or if a value is impossible.
        """
        if self.start < 1 or self.step < 1 or (self.rounds is not None and self.rounds < 1):
            raise ConfigError("start, step and rounds must be at least 1.")
        if not self.seeds or min(self.seeds) < 0:
            raise ConfigError("seeds must be 0 or higher, and there must be one.")
        if not 0 < self.validation_share < 1:
            raise ConfigError("the validation share must be between 0 and 1.")
        held = round(self.start * self.validation_share)
        if not 1 <= held < self.start:
            raise ConfigError(
                f"of the first {self.start} notes, {held} would be for validation: each round "
                "needs at least one to train on and one to validate. Start with more notes, or "
                "choose another validation share."
            )
        if self.start > notes:
            raise ConfigError(
                f"{where}: has {notes:,} training notes, and the simulation starts with "
                f"{self.start:,}. Lower --start and --step, or use a larger corpus."
            )

    def arms(self) -> Iterator[SimulatedArm]:
        """Yield the arms, all of a seed together."""
        for seed in self.seeds:
            for evidence in self.evidence or (False,):
                for order in self.orders:
                    yield SimulatedArm(order, evidence, seed)

    def reviewed(self, notes: int) -> list[int]:
        """Return how many notes are reviewed after each round.

        Args:
            notes: The number of notes that there are.
        """
        counts = [self.start]
        while counts[-1] < notes and (self.rounds is None or len(counts) < self.rounds):
            counts.append(min(counts[-1] + self.step, notes))
        return counts

    def identity(self) -> dict[str, Any]:
        """Return what an arm's results depend on; arms and rounds can be added later."""
        return {
            "start": self.start,
            "step": self.step,
            "validation_share": self.validation_share,
            "evidence_notes": self.evidence_notes,
        }
