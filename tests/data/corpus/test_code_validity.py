"""Retired codes, and codes of later editions, in the data: kept, counted and named."""

import json
from datetime import date

import pyarrow.parquet as pq
import pytest

from icdcli.config.loading import load_config
from icdcli.data.corpus.prepare import prepare
from icdcli.data.corpus.reader import open_corpus
from icdcli.data.section import DataConfig
from icdcli.data.synthetic.generator import write_demo_data
from icdcli.errors import ConfigError, DataError
from icdcli.icd.editions.catalog import VARIABLE, store_edition
from icdcli.icd.editions.edition import About, Edition, Entry


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
        "2 codes are retired in icd10cm-2026-04 (12 mentions), but kept as labels: D71 (6, "
        "now D71.1, D71.8, D71.9); G35 (6, now G35.A, G35.B0, G35.B1, …)"
    )


def test_codes_of_a_later_edition_are_named(prepared):
    rows = [{"codes": [code, "G35.A"]} for code in COMMON]
    warnings = prepared(*rows, code_system="icd10cm-2024").warnings
    assert (
        "1 code is not valid yet in icd10cm-2024 (6 mentions), but kept as a label: G35.A (6, "
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
    assert "file:codes.csv lacks 1 of the codes (C3). They are kept, without a title" in warnings


DAYS = ["2024-01-05", "20240301", "2026-05-31T09:00", None, "2024-05-01", "2026-04-01"]


def test_days_choose_the_edition_and_the_valid_codes(prepared):
    """G35 was valid until 2025, G35.A is valid in 2026: each counts on its own document's day."""
    codes = [["G35"], ["G35.A"], ["G35", "I10"], ["G35"], ["G35"], ["G35.A"]]
    rows = [{"codes": own, "date": day} for own, day in zip(codes, DAYS, strict=True)]
    corpus = prepared(*rows, date_column="date")
    assert corpus.card["options"]["code_system"] == "icd10cm-2026-04"
    entry = corpus.card["code_validity"]
    assert entry["days"] == {
        "first": "2024-01-05",
        "last": "2026-05-31",
        "without": 1,
        "outside": None,
    }
    # Without a day (row 4), the edition of the corpus counts.
    assert (entry["retired"]["codes"], entry["retired"]["mentions"]) == (1, 2)
    assert (entry["future"]["codes"], entry["future"]["mentions"]) == (1, 1)
    assert (
        "1 code is retired on the day of a document (2 mentions), but kept as a label: "
        "G35 (2, now G35.A, G35.B0, G35.B1, …)"
    ) in corpus.warnings
    opened = open_corpus(corpus.folder)
    assert opened.days("validation") == [date(2024, 3, 1), date(2024, 5, 1)]
    assert opened.days("train") == [date(2024, 1, 5), None]


def test_the_latest_day_chooses_the_edition(prepared):
    rows = [{"codes": [code], "date": f"2024-0{n}-01"} for n, code in enumerate(COMMON, start=1)]

    def editions(**options):
        system = open_corpus(prepared(*rows, **options).folder).code_system
        return [edition.about.name for edition in system.editions.values()]

    assert editions(date_column="date") == ["icd10cm-2024", "icd10pcs-2024"]
    assert editions() == ["icd10cm-2026-04", "icd10pcs-2024"]
    named = editions(date_column="date", code_system="icd10cm-2026-04")
    assert named == ["icd10cm-2026-04", "icd10pcs-2024"]


def test_days_without_an_edition_are_named(prepared):
    rows = [{"codes": [code], "date": f"201{n}-07-01"} for n, code in enumerate(COMMON)]
    warnings = prepared(*rows, date_column="date").warnings
    assert (
        "6 documents, of 2010-07-01 to 2015-07-01, are of days without an edition at hand; the "
        "nearest ones are used. `icdcode codes fetch` adds editions"
    ) in warnings


def test_a_corpus_without_days_has_none(prepared):
    corpus = open_corpus(prepared(*({"codes": [code]} for code in COMMON)).folder)
    assert corpus.days("train") == []
    assert "day" not in pq.read_schema(corpus.folder / "documents.parquet").names


def test_days_that_cannot_be_used_are_refused(prepared, tmp_path):
    rows = [{"codes": [code], "date": day} for code, day in zip(COMMON, DAYS, strict=True)]
    with pytest.raises(DataError, match=r"row 2, column 'date': has '05/31/2026', which isn't"):
        prepared(rows[0], {**rows[1], "date": "05/31/2026"}, date_column="date")
    with pytest.raises(DataError, match=r"row 1, column 'date': has the year 2151.*MIMIC"):
        prepared({**rows[0], "date": "2151-01-01"}, date_column="date")
    with pytest.raises(DataError, match="no column 'discharged'"):
        prepared(*rows, date_column="discharged")
    with pytest.raises(ConfigError, match=r"Set code_system, or leave date_column out"):
        load_config(None, ["date_column=date"])
    own = {"id": "7", "text": "same", "codes": ["I10"], "split": "train"}
    with pytest.raises(DataError, match="is also in row 1, with another date"):
        prepared({**own, "date": DAYS[0]}, {**own, "date": DAYS[1]}, date_column="date")
    write_demo_data(tmp_path / "mimic", admissions=20)
    with pytest.raises(ConfigError, match="date_column: is for dataset: table"):
        prepare(DataConfig(data_path=tmp_path / "mimic", date_column="DISCHTIME"))


def test_codes_that_are_new_in_an_imported_edition_are_known(prepared, tmp_path, monkeypatch):
    rows = [{"codes": [code, "J99.7X"]} for code in COMMON]
    with pytest.raises(DataError, match=r"aren't in the official tables .* \(J99\.7X\)"):
        prepared(*rows)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "codes"))
    entries = [Entry(code, f"Title of {code}") for code in (*COMMON, "J99.7X")]
    about = About("icd10cm-2031", "ICD-10-CM 2031", valid_from=date(2030, 10, 1))
    store_edition(Edition.of(about, entries))
    corpus = prepared(*rows)
    assert corpus.card["codes_column"]["unknown"] == 0
    assert corpus.card["code_validity"] == {"edition": "icd10cm-2031"}
    labels = open_corpus(corpus.folder).labels
    assert labels.titles[labels.index["J99.7X"]] == "Title of J99.7X"
    (tmp_path / "codes").rename(tmp_path / "gone")  # the corpus has a copy
    assert open_corpus(corpus.folder).code_system.title("J99.7X", "diagnosis") == "Title of J99.7X"


def test_beginnings_of_procedures_are_categories_of_their_edition(prepared):
    """The first four characters, as in CodiEsp, have no title of their own, but a description."""
    cells = [["0FT4", "BW24"], ["0DB6"], ["BW03", "0FT4"]]
    corpus = prepared(*({"codes": cell} for cell in cells * 2))
    entry = corpus.card["code_validity"]
    assert (entry["edition"], entry["category"]["codes"]) == ("icd10pcs-2024", 4)
    assert "unknown" not in entry
    assert not any("no label has a title" in one for one in corpus.warnings)
    system = open_corpus(corpus.folder).code_system
    assert "Gallbladder" in system.description("0FT4", "procedure")
    mixed = prepared({"codes": ["0FT40ZZ", "I10"]}, {"codes": ["I10"]}, code_kind="both")
    assert mixed.card["code_validity"]["edition"] == "icd10cm-2026-04 and icd10pcs-2024"
