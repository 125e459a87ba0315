import gzip

import pytest

from icdcli.data.benchmarks.protocols import MIMIC4_ICD9, MIMIC4_ICD10, PATIENT
from icdcli.data.section import DataConfig
from icdcli.data.sources.admission import Code
from icdcli.data.sources.mimic4 import Mimic4Source, parts
from icdcli.data.sources.registry import choose_source, recognize
from icdcli.errors import DataError
from icdcli.io.csv_reader import Reading

TABLES = {
    "hosp/diagnoses_icd": """subject_id,hadm_id,seq_num,icd_code,icd_version
1,20,1,I10    ,10
1,20,2,4280   ,9
1,20,3,I10,10
2,21,1,0331,9
3,22,1,E119,10
""",
    "hosp/procedures_icd": """subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version
1,20,1,2180-01-01,0BJ08ZZ,10
2,21,1,2180-01-01,0331,9
""",
    "hosp/d_icd_diagnoses": """icd_code,icd_version,long_title
I10    ,10,Own hypertension
4280   ,9,Own heart failure
""",
    "hosp/d_icd_procedures": """icd_code,icd_version,long_title
0331,9,Spinal tap
""",
    "note/discharge": """note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text
2-DS-1,2,21,DS,1,2180-01-01,,"Second, first
in the file"
1-DS-1,1,20,DS,1,2180-01-01,,Some note
1-DS-2,1,20,DS,2,2180-01-01,,Its addition
4-DS-1,4,,DS,1,2180-01-01,,No admission
5-DS-1,5,25,DS,1,2180-01-01,,No codes
""",
}


def write(folder, compressed=False):
    for name, text in TABLES.items():
        path = folder / f"{name}.csv{'.gz' if compressed else ''}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    return folder


@pytest.mark.parametrize("compressed", [False, True])
def test_one_icd_version_is_read(tmp_path, compressed):
    source = Mimic4Source(write(tmp_path, compressed))
    (first,) = source.admissions(PATIENT, tmp_path)
    assert (first.id, first.subject_id, first.text) == ("20", "1", "Some note\nIts addition")
    assert first.codes == {Code("I10", "diagnosis"), Code("0BJ08ZZ", "procedure")}
    assert source.reading.dropped == {
        "discharge notes without an admission's id": 1,
        "admissions with a note but no codes": 2,
        "admissions with codes but no note": 1,
    }
    assert source.titles == {Code("I10", "diagnosis"): "Own hypertension"}
    second, first = Mimic4Source(tmp_path, "icd9").admissions(PATIENT, tmp_path)
    assert second.codes == {Code("033.1", "diagnosis"), Code("03.31", "procedure")}
    assert first.codes == {Code("428.0", "diagnosis")}


def test_rare_codes_are_no_codes_of_the_benchmarks(tmp_path):
    write(tmp_path)
    rows = (
        "".join(f"9,{n},1,I10,10\n9,{n},1,E119,10\n" for n in range(100, 109)) + "9,109,1,I10,10\n"
    )
    notes = "".join(f"x,9,{n},DS,1,,,A note\n" for n in range(100, 110))
    with (tmp_path / "hosp/diagnoses_icd.csv").open("a") as table:
        table.write(rows)
    with (tmp_path / "note/discharge.csv").open("a") as table:
        table.write(notes)
    source = Mimic4Source(tmp_path)
    admissions = list(source.admissions(MIMIC4_ICD10, tmp_path))
    assert {admission.codes for admission in admissions} == {
        frozenset({Code("I10", "diagnosis")})
    }  # E11.9 has 9
    assert len(admissions) == 11
    assert list(Mimic4Source(tmp_path, "icd9").admissions(MIMIC4_ICD9, tmp_path)) == []


def test_the_folders_are_found_as_they_were_downloaded(tmp_path):
    release = tmp_path / "physionet.org" / "files"
    write(release / "mimiciv" / "2.2")
    (release / "mimic-iv-note" / "2.2").mkdir(parents=True)
    (release / "mimiciv" / "2.2" / "note").rename(release / "mimic-iv-note" / "2.2" / "note")
    assert [path.name for path in Mimic4Source(tmp_path).files()][-1] == "discharge.csv"
    assert parts(tmp_path, "hosp") == [release / "mimiciv" / "2.2" / "hosp"]
    write(release / "mimiciv" / "3.1")
    with pytest.raises(DataError, match=r"fit\. Set data_path to the folder of one release"):
        Mimic4Source(tmp_path).files()


def test_tables_side_by_side_are_found(tmp_path):
    for name, text in TABLES.items():
        (tmp_path / f"{name.split('/')[1]}.csv").write_text(text)
    assert len(list(Mimic4Source(tmp_path).admissions(PATIENT, tmp_path))) == 1


def test_missing_tables_are_named(tmp_path):
    write(tmp_path)
    (tmp_path / "hosp/d_icd_procedures.csv").unlink()
    with pytest.raises(
        DataError, match=r"missing d_icd_procedures\.csv or d_icd_procedures\.csv\.gz"
    ):
        Mimic4Source(tmp_path).files()


