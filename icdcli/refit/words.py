"""A final fit in words: the metrics of models made like it, and whether it pays."""

import math
from collections.abc import Iterator, Sequence

from icdcli.refit.gain import Gain
from icdcli.training.setting_up.final_fit import FinalFit


def metrics_in_words(fit: FinalFit) -> Iterator[str]:
    """Yield a line for each metric, with its interval if it has one."""
    yield f"Metrics of {fit.source}, not of the final fit, which has seen all documents:"
    bounds = fit.more.get("intervals", {})
    for name, value in fit.metrics.items():
        between = f"  ({bounds[name][0]:.3f} to {bounds[name][1]:.3f})" if name in bounds else ""
        shown = "undefined" if math.isnan(value) else f"{value:.3f}"
        yield f"  {name:<20} {shown}{between}"


def gain_in_words(gain: Gain, monitored_by: Sequence[str]) -> tuple[list[str], str | None]:
    """Return what more documents gain, and a warning if they gain nothing.

    Args:
        gain: The gain.
        monitored_by: The metrics that count.
    """
    if gain.more <= gain.fewer:
        return [
            f"The models of the folds were trained on {gain.more:,} documents, the run on "
            f"{gain.fewer:,}. Use more folds to see whether more documents pay."
        ], None
    lines = [
        f"On the {gain.documents:,} validation documents, the run (trained on {gain.fewer:,}) and "
        f"the models of the folds (trained on {gain.more:,}):"
    ]
    names = dict.fromkeys((*monitored_by, "map", "f1_micro"))
    shown = [name for name in names if name in gain.differences]
    for name in shown:
        found = gain.differences[name]
        expected = gain.expected(name)
        more = "" if expected != expected else f"; {expected:+.3f} expected with {gain.all:,}"
        lines.append(
            f"  {name:<20} {gain.before[name]:.3f} -> {gain.after[name]:.3f}  {found.value:+.3f} "
            f"({found.low:+.3f} to {found.high:+.3f}){more}"
        )
    losing = [name for name in monitored_by if name in gain.differences and not gain.pays(name)]
    if losing:
        return lines, (
            f"refitting doesn't improve {', '.join(losing)}: models that were trained on more "
            "documents weren't better on documents that they hadn't seen. Keep the run as it is, "
            "or get more documents"
        )
    return lines, None
