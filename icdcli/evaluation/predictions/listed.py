"""Codes per document as a system lists them, or as gold annotations do.

No text of a note is kept here but that of gold documents, which the match measures of evidence
need.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from icdcli.data.sources.tables.evidence import short_value

Shape = Literal["sets", "rankings", "scores"]
"""How a file lists the codes of a document: as a set, in an order, or with scores."""

Spans = tuple[tuple[int, int], ...]
"""Evidence of a code: begins and ends in characters of the document."""


class ListedCode(NamedTuple):
    """A code that a file has for a document.

    Attributes:
        code: The code as it is written there.
        score: Its score in [0, 1]; None: it has none.
        predicted: Whether the file says that it is predicted; None: it doesn't.
        spans: Its evidence; None: the file has none.
        dropped: Whether the file says that a rule has dropped it, whatever its score.
    """

    code: str
    score: float | None = None
    predicted: bool | None = None
    spans: Spans | None = None
    dropped: bool = False


@dataclass
class ListedDocument:
    """The codes of a document.

    Attributes:
        codes: The codes, in the order of the file.
        cost: What it cost to code the document, if the file says so.
        text: The text that positions of evidence refer to, if the file has it.
    """

    codes: list[ListedCode] = field(default_factory=list)
    cost: float | None = None
    text: str | None = field(default=None, repr=False)


@dataclass
class CodeListing:
    """The codes of all documents of a file.

    Attributes:
        documents: Id to document.
        ranked: Whether the order of a document's codes is a ranking, as in CodiEsp's format.
        remarks: How the file was read, one sentence each.
    """

    documents: dict[str, ListedDocument] = field(default_factory=dict)
    ranked: bool = False
    remarks: list[str] = field(default_factory=list)

    def all_codes(self) -> Iterator[ListedCode]:
        """Yield the codes of all documents."""
        for document in self.documents.values():
            yield from document.codes

    @property
    def shape(self) -> Shape:
        """Return how the file lists the codes of a document."""
        if any(code.score is not None for code in self.all_codes()):
            return "scores"
        return "rankings" if self.ranked else "sets"


def score_of(value: Any) -> float | None:
    """Return a score; None if the cell is empty.

    Raises:
        ValueError: If it isn't a number in [0, 1]; the message is the end of a sentence.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    percent = isinstance(value, str) and value.strip().endswith("%")
    number = number_of_cell(value.strip().rstrip("%") if percent else value)
    if not math.isfinite(number):
        raise ValueError(f"is {short_value(value)}. Every score must be a number in [0, 1]")
    if percent or 1 < number <= 100:
        raise ValueError(
            f"is {short_value(value)}. Scores must be in [0, 1]; if these are percentages, divide "
            "them by 100"
        )
    if not 0 <= number <= 1:
        raise ValueError(
            f"is {short_value(value)}. Scores must be in [0, 1]; if these are logits, write "
            "1 / (1 + exp(-x)) instead"
        )
    return number


def number_of_cell(value: Any) -> float:
    """Return the number in a cell.

    Raises:
        ValueError: If it isn't one; the message is the end of a sentence.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"is {type(value).__name__}, not a number")
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"is {short_value(value)}, not a number") from None


def truth_of(value: Any) -> bool | None:
    """Return the value of a cell of ``predicted``; None if it is empty.

    Raises:
        ValueError: If it is neither true nor false; the message is the end of a sentence.
    """
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if not word:
        return None
    # Tables that lack some truths have the others as 1.0 and 0.0.
    if word in ("true", "1", "1.0", "yes"):
        return True
    if word in ("false", "0", "0.0", "no"):
        return False
    raise ValueError(f"is {short_value(value)}. Write true or false")


def spans_of(begins: Any, ends: Any) -> Spans | None:
    """Return evidence from the cells ``begin`` and ``end``: numbers, lists, or numbers in a text.

    Raises:
        ValueError: If they don't fit; the message is the end of a sentence.
    """
    first, last = _whole_numbers(begins), _whole_numbers(ends)
    if first is None and last is None:
        return None
    if first is None or last is None or len(first) != len(last):
        raise ValueError("begin and end don't have the same number of positions")
    found = tuple(zip(first, last, strict=True))
    check_spans(found)
    return found


def check_spans(spans: Iterable[tuple[int, int]]) -> None:
    """Raise a `ValueError` if a span is empty or begins before the text."""
    for begin, end in spans:
        if not 0 <= begin < end:
            raise ValueError(
                f"evidence from {begin} to {end} is no span: positions are characters from 0, the "
                "end is behind the last one"
            )


def _whole_numbers(value: Any) -> list[int] | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    parts = value.split() if isinstance(value, str) else value
    parts = list(parts) if isinstance(parts, list | tuple) else [parts]
    try:
        if any(isinstance(part, bool | float) for part in parts):
            raise ValueError
        return [int(part) for part in parts]
    except (TypeError, ValueError):
        raise ValueError("begin and end are whole numbers of characters") from None


def spans_of_objects(items: Any) -> Spans | None:
    """Return evidence from a list of objects with ``begin`` and ``end``; None if there is none.

    Raises:
        ValueError: If it is something else; the message is the end of a sentence.
    """
    if items is None:
        return None
    try:
        found = tuple((item["begin"], item["end"]) for item in items)
        if any({type(begin), type(end)} != {int} for begin, end in found):
            raise TypeError
    except (TypeError, KeyError):
        raise ValueError('evidence is not a list of {"begin": 3, "end": 15}') from None
    check_spans(found)
    return found


def one_cost(document: ListedDocument, cost: float | None) -> None:
    """Note the cost of a document that one of its rows has.

    Raises:
        ValueError: If another row of the document has another cost.
    """
    if cost is None:
        return
    if not math.isfinite(cost) or cost < 0:
        raise ValueError("the cost must be a number from 0 on")
    if document.cost not in (None, cost):
        raise ValueError(
            "the rows of a document have different costs. Write the cost of the whole document "
            "in each of its rows, or in one"
        )
    document.cost = cost


def listed_object(value: Any, score_names: Iterable[str]) -> ListedCode:
    """Return a code from an object such as ``{"code": "I10", "score": 0.9}``.

    Args:
        value: The object.
        score_names: The keys that may have the score.

    Raises:
        ValueError: If it isn't one; the message is the end of a sentence.
    """
    if not isinstance(value, Mapping) or "code" not in value:
        raise ValueError('has an object without "code"')
    score = next((value[name] for name in score_names if name in value), None)
    predicted, dropped = truth_of(value.get("predicted")), value.get("dropped") is not None
    return ListedCode(
        code_text(value["code"]),
        score_of(score),
        False if dropped else predicted,
        spans_of_objects(value.get("evidence", value.get("spans"))),
        dropped,
    )


def code_text(value: Any) -> str:
    """Return a code as it is written.

    Raises:
        ValueError: If it isn't a text, or a long one; the message is the end of a sentence.
    """
    if isinstance(value, str) and value.strip():
        code = value.strip()
        if len(code) > _LONGEST_CODE or len(code.split()) > 1:
            raise ValueError(
                f"a value of {len(code):,} characters in the place of a code. Write codes without "
                "their descriptions"
            )
        return code
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(
            f"the code {value} is a number. Write codes as text, since numbers lose their zeros"
        )
    kind = "empty" if isinstance(value, str) else f"of the type {type(value).__name__}"
    raise ValueError(f"a code is {kind}. Write codes as text")


_LONGEST_CODE = 20
