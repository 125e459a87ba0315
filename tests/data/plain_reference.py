"""The protocols implemented once more, in plain Python with the csv module and dictionaries.

Written from the rules of the protocols, without icdcli, so that the two don't share a mistake.
Everything is kept in memory, and nothing is fast.
"""

import csv
import gzip
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

csv.field_size_limit(2**31 - 1)  # the module's own limit is 128 kB per field


class Label(NamedTuple):
    """A dotted code and its kind, `diagnosis` or `procedure`."""

    code: str
    kind: str


class Document(NamedTuple):
    """One admission as `prepare` must write it."""

    id: str
    subject_id: str
    split: str
    text: str
    codes: list[str]


class Corpus(NamedTuple):
    """The documents and labels of a protocol."""

    documents: list[Document]
    labels: set[Label]


BLOCK = 131_072  # the rows that pandas reads at once

TABLES = {"diagnoses": "diagnosis", "procedures": "procedure"}


def rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    """Yield the rows of a table, with lower-case column names."""
    found = [
        path for path in folder.rglob("*") if path.name.lower() in (f"{name}.csv", f"{name}.csv.gz")
    ]
    (path,) = found
    with (gzip.open if path.suffix == ".gz" else open)(
        path, "rt", encoding="utf-8", newline=""
    ) as file:
        reader = csv.reader(file, strict=True)
        columns = [column.lower() for column in next(reader)]
        for row in reader:
            yield dict(zip(columns, row, strict=True))


def dotted(raw: str, kind: str, version: str = "9", caml: bool = False) -> str:
    """Return a raw code with its dot; empty for an empty one.

    `caml`: procedures as CAML had them, read as integers and dotted even if nothing follows; the
    numbers of `caml_codes` come after.
    """
    code = raw.strip().upper()
    if caml and kind == "procedure" and code:
        number = str(int(code))
        return f"{number[:2]}.{number[2:]}"
    if kind == "procedure" and version == "10":
        return code
    before = 2 if kind == "procedure" else 4 if version == "9" and code.startswith("E") else 3
    return f"{code[:before]}.{code[before:]}" if len(code) > before else code


def cleaned(text: str, way: str) -> str:
    """Return a text after CAML's or Edin's cleaning, or unchanged."""
    if way == "caml":
        return " ".join(
            token.lower() for token in re.findall(r"\w+", text) if not token.isnumeric()
        )
    if way == "edin":
        text = re.sub("[^A-Za-z0-9]+", " ", text.lower())
        # The number must have a blank on both sides, so not at the very start or end.
        return " ".join(re.sub(r"(?<= )\d+(?= )", "", text).split())
    return text


def used_notes(folder: Path, protocol: str) -> Iterator[tuple[str, str, str]]:
    """Yield HADM_ID, SUBJECT_ID and text of the protocol's notes, in file order."""
    fourth = protocol.startswith("mimic4")
    for row in rows(folder, "discharge" if fourth else "noteevents"):
        used = fourth or row["category"] == "Discharge summary"
        if protocol == "hadm-digit":
            used = used and row["description"] == "Report"
        if used and row["hadm_id"] and row["text"].strip():
            yield row["hadm_id"], row["subject_id"], row["text"]


def all_codes(folder: Path, protocol: str) -> dict[str, set[Label]]:
    """Return the codes of every admission with a code."""
    codes: dict[str, set[Label]] = {}
    for admission, label in code_rows(folder, protocol):
        codes.setdefault(admission, set()).add(label)
    return codes


