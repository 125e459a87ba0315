"""``seeds`` of the configuration: `train` and `resume` for several models and their ensemble."""

import os
from collections.abc import Sequence

from icdcli.cli.common import import_visibly
from icdcli.cli.processes import AGAIN
from icdcli.cli.runs import stopping
from icdcli.config.schema import Config
from icdcli.errors import ConfigError, in_shell
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def train_all_seeds(
    config: Config,
    run: RunDir | None,
    overrides: Sequence[str],
    json: bool,
    events: str | None = None,
    *,
    seconds: int | None = None,
    resume_if_exists: bool = False,
) -> None:
    """Train the models of all seeds, make an ensemble of them, and show it.

    Args:
        config: The configuration.
        run: The run to resume; None: a new one.
        overrides: Keys to change for the members that are resumed.
        json: Whether the result is printed as a JSON object.
        events: Whether a line of JSON is printed per event, which only one training has.
        seconds: The time after which all are stopped; None: never.
        resume_if_exists: Whether to resume the run of this name if there is one.

    Raises:
        ConfigError: If several processes were started, or events are requested.
        MemberStoppedError: If a training fails or is interrupted.
    """
    if events is not None:
        raise ConfigError("--events: is for a single training. Leave it out, or set `seed`.")
    if "RANK" in os.environ:
        raise ConfigError(
            "seeds: each model is trained by processes of its own. Start icdcode without torchrun "
            "or srun; `device` names the GPUs."
        )
    output = Output(json)
    import_visibly("icdcli.ensembles.seeds", output)
    from icdcli.distributed.signals import STOP_SIGNALS, TIME_IS_UP
    from icdcli.ensembles.seeds import MemberStoppedError, new_seeds_run, train_seeds
    from icdcli.report.ensemble_view import ensemble_view, likeness_warning
    from icdcli.training.setting_up.earlier_run import earlier_run

    if resume_if_exists:
        run = earlier_run(config)
    with stopping(output, seconds, resume_if_exists), output.stages() as on_progress:
        run = new_seeds_run(config, resume_if_exists) if run is None else run
        try:
            made = train_seeds(
                *(run, overrides),
                on_message=output.say,
                on_warning=output.warn,
                on_progress=on_progress,
            )
        except MemberStoppedError as stopped:
            number = stopped.exit_code - 128
            if number == TIME_IS_UP or (resume_if_exists and number in STOP_SIGNALS):
                stopped.exit_code = AGAIN
            raise
    if made is None:
        output.say(f"This run was already finished. Next: icdcode evaluate {in_shell(run.root)}")
        output.result({"run": run.root, "finished": True})
        return
    output.show(ensemble_view(made))
    if (warning := likeness_warning(made)) is not None:
        output.warn(warning)
    output.result(made.to_json())
