"""Measures of evidence: predicted spans of a document's code against annotated ones.

- Exact spans and characters: micro precision, recall and F1 over (document, code, span) and over
  (document, code, character), as MDACE's exact span match and, with characters instead of words,
  its exact token match (Cheng et al. 2023).
- Match categories of Beckh et al. 2025 for each predicted code with annotated evidence, in words:
  ``empty`` (no predicted words), ``exact`` (the same words), ``proximate`` (a predicted word in
  every annotated sequence of words, and none further than 10 words from one), ``partial`` (a
  common word) or ``none``. Beckh et al. count the tokens of their language model; here they are
  words and punctuation marks.
- CodiEsp-X: a code counts if a predicted span includes one of its annotations, from the first to
  the last character of its fragments, and begins and ends at most 10 characters outside of it.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

Fragments = tuple[tuple[int, int], ...]
"""An annotation, or all predicted spans of a code: begins and ends."""
Pair = tuple[str, str]
"""A document and a code."""

CATEGORIES = ("empty", "exact", "proximate", "partial", "none")
WINDOW = 10
TOLERANCE = 10
_WORD = re.compile(r"\w+|[^\w\s]")


def _rates(right: int, predicted: int, gold: int, name: str) -> dict[str, float]:
    return {
        f"{name}_precision": right / predicted if predicted else 0.0,
        f"{name}_recall": right / gold if gold else 0.0,
        f"{name}_f1": 2 * right / (predicted + gold) if predicted + gold else 0.0,
    }


def span_metrics(
    gold: Mapping[Pair, Sequence[Fragments]], predicted: Mapping[Pair, Fragments]
) -> dict[str, float]:
    """Return precision, recall and F1 of exact spans, of characters, and as CodiEsp-X counts.

    Args:
        gold: The annotations of each pair that has some.
        predicted: The spans of each predicted pair, also of pairs without any.
    """
    spans = [
        {(pair, span) for pair, annotations in gold.items() for one in annotations for span in one},
        {(pair, span) for pair, found in predicted.items() for span in found},
    ]
    exact = _rates(len(spans[0] & spans[1]), len(spans[1]), len(spans[0]), "span")
    common = gold_characters = predicted_characters = 0
    for pair in gold.keys() | predicted.keys():
        own = _united(span for one in gold.get(pair, ()) for span in one)
        found = _united(predicted.get(pair, ()))
        gold_characters += sum(end - begin for begin, end in own)
        predicted_characters += sum(end - begin for begin, end in found)
        common += _overlap(own, found)
    characters = _rates(common, predicted_characters, gold_characters, "character")
    right = sum(
        any(_includes(span, one) for one in gold.get(pair, ()) if one for span in found)
        for pair, found in predicted.items()
    )
    return exact | characters | _rates(right, len(predicted), len(gold), "codiesp_x")


def _includes(span: tuple[int, int], annotation: Fragments) -> bool:
    begin, end = min(one[0] for one in annotation), max(one[1] for one in annotation)
    return 0 <= begin - span[0] <= TOLERANCE and 0 <= span[1] - end <= TOLERANCE


def _united(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that touch or overlap joined."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _overlap(first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]) -> int:
    """Return the number of characters that two ordered lists of disjoint spans have in common."""
    total = one = other = 0
    while one < len(first) and other < len(second):
        begin = max(first[one][0], second[other][0])
        end = min(first[one][1], second[other][1])
        total += max(0, end - begin)
        if first[one][1] < second[other][1]:
            one += 1
        else:
            other += 1
    return total


def match_categories(
    gold: Mapping[Pair, Sequence[Fragments]],
    predicted: Mapping[Pair, Fragments],
    texts: Mapping[str, str],
) -> dict[str, int]:
    """Count the predicted pairs with annotated evidence by category.

    Args:
        gold: The annotations of each pair that has some.
        predicted: The spans of each predicted pair.
        texts: Document to text; pairs of other documents don't count.
    """
    counts: Counter[str] = Counter()
    words: dict[str, list[tuple[int, int]]] = {}
    for pair, found in predicted.items():
        if pair not in gold or pair[0] not in texts:
            continue
        if pair[0] not in words:
            words[pair[0]] = [match.span() for match in _WORD.finditer(texts[pair[0]])]
        own = [span for one in gold[pair] for span in one]
        counts[match_category(_places(own, words[pair[0]]), _places(found, words[pair[0]]))] += 1
    return {category: counts[category] for category in CATEGORIES}


def _places(spans: Iterable[tuple[int, int]], words: Sequence[tuple[int, int]]) -> set[int]:
    """Return the numbers of the words that spans touch."""
    joined = _united(spans)
    places: set[int] = set()
    at = 0
    for place, (begin, end) in enumerate(words):
        while at < len(joined) and joined[at][1] <= begin:
            at += 1
        if at == len(joined):
            break
        if joined[at][0] < end:
            places.add(place)
    return places


def match_category(gold: set[int], predicted: set[int]) -> str:
    """Return the category of a pair.

    Args:
        gold: The numbers of the annotated words.
        predicted: Those of the predicted words.
    """
    if not predicted:
        return "empty"
    if gold == predicted:
        return "exact"
    if not gold & predicted:
        return "none"
    sequences: list[list[int]] = []
    for place in sorted(gold):
        if sequences and place == sequences[-1][1] + 1:
            sequences[-1][1] = place
        else:
            sequences.append([place, place])
    met = all(any(first <= place <= last for place in predicted) for first, last in sequences)
    near = all(
        any(first - WINDOW <= place <= last + WINDOW for first, last in sequences)
        for place in predicted
    )
    return "proximate" if met and near else "partial"
