"""How many reviewed notes bring how good a model, on CodiEsp: reviewers played from gold labels.

Each row starts from 50 notes and reviews more in each round, until all 500 training notes are
reviewed; `icdcode review simulate` does the same. Four fifths of the reviewed notes are trained on,
a fifth chooses checkpoint, fusion and threshold. Models are measured on CodiEsp's test split, or on
dev if there is no test split; neither is used for anything else.

    lexical_es, lexical_en   the lexical model alone: the network is a tiny one that learns nothing;
                             50 notes per round
    laptop_es, laptop_en     codiesp_es.yaml and laptop.yaml; 225 notes per round, in random order

    python benchmarks/learning_curve.py DATA OUT                     all rows; continues if repeated
    python benchmarks/learning_curve.py DATA OUT --rows lexical_es --seeds 0 1 2
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from icdcli.config.loading import load_config
from icdcli.report.plots.learning_curve import learning_curve_png
from icdcli.review.simulation.curves import MEASURES, CurvePoint, curve_differences, mean_curves
from icdcli.review.simulation.run import LearningCurve, simulate
from icdcli.review.simulation.settings import ReviewOrder, SimulationSettings

_NO_NETWORK = (
    *("model=tiny", "description_prior=False", "pooling_mode=mean", "max_len=64"),
    *("steps=16", "warmup_steps=1"),
)
_ORDERS: tuple[ReviewOrder, ...] = ("uncertainty", "random")


class Row(NamedTuple):
    """A simulation."""

    config: str
    overrides: tuple[str, ...]
    step: int
    orders: tuple[ReviewOrder, ...]
    evidence: tuple[bool, ...]


ROWS = {
    "lexical_es": Row("codiesp_es.yaml", _NO_NETWORK, 50, _ORDERS, (True, False)),
    "lexical_en": Row("laptop.yaml", _NO_NETWORK, 50, _ORDERS, (False,)),
    "laptop_es": Row("codiesp_es.yaml", (), 225, ("random",), (True, False)),
    "laptop_en": Row("laptop.yaml", (), 225, ("random",), (False,)),
}


def play(row: Row, data: Path, folder: Path, seeds: list[int]) -> LearningCurve:
    """Play a row, or continue it."""
    config = load_config(row.config, [*row.overrides, f"data_path={data}"])
    settings = SimulationSettings(
        step=row.step, orders=row.orders, evidence=row.evidence, seeds=seeds
    )
    began = time.monotonic()

    def report(arm: Any, one: Any) -> None:
        measures = next(iter(one.splits.values()))
        print(
            f"{time.monotonic() - began:.0f} s: {arm.name}, {one.notes} notes, "
            f"MAP {measures['map']:.3f}, micro-F1 {measures['f1_micro']:.3f}",
            file=sys.stderr,
            flush=True,
        )

    return simulate(config, folder, settings, on_round=report)


def tables(name: str, curve: LearningCurve) -> str:
    """Return the tables of a row as Markdown."""
    split = curve.measured[0]
    curves = mean_curves(curve, split)
    lines = []
    for measure, words in MEASURES.items():
        if not any(measure in point.means for points in curves.values() for point in points):
            continue
        where = "" if measure in ("accepted", "decided") else f" ({split})"
        lines += [f"{name}, {words}{where}", "", f"| notes | {' | '.join(curves)} |"]
        lines.append("|---:" * (len(curves) + 1) + "|")
        for place, point in enumerate(max(curves.values(), key=len)):
            cells = [_cell(points, place, measure) for points in curves.values()]
            lines.append(f"| {point.notes} | {' | '.join(cells)} |")
        lines.append("")
    for one in curve_differences(curve, split):
        changes = ", ".join(
            f"{MEASURES[measure]} {change:+.4f} ({one.better[measure]} of {one.rounds})"
            for measure, change in one.means.items()
        )
        equal = ", ".join(
            f"{MEASURES[measure]} {change:+.4f}" for measure, change in one.at_equal_work.items()
        )
        lines.append(f"{one.curve} − {one.other}: {changes}; as many codes decided: {equal}")
    return "\n".join(lines) + "\n"


def _cell(points: list[CurvePoint], place: int, measure: str) -> str:
    value = points[place].means.get(measure) if place < len(points) else None
    return "" if value is None else f"{value:.3f}"


def main() -> int:
    """Play all rows, print their tables, and write figures and JSON."""
    parser = argparse.ArgumentParser(description="Learning curves of reviewed notes on CodiEsp.")
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder of CodiEsp")
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder for stores and results")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS], default=[*ROWS], metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], metavar="SEED")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    for name in options.rows:
        curve = play(ROWS[name], options.data, options.out / name, options.seeds)
        results[name] = curve.to_json()
        print(tables(name, curve), flush=True)
        learning_curve_png(curve, options.out / f"{name}.png")
        target = options.out / "learning_curve.json"
        target.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        if curve.signal is not None:
            return 128 + curve.signal
    return 0


if __name__ == "__main__":
    sys.exit(main())
