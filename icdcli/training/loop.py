"""The training loop: a generator of typed events. It prints nothing and touches no file.

Everything random in a step follows from (seed, step, rank), and the documents of a step from the batch plan, so that a run goes
on exactly where a checkpoint left it without any generator's state.
"""

import re
import signal
import time
from collections.abc import Callable, Generator, Iterator

from icdcli.training.events import CheckpointDue, Event, Started, Stopped
from icdcli.training.stages import begin_stage, steps_left
from icdcli.training.state import Training
from icdcli.training.step import optimizer_steps
from icdcli.training.step_metrics import Meter
from icdcli.training.validation import validate

_SECONDS = {"s": 1, "min": 60, "h": 3600}


class CheckpointTimer:
    """When a checkpoint besides those of validations is due.

    Args:
        every: ``checkpoint_every`` of the configuration: steps, a time such as ``20min``, or None for never.
        clock: Seconds, from any start.
    """

    def __init__(
        self, every: int | str | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._since = clock, clock()
        self.steps = every if isinstance(every, int) else None
        self.seconds: float | None = None
        if isinstance(every, str) and (parts := re.fullmatch(r"(\d+)\s*(s|min|h)", every)):
            self.seconds = int(parts[1]) * _SECONDS[parts[2]]

    def is_up(self) -> bool:
        """Whether so much time has passed since the last checkpoint."""
        return self.seconds is not None and self._clock() - self._since >= self.seconds

    def ends_at(self, step: int) -> bool:
        """Whether the step is one after which a checkpoint is due."""
        return self.steps is not None and step % self.steps == 0

    def begin(self) -> None:
        """A checkpoint has been written: count from here."""
        self._since = self._clock()


def train(training: Training) -> Iterator[Event]:
    """Train until the steps, the patience or the user says stop.

    Yields:
        `Started`, then `StepDone` after every step, `CheckpointDue` as often as configured, `Evaluating` and `Evaluated` after
        every epoch and after the last step, `Stopped` at the end. A request to stop is heeded after a step and between two
        batches of a validation, which then is as if it had not begun. Several processes agree about it there.

    Raises:
        Diverged: When a loss or a gradient is no longer a finite number, with the step and its documents.
    """
    state, config = training.state, training.config
    per_epoch = training.steps_per_epoch
    meter, interval = Meter(training), CheckpointTimer(config.checkpoint_every)
    begin_stage(training)
    yield Started(state.step, config.steps, per_epoch)
    stop: str | None = None
    while True:
        at_a_mark = state.step % per_epoch == 0 or state.step == config.steps
        # Also the validation that an interruption came before.
        if at_a_mark and state.step > state.validated:
            stop = yield from _validation(training, meter, interval)
            interval.begin()
        if reason := _reason_to_end(training):
            yield Stopped(reason, state.step, finished=True)
            return
        if stop is None:
            stop = yield from _epoch(training, meter, interval)
        if stop is not None:
            with training.together():
                yield Stopped(f"interrupted by {stop}", state.step, finished=False)
            return


def _reason_to_end(training: Training) -> str | None:
    state, config = training.state, training.config
    if config.patience and state.best_metric.patience_left(config.patience) == 0:
        return f"no progress in {config.patience} validations"
    return (
        f"all {config.steps} steps are done"
        if state.validated == state.step >= config.steps
        else None
    )


def _epoch(
    training: Training, meter: Meter, interval: CheckpointTimer
) -> Generator[Event, None, str | None]:
    """The steps to the end of the epoch, the stage or the run; returns the signal that came meanwhile."""
    state = training.state
    epoch, place = divmod(state.step, training.steps_per_epoch)
    left = steps_left(state.step, training.config)
    for done in optimizer_steps(training, training.plan(epoch)[place:][:left], meter):
        yield done
        stop, time_is_up = _asked(training, interval)
        if stop is not None:
            meter.flush()
            return stop
        if time_is_up or interval.ends_at(state.step):
            meter.flush()
            with training.together():
                yield CheckpointDue(state.step)
            interval.begin()
    if state.step == training.config.head_steps:
        begin_stage(training)
    return None


def _validation(
    training: Training, meter: Meter, interval: CheckpointTimer
) -> Generator[Event, None, str | None]:
    """A validation; returns the signal that came meanwhile."""
    under_way = validate(training, meter)
    while True:
        try:
            event = next(under_way)
        except StopIteration as end:
            with training.together():
                yield end.value
            return _asked(training, interval)[0]
        yield event
        if (stop := _asked(training, interval)[0]) is not None:
            under_way.close()
            return stop


def _asked(training: Training, interval: CheckpointTimer) -> tuple[str | None, bool]:
    """What any process wants: to stop, by a signal that came to it, and a checkpoint, since the time is up."""
    stop = training.stop_requested()
    number, time_is_up = training.process_group.agree(
        0 if stop is None else signal.Signals[stop], interval.is_up()
    )
    return signal.Signals(number).name if number else None, bool(time_is_up)
