"""What `train` and `resume` do with `model: tfidf`, which takes no steps."""

import os
import shutil
from contextlib import closing
from typing import Any

from icdcli.cli.common import showing
from icdcli.cli.processes import ending_at_once
from icdcli.config.schema import Config
from icdcli.errors import DataError
from icdcli.io.files import write_atomically
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, require_project

_HAS_NONE = ("train_loss", "lr")


def train_baseline(config: Config, dry_run: bool, output: Output) -> None:
    """Fit a baseline, in this process alone, and tell about it as about every training."""
    from icdcli.config.loading import to_yaml
    from icdcli.data.corpus.prepare import prepare
    from icdcli.data.corpus.reader import open_corpus
    from icdcli.report.views.training import TrainingView
    from icdcli.training import baseline
    from icdcli.training.events import Evaluated
    from icdcli.training.loggers import Trackers

    if int(os.environ.get("RANK", "0")) > 0:
        return  # one of several processes that somebody started: the first does it
    require_project(config.run.project)
    if unused := baseline.unused_keys(config):
        output.warn(f"model: {config.model.model} has no use for {', '.join(unused)}")
    with showing(output) as on_progress:
        corpus = open_corpus(prepare(config.data, on_progress).folder)
    documents = {split: corpus.card["splits"][split]["documents"] for split in corpus.splits}
    seen = sum(count > 0 for count in corpus.labels.train_counts)
    summary = {
        "corpus": corpus.folder.name,
        "documents": f"{documents.get('train', 0):,} train, {documents.get('validation', 0):,} validation; "
        f"{len(corpus.labels):,} codes",
        "model": f"TF-IDF of words, and a linear classifier for each of {seen:,} codes in training; on the CPU",
    }
    output.say("\n".join(f"{name:<10} {value}" for name, value in summary.items()))
    if dry_run:
        output.say("Dry run: nothing was trained or written.")
        output.result({"dry_run": True, **summary})
        return
    run = RunDir.create(config.run.project, config.run.name)
    write_atomically(run.args, to_yaml(config))
    output.say(f"run        {run.root}")
    stopped = f"Stopped; nothing of it is kept. Begin anew with: icdcode train {run.args}"
    try:
        with ending_at_once(output, stopped), showing(output) as on_progress:
            events = list(baseline.train_baseline(config, corpus, run, on_progress))
    except DataError:
        if not run.results.exists():  # nothing to learn from
            shutil.rmtree(run.root)
        raise
    log = config.log
    common = [name for name in log.common if name not in _HAS_NONE]
    view = TrainingView(
        output, patience=0, common=common, metrics=log.metrics, titles=corpus.labels.known_titles
    )
    trackers = Trackers(log.trackers, run.root, config.flat(), output.warn)
    result: dict[str, Any] = {"run": run.root}
    with view, closing(trackers):
        for event in events:
            view.handle(event)
            trackers.handle(event)
            if isinstance(event, Evaluated):
                result |= {
                    "epoch": event.epoch,
                    "validation_loss": event.validation_loss,
                    "metrics": event.metrics,
                }
    _tell_what_is_there(run, output)
    output.result(result | {"step": 1, "stopped": "the baseline is fitted", "finished": True})


def resume_baseline(run: RunDir, load: str, output: Output) -> None:
    """Say that there is nothing to go on with.

    Raises:
        ResumeError: When the run ended before it was fitted.
    """
    from icdcli.training.checkpointing import find_whole_checkpoint

    checkpoint, manifest = find_whole_checkpoint(run, load, output.warn)
    output.say(
        f"from       {checkpoint}\nThis run was finished before: a baseline is fitted in one go"
    )
    _tell_what_is_there(run, output)
    result = {
        "run": run.root,
        "epoch": manifest["epoch"],
        "metrics": manifest["metrics"],
        "step": manifest["step"],
    }
    output.result({**result, "stopped": "the baseline was fitted before", "finished": True})


def _tell_what_is_there(run: RunDir, output: Output) -> None:
    output.say(
        f"Results: {run.results}\nWeights: {run.root / 'weights'}\nNext: icdcode evaluate {run.root}"
    )
