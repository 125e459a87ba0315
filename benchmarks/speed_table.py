"""The table of speeds that `train.py` and `predict.py` print."""

from collections.abc import Mapping
from typing import Any


def show_speed(found: Mapping[str, Mapping[str, Any]], sides: Mapping[str, str], unit: str) -> None:
    """Print the speed and memory of each side, or why it was not measured.

    Args:
        found: Side to its figures.
        sides: Side to its name, in the order of the table.
        unit: What is counted: ``documents`` or ``notes``.
    """
    print(
        f"{'':<39}{unit + '/s':>12}{'tokens/s':>10}{'padding':>9}{'peak MB':>9}{'MFU':>14}"
        f"{'a faster':>10}"
    )
    for side, name in sides.items():
        row = found.get(side, {"not_measured": ""})
        start = f"{side:<5}{name:<34}"
        if "not_measured" in row:
            reason = f": {row['not_measured']}" if row["not_measured"] else ""
            print(f"{start}not measured{reason}")
            continue
        used = "not measured" if row["utilization"] is None else f"{row['utilization']:.1%}"
        peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:,.0f}"
        times = f"{row['a_times']:.2f} x" if side != "a" and "a_times" in row else ""
        speed = f"{row[f'{unit}_per_second']:>12.2f}{row['tokens_per_second']:>10,.0f}"
        print(f"{start}{speed}{row['padding']:>9.1%}{peak:>9}{used:>14}{times:>10}".rstrip())


def profile_line(profile: Mapping[str, Any]) -> str:
    """Return the seconds of a profile, and the share of each kind of kernel."""
    shares = ", ".join(f"{kind} {share:.1%}" for kind, share in profile["shares"].items())
    return f"{profile['seconds']:.2f} s: {shares}"
