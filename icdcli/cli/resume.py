"""``icdcode resume``: a run that goes on where it was."""

from typing import Annotated, Any, Literal

import typer

from icdcli.cli.common import DryRun, Json, Overrides, Port, Run, showing
from icdcli.cli.train import begin, describe
from icdcli.cli.watch import follow, in_all_processes
from icdcli.config import Config, load_config
from icdcli.errors import ResumeError
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, set_aside_after

# What a checkpoint can't follow, and why.
_FIXED = {
    **dict.fromkeys(("project", "name"), "a run stays in its folder"),
    **dict.fromkeys(("seed", "batch_size"), "the documents of the steps to come follow from it"),
    **dict.fromkeys(("metrics", "monitor"), "the best so far was measured with it"),
    **dict.fromkeys(("dataset", "protocol", "label_pruning", "language", "codes", "code_system"), "the corpus depends on it"),
    **dict.fromkeys(("text_column", "codes_column", "id_column", "subject_column", "split_column"), "the corpus depends on it"),
}


def resume(
    run_dir: Run,
    overrides: Overrides = None,
    load: Annotated[Literal["metric", "loss", "last"], typer.Option(help="Which checkpoint to go on from.")] = "last",
    port: Port = 10001,
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Go on with a run from a checkpoint. Same folder; optimiser, schedule, best-so-far and patience are restored.

    Example: icdcode resume outputs/mimic3/automatic_coding --load last steps=80000
    """
    run = RunDir.open(run_dir)
    before = load_config(run.args)
    config = load_config(run.args, overrides or [])
    changes = allowed_changes(before, config)
    in_all_processes(config.run.device, port, lambda output: _resume(run, config, load, changes, dry_run, output), json)


def allowed_changes(before: Config, after: Config) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, each with the old and the new value.

    Raises:
        ResumeError: Naming every key that a run can't change on its way.
    """
    old, new = before.flat(), after.flat()
    changes = {key: (old[key], new[key]) for key in old if old[key] != new[key]}
    model = set(type(after.model).model_fields)
    reasons = {key: "it is another model then" if key in model else _FIXED.get(key) for key in changes}
    refused = [f"{key}={changes[key][1]!r} (was {changes[key][0]!r}): {why}" for key, why in reasons.items() if why]
    if refused:
        raise ResumeError("\n  ".join(["a run can't change this on its way; start a new one for it:", *refused]))
    return changes


def _resume(run: RunDir, config: Config, load: str, changes: dict[str, tuple[Any, Any]], dry_run: bool, output: Output) -> None:
    from icdcli.model.saved import verify
    from icdcli.training.checkpoint import find_checkpoint
    from icdcli.training.distributed import join_world
    from icdcli.training.setup import resumed_training

    checkpoint = find_checkpoint(run, load)
    manifest = verify(checkpoint)
    if config.train.steps < manifest["step"]:
        raise ResumeError(f"steps={config.train.steps}: {checkpoint} is at step {manifest['step']} already; give more steps")
    world = join_world(config.run.device)
    with showing(output) as progress:
        training, corpus = resumed_training(config, checkpoint, manifest, world, progress)
    summary = {"from": f"{checkpoint}, step {training.state.step:,}", **describe(training, corpus)}
    summary |= {"changed": ", ".join(f"{key}: {old} -> {new}" for key, (old, new) in changes.items()) or "nothing"}
    output.say("\n".join(f"{name:<10} {value}" for name, value in summary.items()))
    if dry_run:
        output.say("Dry run: nothing was trained or written.")
        output.result({"dry_run": True, **summary})
        return
    if world.first:
        moved = sum(set_aside_after(table, training.state.step) for table in (run.results, run.steps))
        if moved:
            output.say(f"aside      {moved} {'row' if moved == 1 else 'rows'} of later steps moved to *.superseded.csv")
        if changes:
            begin(run, config)
    world.wait()
    follow(training, run, corpus, config.log, output)
