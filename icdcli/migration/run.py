"""Migrate a trained model to another edition of its coding system, without training.

The migrated model is a new run beside the old one, with one checkpoint under all three names. The
old run isn't changed.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from icdcli.config.loading import load_config
from icdcli.config.run_paths import ORIGIN, change_keys
from icdcli.config.run_section import require_name
from icdcli.config.schema import Config
from icdcli.data.corpus.label_spaces import WITH_UNSEEN, take_labels
from icdcli.data.corpus.migrated import MIGRATION
from icdcli.data.corpus.prepare import stored_folders
from icdcli.data.corpus.reader import Labels
from icdcli.data.sources.registry import source_types
from icdcli.errors import ConfigError, DataError, IcdcodeError
from icdcli.icd.code_system import FILE, CodeSystem, open_code_system, stored_code_system
from icdcli.icd.codes import KINDS
from icdcli.icd.editions.records import other_editions
from icdcli.io.files import flush, write_json
from icdcli.io.manifest import checkpoint_identity, verify
from icdcli.migration.label_plan import LabelPlan, plan_labels
from icdcli.migration.models import Change, migrated_checkpoint
from icdcli.model.files.checkpoint_files import is_tfidf, read_settings
from icdcli.model.files.checkpoint_labels import checkpoint_labels
from icdcli.model.neural_model import FORMAT as NEURAL_FORMAT
from icdcli.run_dir import CHECKPOINTS, RunDir, find_checkpoint, require_idle
from icdcli.training.checkpointing import write_checkpoint

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Migration:
    """A migrated run.

    Attributes:
        run: The new run folder; None: the run has this edition already, and nothing was written.
        checkpoint: The checkpoint that it was made from.
        older: The names of the editions before; empty: unknown.
        newer: The names of the editions after.
        plan: What became of the labels; None: nothing.
    """

    run: Path | None
    checkpoint: Path
    older: tuple[str, ...]
    newer: tuple[str, ...]
    plan: LabelPlan | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "run": self.run,
            "checkpoint": self.checkpoint,
            "older": self.older,
            "newer": self.newer,
            **({} if self.plan is None else self.plan.to_json()),
        }


def migrate_run(
    run: RunDir | Path | str,
    code_system: str,
    *,
    load: str = "metric",
    name: str | None = None,
    device: str | None = None,
    on_warning: Warn = warnings.warn,
) -> Migration:
    """Migrate a run's checkpoint to another edition, in a new run folder beside the run's.

    Args:
        run: The run folder.
        code_system: The edition, as ``code_system`` of the configuration.
        load: The checkpoint: ``metric``, ``loss`` or ``last``.
        name: The name of the new folder; None: that of the run and of the edition.
        device: The device to use instead of the run's own, e.g. ``cpu`` or ``0``.
        on_warning: Receives warnings.

    Raises:
        ConfigError: If there is no such run or edition, the edition is of another coding system or
            has none of the model's codes, or the new folder exists.
        DataError: If the edition can't be read, or the new folder can't be written.
        ResumeError: If the run has no such checkpoint, or it is incomplete or was changed, or a
            process trains the run.

    Example:
        >>> icdcli.migrate_run("outputs/demo/tiny", "icd10cm-2027")  # doctest: +SKIP
    """
    run = run if isinstance(run, RunDir) else RunDir.open(Path(run))
    config = load_config(run.args, [] if device is None else [f"device={device}"])
    if config.model.is_ensemble or config.run.seeds:
        raise ConfigError(
            f"{run.root}: is an ensemble. Migrate its members, then make an ensemble of them with "
            "`icdcode ensemble`."
        )
    newer = open_code_system(code_system)
    checkpoint = find_checkpoint(run, load)
    require_idle(run, on_warning)
    labels = _labels_to_migrate(checkpoint, config)
    _require_same_system(run, labels, newer)
    before = tuple(dict.fromkeys(one["name"] for one in (labels.editions or {}).values()))
    after = _names(newer, labels)
    if labels.editions and other_editions(labels.editions, newer.to_json()) is None:
        return Migration(None, checkpoint, before, after)
    target = _target(run, name or f"{run.root.name}-{after[0]}")
    manifest = verify(checkpoint)
    older = _older(config, labels, manifest, on_warning)
    known = {} if older is None else older.editions
    plan = plan_labels(labels, dict(known.items()), newer, _is_described(config))
    with _published(target) as partial:
        change = Change(checkpoint, config, labels, plan, older, newer)
        keys = {"name": target.name, "code_system": _in_full(code_system, newer)}
        _write(RunDir(partial), run, change, keys, manifest, on_warning)
    return Migration(target, checkpoint, before, after, plan)


def _in_full(code_system: str, newer: CodeSystem) -> str:
    """Return the value of ``code_system`` that means the same edition at any time and place."""
    if code_system.startswith(FILE):
        return FILE + os.path.abspath(os.path.expanduser(code_system.removeprefix(FILE)))
    return newer.name


def _names(newer: CodeSystem, labels: Labels) -> tuple[str, ...]:
    """Return the names of the editions of the kinds of codes that a model has."""
    kinds = set(labels.kinds)
    own = (edition.about.name for kind, edition in newer.editions.items() if kind in kinds)
    return tuple(dict.fromkeys(own))


def _labels_to_migrate(checkpoint: Path, config: Config) -> Labels:
    """Return the label space of a checkpoint without the candidates that training never saw."""
    labels = checkpoint_labels(checkpoint)
    if config.data.label_space not in WITH_UNSEEN or is_tfidf(checkpoint):
        return labels
    unseen = read_settings(checkpoint, NEURAL_FORMAT).get("unseen", 0)
    return take_labels(labels, np.arange(len(labels)) < len(labels) - unseen)


def _require_same_system(run: RunDir, labels: Labels, newer: CodeSystem) -> None:
    """Raise a `ConfigError` unless an edition is one of the model's coding system."""
    editions = {kind: edition for kind, edition in newer.editions.items() if kind in labels.kinds}
    for kind, edition in editions.items():
        old, new = (labels.editions or {}).get(kind, {}).get("name"), edition.about.name
        systems = {name.partition("-")[0] for name in (old or new, new)} - {FILE.strip(":")}
        if len(systems) > 1:
            raise ConfigError(
                f"{run.root}: its codes are of {old}, and {new} is an edition of another coding "
                "system. A model can only be migrated to another edition of its own. `icdcode "
                "codes map` shows the equivalents of a code."
            )
    pairs = zip(labels.codes, labels.kinds, strict=True)
    if not any(kind in editions and code in editions[kind] for code, kind in pairs):
        raise ConfigError(
            f"{run.root}: none of its {len(labels):,} codes is in {newer.name}. Choose an edition "
            "of the coding system that the model was trained with."
        )


