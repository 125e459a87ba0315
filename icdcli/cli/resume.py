"""``icdcode resume``: a run that goes on where it was."""

from typing import Annotated, Any, Literal

import typer

from icdcli.cli.baseline import resume_baseline
from icdcli.cli.common import DryRun, Json, Overrides, Port, Run, showing
from icdcli.cli.processes import follow, in_all_processes
from icdcli.cli.train import begin, describe
from icdcli.config.loading import load_config
from icdcli.config.schema import Config
from icdcli.errors import ResumeError
from icdcli.io.files import writing
from icdcli.report.console import Output
from icdcli.run_dir import RunDir, later_rows, set_aside_after

# What a checkpoint can't follow, and why.
_FIXED = {
    **dict.fromkeys(("project", "name"), "a run stays in its folder"),
    **dict.fromkeys(("seed", "batch_size"), "the documents of the steps to come follow from it"),
    **dict.fromkeys(
        ("metrics", "monitor", "pos_weight", "positive_threshold"),
        "the best so far was measured with it",
    ),
    **dict.fromkeys(
        ("weight_decay", "head_lr_factor", "joint_head_lr_factor"),
        "the optimiser's state is arranged by it",
    ),
    "head_steps": "what was learned so far follows from it",
    **dict.fromkeys(
        ("dataset", "protocol", "label_pruning", "language", "codes", "code_system"),
        "the corpus depends on it",
    ),
    **dict.fromkeys(
        ("text_cleaning", "label_space", "evidence_column", "evidence_path"),
        "the corpus depends on it",
    ),
    **dict.fromkeys(
        ("text_column", "codes_column", "id_column", "subject_column", "split_column"),
        "the corpus depends on it",
    ),
}


def resume(
    run_dir: Run,
    overrides: Overrides = None,
    load: Annotated[
        Literal["metric", "loss", "last"], typer.Option(help="Which checkpoint to go on from.")
    ] = "last",
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
    if config.model.is_baseline:
        resume_baseline(run, load, Output(json))
        return
    in_all_processes(
        config.run.device,
        port,
        lambda output: _resume(run, config, load, changes, dry_run, output),
        json,
    )


def allowed_changes(before: Config, after: Config) -> dict[str, tuple[Any, Any]]:
    """The keys whose values differ, each with the old and the new value.

    Raises:
        ResumeError: Naming every key that a run can't change on its way.
    """
    old, new = before.flat(), after.flat()
    changes = {key: (old[key], new[key]) for key in old if old[key] != new[key]}
    model = set(type(after.model).model_fields)
    reasons = {
        key: "it is another model then" if key in model else _FIXED.get(key) for key in changes
    }
    refused = [
        f"{key}={changes[key][1]!r} (was {changes[key][0]!r}): {why}"
        for key, why in reasons.items()
        if why
    ]
    if refused:
        raise ResumeError(
            "\n  ".join(["a run can't change this on its way; start a new one for it:", *refused])
        )
    return changes


def run_on(run: RunDir, config: Config, output: Output) -> None:
    """Go on in this process with a run as it is, from its last checkpoint."""
    _resume(run, config, "last", {}, False, output)


def _resume(
    run: RunDir,
    config: Config,
    load: str,
    changes: dict[str, tuple[Any, Any]],
    dry_run: bool,
    output: Output,
) -> None:
    from icdcli.distributed.process_group import join_process_group
    from icdcli.training.checkpointing import find_whole_checkpoint, make_last
    from icdcli.training.setup import resumed_training

    process_group = join_process_group(config.run.device)
    checkpoint, manifest = find_whole_checkpoint(
        run, load, lambda text: output.warn(text) if process_group.first else None
    )
    if config.train.steps < manifest["step"]:
        raise ResumeError(
            f"steps={config.train.steps}: {checkpoint} is at step {manifest['step']} already; give more steps"
        )
    with showing(output) as on_progress:
        training, corpus = resumed_training(
            config, checkpoint, manifest, process_group, on_progress
        )
    reached = (training.state.step, training.state.validated)
    later = later_rows(run, *reached)
    summary = {"from": f"{checkpoint}, step {training.state.step:,}", **describe(training, corpus)}
    summary |= {
        "changed": ", ".join(f"{key}: {old} -> {new}" for key, (old, new) in changes.items())
        or "nothing"
    }
    if later:
        summary |= {"set aside": f"{later} {'row' if later == 1 else 'rows'} of later steps"}
    output.say("\n".join(f"{name:<10} {value}" for name, value in summary.items()))
    if dry_run:
        output.say("Dry run: nothing was trained or written.")
        output.result({"dry_run": True, **summary})
        return
    process_group.wait()  # all have read what rank 0 may now move
    if process_group.first:
        # In this order: a run that is killed in between still has no gap in its tables.
        make_last(run, checkpoint)
        for path in set_aside_after(run, *reached):
            output.say(f"{'':<10} {path}")
        if changes:
            with writing(run.root):
                begin(run, config)
    process_group.wait()
    follow(training, run, corpus, config, output)
