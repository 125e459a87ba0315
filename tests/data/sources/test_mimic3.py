import gzip
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from icdcli.data.benchmarks.protocols import (
    CAML_50,
    HADM_DIGIT,
    MIMIC3_50,
    MIMIC3_FULL_CAML,
    PATIENT,
    most_frequent,
)
from icdcli.data.benchmarks.published_counts import PUBLISHED
from icdcli.data.encounters.boundaries import NoteBoundary
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Code
from icdcli.data.sources.mimic3 import Mimic3Source
from icdcli.data.sources.registry import choose_source
from icdcli.errors import ConfigError, DataError
from icdcli.io.csv_reader import Reading

NOTES = """\
ROW_ID,SUBJECT_ID,HADM_ID,CHARTDATE,CHARTTIME,STORETIME,CATEGORY,DESCRIPTION,CGID,ISERROR,TEXT
1,11,208,2150-01-01,,,Discharge summary,Report,,,"Second admission,
""quoted"" text"
2,10,101,2150-01-01,,,Discharge summary,Report,,,First note
3,10,101,2150-01-01,,,Nursing,Report,,,Nothing to do with it
4,10,,2150-01-01,,,Discharge summary,Report,,,No admission
5,12,309,2150-01-01,,,Discharge summary,Report,,,Without codes
6,10,101,2150-01-01,,,Discharge summary,Addendum,,,An addendum
7,13,400,2150-01-01,,,Discharge summary,Report,,,"  "
8,14,500,2150-01-01,,,Discharge summary ,Report,,,Another category
9,15,607,2150-01-01,,,Discharge summary,Addendum,,,Only an addendum
"""
DIAGNOSES = """ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE
1,10,101,1,0331
2,10,101,2,4280
3,10,101,3,4280
4,11,208,1,E8497
5,11,208,,
6,16,700,1,4280
7,15,607,1,99999
"""
PROCEDURES = """ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE
1,10,101,1,0331
2,11,208,1,3615
"""
D_DIAGNOSES = """ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE
1,0331,Whoop cough,Whooping cough of our own
2,4280,CHF NOS,"Failure, unspecified"
3,4019,Hypertension,Not in use
"""
D_PROCEDURES = """ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE
1,0331,Spinal tap,Spinal tap
2,3615,1 int mam-cor art bypass,Single bypass
"""
TABLES = {
    "NOTEEVENTS": NOTES,
    "DIAGNOSES_ICD": DIAGNOSES,
    "PROCEDURES_ICD": PROCEDURES,
    "D_ICD_DIAGNOSES": D_DIAGNOSES,
    "D_ICD_PROCEDURES": D_PROCEDURES,
}


