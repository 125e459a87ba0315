"""Measure the quality of the shipped configurations and of the baselines on CodiEsp.

Each row is a run of ``icdcode train`` and ``icdcode evaluate`` on the published cases: trained on
train; the best epoch, the threshold and the weights of the fusion chosen on dev; and measured on
the requested split. By default this is dev itself, so the results are optimistic. Intervals are
95 % intervals over documents, as in ``icdcode evaluate``. Runs that exist already are not trained
again.

    python benchmarks/quality.py DATA OUT                   all rows; about an hour on two cores
    python benchmarks/quality.py DATA OUT --rows laptop codiesp_es --json quality.json
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CONFIGS = Path(__file__).parents[1] / "configs"

# Row: the configuration, its changes, and a description.
ROWS: dict[str, tuple[str, list[str], str]] = {
    "mean": (
        "laptop.yaml",
        [
            "pooling_mode=mean",
            "description_prior=False",
            "lexical=False",
            "lr0=0.03",  # the best of 0.003, 0.01, 0.03, 0.1
        ],
        "mean pooling, linear layer (the original's design)",
    ),
    "tfidf": ("tfidf.yaml", [], "TF-IDF, linear model"),
    "random": (
        "laptop.yaml",
        ["label_init=random", "description_prior=False", "lexical=False"],
        "label attention, random start",
    ),
    "descriptions": (
        "laptop.yaml",
        ["description_prior=False", "lexical=False"],
        "… started from descriptions",
    ),
    "prior": ("laptop.yaml", ["lexical=False"], "… and the description prior"),
    "laptop": ("laptop.yaml", [], "laptop.yaml: … and the lexical model"),
    "laptop_quality": (
        "laptop_quality.yaml",
        [],
        "laptop_quality.yaml: … and 1 epoch of all weights",
    ),
    "described": (
        "laptop.yaml",
        ["label_space=described"],
        "laptop.yaml, all codes with a title",
    ),
    "codiesp_es": ("codiesp_es.yaml", [], "codiesp_es.yaml (Spanish, evidence lexicon)"),
}
METRICS = ("map", "f1_micro")


def icdcode(*arguments: str) -> dict[str, Any]:
    """Run an icdcode command and return its JSON output."""
    found = subprocess.run(
        [sys.executable, "-m", "icdcli", *arguments, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    result: dict[str, Any] = json.loads(found.stdout)
    return result


def measure(name: str, data: Path, out: Path, split: str) -> dict[str, Any]:
    """Train the run of a row unless it exists, and evaluate it."""
    config, changes, description = ROWS[name]
    done = out / f"{name}.json"
    if not done.is_file():
        places = [
            f"data_path={data}",
            f"project={out}",
            f"name={name}",
            f"cache_dir={out / 'cache'}",
            "prediction_print_n=0",
        ]
        began = time.perf_counter()
        run = icdcode("train", str(CONFIGS / config), *places, *changes)["run"]
        done.write_text(
            json.dumps({"run": run, "seconds": time.perf_counter() - began}), encoding="utf-8"
        )
    about = json.loads(done.read_text(encoding="utf-8"))
    evaluation = icdcode("evaluate", about["run"], "--split", split)
    return {
        "what": description,
        **about,
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
    parser.add_argument("--split", default="validation")
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
