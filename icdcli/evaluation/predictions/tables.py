"""Predictions and gold codes in tables: one row per document and code, or one per document.

CSV, JSONL, Parquet and Excel are read by the same rules, so the columns decide. A column ``code``
means one row per document and code; a column ``codes`` one row per document, with a list, a text
separated by ``;`` ``,`` or blanks, or (in JSON) objects or a mapping from code to score.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from icdcli.data.sources.tables.cells import id_of
from icdcli.errors import DataError, counted
from icdcli.evaluation.files import TOP_CODES
from icdcli.evaluation.predictions.listed import (
    CodeListing,
    ListedCode,
    ListedDocument,
    code_text,
    listed_object,
    number_of_cell,
    one_cost,
    score_of,
    spans_of,
    spans_of_objects,
    truth_of,
)
from icdcli.icd.code_cells import cell_codes, shown
from icdcli.io.csv_reader import StrictReading, match_columns, plain_name, shown_names
from icdcli.io.tables.records import column_names, table_rows

ID_NAMES = (
    *("id", "document_id", "doc_id", "note_id", "encounter_id", "hadm_id", "case_id", "file"),
    *("clinical_case", "query"),
)
"""The names of columns of ids, the usual ones first. ``encounter_id`` is ACI-BENCH's."""
LONG_NAMES = ("code", "icd_code", "icd10_code", "icd9_code")
_CODES = ("codes", "icd10_codes", "icd9_codes", "icd_codes")
PREDICTED_NAMES = ("predicted_codes", "predictions", "prediction", "predicted", *_CODES)
"""The names of columns with all predicted codes of a document; those of gold codes aren't read."""
GOLD_NAMES = (
    *(*_CODES, "labels", "target", "targets", "gold_codes", "gold"),
    *("icd", "icd10", "icd9", "diagnoses"),
)
"""The names of columns with all gold codes of a document."""
SCORE_NAMES = ("score", "probability", "prob", "confidence")
COST_NAMES = ("cost", "cost_usd")
_OTHERS = ("predicted", "dropped", "begin", "end", "evidence", "text", "note", "gold")


_Value = TypeVar("_Value")


class ColumnNames(NamedTuple):
    """The columns of a table of predictions; None: the usual names.

    Attributes:
        id: The column of ids.
        codes: The column with all codes of a document.
        code: The column with one code per row.
        score: The column of scores.
        cost: The column of costs.
        of_gold: Whether the codes are gold codes, which have other usual names.
    """

    id: str | None = None
    codes: str | None = None
    code: str | None = None
    score: str | None = None
    cost: str | None = None
    of_gold: bool = False


@dataclass(frozen=True)
class _Columns:
    """The columns of a table by role; ``""`` if the table has none for a role."""

    id: str
    code: str
    codes: str
    score: str
    cost: str
    others: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """Return the columns to read, each once."""
        own = (self.id, self.code, self.codes, self.score, self.cost, *self.others.values())
        return list(dict.fromkeys(name for name in own if name))


def read_table(path: Path, names: ColumnNames | None = None) -> CodeListing:
    """Read a table of codes per document.

    Args:
        path: A file that `icdcli.io.tables.records` reads.
        names: The columns.

    Raises:
        DataError: If it can't be read in one way only.
    """
    reading = StrictReading()
    available = column_names(path, reading)
    columns = _find(path, available, names or ColumnNames())
    rows = (
        dict(zip(columns.names, row, strict=True))
        for row in table_rows(path, columns.names, reading)
    )
    found = _read_rows(path, rows, columns)
    unread = [name.strip() for name in available if name not in columns.names]
    if unread := [name for name in unread if plain_name(name) not in _EXPECTED]:
        found.remarks.append(f"Columns that aren't read: {shown_names(unread)}.")
    return found


_EXPECTED = frozenset(
    ("title", "threshold", "windows", "read", "edition", "editions", "weight", "assertion")
)
"""Columns that icdcode writes beside those that are read."""


def read_records(
    path: Path, records: Sequence[Mapping[str, Any]], names: ColumnNames | None = None
) -> CodeListing:
    """Read objects of JSON as rows of a table.

    Raises:
        DataError: If they can't be read in one way only, or there are none.
    """
    if not records:
        raise DataError(f"{path}: is empty. It needs the codes of each document.")
    available = list(dict.fromkeys(key for record in records for key in record))
    columns = _find(path, available, names or ColumnNames())
    rows = ({name: record.get(name) for name in columns.names} for record in records)
    return _read_rows(path, rows, columns)


