"""Evaluate and compare runs: ``icdcode evaluate`` and ``icdcode compare`` without the printing.

Shapes: L labels.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from icdcli import __version__
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.data.corpus.label_spaces import space_of
from icdcli.data.corpus.migrated import corpus_for_run
from icdcli.data.corpus.reader import Corpus
from icdcli.data.corpus.views import corpus_of_run
from icdcli.data.token_cache import use_workers
from icdcli.errors import ConfigError, DataError
from icdcli.evaluation.ablation import ablate as ablate_parts
from icdcli.evaluation.acceptance.measuring import measure_acceptance
from icdcli.evaluation.acceptance.stored import stored_decisions
from icdcli.evaluation.compare import (
    Comparison,
    Contender,
    common_codes,
    compare_models,
    edition_warnings,
    note_warnings,
    require_one_label_space,
    restrict_statistics,
)
from icdcli.evaluation.evaluate import Evaluation, evaluate_split
from icdcli.evaluation.files import STATISTICS, read_statistics, write_evaluation
from icdcli.evaluation.predictions.contenders import is_scored, on_all_codes, scored_contender
from icdcli.evaluation.reference.summary import add_reference
from icdcli.evaluation.score_split import score_split
from icdcli.io.manifest import checkpoint_identity, read_manifest
from icdcli.io.progress import Progress
from icdcli.model.checkpoint import load_checkpoint, read_checkpoint
from icdcli.model.coding_model import CodingModel
from icdcli.model.files.checkpoint_labels import checkpoint_labels, edition_problem
from icdcli.model.section import CpuPrecision
from icdcli.run_dir import RunDir, find_checkpoint

Warn = Callable[[str], object]

MAX_RUNS = 26
"""Runs that `compare_runs` takes: reports name them A to Z."""


@dataclass(frozen=True)
class OpenRun:
    """A run with one of its checkpoints loaded, and its corpus.

    Attributes:
        run: The run's folder.
        load: The name of the checkpoint: ``metric``, ``loss`` or ``last``.
        checkpoint: The folder of that checkpoint.
        config: The run's configuration.
        corpus: The corpus that the configuration describes, prepared again if it is no longer on
            disk.
        model: The trained model.
        manifest: The content of the checkpoint's manifest.
    """

    run: RunDir
    load: str
    checkpoint: Path
    config: Config
    corpus: Corpus
    model: CodingModel
    manifest: Mapping[str, Any]


def open_run(
    run: RunDir | Path | str,
    load: str = "metric",
    device: str | None = None,
    on_warning: Warn = warnings.warn,
    on_progress: Progress | None = None,
    cpu_precision: CpuPrecision | None = None,
) -> OpenRun:
    """Load a run's checkpoint and open its corpus, preparing the corpus first if needed.

    Args:
        run: The run's folder.
        load: The checkpoint: ``metric``, ``loss`` or ``last``.
        device: The device to use instead of the run's own, e.g. ``cpu`` or ``0``.
        on_warning: Receives each warning about the corpus, also if it isn't that of the training.
        on_progress: Called with the progress of preparing the corpus.
        cpu_precision: The precision of a 32-bit network on a CPU; None: that of its training.

    Raises:
        ConfigError: If there is no such run, or its base model isn't available.
        DataError: If the data can't be prepared, or have codes of another edition.
        ResumeError: If the run has no such checkpoint, or it is incomplete or was changed.
    """
    run = run if isinstance(run, RunDir) else RunDir.open(Path(run))
    config = load_config(run.args, [] if device is None else [f"device={device}"])
    use_workers(config.data.workers)
    find_checkpoint(run, load)  # preparing the data may take long
    chosen = "cpu" if config.model.is_baseline else _found(config.run.device)
    corpus = corpus_of_run(config.data, on_warning, on_progress)
    loaded = load_checkpoint(run.root, load, chosen, on_warning, cpu_precision)
    model, trained_on = loaded.model, loaded.manifest["corpus"]
    corpus = corpus_for_run(corpus, run.root, model.labels, on_warning)
    same_codes = model.labels.codes == corpus.labels.codes
    if problem := edition_problem(loaded.folder, model.labels, corpus):
        if not same_codes:
            raise DataError(problem)
        on_warning(problem)
    # With another label space, scoring raises an error. A migrated model wasn't trained on any.
    elif trained_on not in ("", corpus.name) and same_codes:
        on_warning(
            f"{loaded.folder}: was trained on the corpus {trained_on}, but the data now gives "
            f"{corpus.name}. The documents evaluated may include training documents. "
            "Restore the tables and data options of the run, or train again."
        )
    return OpenRun(run, load, loaded.folder, config, corpus, model, loaded.manifest)


def _found(device: str | list[int]) -> str:
    """Return the name of a network's device, which this machine must have."""
    from icdcli.distributed.devices import find_device  # imports torch, for networks alone

    return str(find_device(device))