@pytest.fixture
def folder(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return tmp_path


def rows(codes, admissions=("101", "208")):
    """Return a code table: each admission with each code."""
    pairs = [(admission, code) for admission in admissions for code in codes]
    return "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n" + "".join(
        f"{number},1,{admission},1,{code}\n"
        for number, (admission, code) in enumerate(pairs, start=1)
    )


def codes_of(folder, protocol):
    source = Mimic3Source(folder, Reading())
    with TemporaryDirectory() as work:
        admissions = list(source.admissions(protocol, Path(work)))
    found = {admission.id: {code.code for code in admission.codes} for admission in admissions}
    return found, source.reading.choices


@pytest.mark.parametrize(
    ("diagnoses", "codes"),
    [
        (131_072, {"96.7", "66.0", "38.93", "11.0"}),
        # The first two procedures fill the block of the diagnoses; the others are one of their own.
        (131_070, {"96.70", "66.", "38.93", "11.0"}),
        (131_073, {"96.70", "66.", "38.93", "11."}),
    ],
)
def test_a_block_of_procedures_alone_is_read_as_numbers_for_caml(folder, diagnoses, codes):
    (folder / "PROCEDURES_ICD.csv").write_text(rows(["9670", "0066", "3893", "11"], ["101"]))
    # Admission 700 has no note, so its row isn't in CAML's file; a row without a code is.
    table = rows(["V5861", ""], ["101"]) + "3,16,700,1,4280\n" + "4,11,208,1,E8497\n" * diagnoses
    (folder / "DIAGNOSES_ICD.csv").write_text(table[: -2 * len("4,11,208,1,E8497\n")])
    found, _ = codes_of(folder, MIMIC3_FULL_CAML)
    assert found == {"208": {"E849.7"}, "101": codes | {"V58.61"}}


def test_the_codes_of_mimic3_50_are_counted_by_row(folder):
    more = "".join(f"{n},11,208,1,25000\n" for n in range(3)) + "9,16,700,1,99999\n" * 9
    (folder / "DIAGNOSES_ICD.csv").write_text(DIAGNOSES + more)
    protocol = replace(MIMIC3_50, keep_codes=most_frequent(2))
    found, choices = codes_of(folder, protocol)
    # 250.00 and 428.0 have three and two rows, each on one admission; 999.99 of 700 has no note.
    assert found == {"208": {"250.00"}, "101": {"428.0"}}
    assert choices["codes"] == (
        "the 2 codes with the most rows; the published list is for MIMIC-III v1.4"
    )


def test_the_published_codes_of_mimic3_50_are_used_for_the_tables_of_its_release(
    folder, monkeypatch
):
    counts = {"NOTEEVENTS": 9, "DIAGNOSES_ICD": 7, "PROCEDURES_ICD": 2}
    monkeypatch.setitem(PUBLISHED, "mimic3-50", replace(PUBLISHED["mimic3-50"], rows=counts))
    found, choices = codes_of(folder, MIMIC3_50)
    assert found == {"208": {"36.15"}, "101": {"428.0"}}
    assert choices["codes"].startswith("the published list; counting rows gives another one, which")
    assert "033.1" in choices["codes"]
    assert len(CAML_50) == 50


def read(folder, protocol=PATIENT, **options):
    source = Mimic3Source(folder, Reading(**options))
    with TemporaryDirectory() as work:
        return list(source.admissions(protocol, Path(work))), source.reading.dropped


@pytest.mark.parametrize("chunk_size", [1, 2, 100_000])
def test_notes_and_codes_are_joined_per_admission(folder, chunk_size):
    (second, first, addendum), dropped = read(folder, chunk_size=chunk_size)
    assert (second.id, second.subject_id, second.text) == (
        "208",
        "11",
        'Second admission,\n"quoted" text',
    )
    assert second.codes == {Code("E849.7", "diagnosis"), Code("36.15", "procedure")}
    assert (first.id, first.subject_id, first.text) == ("101", "10", "First note\nAn addendum")
    assert first.codes == {
        Code("033.1", "diagnosis"),
        Code("428.0", "diagnosis"),
        Code("03.31", "procedure"),
    }
    assert addendum.id == "607"
    assert addendum.codes == {Code("999.99", "diagnosis")}
    assert dropped == {
        "diagnosis rows with an empty ICD9_CODE": 1,
        "discharge notes without an admission's id": 1,
        "discharge notes without text": 1,
        "admissions with a note but no codes": 1,
        "admissions with codes but no note": 1,
    }


def test_hadm_digit_takes_reports_and_tabled_codes_only(folder):
    admissions, dropped = read(folder, HADM_DIGIT)
    assert {a.id: a.text for a in admissions} == {
        "208": 'Second admission,\n"quoted" text',
        "101": "First note",
    }
    assert {a.id: HADM_DIGIT.split_of(a) for a in admissions} == {
        "208": "validation",
        "101": "train",
    }
    assert admissions[0].codes == {Code("36.15", "procedure")}
    assert dropped["diagnosis rows with a code outside the D_ICD tables"] == 2
    assert dropped["discharge notes whose DESCRIPTION isn't Report"] == 2


def test_lower_case_compressed_tables_give_the_same(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("lower")
    for name, text in TABLES.items():
        header, rows = text.split("\n", 1)
        (other / f"{name.lower()}.csv.gz").write_bytes(
            gzip.compress(f"{header.lower()}\n{rows}".encode())
        )
    assert read(other) == read(folder)


def test_titles_come_from_the_data_sets_own_tables(folder):
    titles = Mimic3Source(folder).titles
    assert titles[Code("033.1", "diagnosis")] == "Whooping cough of our own"
    assert titles[Code("03.31", "procedure")] == "Spinal tap"
    assert len(titles) == 5


def test_missing_tables_are_all_named(folder):
    for name in ("NOTEEVENTS", "D_ICD_PROCEDURES"):
        (folder / f"{name}.csv").unlink()
    with pytest.raises(DataError, match=r"missing NOTEEVENTS\.csv or .*, D_ICD_PROCEDURES\.csv or"):
        Mimic3Source(folder).files()


def test_a_missing_column_names_table_and_column(folder):
    (folder / "DIAGNOSES_ICD.csv").write_text("ROW_ID,HADM_ID,ICD9\n1,101,0331\n")
    with pytest.raises(
        DataError, match=r"DIAGNOSES_ICD\.csv: no column 'ICD9_CODE' \(did you mean 'ICD9'\?\)"
    ):
        read(folder)


def test_an_empty_noteevents_is_refused(folder):
    (folder / "NOTEEVENTS.csv").write_text(NOTES.split("\n", 1)[0] + "\n")
    with pytest.raises(DataError, match=r"NOTEEVENTS\.csv: has a header but no rows"):
        read(folder)


def test_notes_of_other_categories_alone_are_refused(folder):
    (folder / "NOTEEVENTS.csv").write_text(NOTES.replace("Discharge summary", "Nursing"))
    with pytest.raises(
        DataError, match="no row has CATEGORY 'Discharge summary', a HADM_ID and a text"
    ):
        read(folder)
    (folder / "NOTEEVENTS.csv").write_text(NOTES.replace("Report", "report"))
    with pytest.raises(DataError, match="CATEGORY 'Discharge summary' and DESCRIPTION 'Report'"):
        read(folder, HADM_DIGIT)


def test_what_is_no_code_is_refused(folder):
    (folder / "PROCEDURES_ICD.csv").write_text(PROCEDURES.replace("3615", "36/15"))
    with pytest.raises(
        DataError,
        match=r"PROCEDURES_ICD\.csv: column ICD9_CODE: '36/15' is not an icd9 procedure code",
    ):
        read(folder)


def test_ids_that_pandas_wrote_as_floats_are_the_same_ids(folder):
    before = read(folder)
    notes = folder / "NOTEEVENTS.csv"
    lines = notes.read_text().replace(",101,", ",101.0,").replace(",208,", ",208.0,")
    notes.write_text(lines)
    assert read(folder) == before


@pytest.mark.parametrize("in_titles", ["66", "0066"])
def test_procedures_without_their_leading_zeros_are_refused(folder, in_titles):
    title = "Percutaneous transluminal coronary angioplasty [PTCA]"
    (folder / "D_ICD_PROCEDURES.csv").write_text(
        f"ROW_ID,ICD9_CODE,SHORT_TITLE,LONG_TITLE\n1,{in_titles},PTCA,{title}\n2,3615,x,Bypass\n"
    )
    rows = "ROW_ID,SUBJECT_ID,HADM_ID,SEQ_NUM,ICD9_CODE\n1,11,208,1,3615\n2,11,208,2,{}\n"
    procedures = folder / "PROCEDURES_ICD.csv"
    procedures.write_text(rows.format("66"))
    with pytest.raises(DataError, match=r"has lost its leading zeros.* 66 must have been .*00\.66"):
        read(folder)
    procedures.write_text(rows.format("0066"))
    assert Code("00.66", "procedure") in read(folder)[0][0].codes


def test_notes_of_chosen_categories_are_joined_in_the_order_of_their_times(folder):
    notes = NOTES.replace("3,10,101,2150-01-01,,", "3,10,101,2149-12-31,2149-12-31 20:00:00,")
    (folder / "NOTEEVENTS.csv").write_text(notes)
    wanted = ["nursing", "Discharge summary"]
    chosen = choose_source(DataConfig(data_path=folder, note_types=wanted), Reading())
    assert chosen.options["note_types"] == wanted
    found = {one.id: one for one in chosen.source.admissions(PATIENT, folder)}
    assert found["101"].text == "Nothing to do with it\n\nFirst note\n\nAn addendum"
    assert found["101"].notes[0] == NoteBoundary("3", "Nursing", datetime(2149, 12, 31, 20), 0, 21)
    assert [one.note_id for one in found["101"].notes] == ["3", "2", "6"]


def test_a_category_that_no_note_has_is_refused_with_those_that_there_are(folder):
    chosen = choose_source(DataConfig(data_path=folder, note_types=["Echo"]), Reading())
    with pytest.raises(
        DataError,
        match=r"column CATEGORY: no note has the type 'Echo'. The types are: Discharge summary "
        r"\(\d\), Nursing \(1\)",
    ):
        list(chosen.source.admissions(PATIENT, folder))


def test_benchmarks_define_their_notes(folder):
    config = DataConfig(data_path=folder, protocol="mimic3-50", note_types=["Nursing"])
    with pytest.raises(ConfigError, match="protocol mimic3-50 defines which notes are read"):
        choose_source(config, Reading())


def test_the_places_of_notes_are_known_in_the_order_of_the_file(folder):
    chosen = choose_source(DataConfig(data_path=folder), Reading())
    found = {one.id: one for one in chosen.source.admissions(PATIENT, folder)}
    assert found["101"].text == "First note\nAn addendum"
    assert found["101"].notes == (
        NoteBoundary("2", "Discharge summary", datetime(2150, 1, 1), 0, 10),
        NoteBoundary("6", "Discharge summary", datetime(2150, 1, 1), 11, 22),
    )
