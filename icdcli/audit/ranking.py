"""Ranks suspected errors by how much they look like errors that were planted.

The audit plants errors in the labels that it is given (`icdcli.audit.planting`) and looks at the
clues (`icdcli.audit.clues`) of every gold code, of every other code that may be missing, and of
every pair of a gold code and one that may be right instead. A logistic regression per kind then
separates the planted errors from the rest, which is mostly right. Its probability is the score of a
suspicion, so that suspicions of all kinds can be compared. Scores of documents don't change with
the labels that are planted in them, because they come from models that haven't seen them.

Errors that were there before count as right when the regressions are fitted. So that no document
argues for its own labels, each fifth of the documents is ranked by regressions of the others.

Shapes: S suspicions, F features.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from icdcli.audit.clues import CorpusClues, DocumentClues, GoldClues, OtherClues
from icdcli.audit.planting import PlantedErrors, plant_errors
from icdcli.io.progress import Progress
from icdcli.metrics.arrays import Booleans, Floats, Integers
from icdcli.metrics.newton import newton

ErrorKind = Literal["missing", "unsupported", "swap"]
KINDS: tuple[ErrorKind, ...] = ("missing", "unsupported", "swap")
"""A supported code that gold lacks, a gold code that the note doesn't support, and both in one."""

ERROR_RATE = 0.05
_ROUNDS, _MOST_ROUNDS, _PLANTED = 4, 40, 1000
_FOLDS = 5
_LEAST_SHARE = 0.5
_STEPS, _SMALL, _LONGEST = 50, 1e-6, 2.0


class Suspicion(NamedTuple):
    """A suspected error.

    Attributes:
        kind: What it is.
        row: The number of the document.
        gold: The gold code; None: a code is missing.
        right: The code that is missing; None: no code is.
        score: How likely it is an error, if as many codes are wrong as were planted.
    """

    kind: ErrorKind
    row: int
    gold: int | None
    right: int | None
    score: float


@dataclass
class _Clues:
    """The clues of suspicions of one kind."""

    kind: ErrorKind
    places: list[tuple[int, int | None, int | None]] = field(default_factory=list)
    features: list[tuple[float, ...]] = field(default_factory=list)

    @property
    def rows_S(self) -> Integers:
        """Return the document of each suspicion."""
        return np.array([row for row, _, _ in self.places], np.int64)

    @property
    def features_SF(self) -> Floats:
        """Return the features as an array."""
        width = len(self.features[0]) if self.features else 0
        return np.array(self.features, np.float64).reshape(len(self.features), width)

    def with_planted(self, errors: PlantedErrors) -> tuple[Integers, Floats, Booleans]:
        """Return rows and features, and which suspicions are planted errors."""
        planted = [_is_planted(self.kind, place, errors) for place in self.places]
        return self.rows_S, self.features_SF, np.array(planted, bool)


def rank_suspicions(
    clues: CorpusClues,
    error_rate: float = ERROR_RATE,
    seed: int = 0,
    on_progress: Progress | None = None,
) -> list[Suspicion]:
    """Return the suspected errors, the likeliest first; a code of a document is in one at most.

    Args:
        clues: What all documents say.
        error_rate: The share of the gold codes in which errors are planted.
        seed: The seed of the errors that are planted.
        on_progress: Receives the progress.
    """
    learned: dict[ErrorKind, list[tuple[Integers, Floats, Booleans]]] = {kind: [] for kind in KINDS}
    codes = sum(len(document.labels) for document in clues.documents)
    rounds = min(max(_ROUNDS, round(_PLANTED / (error_rate * codes + 1))), _MOST_ROUNDS)
    for number in range(rounds):
        if on_progress is not None:
            on_progress("learning from planted errors", number, rounds, "rounds")
        errors = plant_errors(clues.documents, clues.categories, error_rate, seed + number)
        for kind, found in _clues(clues, errors).items():
            learned[kind].append(found.with_planted(errors))
    suspicions = []
    for kind, found in _clues(clues, None).items():
        scores_S = np.zeros(len(found.places))
        # Rounds without such suspicions have no features, whose number isn't known there.
        rounds_of_kind = [one for one in learned[kind] if len(one[0])] or learned[kind][:1]
        parts = zip(*rounds_of_kind, strict=True)
        rows_S, features_SF, planted_S = (np.concatenate(part) for part in parts)
        for fold in range(_FOLDS):
            others_S, own_S = rows_S % _FOLDS != fold, found.rows_S % _FOLDS == fold
            scores_S[own_S] = _separate(
                features_SF[others_S], planted_S[others_S], found.features_SF[own_S]
            )
        suspicions += [
            Suspicion(kind, *place, score)
            for place, score in zip(found.places, scores_S.tolist(), strict=True)
        ]
    return _each_code_once(_as_swaps(suspicions))