@pytest.mark.parametrize(
    ("part", "missing"),
    [("hosp", "not the notes, which are in note/"), ("note", "not the codes, which are in hosp/")],
)
@pytest.mark.parametrize("name", [None, "mimiciv"])
def test_one_part_alone_is_named(tmp_path, part, missing, name):
    folder = write(tmp_path) / part
    if name is not None:
        folder = folder.rename(tmp_path / name)
    assert recognize(folder) == "mimic4"
    with pytest.raises(DataError, match=missing):
        Mimic4Source(folder).files()


def test_tables_of_the_other_version_alone_are_refused(tmp_path):
    write(tmp_path)
    for name in ("diagnoses_icd", "procedures_icd"):
        path = tmp_path / f"hosp/{name}.csv"
        path.write_text(
            "".join(
                line for line in path.read_text().splitlines(True) if not line.endswith(",10\n")
            )
        )
    with pytest.raises(
        DataError, match=r"diagnoses_icd\.csv: no row has icd_version 10 and a hadm_id"
    ):
        list(Mimic4Source(tmp_path).admissions(PATIENT, tmp_path))


def rewrite(path, line, new):
    path.write_text(path.read_text().replace(line, new))


def test_codes_of_icd9_without_their_leading_zeros_are_refused(tmp_path):
    write(tmp_path)
    procedures = tmp_path / "hosp/procedures_icd.csv"
    rewrite(procedures, "0331,9", "66,9")
    with pytest.raises(DataError, match=r"icd_code has lost its leading zeros.* 66 must have been"):
        list(Mimic4Source(tmp_path, "icd9").admissions(PATIENT, tmp_path))
    assert len(list(Mimic4Source(tmp_path).admissions(PATIENT, tmp_path))) == 1
    rewrite(procedures, "66,9", "0066,9")
    (second, _) = Mimic4Source(tmp_path, "icd9").admissions(PATIENT, tmp_path)
    assert Code("00.66", "procedure") in second.codes


def test_ids_and_versions_that_pandas_saved_as_numbers_are_read_or_named(tmp_path):
    write(tmp_path)
    diagnoses = tmp_path / "hosp/diagnoses_icd.csv"
    rewrite(diagnoses, "1,20,", "1,20.0,")
    (first,) = Mimic4Source(tmp_path).admissions(PATIENT, tmp_path)
    assert (first.id, len(first.codes)) == ("20", 2)
    for version in ("9", "10"):
        rewrite(diagnoses, f",{version}\n", f",{version}.0\n")
    with pytest.raises(DataError, match=r"icd_version was saved as numbers: it has 10\.0"):
        list(Mimic4Source(tmp_path).admissions(PATIENT, tmp_path))


def test_notes_of_chosen_types_are_of_both_tables_of_notes(tmp_path):
    folder = write(tmp_path)
    (folder / "note" / "radiology.csv").write_text(
        "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text\n"
        "1-RR-1,1,20,RR,1,2179-12-31 20:00:00,,An infiltrate\n"
        "1-AR-1,1,20,AR,2,2180-01-02,,An addendum\n"
    )
    config = DataConfig(data_path=folder, note_types=["DS", "RR"])
    chosen = choose_source(config, Reading())
    found = {one.id: one for one in chosen.source.admissions(PATIENT, folder)}
    assert found["20"].text == "An infiltrate\n\nSome note\n\nIts addition"
    assert [one.note_id for one in found["20"].notes] == ["1-RR-1", "1-DS-1", "1-DS-2"]
    assert chosen.source.reading.dropped["notes of other types"] == 1
    assert folder / "note" / "radiology.csv" in chosen.source.files()


def test_notes_of_two_tables_without_ids_and_times_are_counted_together(tmp_path):
    folder = write(tmp_path)
    rewrite(folder / "note" / "discharge.csv", "note_id,", "some_id,")
    (folder / "note" / "radiology.csv").write_text(
        "subject_id,hadm_id,note_type,charttime,text\n1,20,RR,,A shadow\n1,20,RR,,An infiltrate\n"
    )
    config = DataConfig(data_path=folder, note_types=["DS", "RR"])
    chosen = choose_source(config, reading := Reading())
    (first,) = chosen.source.admissions(PATIENT, folder)
    assert [one.note_id for one in first.notes] == ["2", "3", "6", "7"]
    assert reading.choices["notes without a time"] == "2 of 7; they come last in their admission"
    rewrite(folder / "note" / "discharge.csv", "DS,2,2180-01-01", "DS,2,")
    (first,) = chosen.source.admissions(PATIENT, folder)
    assert [one.note_id for one in first.notes] == ["2", "3", "6", "7"]
    assert reading.choices["notes without a time"] == "3 of 7; they come last in their admission"


def test_types_of_notes_need_no_table_of_radiology(tmp_path):
    config = DataConfig(data_path=write(tmp_path), note_types=["RR"])
    chosen = choose_source(config, Reading())
    with pytest.raises(DataError, match=r"no note has the type 'RR'.* The types are: DS \(5\)"):
        list(chosen.source.admissions(PATIENT, tmp_path))
