"""Score the predictions of any system: ``icdcode score`` without the printing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from icdcli import __version__
from icdcli.data.corpus.reader import Labels
from icdcli.errors import ConfigError, DataError, counted
from icdcli.evaluation.groups import (
    GroupMetrics,
    by_chapter,
    by_kind,
    by_training_frequency,
    evaluate_groups,
)
from icdcli.evaluation.predictions.ancestors import hierarchical_counts_of
from icdcli.evaluation.predictions.gold import CodiespCodes, GoldCodes, read_gold
from icdcli.evaluation.predictions.listed import CodeListing, ListedDocument, Spans
from icdcli.evaluation.predictions.reading import first_names, read_listed
from icdcli.evaluation.predictions.scored import ScoredPredictions
from icdcli.evaluation.predictions.scoring import (
    DECISIONS,
    PredictedCodes,
    arrange,
    spell,
    statistics_of_predictions,
)
from icdcli.evaluation.predictions.spelling import guess_system
from icdcli.evaluation.predictions.tables import ColumnNames
from icdcli.metrics.bootstrap import (
    RESAMPLES,
    Interval,
    intervals,
    resample_weights,
    resampled_interval,
)
from icdcli.metrics.codiesp_script import codiesp_script_metrics
from icdcli.metrics.span_matches import match_categories, span_metrics

USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class ScoreOptions:
    """How predictions and gold codes are read.

    Attributes:
        split: The split of a corpus or of CodiEsp.
        codes: The kind of CodiEsp's codes.
        code_system: The coding system of a table of gold codes; None: found out.
        columns: The columns of the predictions; None: the usual names.
        gold_columns: The columns of a table of gold codes; None: the usual names.
        threshold: The score from which a code is predicted; None: what the file says, else 0.5.
        valid_codes: A file of codes, in its first column; predictions of others are dropped.
    """

    split: str | None = None
    codes: CodiespCodes = "diagnoses"
    code_system: str | None = None
    columns: ColumnNames | None = None
    gold_columns: ColumnNames | None = None
    threshold: float | None = None
    valid_codes: Path | None = None


def score_predictions(
    predictions: Path,
    gold: Path,
    options: ScoreOptions | None = None,
    on_warning: Callable[[str], object] | None = None,
) -> ScoredPredictions:
    """Score predictions of any system against gold codes.

    Args:
        predictions: A table, JSON, or a file of CodiEsp's or MDACE's format.
        gold: A prepared corpus, CodiEsp's folder, a table, or a file in one of these formats.
        options: How they are read.
        on_warning: Called with a message for each warning.

    Raises:
        ConfigError: If an option doesn't fit.
        DataError: If a file can't be read, or the two have no document in common.
    """
    options = options or ScoreOptions()
    listed = read_listed(predictions, options.columns)
    truth = read_gold(
        gold,
        options.split,
        codes=options.codes,
        code_system=options.code_system,
        names=(options.gold_columns or ColumnNames())._replace(of_gold=True),
        on_warning=on_warning,
    )
    if options.threshold is not None and listed.shape != "scores":
        raise ConfigError(
            f"--threshold: {predictions} has no scores, so all codes that it lists are predicted. "
            "Leave out --threshold."
        )
    notes = [*listed.remarks, *truth.remarks, *_without_endings(listed, truth)]
    if options.valid_codes is not None:
        notes += _drop_invalid(listed, options.valid_codes)
    notes += _compare_documents(listed, truth, predictions, gold)
    notes += _about_threshold(listed, options.threshold)
    threshold = USUAL_THRESHOLD if options.threshold is None else options.threshold
    if options.threshold is not None:
        for document in listed.documents.values():
            document.codes = [
                code if code.dropped else code._replace(predicted=None) for code in document.codes
            ]
    spelled = spell(listed, truth, predictions)
    notes += _about_spelling(listed, spelled) + _about_system(spelled, truth, predictions)
    predicted = arrange(listed, truth, spelled, threshold)
    statistics, unavailable = statistics_of_predictions(predicted, listed.shape)
    labels = _labels(predicted, truth)
    hierarchical, its_intervals = _hierarchical(predicted, truth)
    if not hierarchical:
        unavailable["hierarchical"] = "the coding system isn't known (--code-system)"
    evidence, matches, why = _evidence(listed, truth, spelled, predicted)
    unavailable |= why
    about: dict[str, Any] = {
        "predictions": str(predictions),
        "icdcode": __version__,
        "split": truth.split,
        **truth.about,
        "threshold": _threshold_words(listed, options.threshold),
        "editions": truth.system.to_json() if truth.system is not None else None,
    }
    return ScoredPredictions(
        about,
        listed.shape,
        labels,
        predicted,
        statistics,
        intervals(statistics),
        unavailable,
        _groups(predicted, labels, truth),
        hierarchical,
        its_intervals,
        _codiesp(listed, truth),
        evidence,
        matches,
        _cost(listed, predicted),
        notes,
    )


def _without_endings(listed: CodeListing, truth: GoldCodes) -> list[str]:
    """Name documents that ``predict`` has named by their files as the gold codes name them."""
    ending = ".txt"
    renamed = {
        name: name.removesuffix(ending)
        for name in listed.documents
        if name not in truth.codes and name.removesuffix(ending) in truth.codes
    }
    if not renamed or not set(renamed.values()).isdisjoint(listed.documents):
        return []
    listed.documents = {
        renamed.get(name, name): document for name, document in listed.documents.items()
    }
    return [
        f"{counted(len(renamed), 'document')} named by a file: the ending {ending} is left out."
    ]


def _drop_invalid(listed: CodeListing, path: Path) -> list[str]:
    """Drop codes that a list of valid codes lacks, as CodiEsp's script does."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"--valid-codes {path}: can't be read ({type(error).__name__}).") from error
    valid = {line.split("\t")[0].split(",")[0].strip().strip('"').lower() for line in lines}
    dropped = 0
    for document in listed.documents.values():
        kept = [code for code in document.codes if code.code.lower() in valid]
        dropped += len(document.codes) - len(kept)
        document.codes = kept
    return [f"{counted(dropped, 'prediction')} of codes that {path.name} lacks: dropped."]


