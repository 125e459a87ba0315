"""How far two reviewers agree: Cohen's kappa of each code, F1 of each document, with intervals.

Intervals are from resamples of the documents, as those of metrics (`icdcli.metrics.bootstrap`).

Shapes: N documents, L codes, R resamples.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from icdcli.metrics.arrays import Booleans, Floats
from icdcli.metrics.bootstrap import RESAMPLES, Interval, resample_weights, resampled_interval


@dataclass(frozen=True)
class CodeAgreement:
    """The agreement on one code.

    Attributes:
        code: The code.
        both: The number of documents to which both reviewers assign it.
        one: The number of documents to which one of them does.
        kappa: Cohen's kappa: 1 is perfect, 0 what chance gives; None: undefined, since both assign
            the code to all documents.
        interval: Its 95 % interval; None: the resamples don't vary.
    """

    code: str
    both: int
    one: int
    kappa: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Agreement:
    """The agreement of two reviewers on some documents.

    Attributes:
        documents: The number of documents.
        f1: The mean over documents of F1 between the two sets of codes; 1 for two empty sets.
        f1_interval: Its 95 % interval; None: the resamples don't vary.
        exact: The share of documents with the same codes.
        codes: The codes that at least one of them assigned, those of most documents first.
    """

    documents: int
    f1: float
    f1_interval: Interval | None
    exact: float
    codes: tuple[CodeAgreement, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "documents": self.documents,
            "f1": self.f1,
            "f1_interval": self.f1_interval,
            "exact": self.exact,
            "codes": [one.__dict__ for one in self.codes],
        }


def agreement_of(
    pairs: Sequence[tuple[Collection[str], Collection[str]]], seed: int = 0
) -> Agreement | None:
    """Return the agreement between two reviewers.

    Args:
        pairs: For each document, the codes of the one and of the other reviewer.
        seed: The seed of the resamples.

    Returns:
        The agreement; None: there are no documents.
    """
    if not pairs:
        return None
    codes = sorted({code for pair in pairs for each in pair for code in each})
    first_NL, second_NL = (
        np.array([[code in pair[side] for code in codes] for pair in pairs], bool).reshape(
            len(pairs), len(codes)
        )
        for side in (0, 1)
    )
    weights_RN = np.concatenate(list(resample_weights(len(pairs), RESAMPLES, seed)))
    f1_N = _document_f1(first_NL, second_NL)
    f1 = float(f1_N.mean())
    f1_R = weights_RN @ f1_N / len(pairs)
    return Agreement(
        documents=len(pairs),
        f1=f1,
        f1_interval=clipped(resampled_interval(f1, f1_R, len(pairs)), 0.0),
        exact=float((first_NL == second_NL).all(axis=1).mean()),
        codes=_by_code(codes, first_NL, second_NL, weights_RN),
    )


def cohen_kappas(
    both_L: npt.ArrayLike, first_L: npt.ArrayLike, second_L: npt.ArrayLike, documents: int
) -> Floats:
    """Return Cohen's kappa (1960) of each code; NaN if chance agrees completely.

    Args:
        both_L: The number of documents to which both assign it, of any shape.
        first_L: The number of those to which the first does.
        second_L: The number of those to which the second does.
        documents: The number of documents.
    """
    both, first, second = (np.asarray(each, float) for each in (both_L, first_L, second_L))
    observed = (documents - first - second + 2 * both) / documents
    chance = (first * second + (documents - first) * (documents - second)) / documents**2
    kappas: Floats = np.divide(
        observed - chance, 1 - chance, out=np.full(both.shape, np.nan), where=chance < 1 - 1e-12
    )
    return kappas


def _document_f1(first_NL: Booleans, second_NL: Booleans) -> Floats:
    sizes_N = first_NL.sum(axis=1) + second_NL.sum(axis=1)
    twice_N = 2.0 * (first_NL & second_NL).sum(axis=1)
    f1_N: Floats = np.divide(twice_N, sizes_N, out=np.ones(len(first_NL)), where=sizes_N > 0)
    return f1_N


def _by_code(
    codes: Sequence[str],
    first_NL: Booleans,
    second_NL: Booleans,
    weights_RN: npt.NDArray[np.int64],
) -> tuple[CodeAgreement, ...]:
    documents = len(first_NL)
    columns = (first_NL & second_NL, first_NL, second_NL)
    both_L, first_L, second_L = (column_NL.sum(axis=0) for column_NL in columns)
    kappa_L = cohen_kappas(both_L, first_L, second_L, documents)
    both_RL, first_RL, second_RL = (weights_RN @ column_NL for column_NL in columns)
    kappa_RL = cohen_kappas(both_RL, first_RL, second_RL, documents)
    found = []
    for label, code in enumerate(codes):
        undefined = bool(np.isnan(kappa_L[label]))
        interval = (
            None
            if undefined
            else resampled_interval(float(kappa_L[label]), kappa_RL[:, label], documents)
        )
        both, either = int(both_L[label]), int(first_L[label] + second_L[label] - both_L[label])
        found.append(
            CodeAgreement(
                code=code,
                both=both,
                one=either - both,
                kappa=None if undefined else float(kappa_L[label]),
                interval=clipped(interval, -1.0),
            )
        )
    return tuple(sorted(found, key=lambda one: (-one.both - one.one, one.code)))


def clipped(interval: Interval | None, lowest: float) -> Interval | None:
    """Return an interval without the part outside of the possible values, which end at 1."""
    if interval is None:
        return None
    return Interval(max(interval.low, lowest), min(interval.high, 1.0))
