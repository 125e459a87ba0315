"""Measure what becomes of a model when a new edition divides its codes.

The change is simulated: an edition of ICD-10-CM in which at most 100 codes, each with at least two
codes below it in CodiEsp's training cases, aren't divided yet. A run of ``laptop.yaml`` is trained
with it and migrated to the real edition with ``icdcode migrate``. Both label spaces are compared
with the same dev cases, by mean average precision and micro-F1 over all codes and over the divided
ones alone (in the cases that have one). A migrated model also knows codes that no case has. Only
the labels of the run trained anew count here, for all rows. Runs that exist already are not trained
again.

    python benchmarks/migration.py DATA OUT                  about 20 minutes on two cores
    python benchmarks/migration.py DATA OUT --json migration.json
"""

import argparse
import json
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from runs import CONFIGS, icdcode, trained_run

import icdcli
from icdcli.data.corpus.migrated import corpus_for_run
from icdcli.data.corpus.reader import Corpus
from icdcli.evaluation.score_split import score_split
from icdcli.icd.code_system import open_code_system
from icdcli.icd.editions.catalog import VARIABLE, find_edition, store_edition
from icdcli.icd.editions.edition import Edition, Entry
from icdcli.migration.label_plan import plan_labels
from icdcli.migration.models import Change, relabel_model
from icdcli.model.neural_model import NeuralModel
from icdcli.run_dir import RunDir, find_checkpoint

NEW, OLD = "icd10cm-2026-04", "icd10cm-merged"
DIVIDED, MOST_BELOW = 100, 30
"""The codes that are divided, and the most codes that one is divided into. From 2024 to April 2026,
one was divided into 24 at most."""

STEPS = 64
"""The steps for which the migrated run is resumed: two epochs."""

METRICS = ("map", "f1_micro")


@dataclass(frozen=True)
class Case:
    """A case of CodiEsp.

    Attributes:
        id: Its id.
        split: ``train`` or ``validation``.
        text: Its text.
        codes: Its codes.
    """

    id: str
    split: str
    text: str
    codes: list[str]


def read_cases(data: Path, out: Path) -> list[Case]:
    """Return the train and dev cases."""
    places = [f"data_path={data}", f"cache_dir={out / 'cache'}"]
    prepared = icdcli.prepare(icdcli.load_config(CONFIGS / "laptop.yaml", places).data)
    table = pq.read_table(
        prepared.folder / "documents.parquet", columns=["id", "split", "text", "codes"]
    )
    return [Case(**row) for row in table.to_pylist() if row["split"] in ("train", "validation")]


def rows_below(edition: Edition, code: str) -> range:
    """Return the rows below a code."""
    row = edition.row(code)
    assert row is not None
    return range(row + 1, int(edition.ends_R[row]))


def _number_below(edition: Edition, code: str) -> int:
    row = edition.row(code)
    assert row is not None
    return len(edition.assignable_below(row))


def _is_code(edition: Edition, code: str) -> bool:
    return edition.level(rows_below(edition, code).start - 1) in ("category", "code")


def codes_to_divide(cases: list[Case], edition: Edition) -> set[str]:
    """Return codes that have at least two codes directly below them in the training cases."""
    below: dict[str, set[str]] = {}
    for code in {code for case in cases if case.split == "train" for code in case.codes}:
        row = edition.row(code)
        if row is not None and edition.assignable_R[row]:
            below.setdefault(edition.codes[edition.parents_R[row]], set()).add(code)
    may = [
        code
        for code, known in sorted(below.items())
        if len(known) > 1 and _is_code(edition, code) and _number_below(edition, code) <= MOST_BELOW
    ]
    chosen = random.Random(0).sample(may, min(DIVIDED, len(may)))
    # None is below another one.
    return {code for code in chosen if not any(code != one and code.startswith(one) for one in may)}


def merged_edition(edition: Edition, divided: set[str], merged: dict[str, str]) -> Edition:
    """Return the edition as if some codes weren't divided yet."""

    def entries() -> Iterator[Entry]:
        for entry in edition.entries():
            if entry.code not in merged:
                may = entry.assignable or entry.code in divided
                yield entry._replace(assignable=may)

    about = replace(edition.about, name=OLD, title="Merged", valid_from=date(2025, 10, 1))
    return Edition.of(about, entries())