def _compare_documents(
    listed: CodeListing, truth: GoldCodes, predictions: Path, gold: Path
) -> list[str]:
    """Return remarks about documents that only the predictions or only the gold codes have.

    Raises:
        DataError: If there are no documents in common, or no gold codes.
    """
    if not any(truth.codes.values()):
        raise DataError(f"{gold}: no document has a code, so there is nothing to find.")
    unknown = [name for name in listed.documents if name not in truth.codes]
    missing = [name for name in truth.codes if name not in listed.documents]
    if len(unknown) == len(listed.documents):
        raise DataError(
            f"{predictions}: none of its {len(unknown):,} documents is in {gold}. Its ids are "
            f"{first_names(unknown)}, the gold ones {first_names(missing)}. Check --id-column and "
            "--split."
        )
    notes = []
    if unknown:
        notes.append(
            f"{counted(len(unknown), 'document')} of the predictions without gold codes "
            f"({first_names(unknown)}): left out."
        )
    if missing:
        notes.append(
            f"{counted(len(missing), 'document')} with gold codes but without predictions "
            f"({first_names(missing)}): all their codes count as missed."
        )
    return notes


def _about_threshold(listed: CodeListing, threshold: float | None) -> list[str]:
    if listed.shape != "scores" or threshold is not None or _says_which(listed):
        return []
    return [
        f"A code with a score of at least {USUAL_THRESHOLD} counts as predicted (--threshold; 0: "
        "all codes that the file lists)."
    ]


def _says_which(listed: CodeListing) -> bool:
    return all(code.predicted is not None for code in listed.all_codes())


def _threshold_words(listed: CodeListing, threshold: float | None) -> str:
    if listed.shape != "scores":
        return "none: listed codes are predicted"
    if threshold is None and _says_which(listed):
        return "as the predictions say"
    return f"{USUAL_THRESHOLD if threshold is None else threshold:g}"


def _about_spelling(listed: CodeListing, spelled: Mapping[str, str]) -> list[str]:
    notes = []
    dotless = sum("." not in code and "." in spelled[code] for code in spelled)
    if dotless:
        notes.append(
            f"{dotless:,} of {len(spelled):,} distinct codes are written without their dot; they "
            "count as the same codes with the dot."
        )
    repeated = sum(
        len(document.codes) - len({spelled[code.code] for code in document.codes})
        for document in listed.documents.values()
    )
    if repeated:
        notes.append(
            f"{counted(repeated, 'code')} left out, which the document already has (possibly in "
            "another spelling)."
        )
    return notes


def _about_system(spelled: Mapping[str, str], truth: GoldCodes, where: Path) -> list[str]:
    """Return a note if most predicted codes are of another system than the gold codes."""
    shape = None if truth.system is None else truth.system.shape
    found = guess_system(spelled.values())
    if shape is None or found in (None, shape):
        return []
    return [
        f"Most codes of {where.name} are of {found}, but the gold codes are of {shape}. Codes of "
        "two systems are never the same."
    ]


