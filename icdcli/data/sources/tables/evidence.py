"""Annotated evidence in a cell of a table: ``[{"code": "I10", "begin": 3, "end": 15}]``."""

import json
from collections.abc import Callable
from typing import Any

from icdcli.data.sources.admission import AnnotatedSpan, Code, check_span

_LONGEST_SHOWN = 30  # characters of a value in a message


def evidence_spans(
    value: Any, text: str, code_of: Callable[[str], Code]
) -> tuple[AnnotatedSpan, ...]:
    """Return the spans of one cell.

    Args:
        value: A list of objects, the same as JSON, or nothing.
        text: The text that the spans are positions in.
        code_of: Returns the code as the column of codes has it.

    Raises:
        ValueError: If the cell can't be read; the message is the end of a sentence.
    """
    try:
        items = json.loads(value.strip() or "[]") if isinstance(value, str) else value or []
        if not isinstance(items, list):
            raise TypeError
        spans: list[AnnotatedSpan] = []
        groups: dict[int | str, int] = {}
        for place, item in enumerate(items):
            code, begin, end, group = item["code"], item["begin"], item["end"], item.get("group")
            if (
                not isinstance(code, str)
                or {type(begin), type(end)} != {int}
                or type(group) not in (int, type(None))
            ):
                raise TypeError
            own = groups.setdefault(f"item {place}" if group is None else group, len(groups))
            spans.append(AnnotatedSpan(_code(code, place, code_of), begin, end, own))
            check_span(spans[-1], len(text))
    except (TypeError, KeyError, AttributeError, RecursionError):
        raise ValueError('is not a list of {"code": "I10", "begin": 3, "end": 15}') from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error}") from None
    return tuple(spans)


def _code(raw: str, place: int, code_of: Callable[[str], Code]) -> str:
    try:
        return code_of(raw).code
    except ValueError as error:
        # With mixed-up fields, words of the note may be in the place of the code.
        if short_value(raw) == repr(raw) and any(map(str.isdigit, raw)):
            raise
        raise ValueError(f"item {place + 1} has a text in the place of its code") from error


def short_value(value: Any) -> str:
    """Return a value for a message, but no long one and none of several words: it may be a note."""
    text = str(value).strip()
    if len(text) > _LONGEST_SHOWN or len(text.split()) > 1:
        return "a long text" if isinstance(value, str) else type(value).__name__
    return repr(value)
