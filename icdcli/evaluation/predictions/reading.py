"""Read the predictions of any system: tables, JSON, and the formats of shared tasks.

CodiEsp's files have no header: ``id<tab>code`` is a ranking of diagnoses or procedures,
``id<tab>begin end<tab>kind<tab>code`` predicts evidence, and
``id<tab>kind<tab>code<tab>words<tab>begin end`` is gold evidence. MDACE's are one JSON file per
admission, in which positions are those of each note: a document is a note there if the notes are
several.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from icdcli.errors import DataError, counted
from icdcli.evaluation.predictions.listed import (
    CodeListing,
    ListedCode,
    ListedDocument,
    check_spans,
    code_text,
)
from icdcli.evaluation.predictions.tables import (
    ID_NAMES,
    ColumnNames,
    read_records,
    read_table,
)
from icdcli.io.csv_reader import plain_name
from icdcli.io.tables.objects import open_lines, read_object
from icdcli.io.tables.records import ENDINGS, is_json, is_table

_HEADERLESS = (".tsv", ".tab", ".txt")
_POSITIONS = re.compile(r"\d+ \d+(;\d+ \d+)*")
_WRAPPERS = ("data", "predictions", "documents", "records", "results")
CODIESP_KINDS = {"DIAGNOSTICO": "diagnosis", "PROCEDIMIENTO": "procedure"}
_CODIESP_PARTS = {2: "id<tab>code", 4: "id<tab>begin end<tab>kind<tab>code", 5: "gold evidence"}


def read_listed(path: Path, names: ColumnNames | None = None) -> CodeListing:
    """Read predictions or gold codes, whatever their format.

    Args:
        path: A file, or a folder of MDACE's JSON files.
        names: The columns of a table.

    Raises:
        DataError: If it can't be read in one way only.
    """
    if not path.exists():
        where = "" if path.is_absolute() else f" in {Path.cwd()}"
        raise DataError(f"{path}: no such file or folder{where}.")
    if path.is_dir() and not is_table(path):
        return _read_folder(path)
    if fields := _headerless(path):
        return _read_codiesp(path, fields)
    if is_json(path) and (content := read_object(path)) is not None and not _is_record(content):
        return _read_object(path, content, names)
    if _may_be_headerless(path) and next(_lines(path), None) is None:
        raise DataError(f"{path}: is empty. It needs the codes of each document.")
    if not is_table(path):
        raise DataError(f"{path}: is not a table. The name must end in {ENDINGS}.")
    return read_table(path, names)


def _may_be_headerless(path: Path) -> bool:
    return path.name.lower().endswith(_HEADERLESS)


def _headerless(path: Path) -> int:
    """Return the number of fields of CodiEsp's format; 0 if a file isn't in it."""
    if not _may_be_headerless(path):
        return 0
    first = next(_lines(path), (1, ""))[1].split("\t")
    if len(first) not in _CODIESP_PARTS or plain_name(first[0]) in ID_NAMES:
        return 0
    places = {4: 1, 5: 4}
    if len(first) in places and not _POSITIONS.fullmatch(first[places[len(first)]].strip()):
        return 0
    return len(first)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that aren't empty, with their numbers."""
    with open_lines(path) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8").rstrip("\r\n").removeprefix("\ufeff")
            except UnicodeDecodeError:
                raise DataError(f"{path}, line {number}: not UTF-8. Save it as UTF-8.") from None
            if text.strip():
                yield number, text


def _read_codiesp(path: Path, fields: int) -> CodeListing:
    found = CodeListing(ranked=fields == 2)
    repeated = 0
    rows: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for number, line in _lines(path):
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != fields:
            raise DataError(
                f"{path}, line {number}: {len(parts)} columns, expected {fields} "
                f"({_CODIESP_PARTS[fields]}). Fix the line."
            )
        try:
            code = code_text(parts[{2: 1, 4: 3, 5: 2}[fields]])
            spans = _positions(parts[{4: 1, 5: 4}[fields]]) if fields > 2 else []
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}.") from error
        codes = rows.setdefault(parts[0], {})
        # The task's script reads codes in lower case, and keeps the first of equal ones.
        repeated += fields == 2 and code.lower() in codes
        codes.setdefault(code.lower(), []).extend(spans)
    for name, by_code in rows.items():
        found.documents[name] = ListedDocument(
            [
                ListedCode(code, spans=tuple(spans) if fields > 2 else None)
                for code, spans in by_code.items()
            ]
        )
    if repeated:
        found.remarks.append(
            f"{counted(repeated, 'line')} left out, whose code the document already has."
        )
    return found