def _find(path: Path, available: Sequence[str], names: ColumnNames) -> _Columns:
    def first(wanted: str | None, usual: Sequence[str]) -> str:
        if wanted is not None:
            return available[match_columns(path, available, [wanted])[0]]
        for name in usual:
            if name in map(plain_name, available):
                return available[match_columns(path, available, [name])[0]]
        return ""

    id_column = first(names.id, ID_NAMES)
    of = "--gold-" if names.of_gold else "--"
    if not id_column:
        raise DataError(
            f"{path}: has no column of ids ({', '.join(ID_NAMES[:6])} …). Its columns are: "
            f"{shown_names(available)}. Pass {of}id-column."
        )
    all_codes = GOLD_NAMES if names.of_gold else PREDICTED_NAMES
    code = first(names.code, LONG_NAMES) if names.codes is None else ""
    wide = first(names.codes, all_codes) if not code else ""
    if not code and not wide:
        option = f"{of}codes-column" + ("" if names.of_gold else " or --code-column")
        raise DataError(
            f"{path}: has no column of codes ({', '.join((*LONG_NAMES[:2], *_CODES[:2]))} …). "
            f"Its columns are: {shown_names(available)}. Pass {option}."
        )
    others = {name: found for name in _OTHERS if (found := first(None, [name]))}
    score, cost = first(names.score, SCORE_NAMES), first(names.cost, COST_NAMES)
    return _Columns(id_column, code, wide, score, cost, others)


def _read_rows(path: Path, rows: Iterator[Mapping[str, Any]], columns: _Columns) -> CodeListing:
    """Read rows; see `read_table`."""
    found = CodeListing()
    add = partial(_add_code, {}) if columns.code else _add_document
    repeated = 0
    for number, row in enumerate(rows, start=1):
        try:
            name = _cell(row, columns.id, lambda value: id_of(value, "--id-column"))
            if name is None:
                raise ValueError("has no id")
            repeated += add(found, name, row, columns)
        except _CellError as error:
            raise DataError(f"{path}, row {number}, column {error}.") from error
        except ValueError as error:
            raise DataError(f"{path}, row {number}: {error}.") from error
    if not found.documents:
        raise DataError(f"{path}: is empty. It needs a row for each document.")
    if repeated:
        found.remarks.append(
            f"{counted(repeated, 'row')} left out, whose code the document already has."
        )
    if columns.code and "gold" in columns.others and found.shape == "scores":
        _without_gold_rows(found)
    _require_scores(path, found)
    return found


class _CellError(ValueError):
    """A cell is wrong; the message begins with its column."""


def _cell(
    row: Mapping[str, Any], column: str | None, read: Callable[[Any], _Value]
) -> _Value | None:
    """Return what a cell holds; None if there is no such column.

    Raises:
        _CellError: If `read` raises a `ValueError`.
    """
    if not column:
        return None
    try:
        return read(row[column])
    except ValueError as error:
        raise _CellError(f"{column!r}: {error}") from error


def _without_gold_rows(found: CodeListing) -> None:
    """Drop the rows that a file of icdcode's own has only because their code is gold.

    Scored predictions have no score of these; an evaluation has one of every code.
    """
    if any(code.score is None for code in found.all_codes()):
        before = sum(1 for _ in found.all_codes())
        for document in found.documents.values():
            document.codes = [
                code
                for code in document.codes
                if code.score is not None or code.predicted is not False
            ]
        left_out = before - sum(1 for _ in found.all_codes())
        found.remarks.append(
            f"{left_out:,} codes without a score that aren't predicted are left out: the file has "
            "them because they are gold."
        )
        return
    for document in found.documents.values():
        scores = sorted((code.score or 0.0 for code in document.codes), reverse=True)
        least = scores[:TOP_CODES][-1] if scores else 0.0
        document.codes = [
            code
            for code in document.codes
            if code.predicted or (code.score and code.score >= least)  # 0: not in the label space
        ]
    found.remarks.append(
        f"The file is from an evaluation, which lists all gold codes. Only the predicted codes and "
        f"the {TOP_CODES} highest scores of each document count as listed."
    )


