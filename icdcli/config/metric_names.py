"""The names that ``metrics:`` accepts, each with its meaning and the papers that count in this way.

The module imports nothing heavy: checking a configuration needs the names, but neither numpy nor
torch.

Papers count differently under the same name, so each way of counting has a name of its own.
*Present* labels are those with a positive in the evaluated documents. CAML is Mullenbach et al.
2018 and those who use its evaluation (PLM-ICD among them), Edin is Edin et al. 2023, Guo is Guo et
al. 2017, CodiEsp is the evaluation script of that task, trec_eval that of the Text Retrieval
Conference, and the original tool is the one whose configuration icdcode reads.
"""

from collections.abc import Sequence

METRICS: dict[str, str] = {
    "aucroc_macro": (
        "area under ROC, mean of labels with a positive and a negative (CAML, Edin, original tool)"
    ),
    "aucprc_macro": "average precision, mean of present labels (scikit-learn, original tool)",
    "aucroc_micro": "area under ROC, all labels in one ranking (CAML, Edin, scikit-learn)",
    "aucprc_micro": "average precision, all labels in one ranking (scikit-learn)",
    "aucroc_micro_present": "area under ROC, present labels in one ranking (original tool)",
    "aucprc_micro_present": "average precision, present labels in one ranking (original tool)",
    "f1_micro": "F1 of all decisions together (CAML, scikit-learn)",
    "precision_micro": "share of predicted codes that are gold (CAML, scikit-learn)",
    "recall_micro": "share of gold codes that are predicted (CAML, scikit-learn)",
    "f1_macro": "F1, mean of present labels (icdcode)",
    "precision_macro": "precision, mean of present labels (icdcode)",
    "recall_macro": "recall, mean of present labels (icdcode)",
    "f1_macro_all": "F1, mean of all labels, 0 where undefined (scikit-learn)",
    "precision_macro_all": "precision, mean of all labels, 0 where undefined (CAML, scikit-learn)",
    "recall_macro_all": "recall, mean of all labels, 0 where undefined (CAML, scikit-learn)",
    "f1_macro_caml": "harmonic mean of precision_macro_all and recall_macro_all (CAML, PLM-ICD)",
    "exact_match": "share of documents with exactly the gold codes predicted (scikit-learn)",
    "precision_at_5": "share of the 5 highest scored codes that are gold (CAML)",
    "precision_at_8": "share of the 8 highest scored codes that are gold (CAML)",
    "precision_at_15": "share of the 15 highest scored codes that are gold (CAML)",
    "recall_at_5": "share of gold codes among the 5 highest scored (trec_eval)",
    "recall_at_8": "share of gold codes among the 8 highest scored (trec_eval)",
    "recall_at_15": "share of gold codes among the 15 highest scored (trec_eval)",
    "r_precision": "precision among as many codes as the document has gold codes (trec_eval)",
    "map": "average precision of each document's ranking, mean of documents (trec_eval)",
    "calibration_error": (
        "expected calibration error: score versus share of gold codes, in 15 bins (Guo)"
    ),
    **{
        f"recall_at_{k}_caml": f"recall_at_{k}, 0 for documents without a gold code (CAML)"
        for k in (5, 8, 15)
    },
    "map_codiesp": "map of the first 1,000 codes, 0 for documents without a gold code (CodiEsp)",
    **{
        f"{name}_edin": f"{name} of present labels and documents with a gold code (Edin)"
        for name in (
            *("f1_micro", "precision_micro", "recall_micro"),
            *("f1_macro", "precision_macro", "recall_macro", "exact_match"),
            *("precision_at_5", "precision_at_8", "precision_at_15"),
            *("recall_at_5", "recall_at_8", "recall_at_15", "r_precision", "map"),
        )
    },
}

PRINCIPAL_METRICS: dict[str, str] = {
    "principal_accuracy": "share of documents whose most likely principal diagnosis is right",
    "principal_mrr": "mean of 1 / rank of the right principal diagnosis",
}
"""Metrics of models with ``principal: True``; documents without a known one are left out."""

VALIDATION_LOSS = "validation_loss"
LOWER_IS_BETTER = frozenset({VALIDATION_LOSS, "calibration_error"})


def monitored(monitor: str | None, metrics: Sequence[str]) -> tuple[list[str], bool]:
    """Return the names whose mean selects the best checkpoint, and whether higher is better.

    Args:
        monitor: A metric or ``validation_loss``. None means the mean of ``metrics``, without
            those for which lower is better unless there are no others.
        metrics: The configured metrics.
    """
    names = (
        [monitor]
        if monitor
        else [name for name in metrics if name not in LOWER_IS_BETTER] or list(metrics)
    )
    return names, names[0] not in LOWER_IS_BETTER
