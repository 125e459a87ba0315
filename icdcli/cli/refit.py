"""``icdcode refit``: a run fitted again on the documents of the validation split, too."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icdcli.cli.common import Events, Json, Port, Run, StopAfter, import_visibly
from icdcli.cli.processes import AGAIN, in_all_processes
from icdcli.cli.runs import (
    handlers,
    leave_at_once,
    on_progress_of,
    require_one_output,
    stopping,
    time_limit,
    training_view,
)
from icdcli.errors import in_shell
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.cross_fitting.fold_runs import Watched
    from icdcli.refit.run import Refit


def refit(
    run_dir: Run,
    train_on: Annotated[
        Literal["train+validation"], typer.Option("--on", help="The splits to train on.")
    ] = "train+validation",
    folds: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Folds of cross-fitting, at least 2. 0: none; the run's own validation decides. "
            "Default: 5, or 0 for 5,000 documents or more.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the new run. Default: that of RUN_DIR with -refit.")
    ] = None,
    port: Port = 10001,
    stop_after: StopAfter = None,
    events: Events = None,
    json: Json = False,
) -> None:
    """Train a finished run again on train and validation.

    Models that each leave out one fold of the documents choose the number of epochs, the weights of
    the parts, the threshold and the confidence, and measure how good the new model is, so nothing
    is tuned on what it was fitted to. If the command is interrupted, repeat it to continue.

    Example: icdcode refit outputs/laptop/codiesp_es --folds 5
    """
    from icdcli.config.loading import load_config

    require_one_output(json, events)
    seconds = time_limit(stop_after)
    run = RunDir.open(run_dir)
    config = load_config(run.args)
    device = "cpu" if config.model.is_baseline else config.run.device

    def work(output: Output) -> None:
        with stopping(output, seconds):
            _refit(run, folds, train_on, name, output)

    in_all_processes(device, port, work, json, events is not None)


def _refit(run: RunDir, folds: int | None, train_on: str, name: str | None, output: Output) -> None:
    """Refit in this process, which may be one of several."""
    import_visibly("icdcli.refit.run", output)
    from icdcli.config.loading import load_config
    from icdcli.cross_fitting.fold_runs import StoppedTraining, Watched, Watching
    from icdcli.distributed.signals import TIME_IS_UP
    from icdcli.refit.run import refit as refit_run
    from icdcli.training.run import join_for_training

    group = join_for_training(load_config(run.args))

    def start(what: str) -> "Watched":
        output.say(f"\n{what[0].upper()}{what[1:]}")
        shown = handlers(training_view(output, group), group, output)
        return Watched(shown, on_progress_of(shown))

    watching = Watching(start, group, output.warn, leave_at_once)
    try:
        found = refit_run(run, folds, train_on, name, watching)
    except StoppedTraining as stopped:
        output.say("Interrupted. Repeat the command to continue from here.")
        group.wait()
        again = stopped.signal == TIME_IS_UP
        raise typer.Exit(AGAIN if again else 128 + stopped.signal) from None
    _show(found, output)
    output.result(found.to_json())


def _show(found: "Refit", output: Output) -> None:
    from icdcli.refit.words import gain_in_words, metrics_in_words

    fit = found.final_fit
    documents = ", ".join(f"{number:,} of {split}" for split, number in fit.documents.items())
    output.say(f"\nFitted on all documents: {documents}")
    output.say(f"Chosen by {fit.source}: {fit.threshold}")
    for line in metrics_in_words(fit):
        output.say(line)
    if found.gain is not None:
        lines, warning = gain_in_words(found.gain, fit.monitored_by)
        for line in lines:
            output.say(line)
        if warning:
            output.warn(warning)
    run = found.result.run
    output.say(f"Weights: {run.root / 'weights'}\nNext: icdcode predict {in_shell(run.root)} NOTES")
