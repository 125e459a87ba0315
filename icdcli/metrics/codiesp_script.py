"""The numbers of CodiEsp's evaluation script from ranked codes per document.

The script reads ``id<tab>code`` in lower case, keeps the first of equal codes of a document and
drops the codes that aren't in a list of valid ones. Its MAP (trectools 0.0.42, which the task
names) is the sum of the average precisions of the first 1,000 codes, divided by the number of
documents that *have a prediction*: a document without one doesn't count, and one without a gold
code counts as 0. Its precision, recall and F1 pool all documents, those without a gold code, too.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

from icdcli.metrics.by_document import CODIESP_DEPTH


def codiesp_script_metrics(
    gold: Mapping[str, AbstractSet[str]],
    ranked: Mapping[str, Sequence[str]],
    *,
    depths: Sequence[int] = (CODIESP_DEPTH, 30),
    has_order: bool = True,
) -> dict[str, float]:
    """Return the numbers that the script prints.

    Args:
        gold: Document to its gold codes.
        ranked: Document to its codes, best first; of equal codes, the first counts.
        depths: How many codes MAP reads: the script's own, and others as MAP@k.
        has_order: Whether the codes are ranked; else there is no MAP.

    Returns:
        ``map``, ``map_at_30`` …, ``precision``, ``recall`` and ``f1``; 0 where the script fails.
    """
    codes = {name: list(dict.fromkeys(own)) for name, own in ranked.items() if own}
    values: dict[str, float] = {}
    for depth in depths if has_order else ():
        total = sum(
            _average_precision(gold[name], own[:depth])
            for name, own in codes.items()
            if gold.get(name)
        )
        name = "map" if depth == depths[0] else f"map_at_{depth}"
        values[name] = total / len(codes) if codes else 0.0
    right = sum(len(own & set(codes.get(name, ()))) for name, own in gold.items())
    predicted, true = sum(map(len, codes.values())), sum(map(len, gold.values()))
    precision = right / predicted if predicted else 0.0
    recall = right / true if true else 0.0
    both = precision + recall
    values |= {"precision": precision, "recall": recall}
    return values | {"f1": 2 * precision * recall / both if both else 0.0}


def _average_precision(gold: AbstractSet[str], ranked: Sequence[str]) -> float:
    hits, total = 0, 0.0
    for rank, code in enumerate(ranked, start=1):
        if code in gold:
            hits += 1
            total += hits / rank
    return total / len(gold)
