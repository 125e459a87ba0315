"""``seeds`` of the configuration: `train` and `resume` for several models and their ensemble."""

import os
from collections.abc import Sequence

from icdcli.cli.common import import_visibly
from icdcli.config.schema import Config
from icdcli.errors import ConfigError
from icdcli.report.console import Output
from icdcli.run_dir import RunDir


def train_all_seeds(
    config: Config, run: RunDir | None, overrides: Sequence[str], json: bool
) -> None:
    """Train the models of all seeds, make an ensemble of them, and show it.

    Args:
        config: The configuration.
        run: The run to resume; None: a new one.
        overrides: Keys to change for the members that are resumed.
        json: Whether the result is printed as a JSON object.
    """
    if "RANK" in os.environ:
        raise ConfigError(
            "seeds: each model is trained by processes of its own. Start icdcode without torchrun "
            "or srun; `device` names the GPUs."
        )
    output = Output(json)
    import_visibly("icdcli.ensembles.seeds", output)
    from icdcli.ensembles.seeds import new_seeds_run, train_seeds
    from icdcli.report.ensemble_view import ensemble_view, likeness_warning

    run = new_seeds_run(config) if run is None else run
    with output.stages() as on_progress:
        made = train_seeds(
            run, overrides, on_message=output.say, on_warning=output.warn, on_progress=on_progress
        )
    if made is None:
        output.say(f"This run was already finished. Next: icdcode evaluate {run.root}")
        output.result({"run": run.root, "finished": True})
        return
    output.show(ensemble_view(made))
    if (warning := likeness_warning(made)) is not None:
        output.warn(warning)
    output.result(made.to_json())