def _positions(text: str) -> list[tuple[int, int]]:
    if not _POSITIONS.fullmatch(text):
        raise ValueError("expected positions as begin end;begin end")
    spans = [(int(begin), int(end)) for begin, end in (one.split() for one in text.split(";"))]
    # CodiEsp's annotations have some empty fragments.
    spans = [(begin, end) for begin, end in spans if begin < end]
    check_spans(spans)
    return spans


def _is_record(content: Mapping[str, Any]) -> bool:
    """Return whether an object is one row of a table: a file with a single document."""
    return any(plain_name(name) in ID_NAMES for name in content) and "notes" not in content


def _read_object(path: Path, content: dict[str, Any], names: ColumnNames | None) -> CodeListing:
    """Read one object: MDACE's of an admission, a wrapped list of records, or id to codes."""
    if "notes" in content and "hadm_id" in content:
        return _read_admissions({path: content})
    for name in _WRAPPERS:
        inner = content.get(name)
        if isinstance(inner, list) and all(isinstance(one, dict) for one in inner):
            return read_records(path, inner, names)
        if isinstance(inner, dict) and len(content) == 1:
            content = inner
    records = [{"id": name, "codes": codes} for name, codes in content.items()]
    if not all(isinstance(one["codes"], list | dict | str) for one in records):
        raise DataError(
            f"{path}: is a JSON object, but neither document ids with their codes nor MDACE's "
            'format. Write {"id 1": ["I10", "E11.9"], …}, or one object per line.'
        )
    return read_records(path, records, None)


def _read_folder(folder: Path) -> CodeListing:
    """Read a folder of MDACE's files."""
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.json"))
    # Prepared corpora are in hidden folders of a data set.
    files = [folder / name for name in names if not name.parts[0].startswith(".")]
    if not files:
        raise DataError(
            f"{folder}: has no .json files. Pass a file, or a folder in MDACE's format, with one "
            "JSON file per admission. Data sets are passed as --gold."
        )
    return _read_admissions({path: read_object(path) for path in files})


def _read_admissions(contents: Mapping[Path, Any]) -> CodeListing:
    """Read MDACE's admissions; the ids of documents are HADM_IDs."""
    found = CodeListing()
    for path, content in contents.items():
        try:
            document = found.documents.setdefault(str(content["hadm_id"]), ListedDocument())
            spans = {code.code: list(code.spans or ()) for code in document.codes}
            for note in content["notes"]:
                for one in note["annotations"]:
                    if one.get("code_system") in OTHER_SYSTEMS:
                        continue
                    place = _placed(note, one)
                    spans.setdefault(code_text(one["code"]), []).append(place)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"{path}: is not in MDACE's format ({type(error).__name__}: {error})."
            ) from error
        document.codes = [ListedCode(code, spans=tuple(places)) for code, places in spans.items()]
    return found


OTHER_SYSTEMS = ("CPT", "HCPCS")
"""Systems of MDACE's Profee charts that aren't ICD."""
_NOTE_ROOM = 1 << 32


def _placed(note: Mapping[str, Any], annotation: Mapping[str, Any]) -> tuple[int, int]:
    """Return the span of an annotation, with the number of its note in front of its positions.

    Gold and predicted annotations of the same note then have the same positions, and those of
    different notes none in common.
    """
    begin, end = annotation["begin"], annotation["end"]
    if type(begin) is not int or type(end) is not int:
        raise TypeError("begin and end are numbers of characters")
    check_spans([(begin, end)])
    before = int(note["note_id"]) * _NOTE_ROOM
    return before + begin, before + end


def first_names(names: Sequence[str], number: int = 3) -> str:
    """Return some names for a message."""
    return ", ".join(names[:number]) + (" …" if len(names) > number else "")