def _add_code(
    known: dict[tuple[str, str], int],
    found: CodeListing,
    name: str,
    row: Mapping[str, Any],
    columns: _Columns,
) -> int:
    """Add a row of one document and code, or of one of its pieces of evidence.

    Args:
        known: Id and code to the place among the document's codes; rows before added to it.
        found: What was read so far.
        name: The id.
        row: The row.
        columns: The columns.

    Returns:
        1 if the row repeats what others have, else 0.
    """
    document = found.documents.setdefault(name, ListedDocument())
    _common(document, row, columns)
    code = _cell(row, columns.code, _code_or_none)
    if code is None:
        return 0  # icdcode writes such a row for a document without codes
    others = columns.others
    predicted = _cell(row, others.get("predicted"), truth_of)
    if dropped := bool(row.get(others.get("dropped", ""))):
        predicted = False
    spans = spans_of(*(row.get(others.get(role, "")) for role in ("begin", "end")))
    if spans is None:
        spans = _cell(row, others.get("evidence"), lambda value: spans_of_objects(_json(value)))
    listed = ListedCode(code, _cell(row, columns.score, score_of), predicted, spans, dropped)
    place = known.setdefault((name, code), len(document.codes))
    if place == len(document.codes):
        document.codes.append(listed)
        return 0
    earlier = document.codes[place]
    if earlier._replace(spans=None) != listed._replace(spans=None):
        raise ValueError(f"{shown(code)} is there twice, with different scores")
    more = [span for span in spans or () if span not in (earlier.spans or ())]
    document.codes[place] = earlier._replace(spans=(*(earlier.spans or ()), *more) or None)
    return 0 if more else 1


def _code_or_none(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return code_text(value)


def _add_document(found: CodeListing, name: str, row: Mapping[str, Any], columns: _Columns) -> int:
    """Add a row of one document."""
    if name in found.documents:
        raise ValueError(
            f"the id {name[:40]!r} is there twice. Write one row per document, or one row per "
            "document and code with a column 'code'"
        )
    document = found.documents[name] = ListedDocument()
    _common(document, row, columns)
    document.codes = _cell(row, columns.codes, lambda value: list(_listed(value))) or []
    _cell(row, columns.others.get("evidence"), partial(_attach, document))
    return 0


def _common(document: ListedDocument, row: Mapping[str, Any], columns: _Columns) -> None:
    """Read what rows of both forms have: the cost, and the text."""
    if columns.cost and row[columns.cost] not in (None, ""):
        _cell(row, columns.cost, lambda value: one_cost(document, number_of_cell(value)))
    texts = (row[columns.others[role]] for role in ("text", "note") if role in columns.others)
    text = next((text for text in texts if text), None)
    if isinstance(text, str):
        document.text = text


def _listed(value: Any) -> Iterator[ListedCode]:
    """Yield the codes of one cell."""
    if isinstance(value, str) and value.lstrip().startswith(("{", "[{")):
        value = _json(value)
    if isinstance(value, Mapping):
        for code, score in value.items():
            if isinstance(score, Mapping):
                yield listed_object({"code": code, **score}, SCORE_NAMES)
            else:
                yield ListedCode(code_text(code), score_of(score))
    elif isinstance(value, list | tuple):
        for item in value:
            if isinstance(item, Mapping):
                yield listed_object(item, SCORE_NAMES)
            else:
                yield ListedCode(code_text(item))
    else:
        for code in cell_codes(value, None):
            if not any(map(str.isdigit, code[:3])):
                raise ValueError(
                    "has words between its codes. Write codes separated by ; or , without their "
                    "descriptions"
                )
            yield ListedCode(code_text(code))


def _attach(document: ListedDocument, value: Any) -> None:
    """Add evidence from a list of ``{"code", "begin", "end"}`` to the codes of a document."""
    if (items := _json(value)) is None:
        return
    if not isinstance(items, list):
        raise ValueError('evidence is not a list of {"code": "I10", "begin": 3, "end": 15}')
    by_code: dict[str, list[Any]] = {}
    for item in items:
        if not isinstance(item, Mapping) or "code" not in item:
            raise ValueError('evidence is not a list of {"code": "I10", "begin": 3, "end": 15}')
        by_code.setdefault(code_text(item["code"]), []).append(item)
    document.codes = [
        code._replace(
            spans=(*(code.spans or ()), *(spans_of_objects(by_code.pop(code.code, [])) or ()))
        )
        for code in document.codes
    ]
    if by_code:
        raise ValueError("has evidence of codes that the document doesn't have")


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error.msg})") from None


def _require_scores(path: Path, found: CodeListing) -> None:
    """Raise an error if some codes have a score and others don't."""
    has: Callable[[ListedCode], bool] = lambda code: code.score is not None  # noqa: E731
    scored = sum(map(has, found.all_codes()))
    total = sum(1 for _ in found.all_codes())
    if 0 < scored < total:
        raise DataError(
            f"{path}: {total - scored:,} of {total:,} codes have no score. Give each code a score, "
            "or leave the scores out."
        )
