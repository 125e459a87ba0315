"""The examples of table formats in docs/own-notes.md are read as the page says."""

import re
import textwrap
from pathlib import Path

import pytest

from icdcli.data.benchmarks.protocols import PATIENT
from icdcli.data.notes.files import find_notes
from icdcli.data.sources.admission import Code
from icdcli.data.sources.table import TableSource
from icdcli.io.csv_reader import Reading

PAGE = Path(__file__).parents[2] / "docs" / "own-notes.md"
PNEUMONIA, FIBRILLATION = Code("486", "diagnosis"), Code("427.31", "diagnosis")
ARTHROSIS = Code("715.35", "diagnosis")


def examples(heading: str) -> list[str]:
    section = (
        PAGE.read_text(encoding="utf-8").partition(f"### {heading}\n")[2].partition("\n## ")[0]
    )
    section = section.partition("\n### ")[0]
    found = re.findall(r"^ *```text\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(example) for example in found]


def read(path: Path, **options: str) -> list[tuple[str, str, frozenset[Code]]]:
    source = TableSource(
        path, "note", options.get("codes_column", "icd"), reading=Reading(), system="icd9"
    )
    return [(a.id, a.text, a.codes) for a in source.admissions(PATIENT, path.parent)]


def test_every_format_of_the_page_is_read(tmp_path: Path) -> None:
    semicolons, lines, array = examples("Formats of tables")
    for name, content, text in (
        ("a.csv", semicolons, "Fever; cough for 3 days"),
        ("b.jsonl", lines, "Fever and cough"),
        ("c.ndjson", lines, "Fever and cough"),
        ("d.json", array, "Fever and cough"),
        ("e.tsv", "id\tnote\ticd\n7001\tFever\t486;427.31\n", "Fever"),
    ):
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        assert read(path) == [("7001", text, {PNEUMONIA, FIBRILLATION})]
        notes = find_notes([str(path)], text_column="note")
        assert [(note.id, note.text) for note in notes] == [("7001", text)]


@pytest.mark.parametrize(("place", "column"), [(0, "dx*"), (1, "icd")])
def test_codes_in_columns_or_rows_are_read(tmp_path: Path, place: int, column: str) -> None:
    path = tmp_path / "n.csv"
    path.write_text(examples("Codes in several rows or columns")[place], encoding="utf-8")
    assert read(path, codes_column=column) == [
        ("7001", "Fever and cough", {PNEUMONIA, FIBRILLATION}),
        ("7002", "Elective hip replacement", {ARTHROSIS}),
    ]
