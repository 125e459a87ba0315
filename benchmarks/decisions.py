"""Measure what the scores of a trained run decide: accepted codes and alarms of drift.

The run must have been evaluated on the validation split; the folds of a refit need no evaluation.
Its documents are divided at random, many times: one half chooses the scores from which codes are
accepted, the other shows how many of the accepted codes are gold. For drift, documents are compared
with the scores of another half and with the texts of train, from which they don't differ; and
documents with two or more gold codes that begin with the same letter, like those of another
department, with the scores of all others.

    python benchmarks/decisions.py RUN
    python benchmarks/decisions.py RUN --rounds 100 --json decisions.json
    python benchmarks/decisions.py RUN --folds 5            after icdcode refit RUN
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from icdcli.config.loading import load_config
from icdcli.cross_fitting.out_of_fold import OutOfFold
from icdcli.cross_fitting.run import read_out_of_fold
from icdcli.data.corpus.reader import Corpus
from icdcli.data.corpus.views import corpus_of_run
from icdcli.drift.comparison import MeasuredNotes, compare_notes
from icdcli.drift.run import FEWEST_NOTES
from icdcli.evaluation.reference.scores import (
    HIGHEST,
    SCORE_MEASURES,
    ScoreReference,
    code_group,
    measure_codes,
)
from icdcli.evaluation.reference.summary import ReferenceSummary, summarize_training
from icdcli.evaluation.reference.texts import TEXT_MEASURES, TextReference
from icdcli.metrics.acceptance import AcceptanceTable, PredictedPairs, fit_acceptance
from icdcli.run_dir import RunDir

PRECISIONS = (0.9, 0.95, 0.99)
NOTES = (20, 50, 125)
_SPLIT = "validation"


class Scored(NamedTuple):
    """The predictions of a document: codes with their scores, whether predicted, whether gold."""

    codes: list[str]
    scores: list[float]
    predicted: list[bool]
    gold: list[bool]


def read_predictions(run: RunDir) -> list[Scored]:
    """Return the predictions of the validation split, in the order of its documents."""
    table = pq.read_table(run.evaluation(_SPLIT) / "predictions.parquet").to_pydict()
    found: dict[str, Scored] = {}
    for id, *values in zip(*table.values(), strict=True):
        for column, value in zip(found.setdefault(id, Scored([], [], [], [])), values, strict=True):
            column.append(value)
    return [*found.values()]


def pairs_of(documents: Sequence[Scored]) -> PredictedPairs:
    """Return the predicted codes of documents."""
    rows = [
        (score, gold, row)
        for row, one in enumerate(documents)
        for score, predicted, gold in zip(one.scores, one.predicted, one.gold, strict=True)
        if predicted
    ]
    scores, gold, places = zip(*rows, strict=True) if rows else ((), (), ())
    return PredictedPairs.of(scores, gold, places, len(documents))


def accepted_on_other_halves(documents: Sequence[Scored], rounds: int) -> dict[float, Any]:
    """Choose scores on random halves of documents, and count what they accept on the others."""
    draw = np.random.default_rng(0)
    counts: dict[float, Counter[str]] = {precision: Counter() for precision in PRECISIONS}
    for _ in range(rounds):
        order = draw.permutation(len(documents))
        first, second = np.split(order, [len(order) // 2])
        table = fit_acceptance(pairs_of([documents[row] for row in first]), "half")
        count_accepted(counts, table, pairs_of([documents[row] for row in second]))
    return summed_up(counts)


def count_accepted(
    counts: dict[float, Counter[str]], table: AcceptanceTable | None, others: PredictedPairs
) -> None:
    """Add what the scores of a table accept of other documents."""
    for precision, count in counts.items():
        row = None if table is None else table.row(precision)
        if row is not None and row.score is not None:
            found = others.accepted_from(precision, row.score)
            count.update(reached=1, accepted=found.accepted, right=found.right)
            count.update(predicted=len(others.scores_P))


def summed_up(counts: dict[float, Counter[str]]) -> dict[float, Any]:
    """Return the precision, and the share of codes that are accepted, of all rounds together."""
    return {
        precision: {
            "rounds with a score": count["reached"],
            "precision": count["right"] / count["accepted"] if count["accepted"] else None,
            "codes": count["accepted"] / count["predicted"] if count["predicted"] else None,
        }
        for precision, count in counts.items()
    }


def accepted_on_held_out_folds(found: OutOfFold) -> dict[float, Any]:
    """Choose scores on all folds of a cross-fitting but one, and count what they accept on that."""
    threshold_L = found.final[1].values_L(len(found.labels))
    counts: dict[float, Counter[str]] = {precision: Counter() for precision in PRECISIONS}

    def pairs(rows_N: npt.NDArray[np.bool_]) -> PredictedPairs:
        return PredictedPairs.of_split(
            found.fused_NL[rows_N], found.targets_NL[rows_N], threshold_L
        )

    for fold in np.unique(found.folds_N):
        table = fit_acceptance(pairs(found.folds_N != fold), found.source)
        count_accepted(counts, table, pairs(found.folds_N == fold))
    return summed_up(counts)


class Drifting:
    """The documents of the validation split as notes that drift is measured of."""

    def __init__(self, corpus: Corpus, documents: Sequence[Scored], texts: TextReference) -> None:
        kinds = dict(zip(corpus.labels.codes, corpus.labels.kinds, strict=True))
        self._texts, self._rows, self._groups = texts, [], []
        for text, one in zip(corpus.texts(_SPLIT), documents, strict=True):
            codes = [code for code, yes in zip(one.codes, one.predicted, strict=True) if yes]
            scores = sorted(one.scores, reverse=True)[:HIGHEST]
            measured = texts.measure(text) or (0.0,) * len(TEXT_MEASURES)
            self._rows.append((*measured, *measure_codes(scores, len(codes))))
            self._groups.append({code_group(code, kinds[code]) for code in codes})

    def _of(self, rows: Sequence[int]) -> tuple[dict[str, list[float]], Counter[str]]:
        names = (*TEXT_MEASURES, *SCORE_MEASURES)
        columns = zip(*(self._rows[row] for row in rows), strict=True)
        groups = Counter(group for row in rows for group in self._groups[row])
        return {n: sorted(column) for n, column in zip(names, columns, strict=True)}, groups

    def alarm(self, before: Sequence[int], incoming: Sequence[int]) -> bool:
        """Return whether some documents differ from train and from the scores of others."""
        values, groups = self._of(before)
        measures = {name: values[name] for name in SCORE_MEASURES}
        scores = ScoreReference(_SPLIT, len(before), measures, groups)
        notes = MeasuredNotes(len(incoming), 0, *self._of(incoming))
        found = compare_notes(ReferenceSummary(self._texts, scores), notes)
        return any(one.alarm for one in found)


def drift_alarms(corpus: Corpus, documents: Sequence[Scored], rounds: int) -> dict[str, float]:
    """Return the shares of rounds with an alarm, of random documents and of departments."""
    texts = summarize_training(corpus)
    assert texts is not None
    notes, draw, found = Drifting(corpus, documents, texts), np.random.default_rng(0), {}
    for count in NOTES:
        alarms = 0
        for _ in range(rounds):
            order = draw.permutation(len(documents)).tolist()
            half = len(order) // 2
            alarms += notes.alarm(order[:half], order[half : half + count])
        found[f"{min(count, len(documents) // 2)} random documents"] = alarms / rounds
    letters: dict[str, list[int]] = {}
    for row, one in enumerate(documents):
        gold = (code[0].upper() for code, yes in zip(one.codes, one.gold, strict=True) if yes)
        for letter, number in Counter(gold).items():
            if number > 1:
                letters.setdefault(letter, []).append(row)
    for letter, rows in sorted(letters.items()):
        others = sorted({*range(len(documents))} - {*rows})
        if min(len(rows), len(others)) >= FEWEST_NOTES:
            found[f"{len(rows)} documents with codes {letter}…"] = float(notes.alarm(others, rows))
    return found


def main() -> None:
    """Measure a run and print what its scores decide."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="the folder of the run")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--folds", type=int, help="choose on all folds of `icdcode refit RUN --folds N` but one"
    )
    arguments = parser.parse_args()
    run = RunDir.open(arguments.run)
    alarms: dict[str, float] = {}
    if arguments.folds:
        accepted = accepted_on_held_out_folds(read_out_of_fold(run, arguments.folds))
    else:
        documents = read_predictions(run)
        accepted = accepted_on_other_halves(documents, arguments.rounds)
        corpus = corpus_of_run(load_config(run.args).data, print)
        alarms = drift_alarms(corpus, documents, arguments.rounds)
    print("accept at   rounds with a score   precision on the others   share of codes")
    for precision, row in accepted.items():
        values = [row["precision"], row["codes"]]
        cells = ["none" if value is None else f"{value:.3f}" for value in values]
        print(f"{precision:<12}{row['rounds with a score']:>19}{cells[0]:>26}{cells[1]:>17}")
    for what, share in alarms.items():
        print(f"drift, {what}: alarm in {share:.1%}")
    if arguments.json:
        content = {"accepted": accepted, "alarms": alarms}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
