"""Puts a run on disk as its events come by: results.csv, steps.csv, checkpoints."""

from collections.abc import Iterable, Iterator

from icdcli.errors import ConfigError, ResumeError
from icdcli.io.files import flush, writing
from icdcli.run_dir import RESULT_COLUMNS, STEP_COLUMNS, RunDir, append_row, find_checkpoint
from icdcli.training.checkpointing import save_checkpoint
from icdcli.training.events import CheckpointDue, Evaluated, Event, Saved, StepDone, Stopped
from icdcli.training.state import Training
from icdcli.training.step_metrics import DivergedError, require_finite_weights


def record(
    events: Iterable[Event], run: RunDir, training: Training, corpus: str
) -> Iterator[Event]:
    """Pass events on, each after what it means is on disk; rank 0 alone writes.

    A validation is saved as ``last``, and as ``metric`` or ``loss`` where it is the best so far; an interruption, and what is
    due in between, as ``last``.

    Args:
        events: What `icdcli.training.loop.train` yields.
        run: The run's folder.
        training: The run.
        corpus: The corpus's name, kept in the manifests: a checkpoint goes on only with the data it was trained on.

    Yields:
        The same events, and `Saved` after each checkpoint.

    Raises:
        ConfigError: When the training diverges; the message names the last good checkpoint.
        DataError: When the run's folder can't be written.
    """
    saved_at: tuple[int, int] | None = None
    try:
        for event in events:
            saved: list[str] = []
            about: dict[str, object] = {"corpus": corpus}
            here = (training.state.step, training.state.validated)
            match event:
                case StepDone(train_loss=float(loss), tokens_per_second=float(speed)) if (
                    training.process_group.first
                ):
                    row = {
                        "step": event.step,
                        "epoch": event.epoch,
                        "train_loss": loss,
                        "lr": event.lr,
                    }
                    append_row(
                        run.steps, STEP_COLUMNS, {**row, "tokens_per_second": round(speed, 1)}
                    )
                case Evaluated() if training.process_group.first:
                    values = {name: getattr(event, name) for name in RESULT_COLUMNS} | event.metrics
                    values["seconds"] = round(event.seconds, 3)
                    append_row(run.results, [*RESULT_COLUMNS, *event.metrics], values)
                    saved = [
                        name
                        for name, best in (("metric", event.best_metric), ("loss", event.best_loss))
                        if best
                    ]
                    saved.append("last")
                    about |= {
                        "epoch": event.epoch,
                        "validation_loss": event.validation_loss,
                        "metrics": event.metrics,
                    }
                case CheckpointDue() | Stopped(finished=False) if (
                    training.process_group.first and here != saved_at
                ):
                    saved = ["last"]
            if saved:
                require_finite_weights(training)
                _flush_tables(run)  # they must not fall behind the checkpoint
                save_checkpoint(run, saved, training, about)
                saved_at = here
            yield event
            for name in saved:
                yield Saved(name, training.state.step)
    except DivergedError as error:
        raise ConfigError(f"{error}. {_way_on(run, training)}") from error


def _flush_tables(run: RunDir) -> None:
    for table in (run.results, run.steps):
        if table.exists():
            with writing(table):
                flush(table)


def _way_on(run: RunDir, training: Training) -> str:
    try:
        last = find_checkpoint(run, "last")
    except ResumeError:
        return f"No checkpoint was written before; train anew with `icdcode train {run.args} lr0=…`"
    return f"The last good checkpoint is {last}: `icdcode resume {run.root} lr0={training.config.lr0 / 2:g}` goes on from it"
