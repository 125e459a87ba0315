"""One round of a simulation: choose notes, review them, export, prepare, train, measure."""

import hashlib
import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from icdcli.config.schema import Config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.sources.registry import system_of
from icdcli.errors import DataError
from icdcli.io.files import private_folder, write_json
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_checkpoint
from icdcli.review.export import export_reviews
from icdcli.review.queue import TaskFilter, count_tasks, list_tasks
from icdcli.review.results import submitted_readings
from icdcli.review.simulation.gold import GoldNote
from icdcli.review.simulation.measuring import measure_model
from icdcli.review.simulation.reviewer import SimulatedDecisions, play_review
from icdcli.review.simulation.settings import SimulatedArm
from icdcli.review.store import Store
from icdcli.review.suggesting import suggest
from icdcli.training.run import run_training

_KINDS = {
    frozenset({"diagnosis"}): "diagnosis",
    frozenset({"procedure"}): "procedure",
}


class StoppedBySignal(Exception):  # noqa: N818  (a state, not an error)
    """A signal has stopped a training.

    Attributes:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class SimulatedRound:
    """A round that is done.

    Attributes:
        number: Its number, from 1.
        notes: The notes that are reviewed after it.
        decisions: What the reviewer decided in it.
        model: The name of the folder of its model.
        train: The notes that the model was trained on; those without codes aren't.
        validation: The notes that chose its checkpoint and threshold.
        codes: The number of codes that it knows.
        splits: Split to the measures on it.
        seconds: What preparing, training and measuring took.
    """

    number: int
    notes: int
    decisions: SimulatedDecisions
    model: str
    train: int
    validation: int
    codes: int
    splits: Mapping[str, Mapping[str, float | None]]
    seconds: float

    @property
    def accepted_share(self) -> float | None:
        """Return the share of the round's codes that the model had suggested; None: no codes."""
        codes = self.decisions.accepted + self.decisions.added
        return self.decisions.accepted / codes if codes else None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "SimulatedRound":
        """Return what `to_json` returned the values of."""
        return cls(**{**values, "decisions": SimulatedDecisions(**values["decisions"])})


