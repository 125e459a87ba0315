"""``icdcode compare``: runs side by side, on the same documents."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from icdcli.cli.common import Device, Json, Load, showing
from icdcli.cli.evaluate import checkpoint_identity, evaluated, open_run
from icdcli.errors import ConfigError
from icdcli.report.console import Output
from icdcli.run_dir import RunDir

if TYPE_CHECKING:
    from icdcli.evaluation.compare import Contender
    from icdcli.io.progress import Progress

_MOST = 26


def compare(
    run_dirs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN_DIR...", help="Two runs or more; all are held against the first."
        ),
    ],
    load: Load = "metric",
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    intersection: Annotated[
        bool,
        typer.Option(
            "--intersection",
            help="Compare on the codes that all runs know, where they know different ones.",
        ),
    ] = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Show runs side by side, with 95 % intervals of their differences. A run not yet evaluated is evaluated first.

    Example: icdcode compare outputs/mimic3/automatic_coding outputs/mimic3/automatic_coding2
    """
    if not 2 <= len(run_dirs) <= _MOST:
        raise ConfigError(
            f"compare: needs two runs or more, {_MOST} at most; {len(run_dirs)} given"
        )
    output = Output(json)
    runs = [RunDir.open(run_dir) for run_dir in run_dirs]
    from icdcli.data.corpus.reader import read_labels
    from icdcli.evaluation.compare import common_codes, compare, require_one_label_space
    from icdcli.report.views.comparison import comparison_dict, comparison_view
    from icdcli.run_dir import find_checkpoint

    # Told apart before anything is scored, which may take hours.
    spaces = {
        str(run.root): read_labels(find_checkpoint(run, load) / "labels.parquet").codes
        for run in runs
    }
    chosen = common_codes([*spaces.values()]) if intersection else None
    if chosen is None:
        require_one_label_space(spaces)
    with showing(output) as on_progress:
        contestants = [
            _contestant(run, load, split, device, chosen, output, on_progress) for run in runs
        ]
    comparison = compare(contestants)
    if chosen is not None:
        output.say(f"On the {len(chosen):,} codes that all runs know, as if there were no others.")
    output.show(comparison_view(comparison, split))
    output.result(
        {
            "split": split,
            "checkpoint": load,
            "intersection": intersection,
            **comparison_dict(comparison),
        }
    )


def _contestant(
    run: RunDir,
    load: str,
    split: str,
    device: str | None,
    chosen: tuple[str, ...] | None,
    output: Output,
    on_progress: "Progress",
) -> "Contender":
    from icdcli.evaluation.compare import Contender, restricted
    from icdcli.evaluation.files import STATISTICS, read_statistics
    from icdcli.evaluation.score_split import score_split

    name, kept = str(run.root), run.evaluation(split) / STATISTICS
    if chosen is not None:
        model, corpus = open_run(run, load, device, output, on_progress)
        scored = score_split(model, corpus, split, on_progress)
        labels = len(model.labels)
        targets_NL, threshold_L = (
            scored.documents.targets_NL(labels),
            model.threshold.values_L(labels),
        )
        statistics = restricted(
            scored.scores_NL, targets_NL, threshold_L, model.labels.codes, chosen
        )
        return Contender(
            name, str(model.threshold), tuple(scored.documents.ids), chosen, statistics
        )
    if kept.is_file():
        statistics, ids, codes, about = read_statistics(kept)
        if about.items() >= checkpoint_identity(run, load).items():
            return Contender(name, about["threshold"], ids, codes, statistics)
    model, corpus = open_run(run, load, device, output, on_progress)
    evaluation = evaluated(run, load, model, corpus, split, on_progress)
    output.say(f"Evaluated: {run.evaluation(split)}")
    ids = tuple(evaluation.scored.documents.ids)
    return Contender(
        name, str(evaluation.threshold), ids, model.labels.codes, evaluation.statistics
    )
