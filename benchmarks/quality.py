"""Measure the quality of the shipped configurations and of the baselines.

On CodiEsp, each row is a run of ``icdcode train`` and ``icdcode evaluate`` on the published cases:
trained on train; the best epoch, the threshold and the weights of the fusion chosen on dev; and
measured on the requested split. By default this is dev itself, so the results are optimistic. The
rows of the demo's synthetic tables (``icdcode demo-data``; their labels follow facts, and a fifth
of the mentions of a condition don't count) are measured on their test split of patients. Intervals
are 95 % intervals over documents, as in ``icdcode evaluate``. Runs that exist already are not
trained again.

The rows of refits (``icdcode refit``) are measured by 5-fold cross-fitting on train and dev: each
case is scored by a model that hasn't seen it, with the weights of the fusion, the second stage and
the threshold that the other folds choose. Gold codes that the models of the fold don't know count
as missed. The rows of words are the lexical model alone, measured in the same way
(`quality_words.py`); ``words_es_gain`` has what it gains on dev if it is also fitted to nine tenths
of dev, instead of metrics. The rows of ensembles (``icdcode ensemble``) are measured on the
requested split.

    python benchmarks/quality.py DATA OUT                   all rows
    python benchmarks/quality.py DATA OUT --rows laptop codiesp_es --json quality.json
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quality_words import cross_fit_words, gain_of_words
from runs import TrainedRun, icdcode, trained_run


@dataclass(frozen=True)
class Row:
    """A design that is measured.

    Attributes:
        config: The shipped configuration.
        changes: Its overrides.
        description: The design in words.
        demo: Whether its data are the demo's tables, and not CodiEsp.
        refit: Whether the run is refitted, and measured by cross-fitting.
        members: The rows whose runs are its members, if it is an ensemble.
        words: Whether its lexical model alone is measured, by cross-fitting.
        gain: Whether what it gains from most of dev is measured instead of its metrics.
    """

    config: str
    changes: list[str]
    description: str
    demo: bool = False
    refit: bool = False
    members: tuple[str, ...] = ()
    words: bool = False
    gain: bool = False


UNTRANSLATED = "lexical=ngrams,descriptions,evidence,terms"
DEMO = ["protocol=patient", "label_pruning=True", "label_space=seen"]
ROWS = {
    "mean": Row(
        "laptop.yaml",
        [
            "pooling_mode=mean",
            "description_prior=False",
            "lexical=False",
            "lr0=0.03",  # the best of 0.003, 0.01, 0.03, 0.1
            "label_space=seen",
        ],
        "mean pooling, linear layer (the original's design)",
    ),
    "tfidf": Row("tfidf.yaml", [], "TF-IDF, linear model"),
    "random": Row(
        "laptop.yaml",
        ["label_init=random", "description_prior=False", "lexical=False", "label_space=seen"],
        "label attention, random start",
    ),
    "descriptions": Row(
        "laptop.yaml",
        ["description_prior=False", "lexical=False", "label_space=seen"],
        "… started from descriptions",
    ),
    "prior": Row(
        "laptop.yaml", ["lexical=False", "label_space=seen"], "… and the description prior"
    ),
    "laptop": Row("laptop.yaml", [], "laptop.yaml: … and the lexical model"),
    "laptop_mentions": Row(
        "laptop.yaml",
        ["assertion=mentions", "label_space=seen"],
        "laptop.yaml, assertion: mentions",
    ),
    "laptop_facts": Row(
        "laptop.yaml", ["assertion=facts", "label_space=seen"], "laptop.yaml, assertion: facts"
    ),
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
        "codiesp_es.yaml",
        ["assertion=facts", "lexicon=True", "label_space=seen"],
        "codiesp_es.yaml, assertion: facts",
    ),
    "laptop_seen": Row("laptop.yaml", ["label_space=seen"], "laptop.yaml, label_space: seen"),
    "codiesp_es_seen": Row(
        "codiesp_es.yaml", ["label_space=seen"], "codiesp_es.yaml, label_space: seen"
    ),
    "laptop_train": Row("laptop.yaml", ["label_space=train"], "laptop.yaml, label_space: train"),
    "codiesp_es_train": Row(
        "codiesp_es.yaml", ["label_space=train"], "codiesp_es.yaml, label_space: train"
    ),
    "laptop_refit": Row("laptop.yaml", ["label_space=seen"], "laptop.yaml, refitted", refit=True),
    "codiesp_es_refit": Row(
        "codiesp_es.yaml", ["label_space=seen"], "codiesp_es.yaml, refitted", refit=True
    ),
    "laptop_best": Row("laptop_best.yaml", [], "laptop_best.yaml, refitted", refit=True),
    "codiesp_es_best": Row(
        "codiesp_es_best.yaml", [], "codiesp_es_best.yaml, refitted", refit=True
    ),
    "words_es": Row(
        "codiesp_es.yaml",
        ["label_space=train", UNTRANSLATED],
        "lexical model, Spanish",
        words=True,
    ),
    "words_es_second": Row(
        "codiesp_es.yaml",
        ["label_space=train", UNTRANSLATED, "second_stage=True"],
        "… and a second stage",
        words=True,
    ),
    "words_es_categories": Row(
        "codiesp_es.yaml",
        ["label_space=categories", "second_stage=True"],
        "… with label_space: categories, translated titles and mentions",
        words=True,
    ),
    "words_es_best": Row(
        "codiesp_es.yaml",
        ["label_space=assignable", "second_stage=True"],
        "… with label_space: assignable",
        words=True,
    ),
    "words_es_gain": Row(
        "codiesp_es.yaml",
        [],
        "lexical model, Spanish: gain of nine tenths of dev",
        words=True,
        gain=True,
    ),
    "words_en": Row("laptop.yaml", ["label_space=train"], "lexical model, English", words=True),
    "words_en_projected": Row(
        "laptop.yaml",
        ["label_space=train", "projected_evidence=True"],
        "… with projected evidence",
        words=True,
    ),
    "words_en_second": Row(
        "laptop.yaml",
        ["label_space=train", "projected_evidence=True", "second_stage=True"],
        "… and a second stage",
        words=True,
    ),
    "words_en_categories": Row(
        "laptop.yaml",
        ["label_space=categories", "projected_evidence=True", "second_stage=True"],
        "… with label_space: categories",
        words=True,
    ),
    "words_en_best": Row(
        "laptop.yaml",
        ["label_space=assignable", "projected_evidence=True", "second_stage=True"],
        "… with label_space: assignable",
        words=True,
    ),
    "tfidf_es": Row("tfidf.yaml", ["language=es"], "TF-IDF, linear model, Spanish"),
    "codiesp_es_ensemble": Row(
        "", [], "codiesp_es.yaml and TF-IDF", members=("codiesp_es_seen", "tfidf_es")
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
    if row.words:
        measured = gain_of_words if row.gain else cross_fit_words
        found = measured(row.config, row.changes, data, out)
        return {"what": row.description, "split": "cross-fitting", **found}
    began = time.perf_counter()
    if row.members:
        trained = _ensemble(name, row.members, data, out)
    else:
        own = name.removesuffix("_refit")  # a row that is refitted may have its own run already
        trained = trained_run(own, row.config, row.changes, data, out)
    if row.refit:
        evaluation = _refitted(name, trained.run, out)
        split = "cross-fitting"
    else:
        evaluation = icdcode("evaluate", trained.run, "--split", split)
    seconds = time.perf_counter() - began if row.refit else trained.seconds
    return {
        "what": row.description,
        "run": trained.run,
        "seconds": seconds,
        "split": split,
        "metrics": evaluation["metrics"],
        "intervals": evaluation.get("intervals", {}),
    }


def _refitted(name: str, run: str, out: Path) -> dict[str, Any]:
    """Refit a run unless it is refitted, and return what cross-fitting measured."""
    done = out / f"{name}-refitted.json"
    if not done.is_file():
        done.write_text(json.dumps(icdcode("refit", run)), encoding="utf-8")
    found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
    return found


def _ensemble(name: str, members: tuple[str, ...], data: Path, out: Path) -> TrainedRun:
    """Make an ensemble of the runs of other rows unless it exists."""
    done = out / f"{name}.json"
    if not done.is_file():
        runs = [
            trained_run(member, ROWS[member].config, ROWS[member].changes, data, out).run
            for member in members
        ]
        began = time.perf_counter()
        made = icdcode("ensemble", *runs, "--name", name, "--project", str(out))
        about = {"run": made["run"], "seconds": time.perf_counter() - began}
        done.write_text(json.dumps(about), encoding="utf-8")
    return TrainedRun(**json.loads(done.read_text(encoding="utf-8")))


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