def _target(run: RunDir, name: str) -> Path:
    """Return the new run folder.

    Raises:
        ConfigError: If the name can't be one, or the folder exists.
    """
    require_name(name)
    target = run.root.absolute().parent / name
    if os.path.lexists(target):
        raise ConfigError(f"{target}: exists already. Choose another --name, or remove it first.")
    return target


def _older(
    config: Config, labels: Labels, manifest: Mapping[str, Any], on_warning: Warn
) -> CodeSystem | None:
    """Return the coding system before; None: unknown, or not at hand."""
    if labels.editions is None:
        return None
    folders = stored_folders(config.data)
    corpus = next((one for one in folders if one.name == manifest["corpus"]), Path())
    name = next(iter(labels.editions.values()))["name"]
    try:
        editions = {kind: labels.editions[kind] for kind in KINDS if kind in labels.editions}
        return stored_code_system(name, editions, corpus)
    except IcdcodeError as error:
        on_warning(
            f"{name}: isn't at hand ({error}). Every code of the model counts as one that it could "
            "assign"
        )
        return None


def _is_described(config: Config) -> bool:
    """Return whether all codes that can be assigned are labels."""
    benchmarks = {one.name for kind in source_types() for one in kind.protocols if one.is_benchmark}
    return config.data.label_space == "described" and config.data.protocol not in benchmarks


@contextmanager
def _published(target: Path) -> Iterator[Path]:
    """Yield an empty folder that gets its name if the block succeeds, and is deleted if it fails.

    Raises:
        DataError: If it can't be written.
    """
    partial = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        partial.mkdir()
        yield partial
        flush(partial)
        os.rename(partial, target)
        flush(target.parent)
    except (OSError, DataError) as error:
        cause = error.__cause__ if isinstance(error, DataError) else error
        if not isinstance(cause, OSError):
            raise
        raise DataError(
            f"{target}: can't be written ({cause.strerror or cause}). Nothing was left behind; "
            "free some space, or correct the permissions of the folder."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(
    partial: RunDir,
    run: RunDir,
    change: Change,
    keys: Mapping[str, str],
    manifest: Mapping[str, Any],
    on_warning: Warn,
) -> None:
    """Write the files of the new run.

    Args:
        partial: The new run folder, under its preliminary name.
        run: The old run.
        change: The checkpoint and its new labels.
        keys: The keys of its configuration that differ from the old run's.
        manifest: The manifest of the checkpoint.
        on_warning: Receives warnings.
    """
    partial.write_config(change_keys(load_config(run.args, as_typed=True), keys))
    if (run.root / ORIGIN).is_file():
        # The paths in the configuration start where the old run was made.
        shutil.copyfile(run.root / ORIGIN, partial.root / ORIGIN)
    source = {"run": run.root.name, **checkpoint_identity(manifest)}
    write_json(partial.root / MIGRATION, {"from": source, **change.plan.to_json()})
    # No metric was measured with these labels, and no corpus has them.
    about = {"corpus": "", "migrated_from": source, "metrics": {}}
    about |= {key: manifest[key] for key in ("epoch", "confidence") if key in manifest}
    write = migrated_checkpoint(change, on_warning)
    write_checkpoint(partial, CHECKPOINTS, int(manifest["step"]), write, about)
