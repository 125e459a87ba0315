"""The same notes in each format that `predict` reads, for `reading.py`."""

import base64
import csv
import html
import io
import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

import docx
import pyarrow as pa
import pyarrow.parquet as pq
import pypdf
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


def rtf(text: str) -> bytes:
    """Return RTF as Word writes it, with formatting in each paragraph."""
    escaped = text.replace("\\", r"\\").replace("{", r"\{").replace("}", r"\}")
    body = "".join(
        rf"\pard\plain \ltrpar\s0\fs22\lang1033 {{\rtlch \ltrch {line}}}\par " + "\n"
        for line in escaped.split("\n")
    )
    start = r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fswiss\fcharset0 Arial;}}"
    return (start + r"{\colortbl;\red0\green0\blue0;}{\*\generator Writer;}" + body + "}").encode()


def page(text: str) -> bytes:
    """Return an HTML page with a paragraph per line."""
    body = "".join(f"<p class='note'>{html.escape(line)}</p>\n" for line in text.split("\n"))
    head = "<meta charset='utf-8'><title>Note</title><style>p {margin: 0}</style>"
    return f"<!DOCTYPE html><html><head>{head}</head><body>{body}</body></html>".encode()


def cda(text: str) -> bytes:
    """Return a CDA document with one section."""
    body = "".join(f"<paragraph>{html.escape(line)}</paragraph>" for line in text.split("\n"))
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ClinicalDocument xmlns="urn:hl7-org:v3"><component>'
        f"<structuredBody><component><section><title>Note</title><text>{body}</text></section>"
        "</component></structuredBody></component></ClinicalDocument>"
    ).encode()


def word(text: str) -> bytes:
    """Return a Word document with a paragraph per line."""
    made = docx.Document()
    for line in text.split("\n"):
        made.add_paragraph(line)
    file = io.BytesIO()
    made.save(file)
    return file.getvalue()


def pdf(text: str) -> bytes:
    """Return a PDF document with a line of text per line."""
    lines = [line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
             for line in text.split("\n")]  # fmt: skip
    content = DecodedStreamObject()
    shown = " ".join(f"({line}) Tj T*" for line in lines)
    content.set_data(f"BT /F1 10 Tf 12 TL 50 800 Td {shown} ET".encode("latin-1", "replace"))
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica",
            "/Encoding": "/WinAnsiEncoding"}  # fmt: skip
    fonts = DictionaryObject({NameObject(key): NameObject(value) for key, value in font.items()})
    writer = pypdf.PdfWriter()
    sheet = writer.add_blank_page(600, 850)
    sheet[NameObject("/Contents")] = writer._add_object(content.flate_encode())
    resources = DictionaryObject({NameObject("/F1"): fonts})
    sheet[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): resources})
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def document(number: int, text: str) -> dict[str, object]:
    """Return a FHIR DocumentReference."""
    attachment = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
    return {
        "resourceType": "DocumentReference",
        "id": str(number),
        "status": "current",
        "subject": {"reference": f"Patient/{number}"},
        "content": [{"attachment": attachment}],
    }


def message(number: int, text: str) -> str:
    """Return an HL7 v2 message with a segment per line."""
    escapes = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\"}
    lines = text.translate(str.maketrans(escapes)).split("\n")
    segments = [
        f"MSH|^~\\&|HIS|H|||20260105100000||MDM^T02^MDM_T02|{number}|P|2.5",
        f"PID|1||{number}^^^HOSP^MR||A^B",
        "PV1|1|I",
        "TXA|1|DS|TX",
        *(f"OBX|{place}|TX|11506-3^Note^LN||{line}||||||F" for place, line in enumerate(lines, 1)),
    ]
    return "\r".join(segments) + "\r"


def _csv(path: Path, texts: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text"))
        writer.writerows(enumerate(texts))


def _western_csv(path: Path, texts: Sequence[str]) -> None:
    """Write a table in Windows-1252 with a degree sign in its last note."""
    with path.open("w", encoding="cp1252", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "text"))
        writer.writerows(enumerate([*texts[:-1], f"{texts[-1]} 38 °C"]))


def _meds(path: Path, texts: Sequence[str]) -> None:
    """Write events of MEDS, a note and nine others per patient."""
    count = len(texts)
    table = pa.table(
        {
            "subject_id": pa.array([number for number in range(count) for _ in range(10)]),
            "time": pa.array([datetime(2150, 1, 1)] * 10 * count, pa.timestamp("us")),
            "code": pa.array(["NOTE//Discharge summary", *["LAB//50912"] * 9] * count),
            "numeric_value": pa.array([None, *[1.0] * 9] * count, pa.float32()),
            "text_value": pa.array(
                [value for text in texts for value in (text, *[None] * 9)], pa.large_string()
            ),
        }
    )
    pq.write_table(table, path)


def _database(path: Path, texts: Sequence[str]) -> None:
    """Write OMOP's table NOTE into a database of SQLite."""
    with closing(sqlite3.connect(path)) as database, database:
        columns = "note_id INTEGER PRIMARY KEY, person_id, visit_occurrence_id, note_text TEXT"
        database.execute(f"CREATE TABLE note ({columns})")
        rows = ((number, number, number, text) for number, text in enumerate(texts))
        database.executemany("INSERT INTO note VALUES (?, ?, ?, ?)", rows)


def _lines(path: Path, texts: Sequence[str]) -> None:
    records = (document(number, text) for number, text in enumerate(texts))
    path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")


def _bundle(path: Path, texts: Sequence[str]) -> None:
    entries = [{"resource": document(number, text)} for number, text in enumerate(texts)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    path.write_text(json.dumps(bundle, indent=2), encoding="utf-8")


def _messages(path: Path, texts: Sequence[str]) -> None:
    content = "".join(message(number, text) for number, text in enumerate(texts))
    path.write_bytes(content.encode())


def _folder(ending: str, write: Callable[[str], bytes]) -> Callable[[Path, Sequence[str]], None]:
    def make(path: Path, texts: Sequence[str]) -> None:
        path.mkdir()
        for number, text in enumerate(texts):
            (path / f"{number:06}{ending}").write_bytes(write(text))

    return make


FILES: dict[str, tuple[str, Callable[[Path, Sequence[str]], None]]] = {
    "text": ("text", _folder(".txt", str.encode)),
    "csv": ("notes.csv", _csv),
    "cp1252": ("western.csv", _western_csv),
    "meds": ("events.parquet", _meds),
    "database": ("notes.db", _database),
    "fhir": ("notes.ndjson", _lines),
    "bundle": ("bundle.json", _bundle),
    "hl7": ("notes.hl7", _messages),
    "html": ("html", _folder(".html", page)),
    "cda": ("cda", _folder(".xml", cda)),
    "rtf": ("rtf", _folder(".rtf", rtf)),
    "docx": ("docx", _folder(".docx", word)),
    "pdf": ("pdf", _folder(".pdf", pdf)),
}
"""Name of a format to the name of its file or folder, and what writes it."""


def files_of(path: Path) -> Iterator[Path]:
    """Yield the file, or the files of a folder."""
    yield from sorted(path.iterdir()) if path.is_dir() else [path]
