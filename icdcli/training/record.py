"""Puts a run on disk as its events come by: results.csv, steps.csv, checkpoints."""

from collections.abc import Iterable, Iterator

from icdcli.run_dir import RESULT_COLUMNS, STEP_COLUMNS, RunDir, append_row
from icdcli.training.checkpoint import save_checkpoint
from icdcli.training.events import Evaluated, Event, Saved, StepDone, Stopped
from icdcli.training.state import Training


def record(events: Iterable[Event], run: RunDir, training: Training, corpus: str) -> Iterator[Event]:
    """Pass events on, each after what it means is on disk; rank 0 alone writes.

    A validation is saved as ``last``, and as ``metric`` or ``loss`` where it is the best so far; an interruption as ``last``.

    Args:
        events: What `icdcli.training.loop.train` yields.
        run: The run's folder.
        training: The run.
        corpus: The corpus's name, kept in the manifests: a checkpoint goes on only with the data it was trained on.

    Yields:
        The same events, and `Saved` after each checkpoint.
    """
    for event in events:
        saved: list[str] = []
        about: dict[str, object] = {"corpus": corpus}
        match event:
            case StepDone(train_loss=float(loss), tokens_per_second=float(speed)) if training.world.first:
                row = {"step": event.step, "epoch": event.epoch, "train_loss": loss, "lr": event.lr}
                append_row(run.steps, STEP_COLUMNS, {**row, "tokens_per_second": round(speed, 1)})
            case Evaluated() if training.world.first:
                values = {name: getattr(event, name) for name in RESULT_COLUMNS} | event.metrics
                values["seconds"] = round(event.seconds, 3)
                append_row(run.results, [*RESULT_COLUMNS, *event.metrics], values)
                saved = [name for name, best in (("metric", event.best_metric), ("loss", event.best_loss)) if best]
                saved.append("last")
                about |= {"epoch": event.epoch, "validation_loss": event.validation_loss, "metrics": event.metrics}
            case Stopped(finished=False) if training.world.first:
                saved = ["last"]
        if saved:
            save_checkpoint(run, saved, training, about)
        yield event
        for name in saved:
            yield Saved(name, training.state.step)
