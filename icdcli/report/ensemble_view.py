"""A new ensemble on the terminal: its members, what it adds, and what it costs."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from icdcli.ensembles.fitting import METRICS
from icdcli.ensembles.run import ALIKE, MadeEnsemble
from icdcli.errors import counted, in_shell
from icdcli.report.formatting import plain

_ALL = "all together"


def ensemble_view(made: MadeEnsemble) -> RenderableType:
    """Render an ensemble that was made."""
    lines: list[RenderableType] = [plain(f"Ensemble of {len(made.members)}: {made.run}", "bold")]
    lines.append(_members(made))
    if made.held_out:
        lines.append(plain("measured on each half of the documents, fitted on the other half"))
    fitted = "" if made.tuned_on is None else f", calibrated on {_words(made.tuned_on)}"
    lines += [Text(), plain(f"weights    {made.weights}{fitted}")]
    lines.append(plain(f"threshold  {made.threshold}"))
    if made.cost is not None:
        lines.append(plain(f"cost       {len(made.members)} members: {made.cost}"))
    lines += [
        plain(f"{name} lacks {counted(count, 'code')}; it contributes their frequency in training")
        for name, count in made.lacking.items()
    ]
    lines += [
        plain(f"the errors of {one} and {other} have a correlation of {value:.2f}")
        for (one, other), value in made.correlations.items()
    ]
    return Group(*lines, Text(), plain(f"Next: icdcode evaluate {in_shell(made.run)}"))


def likeness_warning(made: MadeEnsemble) -> str | None:
    """Return a warning if members barely differ, so that averaging them adds nothing."""
    alike = [pair for pair, value in made.correlations.items() if value >= ALIKE]
    if not alike:
        return None
    pairs = ", ".join(f"{one} and {other}" for one, other in alike)
    return (
        f"{pairs}: make nearly the same errors (correlation {ALIKE} or more), so their mean is "
        "hardly better than one of them. Members should differ: another backbone, a TF-IDF "
        "model, another pooling."
    )


def _words(tuned_on: str) -> str:
    return "the validation split" if tuned_on == "validation" else tuned_on


def _members(made: MadeEnsemble) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("member")
    table.add_column("share", justify="right")
    for metric in METRICS if made.held_out else ():
        table.add_column(metric, justify="right")
    for name in (*made.members, None) if made.held_out else made.members:
        values = made.held_out.get(name, {})
        table.add_row(
            plain(_ALL if name is None else name),
            "" if name is None else f"{made.shares[name]:.2f}",
            *(f"{values[metric]:.3f}" for metric in METRICS if metric in values),
        )
    return table
