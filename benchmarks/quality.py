"""Measure the quality of the shipped configurations and of the baselines.

On CodiEsp, each row is a run of ``icdcode train`` and ``icdcode evaluate`` on the published cases:
trained on train; the best epoch, the threshold and the weights of the fusion chosen on dev; and
measured on the requested split. By default this is dev itself, so the results are optimistic. The
rows of the demo's synthetic tables (``icdcode demo-data``; their labels follow facts, and a fifth
of the mentions of a condition don't count) are measured on their test split of patients. Intervals
are 95 % intervals over documents, as in ``icdcode evaluate``. Runs that exist already are not
trained again.

    python benchmarks/quality.py DATA OUT                   all rows; about an hour on two cores
    python benchmarks/quality.py DATA OUT --rows laptop codiesp_es --json quality.json
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs import icdcode, trained_run


@dataclass(frozen=True)
class Row:
    """A design that is measured.

    Attributes:
        config: The shipped configuration.
        changes: Its overrides.
        description: The design in words.
        demo: Whether its data are the demo's tables, and not CodiEsp.
    """

    config: str
    changes: list[str]
    description: str
    demo: bool = False


DEMO = ["protocol=patient", "label_pruning=True"]
ROWS = {
    "mean": Row(
        "laptop.yaml",
        [
            "pooling_mode=mean",
            "description_prior=False",
            "lexical=False",
            "lr0=0.03",  # the best of 0.003, 0.01, 0.03, 0.1
        ],
        "mean pooling, linear layer (the original's design)",
    ),
    "tfidf": Row("tfidf.yaml", [], "TF-IDF, linear model"),
    "random": Row(
        "laptop.yaml",
        ["label_init=random", "description_prior=False", "lexical=False"],
        "label attention, random start",
    ),
    "descriptions": Row(
        "laptop.yaml",
        ["description_prior=False", "lexical=False"],
        "… started from descriptions",
    ),
    "prior": Row("laptop.yaml", ["lexical=False"], "… and the description prior"),
    "laptop": Row("laptop.yaml", [], "laptop.yaml: … and the lexical model"),
    "laptop_mentions": Row(
        "laptop.yaml", ["assertion=mentions"], "laptop.yaml, assertion: mentions"
    ),
    "laptop_facts": Row("laptop.yaml", ["assertion=facts"], "laptop.yaml, assertion: facts"),
    "laptop_quality": Row(
        "laptop_quality.yaml",
        [],
        "laptop_quality.yaml: … and 1 epoch of all weights",
    ),
    "described": Row(
        "laptop.yaml", ["label_space=described"], "laptop.yaml, all codes with a title"
    ),
    "codiesp_es": Row("codiesp_es.yaml", [], "codiesp_es.yaml (Spanish, evidence lexicon)"),
    "codiesp_es_facts": Row(
        "codiesp_es.yaml", ["assertion=facts", "lexicon=True"], "codiesp_es.yaml, assertion: facts"
    ),
    "demo_tfidf": Row(
        "tfidf.yaml", [*DEMO, "word_ngrams=2"], "demo: TF-IDF, linear model", demo=True
    ),
    "demo_laptop": Row("laptop.yaml", DEMO, "demo: laptop.yaml", demo=True),
}
METRICS = ("map", "f1_micro")


def measure(name: str, data: Path, out: Path, split: str) -> dict[str, Any]:
    """Train the run of a row unless it exists, and evaluate it."""
    row = ROWS[name]
    if row.demo:
        data, split = out / "demo-data", "test"
        if not data.is_dir():
            icdcode("demo-data", str(data), "--admissions", "2000")
    trained = trained_run(name, row.config, row.changes, data, out)
    evaluation = icdcode("evaluate", trained.run, "--split", split)
    return {
        "what": row.description,
        "run": trained.run,
        "seconds": trained.seconds,
        "split": split,
        "metrics": evaluation["metrics"],
        "intervals": evaluation.get("intervals", {}),
    }


def main() -> None:
    """Measure the rows and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of CodiEsp")
    parser.add_argument("out", type=Path, help="the folder of the runs")
    parser.add_argument("--rows", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--split", default="validation", help="the split of CodiEsp")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    found = {}
    print(f"{'design':<52}{'MAP':>20}{'micro-F1':>20}{'minutes':>9}")
    for name in arguments.rows:
        found[name] = row = measure(
            name, arguments.data.resolve(), arguments.out.resolve(), arguments.split
        )
        cells = [_cell(row, metric) for metric in METRICS]
        print(
            f"{row['what']:<52}{cells[0]:>20}{cells[1]:>20}{row['seconds'] / 60:>9.1f}", flush=True
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _cell(row: dict[str, Any], metric: str) -> str:
    value, interval = row["metrics"][metric], row["intervals"].get(metric)
    return f"{value:.3f}" + (f" ({interval[0]:.3f}–{interval[1]:.3f})" if interval else "")


if __name__ == "__main__":
    main()