@dataclass(frozen=True)
class RoundPlayer:
    """What all rounds of a simulation have in common.

    Attributes:
        folder: The folder of the simulation.
        corpus: The corpus.
        notes: Id to note, of the training split.
        random_ids: Seed to all ids in the random order.
        config: How models are trained.
        measured: The splits that models are measured on.
        evidence_notes: The most notes on which evidence is measured.
        on_progress: Receives the progress.
        on_warning: Receives warnings.
    """

    folder: Path
    corpus: Corpus
    notes: Mapping[str, GoldNote]
    random_ids: Mapping[int, Sequence[str]]
    config: Config
    measured: Sequence[str]
    evidence_notes: int
    on_progress: Progress | None
    on_warning: Callable[[str], None]

    def review(
        self, store: Store, arm: SimulatedArm, target: int, done: Sequence[SimulatedRound]
    ) -> SimulatedDecisions:
        """Review notes until as many are reviewed as a round needs.

        A call that is killed can be repeated: it chooses the rest of the same notes.

        Args:
            store: The arm's store.
            arm: The arm.
            target: The number of notes that are reviewed then.
            done: The rounds before.

        Returns:
            The decisions of the round.
        """
        submitted = count_tasks(store)["submitted"]
        needed = target - submitted
        is_open = {one.id for one in list_tasks(store, TaskFilter("open"), limit=len(self.notes))}
        at_random = [id for id in self.random_ids[arm.seed] if id in is_open]
        by_uncertainty = arm.order == "uncertainty" and bool(done)
        if done and submitted == done[-1].notes:
            ids = at_random if by_uncertainty else at_random[:needed]
            self._suggest(store, self.folder / "models" / done[-1].model / "run", ids)
        if by_uncertainty:
            tasks = list_tasks(store, TaskFilter("open"), order="uncertainty", limit=needed)
            chosen = [task.id for task in tasks]
        else:
            chosen = at_random[:needed]
        for number, id in enumerate(chosen, start=1):
            play_review(store, self.notes[id], evidence=arm.evidence)
            if self.on_progress is not None:
                self.on_progress("reviewing", number, len(chosen), "notes")
        before = sum((one.decisions for one in done), SimulatedDecisions())
        return all_decisions(store) - before

    def _suggest(self, store: Store, run: Path, ids: Sequence[str]) -> None:
        loaded = load_checkpoint(run, device="cpu", on_warning=self.on_warning)
        suggest(
            store,
            loaded,
            ids=ids,
            evidence=False,
            accept_others=True,
            on_progress=self.on_progress,
            # The few validation notes of the first rounds may not say what scores mean.
            on_warning=lambda _message: None,
        )

    def learn(self, store: Store, arm: SimulatedArm) -> tuple[str, dict[str, Any]]:
        """Train a model on the reviewed notes, and measure it.

        Arms with the same reviewed notes have the same model, which is trained once.

        Args:
            store: The arm's store.
            arm: The arm.

        Returns:
            The name of the model's folder, and the values of a `SimulatedRound` that it gives.

        Raises:
            StoppedBySignal: If a signal stops the training.
        """
        reviewed = sorted(found.id for found in submitted_readings(store))
        key = json.dumps([arm.evidence, arm.seed, reviewed])
        name = hashlib.sha256(key.encode()).hexdigest()[:12]
        folder = self.folder / "models" / name
        result = folder / "result.json"
        if result.is_file():
            return name, json.loads(result.read_text(encoding="utf-8"))
        began = time.monotonic()
        shutil.rmtree(folder, ignore_errors=True)  # of a killed process
        private_folder(folder)
        table = folder / "reviewed.parquet"
        export_reviews(store, table)
        config = self._training(table, arm)
        corpus, warnings = self._prepared(config)
        trained = run_training(
            config,
            on_progress=self.on_progress,
            on_warning=lambda one: None if one in warnings else self.on_warning(one),
        )
        if trained.signal is not None:
            raise StoppedBySignal(trained.signal)
        model = load_checkpoint(trained.run.root, device="cpu").model
        documents = {split: corpus.card["splits"][split]["documents"] for split in corpus.splits}
        values = {
            "train": documents["train"],
            "validation": documents["validation"],
            "codes": len(corpus.labels),
            "splits": {
                split: measure_model(
                    model, self.corpus, split, self.evidence_notes, self.on_progress
                ).to_json()
                for split in self.measured
            },
            "seconds": time.monotonic() - began,
        }
        write_json(result, values)
        return name, values

    def _prepared(self, config: Config) -> tuple[Corpus, Sequence[str]]:
        """Return the corpus of reviewed notes, and its warnings, which are about the gold codes.

        Raises:
            DataError: If the notes don't suffice, or their codes are read as other codes.
        """
        prepared = prepare(config.data, self.on_progress)
        corpus = open_corpus(prepared.folder)
        others = set(corpus.labels.codes) - set(self.corpus.labels.codes)
        if others and config.data.label_space != "described":
            raise DataError(
                f"{self.corpus.folder.name}: {len(others):,} of its codes are read as others in a "
                f"table of reviewed notes, such as {min(others)}. Set code_system."
            )
        return corpus, prepared.warnings

    def _training(self, table: Path, arm: SimulatedArm) -> Config:
        """Return the configuration that trains on a table of reviewed notes."""
        config, data, card = self.config, self.config.data, self.corpus.card
        options = card.get("options", {})
        kinds = frozenset(self.corpus.labels.kinds)
        own = DataConfig(
            data_path=table,
            cache_dir=table.parent / "corpus",
            dataset="table",
            language=data.language,
            text_cleaning=data.text_cleaning,
            label_space=data.label_space,
            workers=data.workers,
            code_system=options.get("code_system") or system_of(card["dataset"]),
            code_kind=_KINDS.get(kinds, "both"),
            accept_unknown_codes=True,
            evidence_column="evidence" if arm.evidence else None,
            date_column="day" if "date_column" in options else None,
        )
        run = config.run.model_copy(
            update={"project": table.parent, "name": "run", "seed": config.run.seed + arm.seed}
        )
        return config.model_copy(update={"data": own, "run": run})


def all_decisions(store: Store) -> SimulatedDecisions:
    """Return the number of all decisions on submitted notes."""
    kinds = Counter(
        event.kind
        for found in submitted_readings(store)
        for reading in found.submitted.values()
        for event in reading.events
    )
    return SimulatedDecisions(kinds["accept"], kinds["reject"], kinds["add"], kinds["mark"])