def _labels(predicted: PredictedCodes, truth: GoldCodes) -> Labels:
    system = truth.system
    titles = tuple(
        None if system is None else system.title(code, kind)
        for code, kind in zip(predicted.codes, predicted.kinds, strict=True)
    )
    counts = tuple(predicted.gold_NL.sum(axis=0).tolist())
    in_training = truth.train_counts or {}
    trained = tuple(in_training.get(code, 0) for code in predicted.codes)
    return Labels(predicted.codes, predicted.kinds, titles, counts, trained)


def _groups(predicted: PredictedCodes, labels: Labels, truth: GoldCodes) -> dict[str, GroupMetrics]:
    groups = {}
    if truth.system is not None:
        groups["by_kind"] = by_kind(labels)
        groups["by_chapter"] = by_chapter(labels, truth.system)
    if truth.train_counts is not None:
        groups["by_training_frequency"] = by_training_frequency(labels)
    decided = predicted.predicted_NL.astype(np.float32), predicted.gold_NL
    half_L = np.full(len(labels), 0.5, np.float32)
    return {
        name: evaluate_groups(*decided, half_L, found, names=DECISIONS)
        for name, found in groups.items()
    }


def _hierarchical(
    predicted: PredictedCodes, truth: GoldCodes
) -> tuple[dict[str, float], dict[str, Interval]]:
    if truth.system is None:
        return {}, {}
    decisions = predicted.gold_NL, predicted.predicted_NL
    counts = hierarchical_counts_of(*decisions, predicted.codes, predicted.kinds, truth.system)
    values = counts.metrics()
    documents = len(predicted.ids)
    drawn = [counts.resampled(weights) for weights in resample_weights(documents, RESAMPLES, 0)]
    found = {}
    for name, value in values.items():
        values_R = np.concatenate([part[name] for part in drawn])
        bounds = resampled_interval(value, values_R, documents)
        if bounds is not None:
            found[name] = Interval(max(0.0, bounds.low), min(1.0, bounds.high))
    return values, found


def _codiesp(listed: CodeListing, truth: GoldCodes) -> dict[str, float]:
    """Return the numbers of CodiEsp's script, which compares codes as they are written."""
    if not listed.ranked and truth.about.get("dataset") != "codiesp":
        return {}

    def in_order(document: ListedDocument) -> list[str]:
        if listed.shape == "scores":
            codes = sorted(document.codes, key=lambda code: -(code.score or 0.0))
        else:
            codes = [code for code in document.codes if code.predicted is not False]
        return [code.code.lower() for code in codes]

    values = codiesp_script_metrics(
        {name: {code.lower() for code in codes} for name, codes in truth.codes.items() if codes},
        {name: in_order(document) for name, document in listed.documents.items()},
        has_order=listed.shape != "sets",
    )
    if listed.shape == "scores":  # the script counts all codes of a file as predicted
        return {name: value for name, value in values.items() if name.startswith("map")}
    return values


def _evidence(
    listed: CodeListing,
    truth: GoldCodes,
    spelled: Mapping[str, str],
    predicted: PredictedCodes,
) -> tuple[dict[str, float], dict[str, int], dict[str, str]]:
    """Return the measures of evidence, the match categories, and why some are missing."""
    if not any(code.spans is not None for code in listed.all_codes()):
        return {}, {}, {}
    if not truth.annotations:
        return {}, {}, {"evidence": "the gold codes have no annotated evidence"}
    place = {code: label for label, code in enumerate(predicted.codes)}
    found: dict[tuple[str, str], Spans] = {}
    for row, name in enumerate(predicted.ids):
        document = listed.documents.get(name)
        for code in document.codes if document is not None else ():
            if predicted.predicted_NL[row, place[spelled[code.code]]]:
                found.setdefault((name, spelled[code.code]), code.spans or ())
    gold = {
        (name, code): annotations
        for name, codes in truth.annotations.items()
        for code, annotations in codes.items()
    }
    measures = span_metrics(gold, found)
    if not truth.texts:
        return (
            measures,
            {},
            {"evidence_matches": "the texts of the gold documents aren't available"},
        )
    return measures, match_categories(gold, found, truth.texts), {}


def _cost(listed: CodeListing, predicted: PredictedCodes) -> dict[str, float]:
    costs = [
        document.cost
        for name in predicted.ids
        if (document := listed.documents.get(name)) is not None and document.cost is not None
    ]
    if not costs:
        return {}
    right = int((predicted.predicted_NL & predicted.gold_NL).sum())
    return {
        "documents": len(costs),
        "total": sum(costs),
        "mean": sum(costs) / len(costs),
        "median": median(costs),
        "per_right_code": sum(costs) / right if right else float("nan"),
    }
