"""The runs that are to be members of an ensemble, and whether they can be combined."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.data.corpus.migrated import MIGRATION
from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError, in_shell
from icdcli.icd.editions.records import other_editions
from icdcli.io.manifest import read_manifest
from icdcli.model.ensemble.references import is_ensemble, read_references
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.run_dir import RunDir, find_checkpoint, require_idle, run_of
from icdcli.training.checkpointing import is_finished

# Keys of the data that change neither the documents nor their splits.
_NO_MATTER = frozenset(
    (
        *("workers", "chunk_size", "cache_dir", "label_space", "train_on", "skip_bad_rows"),
        *("accept_unknown_codes", "accept_leaks"),
        *("projected_evidence", "evidence_path", "evidence_column"),
    )
)


@dataclass(frozen=True)
class Candidate:
    """A run that is to be a member.

    Attributes:
        name: Its name in the ensemble.
        run: The run folder.
        checkpoint: The folder of its checkpoint.
        config: Its configuration.
        labels: Its label space.
        manifest: The manifest of the checkpoint.
    """

    name: str
    run: RunDir
    checkpoint: Path
    config: Config
    labels: Labels
    manifest: dict[str, Any]

    @property
    def corpus(self) -> str:
        """Return the name of the corpus that it was trained on; empty: it was migrated."""
        return str(self.manifest.get("corpus", ""))

    @property
    def saw(self) -> tuple[str, str | None]:
        """Return the keys that determine which documents it was trained on."""
        return self.config.data.train_on, self.config.data.held_out_fold


def find_candidates(
    runs: Sequence[RunDir | Path | str], load: str, on_warning: Callable[[str], None]
) -> list[Candidate]:
    """Return the runs of an ensemble, the one with the most codes first.

    Args:
        runs: The run folders.
        load: The checkpoint of each: ``metric``, ``loss`` or ``last``.
        on_warning: Receives a warning about runs that aren't finished.

    Raises:
        ConfigError: If there are fewer than two runs, one is given twice, is an ensemble or no run,
            or they don't go together.
        ResumeError: If a run has no such checkpoint, or is being trained.
    """
    if len(runs) < 2:
        raise ConfigError(
            "ensemble: needs at least two runs that differ, such as a network and a TF-IDF model"
        )
    found: list[Candidate] = []
    for run in runs:
        opened = run if isinstance(run, RunDir) else RunDir.open(Path(run))
        one = _candidate(opened, load, {other.name for other in found}, on_warning)
        same = next((other for other in found if _same_place(other, one)), None)
        if same is not None:
            raise ConfigError(f"{opened.root}: is given twice. Pass each run once.")
        found.append(one)
    lead = max(found, key=lambda one: (len(one.labels), one.config.data.train_on != "train"))
    for other in found:
        _require_fit(lead, other)
    return [lead, *(one for one in found if one is not lead)]


def device_of(candidates: Iterable[Candidate]) -> str | list[int]:
    """Return the configured device of the first network; TF-IDF models don't use theirs."""
    networks = (one.config.run.device for one in candidates if not one.config.model.is_baseline)
    return next(networks, "cpu")


def warn_of_principal(configs: Iterable[Config], on_warning: Callable[[str], object]) -> None:
    """Warn if members learn the principal diagnosis, which their ensemble doesn't choose."""
    if any(config.data.principal for config in configs):
        on_warning(
            "principal: an ensemble doesn't choose the principal diagnosis, although its members "
            "learn it. Pass the run of a member to `icdcode predict` to get one."
        )


def _same_place(one: Candidate, other: Candidate) -> bool:
    return os.path.realpath(one.run.root) == os.path.realpath(other.run.root)


def _candidate(
    run: RunDir, load: str, taken: set[str], on_warning: Callable[[str], None]
) -> Candidate:
    checkpoint = find_checkpoint(run, load)
    if is_ensemble(checkpoint):
        places = (one.folder for one in read_references(checkpoint)[1])
        members = " ".join(in_shell(run_of(place) or place) for place in places)
        raise ConfigError(
            f"{run.root}: is an ensemble itself. Pass the runs of its members instead: {members}"
        )
    require_idle(run, on_warning)
    config = load_config(run.args)
    last = find_checkpoint(run, "last")
    migrated = (run.root / MIGRATION).is_file()  # from any checkpoint of a run
    if not (config.model.is_baseline or migrated or is_finished(last, config.train)):
        step = read_manifest(last)["step"]
        on_warning(
            f"{run.root}: isn't finished (step {step:,} of {config.train.last_step:,}). "
            "After resuming it, make the ensemble again."
        )
    own = run.root.absolute().name
    names = (own if number == 1 else f"{own}-{number}" for number in range(1, len(taken) + 2))
    name = next(name for name in names if name not in taken)
    return Candidate(
        name, run, checkpoint, config, checkpoint_labels(checkpoint), read_manifest(checkpoint)
    )


def _require_fit(lead: Candidate, other: Candidate) -> None:
    """Raise a `ConfigError` unless two runs code the same documents by the same system."""
    pair = f"{lead.run.root} and {other.run.root}"
    if (editions := other_editions(lead.labels.editions, other.labels.editions)) is not None:
        raise ConfigError(
            f"{pair}: have codes of different editions, {editions[0]} and {editions[1]}. Migrate "
            "one of them with `icdcode migrate`, or train it again."
        )
    foreign = [code for code in other.labels.codes if code not in lead.labels.index]
    if foreign:
        raise ConfigError(
            f"{pair}: have different label spaces; {len(foreign):,} of {len(other.labels):,} codes "
            f"of the second aren't in the first ({', '.join(foreign[:5])} …). One run must have "
            "the codes of all others, for example by label_space: described."
        )
    if lead.corpus == other.corpus and lead.labels.codes == other.labels.codes:
        return
    differing = list(_differing(lead.config, other.config))
    if differing:
        raise ConfigError(
            f"{pair}: were trained on different documents ({'; '.join(differing)}). The members of "
            "an ensemble read the same text of the same documents."
        )


def _differing(one: Config, other: Config) -> Iterator[str]:
    first, second = (config.data.model_dump(mode="json") for config in (one, other))
    for key, value in first.items():
        if key not in _NO_MATTER and value != second[key]:
            yield f"{key}: {value} and {second[key]}"