def write_tables(cases: list[Case], merged: dict[str, str], out: Path) -> None:
    """Write the cases with the merged codes, and with the divided ones."""
    for name in ("merged", "divided"):
        with (out / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for case in cases:
                codes = case.codes
                if name == "merged":
                    codes = [merged.get(code, code) for code in codes]
                row = {"id": case.id, "split": case.split, "text": case.text}
                file.write(json.dumps({**row, "codes": sorted(set(codes))}) + "\n")


def own_start(run: str, at_random: bool) -> NeuralModel:
    """Return the model of a run for the new edition, whose new codes take over nothing.

    Args:
        run: The run with the merged codes.
        at_random: Whether their weights in the network are random; otherwise, their descriptions
            predict them.
    """
    folder = RunDir.open(Path(run))
    checkpoint = find_checkpoint(folder, "metric")
    model = NeuralModel.load(checkpoint, torch.device("cpu"))
    older, newer = open_code_system(OLD), open_code_system(NEW)
    plan = plan_labels(model.labels, dict(older.editions.items()), newer, described=False)
    config = icdcli.load_config(folder.args)
    change = Change(checkpoint, config, model.labels, plan, older, newer)
    relabeling = change.relabeling()
    alone = replace(
        relabeling,
        sources_L=np.where(relabeling.kept_L, relabeling.sources_L, -1),
        shares_L=np.ones(len(relabeling), np.int64),
    )
    relabel_model(model, change, alone)
    if at_random:
        torch.manual_seed(0)
        head: Any = model.network.head
        for weights_LW in (head.queries_LW, head.outputs_LW):
            length = weights_LW[alone.kept_L].norm(dim=1).mean()
            random_LW = torch.nn.functional.normalize(torch.randn_like(weights_LW), dim=1) * length
            weights_LW.data[alone.changed] = random_LW[alone.changed]
    return model


def measure(model: Any, run: Path, corpus: Corpus, parts: dict[str, set[str]]) -> dict[str, float]:
    """Return the metrics of a model on the dev cases, over some labels.

    Args:
        model: The model.
        run: A migrated run.
        corpus: The cases with the divided codes.
        parts: Names of metrics to the codes that they are over.
    """
    scored = score_split(model, corpus_for_run(corpus, run, model.labels), "validation")
    targets_NL = scored.documents.targets_NL(len(model.labels))
    threshold_L = model.threshold.values_L(len(model.labels))
    found: dict[str, float] = {}
    for name, codes in parts.items():
        labels = [label for label, code in enumerate(model.labels.codes) if code in codes]
        has = np.flatnonzero(targets_NL[:, labels].any(axis=1))
        part = np.ix_(has, labels)
        values = icdcli.evaluate(
            scored.scores_NL[part], targets_NL[part], threshold_L[labels], names=METRICS
        )
        found |= {f"{name} {metric}": values[metric] for metric in METRICS}
        found |= {f"{name} labels": len(labels), f"{name} cases": len(has)}
    return found


def main() -> None:
    """Measure the rows and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="the folder of CodiEsp")
    parser.add_argument("out", type=Path, help="the folder of the runs")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    out: Path = given.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(out / "codes")
    cases, edition = read_cases(given.data.resolve(), out), find_edition(NEW)
    divided = codes_to_divide(cases, edition)
    merged = {edition.codes[row]: code for code in divided for row in rows_below(edition, code)}
    store_edition(merged_edition(edition, divided, merged))
    write_tables(cases, merged, out)
    mentions = Counter(code for case in cases for code in case.codes if code in merged)
    into = sum(code in merged for code, _ in edition.assignable())
    print(
        f"{len(divided)} codes divided into {into:,}, of which the cases have {len(mentions):,} "
        f"in {sum(mentions.values()):,} mentions"
    )
    accept = "accept_unknown_codes=True"
    runs = {
        name: Path(
            trained_run(
                name,
                "laptop.yaml",
                [f"code_system={system}", accept],
                out / f"{name}.jsonl",
                out,
            ).run
        )
        for name, system in (("merged", OLD), ("divided", NEW))
    }
    for name in ("migrated", "resumed"):
        runs[name] = out / name
        if not runs[name].is_dir():
            icdcode("migrate", str(runs["merged"]), "--code-system", NEW, "--name", name)
            if name == "resumed":
                steps = icdcli.load_config(runs[name] / "args.yaml").train.steps + STEPS
                places = [f"data_path={out / 'divided.jsonl'}", f"steps={steps}"]
                icdcode("resume", str(runs[name]), *places)
    config = icdcli.load_config(runs["divided"] / "args.yaml")
    corpus = icdcli.open_corpus(icdcli.prepare(config.data.accepting()).folder)
    rows = {
        "migrated": icdcli.load_model(runs["migrated"]),
        "… and resumed for 2 epochs": icdcli.load_model(runs["resumed"]),
        "start from descriptions alone": own_start(str(runs["merged"]), at_random=False),
        "random start": own_start(str(runs["merged"]), at_random=True),
        "trained anew": icdcli.load_model(runs["divided"]),
    }
    print("| start of the divided codes | MAP | micro-F1 | MAP, divided | micro-F1, divided |")
    print("|---|---:|---:|---:|---:|")
    known = set(corpus.labels.codes) & set(rows["migrated"].labels.codes)
    parts = {"all": known, "divided": known & set(merged)}
    found = {}
    for name, model in rows.items():
        found[name] = measure(model, runs["migrated"], corpus, parts)
        values = [
            found[name][f"{part} {metric}"] for part in ("all", "divided") for metric in METRICS
        ]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |", flush=True)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