def default_split(corpus: Corpus, on_warning: Warn = warnings.warn) -> str:
    """Return ``test``, or ``validation`` with a warning if the protocol has no test split."""
    if "test" in corpus.splits:
        return "test"
    on_warning(
        f"protocol {corpus.card['protocol']} has no test split. Using the validation split, on "
        "which the checkpoint was chosen."
    )
    return "validation"


def evaluate_run(
    run: RunDir | Path | str,
    split: str | None = None,
    *,
    load: str = "metric",
    device: str | None = None,
    ablate: bool = False,
    on_warning: Warn = warnings.warn,
    on_progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a run's checkpoint on one split, and write the results to ``evaluation/<split>/``.

    Args:
        run: The run's folder.
        split: ``train``, ``validation`` or ``test``; None: see `default_split`.
        load: The checkpoint: ``metric``, ``loss`` or ``last``.
        device: The device to use instead of the run's own, e.g. ``cpu`` or ``0``.
        ablate: Also evaluate the model without each of its parts.
        on_warning: Called with a message for each warning.
        on_progress: Called with the progress of each stage.

    Raises:
        ConfigError: If there is no such run or split, or the model is TF-IDF, which has no parts
            to leave out.
        DataError: If the data can't be prepared, or its label space isn't the model's.
        ResumeError: If the run has no such checkpoint, or it is incomplete or was changed.
    """
    opened = open_run(run, load, device, on_warning, on_progress)
    split = split or default_split(opened.corpus, on_warning)
    return evaluate_opened(opened, split, ablate=ablate, on_progress=on_progress)


def evaluate_opened(
    opened: OpenRun, split: str, *, ablate: bool = False, on_progress: Progress | None = None
) -> Evaluation:
    """Evaluate an open run on one split, and write the results; see `evaluate_run`."""
    model, corpus, run = opened.model, opened.corpus, opened.run
    if ablate and opened.config.model.is_baseline:
        raise ConfigError(
            f"--ablate: the model of {run.root} is TF-IDF, which has no parts to leave out."
        )
    state_cache_gb = opened.config.train.state_cache_gb
    scored = score_split(model, corpus, split, on_progress, state_cache_gb=state_cache_gb)
    about = {
        "run": str(run.root),
        "icdcode": __version__,
        "model": opened.config.model.model,
        "checkpoint": opened.load,
        **checkpoint_identity(opened.manifest),
        "dataset": corpus.card["dataset"],
        "protocol": corpus.card["protocol"],
        "corpus": corpus.name,
        "label_space": space_of(corpus),
        "editions": model.labels.editions,
    }
    if model.config.cpu_precision == "bfloat16":
        about["cpu_precision"] = "bfloat16"
    evaluation = evaluate_split(
        *(split, scored, model.labels, model.threshold, corpus.code_system, about),
        corpus.days(split),
    )
    threshold_L = model.threshold.values_L(len(model.labels))
    measured = (split, scored.scores_NL, evaluation.targets_NL, threshold_L)
    decisions = stored_decisions(opened.checkpoint, opened.manifest)  # of an earlier evaluation
    evaluation = replace(evaluation, acceptance=measure_acceptance(*measured, *decisions))
    write_evaluation(run.evaluation(split), evaluation)
    if split == "validation":
        add_reference(opened.checkpoint, opened.manifest, corpus, model, scored.scores_NL)
    if ablate:
        rows = ablate_parts(model, corpus, split, on_progress, state_cache_gb)
        evaluation = replace(evaluation, ablation=tuple(rows))
    return evaluation


def compare_runs(
    runs: Sequence[RunDir | Path | str],
    split: str = "test",
    *,
    load: str = "metric",
    intersection: bool = False,
    device: str | None = None,
    on_warning: Warn = warnings.warn,
    on_progress: Progress | None = None,
) -> Comparison:
    """Compare runs with the first of them, on the same documents.

    A run whose checkpoint hasn't been evaluated on the split yet is evaluated, and the results are
    written to its ``evaluation/<split>/``.

    Args:
        runs: The folders of 2 to `MAX_RUNS` runs, or of predictions that ``icdcode score --out``
            has written. With such, all are compared on the codes of all of them.
        split: ``train``, ``validation`` or ``test``.
        load: The checkpoint of each run: ``metric``, ``loss`` or ``last``.
        intersection: Compare on the codes that all runs have in common, ignoring all others.
            Nothing is written then.
        device: The device to use instead of each run's own, e.g. ``cpu`` or ``0``.
        on_warning: Called with a message for each warning.
        on_progress: Called with the progress of each stage.

    Raises:
        ConfigError: If the number of runs is wrong, there is no such run or split, or their
            documents, gold codes or label spaces differ.
        DataError: If the data of a run can't be prepared.
        ResumeError: If a run has no such checkpoint, or it is incomplete or was changed.
    """
    if not 2 <= len(runs) <= MAX_RUNS:
        raise ConfigError(f"compare: needs 2 to {MAX_RUNS} runs; {len(runs)} given")
    scored = {
        place: scored_contender(Path(run), split)
        for place, run in enumerate(runs)
        if not isinstance(run, RunDir) and is_scored(Path(run))
    }
    folders = [
        run if isinstance(run, RunDir) else RunDir.open(Path(run))
        for place, run in enumerate(runs)
        if place not in scored
    ]
    # Checked before anything is scored, which may take hours.
    labels = {
        str(run.root): read_checkpoint(run.root, load, checkpoint_labels)[1] for run in folders
    }
    spaces = {name: space.codes for name, space in labels.items()}
    if scored and intersection:
        raise ConfigError(
            "--intersection: scored predictions are compared on the codes of all. Leave it out."
        )
    codes = common_codes([*spaces.values()]) if intersection else None
    if codes is None and not scored:
        require_one_label_space(spaces)
    options = {str(run.root): load_config(run.args).data for run in folders}
    read = {name: (data.language, data.text_column) for name, data in options.items()}
    editions = {name: space.editions for name, space in labels.items()}
    editions |= {contender.name: contender.editions for contender in scored.values()}
    notes = (*edition_warnings(editions), *note_warnings(read))
    for message in notes:
        on_warning(message)
    contenders, evaluated = [], []
    warned: set[str] = set()

    def warn_once(message: str) -> None:
        """Show what is true of several runs, such as a warning about their corpus, once."""
        if message not in warned:
            warned.add(message)
            on_warning(message)

    for run in folders:
        contender = None if codes is not None else evaluated_before(run, load, split)
        if contender is None:
            opened = open_run(run, load, device, warn_once, on_progress)
            if codes is None:
                evaluation = evaluate_opened(opened, split, on_progress=on_progress)
                contender = Contender.of(str(run.root), evaluation)
                evaluated.append(run.evaluation(split))
            else:
                contender = _score_common_codes(opened, split, codes, on_progress)
        contenders.append(replace(contender, editions=labels[str(run.root)].editions))
    if scored:
        of_runs = iter(contenders)
        in_order = (scored.get(place) or next(of_runs) for place in range(len(runs)))
        return replace(compare_models(on_all_codes(in_order)), evaluated=tuple(evaluated))
    _, manifest = read_checkpoint(folders[0].root, load, read_manifest)
    return replace(
        compare_models(contenders),
        evaluated=tuple(evaluated),
        labels=labels[str(folders[0].root)],
        dataset=str(manifest["corpus"]).partition("-")[0],
        notes=notes,
    )


def evaluated_before(run: RunDir, load: str, split: str) -> Contender | None:
    """Read the statistics of an earlier evaluation of this checkpoint.

    Args:
        run: The run.
        load: The checkpoint: ``metric``, ``loss`` or ``last``.
        split: The split.

    Returns:
        None if the checkpoint hasn't been evaluated on the split yet.
    """
    path = run.evaluation(split) / STATISTICS
    if not path.is_file():
        return None
    stored = read_statistics(path)
    _, manifest = read_checkpoint(run.root, load, read_manifest)
    if not stored.about.items() >= checkpoint_identity(manifest).items():
        return None
    return Contender(
        str(run.root), stored.about["threshold"], stored.ids, stored.codes, stored.statistics
    )


def _score_common_codes(
    opened: OpenRun, split: str, codes: tuple[str, ...], on_progress: Progress | None
) -> Contender:
    """Score a split with a run's model, and keep some codes."""
    model = opened.model
    state_cache_gb = opened.config.train.state_cache_gb
    scored = score_split(model, opened.corpus, split, on_progress, state_cache_gb=state_cache_gb)
    labels = len(model.labels)
    targets_NL, threshold_L = scored.documents.targets_NL(labels), model.threshold.values_L(labels)
    statistics = restrict_statistics(
        scored.scores_NL, targets_NL, threshold_L, model.labels.codes, codes
    )
    name, ids = str(opened.run.root), tuple(scored.documents.ids)
    return Contender(name, str(model.threshold), ids, codes, statistics)
