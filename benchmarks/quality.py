"""How well the shipped configurations code CodiEsp, beside the baselines: what `icdcode train` and `icdcode evaluate` say.

Each row is a run of the product's own commands on the published cases: trained on train, the best epoch, the threshold and the
weights of the fusion chosen on dev, and measured on the split that is asked for. With no test split at hand that is dev itself,
so that the figures are what was chosen by, not what new cases will give. Intervals are 95 %, over documents, as `icdcode
evaluate` gives them. A run that is there already is not trained again.

    python benchmarks/quality.py DATA OUT                          all rows; about an hour on two cores
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

# A row: the configuration, what is changed of it, and what that is.
ROWS: dict[str, tuple[str, list[str], str]] = {
    "mean": (
        "laptop.yaml",
        [
            "pooling_mode=mean",
            "description_prior=False",
            "lexical=False",
            "lr0=0.03",
        ],  # the best of 0.003, 0.01, 0.03, 0.1
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
    "laptop": ("laptop.yaml", [], "laptop.yaml: … and words alone"),
    "laptop_quality": ("laptop_quality.yaml", [], "laptop_quality.yaml: … and one epoch of all"),
    "described": (
        "laptop.yaml",
        ["label_space=described"],
        "laptop.yaml, every code with a title a candidate",
    ),
    "codiesp_es": ("codiesp_es.yaml", [], "codiesp_es.yaml (Spanish, evidence lexicon)"),
}
METRICS = ("map", "f1_micro")


def icdcode(*arguments: str) -> dict[str, Any]:
    """Run a command of ours, and give what it says on standard output."""
    found = subprocess.run(
        [sys.executable, "-m", "icdcli", *arguments, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def measure(name: str, data: Path, out: Path, split: str) -> dict[str, Any]:
    """Train a row's run, where it isn't there yet, and evaluate it."""
    config, changes, what = ROWS[name]
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
    told = icdcode("evaluate", about["run"], "--split", split)
    return {
        "what": what,
        **about,
        "metrics": told["metrics"],
        "intervals": told.get("intervals", {}),
    }


def main() -> None:
    """Measure the rows and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of CodiEsp")
    parser.add_argument("out", type=Path, help="where the runs are kept")
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
