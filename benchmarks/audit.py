"""Errors planted in CodiEsp's labels, and how many of them an audit finds first.

One in twenty gold codes of train and dev is changed before anything is fitted: half of them are
removed, half are swapped for another code of their category that the case doesn't have, or for a
code drawn by frequency if there is none. Annotated words of a removed code lose their annotation;
those of a swapped code get the wrong one. `icdcode audit` scores the cases with lexical models.

A finding counts as right if it names a planted error; CodiEsp's own errors count as wrong. Compared
with the scores alone (gold codes with a low score, other codes with a high one), and with cleanlab,
given the same scores.

    es                  Spanish, with annotated words (codiesp_es.yaml)
    en                  English (laptop.yaml)
    en_projected        English, with annotated words projected from the Spanish cases

    python benchmarks/audit.py DATA OUT                      all rows
    python benchmarks/audit.py DATA OUT --rows es --seeds 0 1 2
"""

import argparse
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from icdcli.audit.clues import chance
from icdcli.audit.documents import audit_documents
from icdcli.audit.findings import AuditFinding
from icdcli.audit.run import AuditSettings, audit_scores, word_logits
from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.metrics.proportions import clopper_pearson

ROWS = {
    "es": ("codiesp_es.yaml", ()),
    "en": ("laptop.yaml", ()),
    "en_projected": ("laptop.yaml", ("projected_evidence=True",)),
}
SHARE = 0.05
FIRST = 100
_FOLDERS = ("train", "dev")

Pair = tuple[str, str]
"""A case and a code, as the tables write them."""


class Planted(NamedTuple):
    """The planted errors, by case and code.

    Attributes:
        removed: The codes that were removed.
        swapped: Each wrong code, and the right one.
        siblings: How many of the wrong codes are of the category of the right one.
    """

    removed: frozenset[Pair]
    swapped: dict[Pair, str]
    siblings: int

    def is_right(self, finding: AuditFinding) -> bool:
        """Return whether a finding names a planted error."""
        pair = (finding.id, _plain(finding.code))
        return pair in (self.missing if finding.kind == "missing" else self.swapped)

    @property
    def missing(self) -> frozenset[Pair]:
        """Return the codes that are missing."""
        return self.removed | {(case, right) for (case, _), right in self.swapped.items()}

    def found_by(self, findings: Iterable[AuditFinding]) -> int:
        """Return how many errors some findings name, by the wrong code or the right one."""
        named = {
            (one.id, _plain(code)) for one in findings for code in (one.code, one.instead) if code
        }
        swaps = sum(
            pair in named or (pair[0], right) in named for pair, right in self.swapped.items()
        )
        return len(self.removed & named) + swaps


def _plain(code: str) -> str:
    return code.replace(".", "").lower()


def plant(data: Path, out: Path, seed: int) -> Planted:
    """Write CodiEsp with planted errors: links to the texts, and changed tables.

    Args:
        data: The folder of CodiEsp.
        out: The folder to write.
        seed: The seed of the random numbers.
    """
    random = np.random.default_rng([seed, 20])
    gold = {folder: _rows(data / folder / f"{folder}D.tsv") for folder in _FOLDERS}
    pairs = [(row[0], row[1]) for rows in gold.values() for row in rows]
    counts = Counter(code for _, code in pairs)
    codes = sorted(counts)
    weights = np.array([counts[code] for code in codes], float)
    of_case: dict[str, set[str]] = {}
    for case, code in pairs:
        of_case.setdefault(case, set()).add(code)
    changes: dict[Pair, str | None] = {}
    siblings = 0
    distinct = sorted(set(pairs))
    for place, chosen in enumerate(random.permutation(len(distinct))[: round(SHARE * len(pairs))]):
        case, code = distinct[chosen]
        if place % 2 == 0:
            changes[case, code] = None
            continue
        near = [one for one in codes if one[:3] == code[:3] and one not in of_case[case]]
        siblings += bool(near)
        free = np.array([one not in of_case[case] for one in codes])
        wrong = str(
            random.choice(near)
            if near
            else random.choice(codes, p=weights * free / (weights * free).sum())
        )
        of_case[case].add(wrong)
        changes[case, code] = wrong
    for folder, rows in gold.items():
        _write(data, out, folder, rows, changes)
    removed = frozenset(
        (case, _plain(code)) for (case, code), new in changes.items() if new is None
    )
    swapped = {(case, _plain(new)): _plain(code) for (case, code), new in changes.items() if new}
    return Planted(removed, swapped, siblings)


def _rows(path: Path) -> list[list[str]]:
    lines = path.read_bytes().decode("utf-8").replace("\r\n", "\n").split("\n")
    return [line.split("\t") for line in lines if line.strip()]


def _write(
    data: Path,
    out: Path,
    folder: str,
    rows: Sequence[Sequence[str]],
    changes: dict[Pair, str | None],
) -> None:
    target = out / folder
    target.mkdir(parents=True, exist_ok=True)
    for texts in ("text_files", "text_files_en"):
        if not (target / texts).exists():
            (target / texts).symlink_to((data / folder / texts).resolve())
    (target / f"{folder}P.tsv").write_bytes((data / folder / f"{folder}P.tsv").read_bytes())
    changed = {
        "D": [[case, changes.get((case, code), code)] for case, code in rows],
        "X": [
            [case, kind, changes.get((case, code), code), *others]
            for case, kind, code, *others in _rows(data / folder / f"{folder}X.tsv")
        ],
    }
    for letter, lines in changed.items():
        kept = ["\t".join(line) for line in lines if None not in line]  # type: ignore[arg-type]
        (target / f"{folder}{letter}.tsv").write_bytes(
            "".join(f"{line}\n" for line in kept).encode()
        )


