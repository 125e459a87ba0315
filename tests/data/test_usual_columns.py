from pathlib import Path

import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.notes.files import find_notes
from icdcli.data.section import DataConfig
from icdcli.data.usual_columns import USUAL_TEXTS, found_column
from icdcli.errors import DataError


def test_the_default_comes_first_then_the_only_usual_name():
    path = Path("t.csv")

    def found(*available):
        return found_column(path, available, "text", USUAL_TEXTS, "text_column")

    assert found("note", "Text") == "text"
    assert found("id", "Note_Text") == "Note_Text"
    assert found("id", "txt") == "text"  # finding it reports the problem
    with pytest.raises(
        DataError,
        match=r"which of 'note', 'report' is meant isn't clear.*"
        r"text_column=note \(predict: --text-column note\)",
    ):
        found("note", "report")


def test_a_table_with_usual_names_is_trained_on_and_the_card_says_so(tmp_path):
    rows = [f"{number},note {number},I10" for number in range(40)]
    path = tmp_path / "export.csv"
    path.write_text("\n".join(["case,report,icd_codes", *rows]))
    prepared = prepare(DataConfig(data_path=path, code_system="icd10"))
    assert prepared.card["choices"] == {
        "text_column": "report, a usual name, since there is no 'text'",
        "codes_column": "icd_codes, a usual name, since there is no 'codes'",
    }
    path.write_text(path.read_text().replace("case", "diagnoses"))
    with pytest.raises(DataError, match="which of 'diagnoses', 'icd_codes' is meant"):
        prepare(DataConfig(data_path=path, code_system="icd10"))


def test_notes_of_a_column_with_a_usual_name_are_read_and_it_is_said(tmp_path):
    path = tmp_path / "export.jsonl"
    path.write_text('{"id": "a", "note": "Fever"}\n')
    notes = find_notes([str(path)])
    assert [(one.id, one.text) for one in notes] == [("a", "Fever")]
    assert notes.remarks == ["notes of export.jsonl: column 'note', a usual name"]
