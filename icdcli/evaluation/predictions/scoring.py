"""Score predictions against gold codes, as far as the content of a file allows.

Sets allow precision, recall and F1; rankings also allow the metrics of ranks. Areas under curves
and calibration need a score of every code for every document. No score is invented for codes that a
file doesn't list: they are never right, and their place in a ranking isn't known.

Shapes: N documents, L labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from icdcli.errors import DataError
from icdcli.evaluation.predictions.gold import GoldCodes
from icdcli.evaluation.predictions.listed import CodeListing, ListedCode
from icdcli.evaluation.predictions.spelling import CodeSpelling, kind_in
from icdcli.metrics.arrays import Booleans, Scores
from icdcli.metrics.document_statistics import Statistics, statistics_of
from icdcli.metrics.metrics import EDIN_DECISIONS

_MACRO = tuple(
    f"{share}_macro{labels}" for labels in ("", "_all") for share in ("f1", "precision", "recall")
)
DECISIONS = (
    *("f1_micro", "precision_micro", "recall_micro", *_MACRO, "f1_macro_caml", "exact_match"),
    *(*EDIN_DECISIONS, "exact_match_edin"),
)
"""The metrics that sets of codes have."""
AREAS = (
    *("aucroc_macro", "aucprc_macro", "aucroc_micro", "aucprc_micro"),
    *("aucroc_micro_present", "aucprc_micro_present", "calibration_error"),
)
"""The metrics that need the score of every code for every document."""


@dataclass(frozen=True)
class PredictedCodes:
    """Predictions on the documents and the label space that are scored.

    Attributes:
        ids: The ids of the documents, those of the gold codes.
        codes: The label space: gold and listed codes.
        kinds: The kind of each.
        gold_NL: The gold codes.
        predicted_NL: The predicted codes.
        listed_NL: The codes that the file lists.
        scores_NL: The scores of listed codes, or what orders a ranking; 0 for others.
        listed_labels: The number of codes that the file lists for any document.
        spelled: For each document, listed code to its spelling.
    """

    ids: tuple[str, ...]
    codes: tuple[str, ...]
    kinds: tuple[str, ...]
    gold_NL: Booleans
    predicted_NL: Booleans
    listed_NL: Booleans
    scores_NL: Scores
    listed_labels: int

    @property
    def is_complete(self) -> bool:
        """Return whether each document has a score for each code that the file knows."""
        return bool((self.listed_NL.sum(axis=1) == self.listed_labels).all())


def spell(listed: CodeListing, gold: GoldCodes, where: object) -> dict[str, str]:
    """Return the spelling of each listed code.

    Raises:
        DataError: If a code without its dot may be two codes, or a document has a code twice, with
            different scores.
    """
    shape = gold.system.shape if gold.system is not None else None
    spelling = CodeSpelling(shape)
    written = dict.fromkeys(code.code for code in listed.all_codes())
    has_dots = any("." in code.strip(". ") for code in written)
    spelling.learn({*gold.kinds, *(code for codes in gold.codes.values() for code in codes)})
    if has_dots:
        spelling.learn(code for code in written if "." in code.strip(". "))
    spelled = {code: spelling.spelled(code, dots=has_dots, where=where) for code in written}
    _require_one_score(listed, spelled, where)
    return spelled


def _require_one_score(listed: CodeListing, spelled: Mapping[str, str], where: object) -> None:
    for name, document in listed.documents.items():
        known: dict[str, ListedCode] = {}
        for code in document.codes:
            first = known.setdefault(spelled[code.code], code)
            if (first.score, first.predicted) != (code.score, code.predicted):
                raise DataError(
                    f"{where}: the document {name[:40]!r} has the code {spelled[code.code]} twice "
                    f"(as {first.code!r} and {code.code!r}), with different scores. Write it once."
                )


def arrange(
    listed: CodeListing, gold: GoldCodes, spelled: Mapping[str, str], threshold: float
) -> PredictedCodes:
    """Arrange predictions as arrays; documents that the gold codes lack are left out.

    Args:
        listed: The predictions.
        gold: The gold codes.
        spelled: Listed code to its spelling.
        threshold: The score from which a code is predicted, if the file doesn't say which are.
    """
    ids = tuple(gold.codes)
    by_document = {
        name: _once(listed.documents[name].codes, spelled)
        for name in ids
        if name in listed.documents
    }
    of_file = {code for codes in by_document.values() for code in codes}
    codes = tuple(sorted(of_file.union(*gold.codes.values())))
    place = {code: label for label, code in enumerate(codes)}
    gold_NL, predicted_NL, listed_NL = (np.zeros((len(ids), len(codes)), bool) for _ in range(3))
    scores_NL = np.zeros((len(ids), len(codes)), np.float32)
    for row, name in enumerate(ids):
        gold_NL[row, [place[code] for code in gold.codes[name]]] = True
        own = by_document.get(name, {})
        for rank, (spelling, code) in enumerate(own.items()):
            label = place[spelling]
            listed_NL[row, label] = True
            scored = code.score is not None
            scores_NL[row, label] = code.score if scored else (len(own) - rank) / len(own)
            by_score = not scored or np.float32(code.score or 0) >= np.float32(threshold)
            predicted_NL[row, label] = by_score if code.predicted is None else code.predicted
    shape = gold.system.shape if gold.system is not None else None
    kinds = tuple(
        gold.kinds.get(code) or ("diagnosis" if shape is None else kind_in(code, shape))
        for code in codes
    )
    return PredictedCodes(
        ids, codes, kinds, gold_NL, predicted_NL, listed_NL, scores_NL, len(of_file)
    )


def _once(codes: Sequence[ListedCode], spelled: Mapping[str, str]) -> dict[str, ListedCode]:
    """Return the codes of a document by their spelling; the first of equal codes counts."""
    found: dict[str, ListedCode] = {}
    for code in codes:
        found.setdefault(spelled[code.code], code)
    return found


def statistics_of_predictions(
    predicted: PredictedCodes, shape: str
) -> tuple[Statistics, dict[str, str]]:
    """Compute the metrics that the content of a file allows.

    Args:
        predicted: The predictions.
        shape: ``sets``, ``rankings`` or ``scores``.

    Returns:
        The statistics, and for each metric that can't be computed the reason.
    """
    unscored_NL = ~predicted.listed_NL
    decided = statistics_of(
        predicted.predicted_NL.astype(np.float32), predicted.gold_NL, _half(predicted)
    )
    if shape == "sets":
        without = "needs ranked or scored codes, and the file has sets"
        kept = decided.only(DECISIONS)
        return kept, {name: without for name in decided.metrics if name not in kept.metrics}
    ranked = statistics_of(
        predicted.scores_NL, predicted.gold_NL, _half(predicted), unscored_NL=unscored_NL
    )
    complete = shape == "scores" and predicted.is_complete
    names = [
        name for name in ranked.metrics if name not in DECISIONS and (complete or name not in AREAS)
    ]
    joined = _joined(decided.only(DECISIONS), ranked.only(names), ranked.metrics)
    without = "needs a score of every code for every document" + (
        ", and the file has rankings" if shape == "rankings" else ""
    )
    return joined, {name: without for name in AREAS if name not in joined.metrics}


def _half(predicted: PredictedCodes) -> NDArray[np.float32]:
    return np.full(len(predicted.codes), 0.5, np.float32)


def _joined(decided: Statistics, ranked: Statistics, order: Iterable[str]) -> Statistics:
    """Return statistics of decisions with those of rankings."""
    metrics = {**decided.metrics, **ranked.metrics}
    return Statistics(
        {name: metrics[name] for name in order if name in metrics},
        {**decided.means, **ranked.means},
        decided.predicted_NL,
        decided.gold_NL,
        ranked.bins_NB3,
        {**decided.influences, **ranked.influences},
    )
