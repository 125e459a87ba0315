"""Measure whether evidence is plausible (the words that annotators marked) and faithful.

It uses the dev split of CodiEsp in Spanish. The model is that of ``configs/codiesp_es.yaml``, or
one with other lexical parts (``--lexical``). All methods rank the same words. For each code, a
method selects as many words as icdcode marks, those that it ranks highest:

    random              any words
    attention           attention weights of the code
    input x gradient    norm of the gradient of the logit by each token, times the token
    AttInGrad           both multiplied (Edin et al. 2024)
    icdcode             AttInGrad, the window most similar to the code's description, and the
                        lexical model, each weighted by its contribution to the logit

Plausibility: precision, recall and F1 over words, for all pairs of a document and a gold code
pooled, against the words that annotators marked for the code (all places). AP is the mean over
pairs of the average precision of the complete ranking. Faithfulness: comprehensiveness (higher is
better) and sufficiency (lower is better) at 10 % of the words, as `icdcli.explain.faithfulness`
defines them.

    python benchmarks/evidence.py DATA                    train a model (minutes), then 40 documents
    python benchmarks/evidence.py DATA --lexical '[]'     a network without lexical model
    python benchmarks/evidence.py DATA --run outputs/benchmark/evidence --documents 250 \
        --json evidence.json
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import Corpus, open_corpus
from icdcli.explain.evidence import select_words
from icdcli.explain.faithfulness import SHARE, faithfulness
from icdcli.explain.note_reader import Window, note_reader
from icdcli.model.checkpoint import load_model
from icdcli.model.neural_model import NeuralModel

Weights = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

METHODS = ("random", "attention", "input x gradient", "AttInGrad", "icdcode")
CONFIG = Path(__file__).parents[1] / "configs" / "codiesp_es.yaml"


def train(run: Path, data: Path, lexical: str) -> None:
    """Train a model as a user would."""
    changes = {
        **{"data_path": data, "project": run.parent, "name": run.name, "lexical": lexical},
        "lexicon": False,  # docs/benchmarks.md compares models without the clinical lexicon
    }
    command = [
        sys.executable,
        "-m",
        "icdcli",
        "train",
        CONFIG,
        *(f"{key}={value}" for key, value in changes.items()),
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)


def rankings(window: Window, draw: np.random.Generator) -> dict[str, Weights]:
    """Return for each method the weight of each word for each code, weights_KW."""
    head = window.head
    tokens = {
        "attention": head.attention_KT,
        "input x gradient": head.norms_KT,
        "AttInGrad": head.weights_KT,
    }
    by_word = {
        name: window.by_word(weights_KT)
        for name, weights_KT in tokens.items()
        if weights_KT is not None
    }
    weights_KW = window.weights_KW
    return {"random": draw.random(weights_KW.shape), **by_word, "icdcode": weights_KW}


def marked(window: Window, fragments: list[tuple[int, int]]) -> Booleans:
    """Return a mask of the words of a window that annotators marked."""
    begins, ends = window.words.in_note.T
    words_W = np.zeros(len(begins), bool)
    for begin, end in fragments:
        words_W |= (ends > begin) & (begins < end)
    return words_W


def best(weights_W: Weights, number: int) -> Booleans:
    """Return a mask of the words with the highest weights, `number` of them."""
    chosen_W = np.zeros(len(weights_W), bool)
    chosen_W[np.argsort(-weights_W, kind="stable")[:number]] = True
    return chosen_W


def average_precision(weights_W: Weights, gold_W: Booleans) -> float:
    """Return the mean precision of the ranking at each marked word."""
    hits = gold_W[np.argsort(-weights_W, kind="stable")]
    return float((np.cumsum(hits)[hits] / (np.flatnonzero(hits) + 1)).mean())


class Plausible:
    """Plausibility over pooled pairs of a document and a gold code."""

    def __init__(self) -> None:
        self.counts, self.precisions = np.zeros(3), []

    def add(self, weights_W: Weights, gold_W: Booleans, number: int) -> None:
        """Add a pair, with the number of words that each method selects."""
        mine_W = best(weights_W, number)
        self.counts += [(mine_W & gold_W).sum(), mine_W.sum(), gold_W.sum()]
        self.precisions.append(average_precision(weights_W, gold_W))

    def row(self) -> dict[str, float]:
        """Return the measures."""
        right, mine, gold = self.counts
        measures = {
            "precision": right / mine,
            "recall": right / gold,
            "f1": 2 * right / (mine + gold),
        }
        return {**measures, "ap": float(np.mean(self.precisions))}


def main() -> int:
    """Measure, print tables, and write JSON if requested."""
    parser = argparse.ArgumentParser(
        description="Plausibility and faithfulness of evidence on CodiEsp."
    )
    parser.add_argument("data", type=Path, metavar="DATA", help="the folder of CodiEsp")
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("outputs/benchmark/evidence"),
        help="a run; trained if it doesn't exist",
    )
    parser.add_argument(
        "--lexical",
        default="True",
        metavar="PARTS",
        help="the lexical parts of a model that is trained",
    )
    parser.add_argument("--documents", type=int, default=40, metavar="N")
    parser.add_argument(
        "--faithful",
        type=int,
        default=10,
        metavar="N",
        help="documents on which to measure faithfulness, which is slow",
    )
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="also write the results to this file"
    )
    options = parser.parse_args()
    if not options.run.is_dir():
        train(options.run, options.data, options.lexical)
    model = load_model(options.run)
    config = load_config(options.run / "args.yaml")
    corpus = open_corpus(prepare(config.data).folder)
    result = measure(
        model, corpus, options.split, options.documents, options.faithful, options.seed
    )
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(
    model: NeuralModel, corpus: Corpus, split: str, number: int, scored_again: int, seed: int
) -> dict[str, Any]:
    """Measure plausibility on some documents of a split, and faithfulness on the first of them."""
    draw = np.random.default_rng(seed)
    documents, evidence, threshold_L = (
        corpus.documents(split),
        corpus.evidence(split),
        model.threshold.values_L(len(model.labels)),
    )
    order = draw.permutation(len(documents))[:number].tolist()
    rows, again = set(order), set(order[:scored_again])
    reader, start = note_reader(model), time.perf_counter()
    plausible = {which: defaultdict(Plausible) for which in ("gold", "gold, predicted")}
    faithful = {which: defaultdict(list) for which in ("gold", "predicted")}
    words = []
    for row, text in enumerate(corpus.texts(split)):
        if row not in rows:
            continue
        scores_L = model.scores([text])[0]
        gold, predicted = (
            set(documents.targets[row].tolist()),
            set(np.flatnonzero(scores_L >= threshold_L).tolist()),
        )
        fragments = defaultdict(list)
        for fragment in evidence.of(row):
            fragments[fragment.label].append((fragment.begin, fragment.end))
        labels = sorted(gold | predicted)
        for window in reader.read(text, labels):
            mine = [labels[place] for place in window.requested]
            ranked = rankings(window, draw)
            numbers = [int(select_words(weights_W).sum()) for weights_W in ranked["icdcode"]]
            words += numbers
            for name, weights_KW in ranked.items():
                for label, weights_W, taken in zip(mine, weights_KW, numbers, strict=True):
                    gold_W = marked(window, fragments[label])
                    if gold_W.any():
                        plausible["gold"][name].add(weights_W, gold_W, taken)
                        if label in predicted:
                            plausible["gold, predicted"][name].add(weights_W, gold_W, taken)
                if row not in again:
                    continue
                places = [(begin, end) for begin, end in window.words.in_note.tolist()]
                found = faithfulness(model.scores, text, places, weights_KW, mine)
                for which, codes in (("gold", gold), ("predicted", predicted)):
                    kept = [place for place, label in enumerate(mine) if label in codes]
                    faithful[which][name] += list(zip(*(part[kept] for part in found), strict=True))
        rows.discard(row)
        print(
            f"{len(rows)} documents left, {time.perf_counter() - start:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return {
        "split": split,
        "documents": number,
        "scored_again": len(again),
        "words_a_code": float(np.mean(words)),
        "share": SHARE,
        "plausible": {
            w: {m: parts[m].row() for m in METHODS if m in parts} for w, parts in plausible.items()
        },
        "pairs": {w: len(parts["icdcode"].precisions) for w, parts in plausible.items()},
        "faithful": {
            w: {
                m: dict(
                    zip(
                        ("comprehensiveness", "sufficiency"),
                        np.mean(parts[m], axis=0).tolist(),
                        strict=True,
                    )
                )
                for m in parts
            }
            for w, parts in faithful.items()
        },
        "faithful_pairs": {w: len(parts["icdcode"]) for w, parts in faithful.items()},
        "seconds": time.perf_counter() - start,
    }


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(
        f"CodiEsp, Spanish, {result['split']}: {result['documents']} documents, "
        f"{result['words_a_code']:.2f} words per code"
    )
    for which, methods in result["plausible"].items():
        print(f"\n{result['pairs'][which]} codes ({which}) with annotators' spans")
        print(f"{'':<18}{'precision':>11}{'recall':>9}{'F1':>8}{'AP':>8}")
        for name, row in methods.items():
            cells = f"{row['precision']:>11.3f}{row['recall']:>9.3f}{row['f1']:>8.3f}"
            print(f"{name:<18}{cells}{row['ap']:>8.3f}")
    print(
        f"\nfaithfulness at {result['share']:.0%} of the words, {result['scored_again']} documents"
    )
    counts = result["faithful_pairs"]
    print(f"{'':<18}{'predicted codes':>26}{'gold codes':>26}")
    print(f"{'':<18}{'comprehensive':>15}{'sufficient':>11}{'comprehensive':>15}{'sufficient':>11}")
    for name in METHODS:
        cells = [result["faithful"][which][name] for which in ("predicted", "gold")]
        print(
            f"{name:<18}"
            + "".join(
                f"{cell['comprehensiveness']:>15.3f}{cell['sufficiency']:>11.3f}" for cell in cells
            )
        )
    print(f"{'codes':<18}{counts['predicted']:>26}{counts['gold']:>26}")


if __name__ == "__main__":
    sys.exit(main())
