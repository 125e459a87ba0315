"""Play a simulation: all of its arms, round by round, in a folder in which it can be continued."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icdcli.config.schema import Config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.errors import ConfigError, DataError
from icdcli.io.files import private_folder, write_json, writing
from icdcli.io.locks import HeldElsewhere, exclusive
from icdcli.io.progress import Progress
from icdcli.lexical.registry import part_types
from icdcli.review.notes import import_notes
from icdcli.review.simulation.gold import GoldNote, review_notes, review_order, training_notes
from icdcli.review.simulation.rounds import RoundPlayer, SimulatedRound, StoppedBySignal
from icdcli.review.simulation.settings import SimulatedArm, SimulationSettings
from icdcli.review.store import open_store

SIMULATION, RESULT = "simulation.json", "learning_curve.json"
_NOT_COMPARED = {
    *("data_path", "mimic3_data_path", "cache_dir", "workers", "chunk_size"),  # the corpus says it
    *("project", "name", "device", "trackers", "log_every"),
}

OnRound = Callable[[SimulatedArm, SimulatedRound], object]


@dataclass(frozen=True)
class LearningCurve:
    """The result of a simulation.

    Attributes:
        corpus: The name of the corpus.
        notes: The number of notes that can be reviewed.
        measured: The splits that models were measured on; the first is the one to report.
        rounds: Each arm with its rounds.
        signal: The signal that stopped it; None: it is complete.
    """

    corpus: str
    notes: int
    measured: Sequence[str]
    rounds: Mapping[SimulatedArm, Sequence[SimulatedRound]]
    signal: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "corpus": self.corpus,
            "notes": self.notes,
            "measured": list(self.measured),
            "complete": self.signal is None,
            "arms": [
                {
                    "order": arm.order,
                    "evidence": arm.evidence,
                    "seed": arm.seed,
                    "rounds": [one.to_json() for one in rounds],
                }
                for arm, rounds in self.rounds.items()
            ],
        }


def simulate(
    config: Config,
    folder: Path,
    settings: SimulationSettings,
    *,
    on_round: OnRound = lambda _arm, _round: None,
    on_progress: Progress | None = None,
    on_warning: Callable[[str], None] = lambda _message: None,
) -> LearningCurve:
    """Play a reviewer from the gold codes of a corpus, and measure what its reviews are worth.

    The reviewed notes are those of the training split. A share of them is for validation; those of
    the corpus's own validation and test split are never trained or tuned on. A call that was killed
    is continued by the same call, with the round that isn't done. Arms and rounds can be added.

    Args:
        config: The corpus, and how a model is trained in each round.
        folder: The folder for stores, models and results.
        settings: What to play.
        on_round: Called after each round, also those done by an earlier call.
        on_progress: Receives the progress.
        on_warning: Called with a message for each warning.

    Raises:
        ConfigError: If the folder has something else, or the settings don't fit the corpus.
        DataError: If the corpus can't be used, or another process plays in the folder.
    """
    corpus = _open(config, on_progress, on_warning)
    notes = training_notes(corpus)
    settings.check(len(notes), corpus.folder.name)
    settings = replace(settings, evidence=_evidence(config, corpus, settings.evidence))
    with ExitStack() as stack:
        _enter(stack, folder, on_warning)
        _identify(folder, config, corpus, settings)
        orders = {seed: review_order(len(notes), seed) for seed in settings.seeds}
        player = RoundPlayer(
            folder,
            corpus,
            {note.id: note for note in notes},
            {seed: [notes[place].id for place in order] for seed, order in orders.items()},
            config,
            measured_splits(corpus),
            settings.evidence_notes,
            on_progress,
            on_warning,
        )
        done: dict[SimulatedArm, list[SimulatedRound]] = {arm: [] for arm in settings.arms()}
        signal = None
        try:
            for target in settings.reviewed(len(notes)):
                for arm, rounds in done.items():
                    rounds.append(_round(player, arm, target, rounds, notes, orders, settings))
                    on_round(arm, rounds[-1])
                _remove_older_models(folder, list(done.values()))
        except StoppedBySignal as error:
            signal = error.number
        curve = LearningCurve(corpus.folder.name, len(notes), player.measured, done, signal)
        write_json(folder / RESULT, curve.to_json())
    return curve


def measured_splits(corpus: Corpus) -> list[str]:
    """Return the splits to measure models on, the test split first if there is one."""
    return [split for split in ("test", "validation") if split in corpus.splits]


def _open(
    config: Config, on_progress: Progress | None, on_warning: Callable[[str], None]
) -> Corpus:
    prepared = prepare(config.data, on_progress)
    for warning in prepared.warnings:
        on_warning(warning)
    return open_corpus(prepared.folder)


def _evidence(config: Config, corpus: Corpus, asked: Sequence[bool] | None) -> Sequence[bool]:
    """Return whether to play with evidence, without, or both.

    Raises:
        ConfigError: If evidence is requested, but the model doesn't learn from it.
        DataError: If it is, but the corpus has none.
    """
    learns = any(kind.uses_annotations for kind in part_types(config.model.lexical))
    annotated = len(corpus.evidence("train")) > 0
    if asked is None:
        return (True, False) if learns and annotated else (False,)
    if any(asked) and not annotated:
        raise DataError(
            f"{corpus.folder.name}: has no annotated words that a reviewer could mark. Play "
            "without evidence: --evidence none."
        )
    if any(asked) and not learns:
        raise ConfigError(
            "--evidence: the model doesn't learn from marked words. Set lexical: True, or play "
            "without evidence: --evidence none."
        )
    return asked


def _enter(stack: ExitStack, folder: Path, on_warning: Callable[[str], None]) -> None:
    """Make the folder, and lock it."""
    try:
        with writing(folder):
            private_folder(folder)
            alone = stack.enter_context(exclusive(folder / ".lock"))
    except HeldElsewhere as error:
        raise DataError(
            f"{folder}: a simulation is being played by {error}. Wait until it ends, or choose "
            "another --output."
        ) from None
    if not alone:
        on_warning(f"{folder}: this file system has no locks. Play one simulation at a time.")


def _identify(folder: Path, config: Config, corpus: Corpus, settings: SimulationSettings) -> None:
    """Write what the folder's results depend on, or compare it with what is there.

    Raises:
        ConfigError: If the folder has another simulation, or something else.
    """
    path = folder / SIMULATION
    own = {key: value for key, value in config.flat().items() if key not in _NOT_COMPARED}
    mine = {"corpus": corpus.folder.name, **settings.identity(), "config": own}
    if not path.is_file():
        if any(one.name != ".lock" for one in folder.iterdir()):
            raise ConfigError(f"{folder}: has other files. Choose an empty folder as --output.")
        with writing(path):
            write_json(path, mine)
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        others = before.pop("config")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(f"{path}: is damaged. Choose another --output.") from None
    differ = [key for key in mine if key != "config" and before.get(key) != mine[key]]
    differ += [key for key in own if others.get(key) != own[key]]
    if differ:
        raise ConfigError(
            f"{folder}: has another simulation, with another {', '.join(differ[:5])}. Choose "
            "another --output, or repeat its options."
        )


def _round(
    player: RoundPlayer,
    arm: SimulatedArm,
    target: int,
    done: Sequence[SimulatedRound],
    notes: Sequence[GoldNote],
    orders: Mapping[int, Sequence[int]],
    settings: SimulationSettings,
) -> SimulatedRound:
    """Return a round, from its file or played now."""
    folder = player.folder / arm.name
    number = len(done) + 1
    path = folder / f"round-{number:02d}.json"
    if path.is_file():
        return SimulatedRound.from_json(json.loads(path.read_text(encoding="utf-8")))
    private_folder(folder)
    with open_store(folder / "review.db") as store:
        language = player.config.data.language
        import_notes(
            store, review_notes(notes, orders[arm.seed], settings.validation_share, language)
        )
        decisions = player.review(store, arm, target, done)
        model, values = player.learn(store, arm)
    played = SimulatedRound(number, target, decisions, model, **values)
    write_json(path, played.to_json())
    return played


def _remove_older_models(folder: Path, arms: Sequence[Sequence[SimulatedRound]]) -> None:
    """Remove the models of the round before the last one, which nothing needs any more."""
    needed = {rounds[-1].model for rounds in arms}
    for rounds in arms:
        if len(rounds) > 1 and rounds[-2].model not in needed:
            shutil.rmtree(folder / "models" / rounds[-2].model, ignore_errors=True)
