"""The training loop: a generator of typed events. It prints nothing and touches no file.

Everything random in a step follows from (seed, step, rank), and the documents of a step from the batch plan, so that a run goes
on exactly where a checkpoint left it without any generator's state.
"""

from collections.abc import Iterator

from icdcli.data.batches import epoch_plan
from icdcli.training.events import Event, Started, Stopped
from icdcli.training.meter import Meter
from icdcli.training.state import Training
from icdcli.training.step import optimiser_step
from icdcli.training.validation import validate


def train(training: Training) -> Iterator[Event]:
    """Train until the steps, the patience or the user says stop.

    Yields:
        `Started`, then `StepDone` after every step, `Evaluating` and `Evaluated` after every epoch and after the last step,
        `Stopped` at the end.

    Raises:
        ConfigError: When the loss is no longer a finite number, with the step.
    """
    state, config = training.state, training.config
    per_epoch = training.steps_per_epoch
    meter = Meter(training)
    training.coder.network.train()
    yield Started(state.step, config.steps, per_epoch)
    while True:
        at_a_mark = state.step % per_epoch == 0 or state.step == config.steps
        # Also the validation that an interruption came before.
        if at_a_mark and state.step > state.validated:
            evaluated = yield from validate(training, meter)
            yield evaluated
        if config.patience and state.best_metric.patience_left(config.patience) == 0:
            yield Stopped(f"no progress in {config.patience} validations", state.step, finished=True)
            return
        if state.step >= config.steps:
            yield Stopped(f"all {config.steps} steps are done", state.step, finished=True)
            return
        plan = epoch_plan(training.train.lengths, config.batch_size, training.seed, state.step // per_epoch)
        for rows in plan[state.step % per_epoch :]:
            yield optimiser_step(training, rows, meter)
            signal = training.world.broadcast(training.stop_requested())
            if signal is not None:
                meter.flush()
                yield Stopped(f"interrupted by {signal}", state.step, finished=False)
                return
            if state.step == config.steps:
                break