def caml_codes(folder: Path) -> dict[str, set[Label]]:
    """Return the codes of every admission with a note, as CAML's file of both tables gave them.

    The file has the rows of the diagnoses, then those of the procedures. A block of it that has
    nothing but procedures was read as numbers.
    """
    noted = {admission for admission, _, _ in used_notes(folder, "mimic3-full-caml")}
    joined = [
        (row["hadm_id"], Label(dotted(row["icd9_code"], kind, caml=True), kind))
        for table, kind in TABLES.items()
        for row in rows(folder, f"{table}_icd")
        if row["hadm_id"] in noted
    ]
    codes: dict[str, set[Label]] = {}
    for start in range(0, len(joined), BLOCK):
        block = joined[start : start + BLOCK]
        numbers = all(label.kind == "procedure" for _, label in block)
        for admission, label in block:
            if label.code:
                code = str(float(label.code)) if numbers else label.code
                codes.setdefault(admission, set()).add(Label(code, label.kind))
    return codes


def code_rows(folder: Path, protocol: str) -> Iterator[tuple[str, Label]]:
    """Yield the admission and the code of every row that has both."""
    version = "10" if protocol == "mimic4-icd10" else "9"
    for table, kind in TABLES.items():
        for row in rows(folder, f"{table}_icd"):
            code = dotted(row.get("icd9_code", row.get("icd_code", "")), kind, version)
            if row["hadm_id"] and code and row.get("icd_version", version) == version:
                yield row["hadm_id"], Label(code, kind)


def defined_codes(folder: Path) -> set[Label]:
    """Return the codes of MIMIC-III's two D_ICD tables."""
    pairs = (
        (row, kind) for table, kind in TABLES.items() for row in rows(folder, f"d_icd_{table}")
    )
    return {Label(dotted(row["icd9_code"], kind), kind) for row, kind in pairs} - {
        Label("", kind) for kind in TABLES.values()
    }


def kept_codes(counts: Counter[Label], protocol: str, folder: Path) -> set[Label]:
    """Return the counted codes that the protocol keeps."""
    if protocol == "hadm-digit":
        return set(counts) & defined_codes(folder)
    if protocol == "mimic3-50":
        return set(sorted(counts, key=lambda label: (-counts[label], label.code))[:50])
    if protocol in ("mimic3-clean", "mimic4-icd9", "mimic4-icd10"):
        return {label for label, count in counts.items() if count >= 10}
    return set(counts)


def split_of(admission: str, subject: str, protocol: str, lists: dict[str, str]) -> str | None:
    """Return an admission's split; None if it is in no list."""
    if protocol == "hadm-digit":
        return "validation" if admission[-1] in "89" else "train"
    if protocol == "patient":
        digest = hashlib.sha256(f"icdcode patient split 1:{subject}".encode()).digest()
        share = int.from_bytes(digest[:8], "big") / 2**64
        return "train" if share < 0.8 else "validation" if share < 0.9 else "test"
    return lists.get(admission)


def corpus(
    folder: Path, protocol: str, lists: dict[str, str], cleaning: str = "none", pruning: bool = True
) -> Corpus:
    """Return the documents and labels of a protocol for the tables of a folder."""
    texts: dict[str, list[str]] = {}
    subjects: dict[str, str] = {}
    for admission, subject, text in used_notes(folder, protocol):
        texts.setdefault(admission, []).append(text)
        subjects.setdefault(admission, subject)
    caml = protocol == "mimic3-full-caml"
    codes = caml_codes(folder) if caml else all_codes(folder, protocol)
    coded = {admission: codes[admission] for admission in texts if admission in codes}
    counts = Counter(label for labels in coded.values() for label in labels)
    if protocol == "mimic3-50":  # counts rows, so a code twice on an admission counts twice
        counts = Counter(
            label for admission, label in code_rows(folder, protocol) if admission in texts
        )
    kept = kept_codes(counts, protocol, folder)
    documents, in_use = [], set()
    for admission in coded:
        labels = coded[admission] & kept
        split = split_of(admission, subjects[admission], protocol, lists)
        text = cleaned("\n".join(texts[admission]), cleaning)
        if labels and split and text:
            documents.append(
                Document(
                    admission,
                    subjects[admission],
                    split,
                    text,
                    sorted(label.code for label in labels),
                )
            )
            in_use |= labels
    if protocol in ("patient", "hadm-digit") and not pruning:
        in_use |= defined_codes(folder)
    return Corpus(documents, in_use)