def _clues(corpus: CorpusClues, errors: PlantedErrors | None) -> dict[ErrorKind, _Clues]:
    """Return the clues of all suspicions, in the given labels or those with planted errors."""
    found: dict[ErrorKind, _Clues] = {kind: _Clues(kind) for kind in KINDS}
    for row, document in enumerate(corpus.documents):
        labels, fragments = document.labels, document.annotations
        if errors is not None:
            labels, fragments = errors.labels[row], errors.annotations[row]
        here = DocumentClues(corpus, row, labels, fragments)
        others: dict[int, OtherClues] = {one: here.of_other(one) for one in here.candidates}
        gold: dict[int, GoldClues] = {one: here.of_gold(one) for one in sorted(labels)}
        for other, its_clues in others.items():
            found["missing"].places.append((row, None, other))
            found["missing"].features.append(its_clues)
        for label, own in gold.items():
            found["unsupported"].places.append((row, label, None))
            found["unsupported"].features.append(own)
            for other in here.instead_of(label):
                if other not in others:
                    others[other] = here.of_other(other)
                pair = here.of_pair(label, other)
                found["swap"].places.append((row, label, other))
                found["swap"].features.append((*own, *others[other], *pair))
    return found


def _is_planted(
    kind: ErrorKind, place: tuple[int, int | None, int | None], errors: PlantedErrors
) -> bool:
    row, gold, right = place
    if kind == "missing":
        return (row, right) in errors.missing
    if kind == "unsupported":
        return (row, gold) in errors.wrong
    return right is not None and errors.swapped.get((row, -1 if gold is None else gold)) == right


def _separate(features_SF: Floats, planted_S: Booleans, wanted_SF: Floats) -> Floats:
    """Fit a logistic regression with a ridge penalty, and return the wanted probabilities."""
    if not len(wanted_SF) or not planted_S.any():
        return np.zeros(len(wanted_SF))
    mean_F, spread_F = features_SF.mean(axis=0), features_SF.std(axis=0)
    spread_F[spread_F < _SMALL] = 1.0
    design_SF = _with_constant((features_SF - mean_F) / spread_F)
    penalty_F = np.ones(design_SF.shape[1])
    penalty_F[0] = _SMALL

    def derivatives(weights_F: Floats) -> tuple[Floats, Floats]:
        share_S = _share(design_SF @ weights_F)
        gradient_F = design_SF.T @ (share_S - planted_S) + penalty_F * weights_F
        weighted_SF = design_SF * (share_S * (1 - share_S))[:, None]
        return gradient_F, design_SF.T @ weighted_SF + np.diag(penalty_F)

    start_F = np.zeros(len(penalty_F))
    rate = planted_S.mean()
    start_F[0] = np.log(rate / (1 - rate)) if rate < 1 else 0.0
    weights_F = newton(start_F, derivatives, _STEPS, _SMALL, _LONGEST)
    return _share(_with_constant((wanted_SF - mean_F) / spread_F) @ weights_F)


def _with_constant(features_SF: Floats) -> Floats:
    return np.column_stack([np.ones(len(features_SF)), features_SF])


def _share(log_odds_S: Floats) -> Floats:
    share_S: Floats = 1 / (1 + np.exp(-log_odds_S.clip(-50, 50)))
    return share_S


def _as_swaps(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
    """Return each code that isn't supported as a swap if another may well be right instead.

    One decision settles both; the score is the higher one.
    """
    swaps: dict[tuple[int, int | None], Suspicion] = {}
    for one in sorted((one for one in suspicions if one.kind == "swap"), key=_order):
        swaps.setdefault((one.row, one.gold), one)
    found = [one for one in suspicions if one.kind == "missing"]
    for one in (one for one in suspicions if one.kind == "unsupported"):
        swap = swaps.get((one.row, one.gold))
        if swap is not None and swap.score >= _LEAST_SHARE * one.score:
            found.append(swap._replace(score=max(swap.score, one.score)))
        else:
            found.append(one)
    return found


def _each_code_once(suspicions: Sequence[Suspicion]) -> list[Suspicion]:
    used: set[tuple[int, int]] = set()
    kept = []
    for one in sorted(suspicions, key=_order):
        codes = {(one.row, code) for code in (one.gold, one.right) if code is not None}
        if used.isdisjoint(codes):
            used |= codes
            kept.append(one)
    return kept


def _order(one: Suspicion) -> tuple[float, int, int, int]:
    def number(code: int | None) -> int:
        return -1 if code is None else code

    return -one.score, one.row, number(one.gold), number(one.right)
