"""The run folder of an ensemble: other commands read it like that of a training.

args.yaml     model: ensemble, and the keys of the member with the most codes
results.csv   one row: the metrics on the validation split
weights/      one checkpoint, which refers to those of the members
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from icdcli.config.loading import load_config
from icdcli.config.run_paths import ORIGIN, change_keys
from icdcli.data.corpus.reader import Corpus
from icdcli.ensembles.members import Candidate, device_of
from icdcli.evaluation.reference.summary import summarize_training
from icdcli.model.ensemble.ensemble_model import EnsembleModel
from icdcli.model.section import ModelConfig
from icdcli.run_dir import CHECKPOINTS, RunDir
from icdcli.training.checkpointing import write_checkpoint
from icdcli.training.events import Evaluated
from icdcli.training.recorder import Recorder


def write_ensemble(
    model: EnsembleModel,
    candidates: Sequence[Candidate],
    corpus: Corpus,
    evaluated: Evaluated | None,
    project: Path,
    name: str,
    into: RunDir | None = None,
) -> RunDir:
    """Write the run folder of an ensemble, or nothing.

    Args:
        model: The ensemble.
        candidates: The members; the configuration of the first one describes the data.
        corpus: The corpus.
        evaluated: Its validation; None: there is no split to validate it on.
        project: The folder for the run folder.
        name: Its name; a number is added if it is taken.
        into: The run folder, which has a configuration already; None: a new one.

    Raises:
        ConfigError: If the project folder can't be written.
        DataError: If a file can't be written.
    """
    run = into or RunDir.create(project, name)
    try:
        if into is None:
            _write_config(run, model, candidates, project)
        if evaluated is None:
            about = {"corpus": corpus.name, "metrics": {}}
            write_checkpoint(run, CHECKPOINTS, 1, model.save, about)
        else:
            Recorder(
                run,
                corpus.name,
                save=lambda names, step, about: write_checkpoint(
                    run, names, step, model.save, about
                ),
                texts=partial(summarize_training, corpus),
            ).handle(evaluated)
    except BaseException:
        if into is None:
            shutil.rmtree(run.root, ignore_errors=True)
        raise
    return run


def _write_config(
    run: RunDir, model: EnsembleModel, candidates: Sequence[Candidate], project: Path
) -> None:
    """Write the configuration: the data as the first member names them, the usual model keys."""
    lead = candidates[0]
    typed, usual = load_config(lead.run.args, as_typed=True), ModelConfig().model_dump(mode="json")
    ours = {"model": model.config.model, "max_len": model.config.max_len, "name": run.root.name}
    ours |= {"device": device_of(candidates)}
    same_project = project.absolute() == lead.run.root.absolute().parent
    where = {} if same_project else {"project": str(project)}
    run.write_config(change_keys(typed, {**usual, **ours, **where}))
    if (lead.run.root / ORIGIN).is_file():
        # The paths in the configuration start where the member was made.
        shutil.copyfile(lead.run.root / ORIGIN, run.root / ORIGIN)
