"""Published results to compare runs with, for the same protocol, label space, split and metric.

Papers write "macro-F1" and "AUC" for different things; here each number has the name of the metric
that it is. Results that only look comparable make the tables of this field unreliable, so those
that don't match aren't shown, and the reason is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from icdcli.data.benchmarks.published_counts import PUBLISHED
from icdcli.data.corpus.migrated import MIGRATED


@dataclass(frozen=True)
class PublishedResult:
    """The result of one model as a source reports it.

    Attributes:
        name: The name of the model.
        source: The paper or page that reports it.
        values: Metric to value.
        caveat: A caveat; empty if none is known.
    """

    name: str
    source: str
    values: Mapping[str, float]
    caveat: str = ""


@dataclass(frozen=True)
class Comparable:
    """The published results that are comparable with an evaluation.

    Attributes:
        results: The comparable results, oldest first.
        reason: Why there are none; empty if there are any.
    """

    results: tuple[PublishedResult, ...]
    reason: str = ""


_ADMISSIONS = 50_000  # MIMIC-III has more admissions with a discharge summary
_MACRO = "macro-F1: averaging not verified; its size suggests averages over all labels, as in CAML"
_ON_TEST = "the threshold was chosen on the test split, so its F1 is optimistic"

# Name: source, caveat.
_PAPERS = {
    "CAML": ("Mullenbach et al. 2018", ""),
    "PLM-ICD": ("Huang et al. 2022", ""),
    "MSMN": ("Yuan et al. 2022", ""),
    "KEPT": ("Yang et al. 2022", ""),
    "PLM-CA": ("Edin et al. 2024", _MACRO),
    "GKI-ICD": ("GKI-ICD 2025", f"{_ON_TEST}; {_MACRO}"),
}


def _paper(name: str, **values: float) -> PublishedResult:
    """Return a result of one of `_PAPERS`."""
    source, caveat = _PAPERS[name]
    return PublishedResult(name, source, values, caveat)


def _full(
    name: str, f1_macro: float, f1_micro: float, precision_at_8: float, **areas: float
) -> PublishedResult:
    """Return a result on all codes of MIMIC-III, with CAML's macro-F1."""
    return _paper(
        name, f1_micro=f1_micro, f1_macro_caml=f1_macro, precision_at_8=precision_at_8, **areas
    )


_RESULTS: Mapping[str, tuple[PublishedResult, ...]] = {
    "mimic3-full-caml": (
        _full("CAML", 0.088, 0.539, 0.709, aucroc_macro=0.895, aucroc_micro=0.986),
        _full("PLM-ICD", 0.104, 0.598, 0.771, aucroc_macro=0.926, aucroc_micro=0.989),
        _full("MSMN", 0.103, 0.584, 0.752, aucroc_macro=0.950, aucroc_micro=0.992),
        _full("KEPT", 0.118, 0.599, 0.771),
        _full("PLM-CA", 0.103, 0.599, 0.772, aucroc_macro=0.916, aucroc_micro=0.989),
        _full("GKI-ICD", 0.123, 0.612, 0.777, aucroc_macro=0.962, aucroc_micro=0.993),
    ),
    "mimic3-50": (
        _paper("CAML", f1_micro=0.614),
        _paper("PLM-ICD", f1_micro=0.719),
        _paper("MSMN", f1_micro=0.725),
        _paper("KEPT", f1_micro=0.728),
        _paper("PLM-CA", f1_micro=0.710),
        _paper("GKI-ICD", f1_micro=0.735),
    ),
    "mimic4-icd10": (
        PublishedResult(
            "LAAT",
            "Edin et al. 2023",
            {
                **{"f1_micro_edin": 0.579, "f1_macro_edin": 0.203},
                **{"precision_at_8_edin": 0.689, "map_edin": 0.606},
            },
        ),
        PublishedResult(
            "PLM-ICD",
            "Edin et al. 2023",
            {
                **{"f1_micro_edin": 0.585, "f1_macro_edin": 0.211},
                **{"precision_at_8_edin": 0.699, "map_edin": 0.619},
                **{"aucroc_macro": 0.966, "aucroc_micro": 0.992},
            },
        ),
    ),
}
_ORIGINAL_TOOL = PublishedResult(
    "original tool",
    "its own guide",
    {
        "aucroc_macro": 0.9057,
        "aucroc_micro_present": 0.9808,
        "aucprc_macro": 0.2073,
        "aucprc_micro_present": 0.4741,
    },
    "on the validation split on which its checkpoint was chosen",
)
_CODIESP_D = (
    PublishedResult(
        "TF-IDF and linear SVM", "measured for icdcode", {"f1_micro": 0.330, "map": 0.308}
    ),
    PublishedResult(
        "PLM-ICD",
        "on CodiEsp-D",
        {"f1_micro": 0.219, "f1_macro": 0.216},
        "macro-F1: averaging not verified",
    ),
)


def comparable(card: Mapping[str, Any], split: str) -> Comparable:
    """Return the published results on the same documents, codes and split as an evaluation.

    Args:
        card: The card of the corpus.
        split: The split that was evaluated.
    """
    dataset, protocol = str(card["dataset"]), str(card["protocol"])
    results, of_split, reason = _RESULTS.get(protocol, ()), "test", _not_the_benchmark(card)
    if dataset == "codiesp":
        results, reason = _CODIESP_D, _not_the_diagnoses(card)
    elif protocol == "hadm-digit":
        results, of_split, reason = (_ORIGINAL_TOOL,), "validation", _not_all_of_mimic3(card)
    elif protocol == "mimic3-full":
        reason = (
            "papers use CAML's 8,921 labels, whose procedure codes were read as numbers, unlike in "
            "this protocol; train with protocol=mimic3-full-caml to compare"
        )
    elif not results:
        reason = f"no published result on {dataset}, protocol {protocol}, is listed in icdcode"
    if card.get("labels", {}).get("space") == MIGRATED:
        reason = "the model was migrated to another edition, and its codes aren't the paper's"
    if not reason and split != of_split:
        reason = f"published results are on the {of_split} split, this is the {split} split"
    return Comparable((), reason) if reason else Comparable(results)


def _not_the_benchmark(card: Mapping[str, Any]) -> str:
    """Return why a corpus isn't the published benchmark; empty if it is."""
    benchmark = card.get("benchmark") or {
        "is_benchmark": False,
        "reason": "its counts were never compared with the paper's",
    }
    if not benchmark["is_benchmark"]:
        return f"this corpus is not the benchmark: {benchmark['reason']}"
    known, release = PUBLISHED.get(card["protocol"]), benchmark.get("release")
    if known is not None and release and release != known.release:
        return f"published results are on {known.release}, this corpus is of {release}"
    return ""


def _not_all_of_mimic3(card: Mapping[str, Any]) -> str:
    """Return why a corpus isn't all of MIMIC-III; empty if it is."""
    few = card["documents"] < _ADMISSIONS
    return (
        f"this corpus has {card['documents']:,} documents, MIMIC-III more than {_ADMISSIONS:,}"
        if few
        else ""
    )


def _not_the_diagnoses(card: Mapping[str, Any]) -> str:
    """Return why a corpus isn't CodiEsp-D's label space; empty if it is."""
    options = card.get("options", {})
    if options.get("codes") != "diagnoses":
        return "published results are on diagnoses only"
    if options.get("label_space", "seen") != "seen":
        return "published results are on the codes in use; this label space has more codes"
    return ""