def measure(row: str, data: Path, out: Path, seed: int) -> dict[str, Any]:
    """Plant errors, audit, and return what each ranking finds."""
    began = time.process_time()
    folder = out / f"{row}-{seed}"
    planted = plant(data, folder / "codiesp", seed)
    name, overrides = ROWS[row]
    where = (f"data_path={folder / 'codiesp'}", f"cache_dir={folder / 'cache'}")
    config = load_config(name, [*overrides, *where])
    corpus = open_corpus(prepare(config.data).folder)
    documents = audit_documents(corpus)
    logits_NL = word_logits(documents, corpus, config, folder / "scores")
    audit = audit_scores(documents, logits_NL, corpus, config, AuditSettings(top=5000))
    ids, codes = [one.id for one in documents], [_plain(code) for code in corpus.labels.codes]
    gold_NL = np.zeros(logits_NL.shape, bool)
    for gold_L, document in zip(gold_NL, documents, strict=True):
        gold_L[sorted(document.labels)] = True
    scores_NL = chance(logits_NL)
    own_NL = np.where(gold_NL, scores_NL, 1 - scores_NL)
    wrong = {*planted.swapped, *planted.missing}

    def hits(order: Iterable[int]) -> list[bool]:
        places = (divmod(int(place), len(codes)) for place in order)
        return [(ids[n], codes[label]) in wrong for n, label in places]

    found = {
        "audit": [planted.is_right(one) for one in audit.findings[:FIRST]],
        "score alone": hits(np.argsort(own_NL, axis=None, kind="stable")[:FIRST]),
        "cleanlab": hits(_cleanlab(scores_NL, gold_NL)[:FIRST]),
    }
    number = len(planted.removed) + len(planted.swapped)
    (folder / "findings.json").write_text(json.dumps(audit.to_json()), encoding="utf-8")
    return {
        "row": row,
        "seed": seed,
        "planted": number,
        "removed": len(planted.removed),
        "siblings": planted.siblings,
        "hits": {ranking: sum(right) for ranking, right in found.items()},
        "recall": {
            str(most): planted.found_by(audit.findings[:most]) / number
            for most in (FIRST, number, 1000)
        },
        "kinds": dict(Counter(one.kind for one in audit.findings[:FIRST])),
        "cpu_seconds": round(time.process_time() - began),
    }


def _cleanlab(scores_NL: Any, gold_NL: Any) -> Any:
    """Return the pairs that cleanlab takes for errors, the likeliest first."""
    # By name, because only the extra `benchmark` installs it.
    module = "cleanlab.multilabel_classification"
    issues = import_module(f"{module}.filter").find_multilabel_issues_per_class
    quality = import_module(f"{module}.rank").get_label_quality_scores_per_class
    labels = [np.flatnonzero(gold).tolist() for gold in gold_NL]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about codes with few cases
        issues_NL = issues(labels, scores_NL, n_jobs=1)
    quality_NL = quality(labels, scores_NL)
    return np.argsort(np.where(issues_NL, quality_NL, 2), axis=None, kind="stable")


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as Markdown: precision at 100 with 95 % intervals, and recall."""
    lines = ["| row | ranking | precision at 100 | seeds | recall at 100 | at as many | at 1,000 |"]
    lines.append("|---|---|---|---|---:|---:|---:|")
    for row in dict.fromkeys(one["row"] for one in results):
        mine = [one for one in results if one["row"] == row]
        for ranking in mine[0]["hits"]:
            hits = [one["hits"][ranking] for one in mine]
            low, high = clopper_pearson(sum(hits), FIRST * len(hits))
            share = f"{sum(hits) / FIRST / len(hits):.2f} ({low:.2f}–{high:.2f})"
            seeds = ", ".join(f"{hit / FIRST:.2f}" for hit in hits)
            recall = ["", "", ""]
            if ranking == "audit":
                means = np.mean([[*one["recall"].values()] for one in mine], axis=0)
                recall = [f"{mean:.2f}" for mean in means]
            lines.append(f"| {row} | {ranking} | {share} | {seeds} | {' | '.join(recall)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure all rows and seeds, print the table, and write the results."""
    parser = argparse.ArgumentParser(description="Errors planted in CodiEsp's labels.")
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder of CodiEsp")
    parser.add_argument("out", type=Path, metavar="OUT", help="a folder for corpora and results")
    parser.add_argument("--rows", nargs="+", choices=[*ROWS], default=[*ROWS], metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    options = parser.parse_args()
    results = []
    for row in options.rows:
        for seed in options.seeds:
            path = options.out / f"{row}-{seed}.json"
            if not path.is_file():
                one = measure(row, options.data, options.out, seed)
                path.write_text(json.dumps(one, indent=2) + "\n", encoding="utf-8")
            results.append(json.loads(path.read_text(encoding="utf-8")))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    print(table(results))
    bars = [one["hits"]["audit"] >= 0.6 * FIRST for one in results]
    return 0 if all(bars) else 1


if __name__ == "__main__":
    sys.exit(main())
