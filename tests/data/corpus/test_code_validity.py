"""Retired codes, and codes of later editions, in the data: kept, counted and named."""

import json

import pytest

from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig


@pytest.fixture
def prepared(tmp_path):
    def prepare_rows(*rows, **options):
        path = tmp_path / "notes.jsonl"
        lines = []
        for number, row in enumerate(rows):
            splits = ("train", "validation", "test")
            own = {"text": f"Note {number}", "split": splits[number % 3], **row}
            lines.append(json.dumps(own) + "\n")
        path.write_text("".join(lines))
        return prepare(DataConfig(data_path=path, **{"code_system": "icd10", **options}))

    return prepare_rows


COMMON = ["I10", "E11.9", "J18.9", "I48.91", "N39.0", "K21.9"]


def test_retired_codes_are_kept_counted_and_named(prepared):
    rows = [{"codes": [code, *extra]} for code in COMMON for extra in (["G35"], [], ["D71", "E11"])]
    corpus = prepared(*rows)
    assert {"G35", "D71"} <= set(open_corpus(corpus.folder).labels.codes)
    entry = corpus.card["code_validity"]
    assert entry["edition"] == "icd10cm-2026-04"
    assert (entry["retired"]["codes"], entry["retired"]["mentions"]) == (2, 12)
    assert entry["category"] == {"codes": 1, "mentions": 6, "first": ["E11"]}
    assert "future" not in entry
    (warning,) = [one for one in corpus.warnings if "retired" in one]
    assert warning == (
        "2 codes are retired in icd10cm-2026-04, with 12 mentions; labels all the same: D71 (6, "
        "now D71.1, D71.8, D71.9); G35 (6, now G35.A, G35.B0, G35.B1, …)"
    )


def test_codes_of_a_later_edition_are_named(prepared):
    rows = [{"codes": [code, "G35.A"]} for code in COMMON]
    warnings = prepared(*rows, code_system="icd10cm-2024").warnings
    assert (
        "1 code is not valid yet in icd10cm-2024, with 6 mentions; labels all the same: G35.A (6, "
        "in icd10cm-2026-04)"
    ) in warnings


def test_valid_codes_give_no_warning(prepared):
    corpus = prepared(*({"codes": [code]} for code in COMMON))
    assert corpus.card["code_validity"] == {"edition": "icd10cm-2026-04"}
    assert not any("retired" in one or "lacks" in one for one in corpus.warnings)
    assert "code_validity" not in prepared({"codes": "A"}, {"codes": "A"}, code_system=None).card


def test_codes_that_an_own_table_lacks_are_named(prepared, tmp_path):
    table = tmp_path / "codes.csv"
    table.write_text("code,title\nA 1,First\nB-2,Second\n")
    rows = [{"codes": ["A 1", "B-2"]}, {"codes": ["A 1", "C3"]}, {"codes": ["C3"]}]
    warnings = prepared(*rows, code_system=f"file:{table}").warnings
    assert f"file:{table} lacks 1 of the codes (C3). They are kept, without a title" in warnings
